/*
 * Heads of frames, and the rules of the close frame.
 */
#include "modules/websocket/frame.h"

#include "core/utf8.h"

static bool
is_known(unsigned opcode)
{
    return opcode <= LNT_WS_BINARY ||
           (opcode >= LNT_WS_CLOSE && opcode <= LNT_WS_PONG);
}

enum lnt_ws_parsed
lnt_ws_head_parse(struct lnt_ws_head *h, const uint8_t *p, size_t n,
                  unsigned rsv)
{
    h->size = 0;
    if (n < 1)
        return LNT_WS_MORE;
    unsigned first = p[0];
    bool control = (first & LNT_WS_CONTROL_BIT) != 0;
    if (control || (first & LNT_WS_OPCODE) == LNT_WS_CONTINUATION)
        rsv = 0;
    if (first & LNT_WS_RSV & ~rsv)
        return LNT_WS_BAD_BITS;
    if (!is_known(first & LNT_WS_OPCODE))
        return LNT_WS_BAD_OPCODE;
    if (control && !(first & LNT_WS_FIN))
        return LNT_WS_BAD_CONTROL;
    if (n < 2)
        return LNT_WS_MORE;

    unsigned len7 = p[1] & 127u;
    if (!(p[1] & LNT_WS_MASKED))
        return LNT_WS_BAD_MASK;
    if (control && len7 > LNT_WS_CONTROL_MAX)
        return LNT_WS_BAD_CONTROL;
    size_t more = len7 < 126 ? 0 : len7 == 126 ? 2 : 8;
    uint64_t len = more ? 0 : len7;
    if (more == 8 && n > 2 && p[2] & 0x80)
        return LNT_WS_BAD_LENGTH;
    if (n < 2 + more)
        return LNT_WS_MORE;
    for (size_t i = 0; i < more; i++)
        len = len << 8 | p[2 + i];

    h->first = (uint8_t)first;
    h->len = len;
    h->size = (uint8_t)(2 + more + 4);
    if (n < h->size)
        return LNT_WS_MORE;
    memcpy(&h->key, p + 2 + more, sizeof(h->key));
    return LNT_WS_DONE;
}

bool
lnt_ws_code_valid(unsigned code)
{
    /* 1004 is reserved; 1005, 1006 and 1015 stand for what no frame says. */
    if (code >= 1000 && code <= 1014)
        return code < 1004 || code > 1006;
    return code >= 3000 && code <= 4999;
}

struct lnt_str
lnt_ws_cut(struct lnt_str s, size_t max)
{
    size_t n = s.n <= max ? s.n : max;
    /* A character has four bytes at most: three of them may hang over. */
    for (size_t hangs = 0; hangs <= 3 && hangs <= n; hangs++)
        if (lnt_utf8_valid(s.p, n - hangs))
            return lnt_str(s.p, n - hangs);
    return lnt_str(s.p, 0);
}
