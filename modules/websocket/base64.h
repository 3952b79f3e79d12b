/*
 * Base64 (RFC 4648, section 4), for the keys of the handshake.
 */
#ifndef LNT_WEBSOCKET_BASE64_H
#define LNT_WEBSOCKET_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters that n bytes take, padding included. */
static inline size_t
lnt_ws_base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

/* Writes lnt_ws_base64_size(n) characters, no NUL. */
void lnt_ws_base64_encode(char *out, const void *p, size_t n);

/*
 * How many bytes the n characters stand for, or -1 when they are not base64
 * with its padding.  Unused bits of the last character may be anything.
 */
ptrdiff_t lnt_ws_base64_count(const char *p, size_t n);

#endif
