/*
 * permessage-deflate (RFC 7692): the compressors and decompressors of a
 * worker, and what a session has of its own.  Frames are none of its business
 * except that a compressed message comes out as one.
 *
 * A session that must not look back (no_context_takeover) needs nothing: the
 * worker has one compressor for each size of window, and sessions with the
 * same terms even share their struct lnt_ws_deflate.  One that looks back
 * keeps its last bytes of plain text, a window for each direction; what is
 * received is always decompressed by a stream that is borrowed for one message
 * and told the window first.  For sending, plans with memory enough have a
 * compressor of the session's own, which is faster.
 */
#ifndef LNT_WEBSOCKET_DEFLATE_H
#define LNT_WEBSOCKET_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "modules/websocket/offers.h"

struct lnt_buf;
struct lnt_stats;
struct lnt_ws_inflater;
struct lnt_ws_streams; /* of a worker */
struct z_stream_s;

/* What a budget is spent on. */
struct lnt_ws_plan {
    uint32_t budget;  /* bytes that all of it fits into; 0: nothing is kept
                         between messages */
    uint8_t out_bits; /* window for what is sent */
    uint8_t out_mem;  /* zlib's memLevel of a compressor of the session's own;
                         0: only the window is kept */
    uint8_t in_bits;  /* window for what is received */
};

/* Plain text that the next message may refer to. */
struct lnt_ws_window {
    uint8_t *p; /* NULL until there is some */
    uint32_t n;
};

/* How a session compresses. */
struct lnt_ws_deflate {
    struct lnt_ws_streams *streams;
    const struct lnt_ws_plan *plan;
    struct lnt_ws_terms terms;
    uint16_t variant; /* of the protocol's encodings */
    bool shared;      /* by all sessions with these terms: it is the worker's */
    uint32_t min;     /* messages below go as they are; at least 1 */
    /* The session's own, made when first needed. */
    uint32_t bytes; /* they take, zlib's included */
    struct lnt_ws_window sent, received;
    struct z_stream_s *out; /* instead of sent, with plan->out_mem */
};

enum {
    LNT_WS_VARIANT_PLAIN = 0,
    LNT_WS_VARIANT_OWN = UINT16_MAX, /* one by one */
};

/* stats may be NULL. */
struct lnt_ws_streams *lnt_ws_streams_new(struct lnt_stats *stats);
void lnt_ws_streams_free(struct lnt_ws_streams *w); /* NULL is fine */

/* The best plan that a budget allows: 0, or bytes of which there are as many
   as the smallest needs. */
const struct lnt_ws_plan *lnt_ws_plan_for(struct lnt_ws_streams *w,
                                          uint64_t budget);
/* What to agree on, if the client lets us. */
struct lnt_ws_terms lnt_ws_plan_wish(const struct lnt_ws_plan *plan);

/* For a session on these terms. */
struct lnt_ws_deflate *lnt_ws_deflate_new(struct lnt_ws_streams *w,
                                          const struct lnt_ws_plan *plan,
                                          const struct lnt_ws_terms *terms,
                                          uint32_t min);
void lnt_ws_deflate_free(struct lnt_ws_deflate *d); /* NULL is fine */
/* From the handshake to the session that it opens.  A promise takes back the
   one before, if nobody has claimed it. */
void lnt_ws_deflate_promise(struct lnt_ws_streams *w, struct lnt_ws_deflate *d);
struct lnt_ws_deflate *lnt_ws_deflate_claim(struct lnt_ws_streams *w);

/* ---- sending ---- */

/*
 * The message as a whole frame; first is FIN | opcode.  Valid until the next
 * call for any session of the worker.  p NULL: it is to be sent as it is, for
 * being short, or for not getting any shorter.  What is returned for a session
 * that looks back must be sent.
 */
struct lnt_str lnt_ws_compress(struct lnt_ws_deflate *d, unsigned first,
                               struct lnt_str data);
/* The sessions of a variant; NULL for those of LNT_WS_VARIANT_PLAIN. */
struct lnt_ws_deflate *lnt_ws_deflate_of(struct lnt_ws_streams *w,
                                         unsigned variant);

/* ---- receiving ---- */

enum lnt_ws_inflated {
    LNT_WS_INFLATE_ALL,  /* all input is taken, all output is out */
    LNT_WS_INFLATE_FULL, /* there is (or may be) more to come out */
    LNT_WS_INFLATE_BAD,  /* what came is not compressed data */
};

/* For one message of the session, to be given back by one of the two below. */
struct lnt_ws_inflater *lnt_ws_inflate_begin(struct lnt_ws_deflate *d);
/* More of the message; NULL, 0 when it goes on behind LNT_WS_INFLATE_FULL. */
void lnt_ws_inflate_input(struct lnt_ws_inflater *f, const uint8_t *p,
                          size_t n);
/* The same for the bytes that every message ends with and no frame has; when
   all input is taken. */
void lnt_ws_inflate_tail(struct lnt_ws_inflater *f);
/* Up to room > 0 bytes; *made is how many there were. */
enum lnt_ws_inflated lnt_ws_inflate(struct lnt_ws_inflater *f, uint8_t *out,
                                    size_t room, size_t *made);
/* Whether the message may end here; behind the tail. */
bool lnt_ws_inflate_complete(const struct lnt_ws_inflater *f);
/* The message, which is whole, is what the next may refer to. */
void lnt_ws_inflate_end(struct lnt_ws_inflater *f, struct lnt_str message);
/* It came to nothing: the session will not receive any more. */
void lnt_ws_inflate_drop(struct lnt_ws_inflater *f);

/* An empty buffer of the worker's, for a message that is there whole; to be
   given back. */
struct lnt_buf *lnt_ws_scratch_take(struct lnt_ws_streams *w);
void lnt_ws_scratch_give(struct lnt_ws_streams *w, struct lnt_buf *b);

/* ---- moving a session ---- */

/* Its window for what is sent; up to 32 KiB are written to room.  Between
   messages, as what is received. */
struct lnt_str lnt_ws_deflate_sent(struct lnt_ws_deflate *d, uint8_t *room);
/* Gives a new one the windows of another. */
void lnt_ws_deflate_resume(struct lnt_ws_deflate *d, struct lnt_str sent,
                           struct lnt_str received);

#endif
