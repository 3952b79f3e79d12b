/*
 * SHA-1 (RFC 3174), for Sec-WebSocket-Accept.  Not for anything secret.
 */
#ifndef LNT_WEBSOCKET_SHA1_H
#define LNT_WEBSOCKET_SHA1_H

#include <stddef.h>
#include <stdint.h>

enum { LNT_SHA1_SIZE = 20 };

void lnt_ws_sha1(const void *p, size_t n, uint8_t digest[LNT_SHA1_SIZE]);

#endif
