/*
 * The framing of RFC 6455, section 5, without any state: heads, opcodes, close
 * codes.
 */
#ifndef LNT_WEBSOCKET_FRAME_H
#define LNT_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/str.h"

enum lnt_ws_opcode {
    LNT_WS_CONTINUATION = 0,
    LNT_WS_TEXT = 1,
    LNT_WS_BINARY = 2,
    LNT_WS_CLOSE = 8, /* from here on: control frames */
    LNT_WS_PING = 9,
    LNT_WS_PONG = 10,
};

enum {
    LNT_WS_FIN = 0x80,
    LNT_WS_RSV = 0x70,
    LNT_WS_RSV1 = 0x40, /* the message is compressed (RFC 7692) */
    LNT_WS_OPCODE = 0x0f,
    LNT_WS_MASKED = 0x80,
    LNT_WS_CONTROL_MAX = 125, /* payload of a control frame */
    LNT_WS_CONTROL_BIT = 8,   /* set in the opcodes of control frames */
    LNT_WS_REASON_MAX = LNT_WS_CONTROL_MAX - 2,
    LNT_WS_OUT_HEAD_MAX = 10, /* a server's head */
};

/* A client's head. */
struct lnt_ws_head {
    uint8_t first; /* FIN, RSV and opcode as they came */
    uint8_t size;  /* bytes of head */
    uint32_t key;  /* for lnt_ws_unmask */
    uint64_t len;  /* of the payload; the top bit is never set */
};

enum lnt_ws_parsed {
    LNT_WS_DONE,
    LNT_WS_MORE,     /* head->len is known already when size is not 0 */
    LNT_WS_BAD_BITS, /* reserved bits */
    LNT_WS_BAD_OPCODE,
    LNT_WS_BAD_CONTROL, /* a control frame fragmented or too long */
    LNT_WS_BAD_MASK,    /* not masked */
    LNT_WS_BAD_LENGTH,  /* top bit of the 64-bit length */
};

/*
 * Reads the head at p.  rsv: the reserved bits that an extension gave a
 * meaning to, on the first frame of a message.  What is wrong is said as soon
 * as its byte is there, the length is given before the masking key has come.
 */
enum lnt_ws_parsed lnt_ws_head_parse(struct lnt_ws_head *h, const uint8_t *p,
                                     size_t n, unsigned rsv);

/* Bytes of a server's head for a payload of n bytes. */
static inline size_t
lnt_ws_head_size(uint64_t n)
{
    return n < 126 ? 2 : n < 65536 ? 4 : 10;
}

/* Writes such a head to p; first is FIN | RSV | opcode. */
static inline void
lnt_ws_head_write(uint8_t *p, unsigned first, uint64_t n)
{
    p[0] = (uint8_t)first;
    if (n < 126) {
        p[1] = (uint8_t)n;
    } else if (n < 65536) {
        p[1] = 126;
        p[2] = (uint8_t)(n >> 8);
        p[3] = (uint8_t)n;
    } else {
        p[1] = 127;
        for (unsigned i = 0; i < 8; i++)
            p[2 + i] = (uint8_t)(n >> (56 - 8 * i));
    }
}

/* Writes it in front of the payload; returns where it begins. */
static inline uint8_t *
lnt_ws_head_before(uint8_t *payload, unsigned first, uint64_t n)
{
    if (n < 126) {
        payload[-2] = (uint8_t)first;
        payload[-1] = (uint8_t)n;
        return payload - 2;
    }
    uint8_t *p = payload - lnt_ws_head_size(n);
    lnt_ws_head_write(p, first, n);
    return p;
}

/* Whether a close frame may carry the code (RFC 6455, section 7.4, and the
   registry it set up). */
bool lnt_ws_code_valid(unsigned code);

/* As much of s as a close frame may say: at most max bytes, not ending inside
   a character; nothing when s is not UTF-8. */
struct lnt_str lnt_ws_cut(struct lnt_str s, size_t max);

#endif
