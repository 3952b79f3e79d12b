/*
 * Compressing what is sent (RFC 7692, section 7.2.1): a message ends with an
 * empty block, of which the last four bytes, always the same, are left out.
 */
#include "modules/websocket/deflate.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "modules/websocket/frame.h"
#include "modules/websocket/streams.h"
#include "net/stats.h"

enum {
    HEAD = LNT_WS_OUT_HEAD_MAX,
    TAIL = 4,          /* 00 00 ff ff */
    KEEP = 256 * 1024, /* of memory for frames, for the next one */
    MARGIN = 16,       /* zlib wants more than 6 bytes to end a message with */
};

/* Large windows only pay with a table to match; small ones are set up again
   for each message, so theirs is small. */
static int
mem_for(int bits)
{
    return bits >= 13 ? 8 : 6;
}

/* The worker's, as if nothing had been sent but what is in the window. */
static z_stream *
borrow(struct lnt_ws_deflate *d)
{
    struct lnt_ws_streams *w = d->streams;
    unsigned bits = d->terms.out_bits;
    z_stream *z = w->out[bits];

    if (!z) {
        z = w->out[bits] = lnt_malloc(sizeof(*z));
        lnt_ws_stream_compressor(z, w, (int)bits, mem_for((int)bits));
    } else {
        deflateReset(z);
    }
    if (!d->terms.out_fresh && d->sent.n > 0)
        deflateSetDictionary(z, d->sent.p, d->sent.n);
    return z;
}

/* The session's own. */
static z_stream *
own(struct lnt_ws_deflate *d)
{
    struct lnt_ws_streams *w = d->streams;
    size_t before = w->zlib;

    if (d->out)
        return d->out;
    d->out = lnt_malloc(sizeof(*d->out));
    lnt_ws_stream_compressor(d->out, w, d->terms.out_bits, d->plan->out_mem);
    d->bytes += (uint32_t)(sizeof(*d->out) + (w->zlib - before));
    /* It came from another worker. */
    if (d->sent.n > 0)
        deflateSetDictionary(d->out, d->sent.p, d->sent.n);
    lnt_ws_window_free(d, &d->sent, d->terms.out_bits);
    return d->out;
}

/*
 * Compresses into w->frame, behind room for a head.  Returns how many bytes
 * that takes without the tail, or 0 when it would be most or more.
 */
static size_t
run(struct lnt_ws_streams *w, z_stream *z, struct lnt_str data, size_t most)
{
    size_t room = data.n + MARGIN, n = 0;

    if (w->frame.cap > KEEP && HEAD + room <= KEEP)
        lnt_strbuf_release(&w->frame);
    lnt_strbuf_clear(&w->frame);
    z->next_in = (Bytef *)(uintptr_t)data.p;
    z->avail_in = (uInt)data.n;
    do {
        w->frame.n = HEAD + n;
        z->next_out = (Bytef *)lnt_strbuf_reserve(&w->frame, room);
        z->avail_out = (uInt)room;
        int r = deflate(z, Z_SYNC_FLUSH);
        lnt_assert(r == Z_OK || r == Z_BUF_ERROR);
        n += room - z->avail_out;
        if (n >= most + TAIL)
            return 0;
    } while (z->avail_out == 0);
    lnt_assert(n > TAIL && z->avail_in == 0);
    return n - TAIL;
}

struct lnt_str
lnt_ws_compress(struct lnt_ws_deflate *d, unsigned first, struct lnt_str data)
{
    struct lnt_ws_streams *w = d->streams;
    bool is_own = !d->terms.out_fresh && d->plan->out_mem;

    if (data.n < d->min || data.n > UINT32_MAX / 2)
        return lnt_str(NULL, 0);
    /* Its own has seen the message and expects the client to. */
    size_t n = run(w, is_own ? own(d) : borrow(d), data,
                   is_own ? SIZE_MAX / 2 : data.n);
    if (n == 0)
        return lnt_str(NULL, 0);
    if (!is_own && !d->terms.out_fresh)
        lnt_ws_window_add(d, &d->sent, d->terms.out_bits, data);
    if (w->stats) {
        lnt_count(w->stats, LNT_C_COMPRESSED);
        lnt_count_add(w->stats, LNT_C_COMPRESS_BEFORE, data.n);
        lnt_count_add(w->stats, LNT_C_COMPRESS_AFTER, n);
    }
    size_t head = lnt_ws_head_size(n);
    uint8_t *p = (uint8_t *)w->frame.p + HEAD - head;
    lnt_ws_head_write(p, first | LNT_WS_RSV1, n);
    return lnt_str(p, head + n);
}
