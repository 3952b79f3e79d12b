/*
 * Refcounted byte buffers for output.  One buffer is queued for any number of
 * connections of the same worker: the count is not atomic, a buffer never
 * leaves its process.  Immutable as soon as it is shared.
 */
#ifndef LNT_CORE_BUF_H
#define LNT_CORE_BUF_H

#include <stdint.h>
#include <stdlib.h>

struct lnt_buf {
    uint32_t refs;
    uint32_t len;      /* bytes in use */
    uint32_t cap;      /* bytes that fit */
    uint32_t messages; /* how many messages it holds, for the counters */
    uint8_t data[];
};

/* A buffer with one reference, len 0 and at least cap bytes of room. */
struct lnt_buf *lnt_buf_new(size_t cap);

static inline struct lnt_buf *
lnt_buf_ref(struct lnt_buf *b)
{
    b->refs++;
    return b;
}

static inline void
lnt_buf_unref(struct lnt_buf *b)
{
    if (--b->refs == 0)
        free(b);
}

/*
 * Makes room for more bytes behind len; only for the single owner.  May move
 * the buffer: returns where it is now.
 */
struct lnt_buf *lnt_buf_grow(struct lnt_buf *b, size_t more);

#endif
