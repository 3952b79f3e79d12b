/*
 * What a worker has for all sessions that compress.  Private to deflate.c,
 * compress.c and inflate.c.
 */
#ifndef LNT_WEBSOCKET_STREAMS_H
#define LNT_WEBSOCKET_STREAMS_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "core/strbuf.h"
#include "modules/websocket/deflate.h"

enum {
    LNT_WS_LEVEL = 5,
    LNT_WS_PLANS_MAX = 8,
};

struct lnt_buf;

struct lnt_ws_inflater {
    z_stream z;
    struct lnt_ws_deflate *owner;
    struct lnt_ws_inflater *next; /* in the list of those not in use */
    bool fresh;                   /* nothing has come yet */
    bool between;                 /* blocks: nothing is half done */
    bool ended;                   /* its last block said it was the last */
    bool whole;                   /* the tail is not needed */
};

struct lnt_ws_streams {
    struct lnt_stats *stats;
    size_t zlib;                    /* bytes that zlib has taken, ever */
    uint8_t fits[LNT_WS_PLANS_MAX]; /* whether plans keep their promise */
    struct lnt_ws_deflate **shared; /* variant 1 first */
    size_t nshared;
    z_stream *out[LNT_WS_BITS_MAX + 1]; /* compressors by bits of window; NULL:
                                           not needed yet */
    struct lnt_strbuf frame;            /* compressed last */
    struct lnt_buf *message;            /* room to decompress one in; NULL */
    struct lnt_ws_deflate *promised;
    struct lnt_ws_inflater *spare;
    unsigned nspare;
};

/* The window that is kept of what is received.  A client that promises 8 bits
   may mean 9: zlib did. */
static inline unsigned
lnt_ws_in_bits(const struct lnt_ws_deflate *d)
{
    return d->terms.in_bits < LNT_WS_BITS_MIN ? LNT_WS_BITS_MIN
                                              : d->terms.in_bits;
}

/* A stream whose memory is counted in w->zlib; to be given to zlib's init. */
void lnt_ws_stream_init(z_stream *z, struct lnt_ws_streams *w);
/* A compressor, ready. */
void lnt_ws_stream_compressor(z_stream *z, struct lnt_ws_streams *w, int bits,
                              int mem);
/* The text, of which a window of 1 << bits bytes keeps what it can. */
void lnt_ws_window_add(struct lnt_ws_deflate *d, struct lnt_ws_window *window,
                       unsigned bits, struct lnt_str text);
void lnt_ws_window_free(struct lnt_ws_deflate *d, struct lnt_ws_window *window,
                        unsigned bits);

#endif
