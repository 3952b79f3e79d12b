/*
 * Decompressing what is received (RFC 7692, section 7.2.2), as it comes and
 * not more of it than there is room for.
 *
 * A message is a piece of deflate stream that ends with the first byte of an
 * empty stored block; its other four bytes are added here.  Some clients end
 * theirs otherwise: with a block that says it is the last one (section
 * 7.2.3.4), or with all of that empty block.  Both can be told from what
 * follows nothing, so both are taken.
 */
#include "modules/websocket/deflate.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "modules/websocket/streams.h"

enum {
    SPARES = 4,
    SCRATCH_MIN = 4 * 1024,
    SCRATCH_KEEP = 256 * 1024,
};

enum { /* z_stream.data_type behind inflate() */
       UNUSED_BITS = 63,
       BETWEEN_BLOCKS = 128,
};

static struct lnt_ws_inflater *
new_inflater(struct lnt_ws_streams *w)
{
    struct lnt_ws_inflater *f = lnt_malloc(sizeof(*f));

    lnt_ws_stream_init(&f->z, w);
    int r = inflateInit2(&f->z, -LNT_WS_BITS_MAX);
    lnt_assert(r == Z_OK);
    return f;
}

struct lnt_ws_inflater *
lnt_ws_inflate_begin(struct lnt_ws_deflate *d)
{
    struct lnt_ws_streams *w = d->streams;
    struct lnt_ws_inflater *f = w->spare;

    if (f) {
        w->spare = f->next;
        w->nspare--;
        inflateReset(&f->z);
    } else {
        f = new_inflater(w);
    }
    f->owner = d;
    f->fresh = true;
    f->between = f->ended = f->whole = false;
    f->z.avail_in = 0;
    if (!d->terms.in_fresh && d->received.n > 0)
        inflateSetDictionary(&f->z, d->received.p, d->received.n);
    return f;
}

/* What follows a last block goes on with the same window. */
static void
go_on(struct lnt_ws_inflater *f)
{
    inflateResetKeep(&f->z);
    f->ended = false;
}

void
lnt_ws_inflate_input(struct lnt_ws_inflater *f, const uint8_t *p, size_t n)
{
    lnt_assert(f->z.avail_in == 0 && n <= UINT32_MAX);
    if (n == 0)
        return;
    if (f->ended)
        go_on(f);
    f->fresh = false;
    f->z.next_in = (Bytef *)(uintptr_t)p;
    f->z.avail_in = (uInt)n;
}

void
lnt_ws_inflate_tail(struct lnt_ws_inflater *f)
{
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

    f->whole = f->fresh || f->ended || f->between;
    if (!f->whole)
        lnt_ws_inflate_input(f, tail, sizeof(tail));
}

enum lnt_ws_inflated
lnt_ws_inflate(struct lnt_ws_inflater *f, uint8_t *out, size_t room,
               size_t *made)
{
    z_stream *z = &f->z;
    int r;

    lnt_assert(room > 0 && room <= UINT32_MAX);
    *made = 0;
    /* To ask without need would make zlib forget where it is. */
    if (z->avail_in == 0 && (f->fresh || f->ended || f->between))
        return LNT_WS_INFLATE_ALL;
    z->next_out = out;
    z->avail_out = (uInt)room;
    while ((r = inflate(z, Z_SYNC_FLUSH)) == Z_STREAM_END && z->avail_in > 0)
        go_on(f);
    *made = room - z->avail_out;
    f->between = z->data_type & BETWEEN_BLOCKS;
    if (r == Z_STREAM_END) {
        f->ended = true;
        return LNT_WS_INFLATE_ALL;
    }
    /* Z_BUF_ERROR: there was nothing to do. */
    if (r != Z_OK && r != Z_BUF_ERROR)
        return LNT_WS_INFLATE_BAD;
    if (z->avail_out == 0 && !(f->between && z->avail_in == 0))
        return LNT_WS_INFLATE_FULL;
    lnt_assert(z->avail_in == 0);
    return LNT_WS_INFLATE_ALL;
}

bool
lnt_ws_inflate_complete(const struct lnt_ws_inflater *f)
{
    return f->whole || (f->between && !(f->z.data_type & UNUSED_BITS));
}

static void
give_back(struct lnt_ws_inflater *f)
{
    struct lnt_ws_streams *w = f->owner->streams;

    if (w->nspare == SPARES) {
        inflateEnd(&f->z);
        free(f);
        return;
    }
    f->next = w->spare;
    w->spare = f;
    w->nspare++;
}

void
lnt_ws_inflate_end(struct lnt_ws_inflater *f, struct lnt_str message)
{
    struct lnt_ws_deflate *d = f->owner;

    if (!d->terms.in_fresh)
        lnt_ws_window_add(d, &d->received, lnt_ws_in_bits(d), message);
    give_back(f);
}

void
lnt_ws_inflate_drop(struct lnt_ws_inflater *f)
{
    give_back(f);
}

struct lnt_buf *
lnt_ws_scratch_take(struct lnt_ws_streams *w)
{
    struct lnt_buf *b = w->message;

    w->message = NULL;
    if (!b)
        b = lnt_buf_new(SCRATCH_MIN);
    b->len = 0;
    return b;
}

void
lnt_ws_scratch_give(struct lnt_ws_streams *w, struct lnt_buf *b)
{
    if (b->cap <= SCRATCH_KEEP && b->refs == 1 && !w->message)
        w->message = b;
    else
        lnt_buf_unref(b);
}
