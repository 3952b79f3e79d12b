/*
 * Decompresses into a buffer that grows with what comes out, to one byte more
 * than a message may have at the most.
 */
#include "modules/websocket/gather.h"

#include "core/buf.h"
#include "core/utf8.h"
#include "modules/websocket/deflate.h"

enum {
    ROOM_MIN = 512,       /* less is not worth a call */
    GROW_MIN = 4 * 1024,  /* to begin with */
    GROW_MAX = 64 * 1024, /* at once */
};

/* Makes room for at least one more byte and at most left. */
static size_t
make_room(const struct lnt_ws_gather *g, uint64_t left)
{
    struct lnt_buf *b = *g->buf;
    size_t grow = b ? b->len : 0, room;

    if (grow < GROW_MIN)
        grow = GROW_MIN;
    if (grow > GROW_MAX)
        grow = GROW_MAX;
    if (grow > left)
        grow = (size_t)left;
    if (!b) {
        b = lnt_buf_new(g->room + grow);
        b->len = g->room;
    } else if (b->cap - b->len < ROOM_MIN) {
        b = lnt_buf_grow(b, grow);
    }
    *g->buf = b;
    room = b->cap - b->len;
    return room < left ? room : (size_t)left;
}

static enum lnt_ws_why
take_output(const struct lnt_ws_gather *g)
{
    enum lnt_ws_inflated r;

    do {
        uint64_t have = *g->buf ? (*g->buf)->len - g->room : 0;
        size_t room = make_room(g, g->max - have + 1), made;
        uint8_t *out = (*g->buf)->data + (*g->buf)->len;

        r = lnt_ws_inflate(g->inflater, out, room, &made);
        bool over = made > g->max - have;
        if (g->text) {
            lnt_utf8_state text =
                lnt_utf8_check(*g->utf8, out, over ? made - 1 : made);
            if (text == LNT_UTF8_BAD)
                return LNT_WS_WHY_TEXT;
            *g->utf8 = (uint8_t)text;
        }
        if (over)
            return LNT_WS_WHY_TOO_BIG;
        (*g->buf)->len += (uint32_t)made;
        if (r == LNT_WS_INFLATE_BAD)
            return LNT_WS_WHY_COMPRESSED;
    } while (r == LNT_WS_INFLATE_FULL);
    return LNT_WS_WHY_NONE;
}

enum lnt_ws_why
lnt_ws_gather(const struct lnt_ws_gather *g, const uint8_t *p, size_t n,
              bool fin)
{
    enum lnt_ws_why why;

    lnt_ws_inflate_input(g->inflater, p, n);
    why = take_output(g);
    if (why || !fin)
        return why;
    lnt_ws_inflate_tail(g->inflater);
    why = take_output(g);
    if (why)
        return why;
    if (!lnt_ws_inflate_complete(g->inflater))
        return LNT_WS_WHY_COMPRESSED;
    return g->text && *g->utf8 ? LNT_WS_WHY_TEXT : LNT_WS_WHY_NONE;
}
