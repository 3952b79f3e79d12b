/*
 * The opening handshake (RFC 6455, section 4.2): whether a request may become
 * a WebSocket, and the answer.
 */
#ifndef LNT_WEBSOCKET_HANDSHAKE_H
#define LNT_WEBSOCKET_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/conf.h"
#include "core/str.h"
#include "net/session.h"

struct lnt_http_request;
struct lnt_module_ctx;

/* compression, beside sizes */
enum { LNT_WS_COMPRESSION_OFF = 0, LNT_WS_COMPRESSION_SHARED = 1 };

enum {
    LNT_WS_SUBPROTOCOL_MAX = 128,
    LNT_WS_COMPRESSION_MIN_MAX = 1 << 30,
};

/* What [route] says about WebSockets. */
struct lnt_ws_route {
    struct lnt_strings subprotocol; /* tokens, the preferred one first */
    uint64_t compression;           /* or the memory of a session */
    uint64_t compression_min;       /* bytes of a message that is compressed */
};

/* The handler's handle(); route->conf is a struct lnt_ws_route. */
lnt_verdict lnt_ws_handshake(struct lnt_module_ctx *m,
                             struct lnt_http_request *r);

/* A token of RFC 9110, section 5.6.2. */
bool lnt_ws_is_token(struct lnt_str s);

#endif
