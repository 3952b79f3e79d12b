/*
 * Tries again with what an outlet holds, when the kernel says that it takes
 * bytes again.
 */
#ifndef LNT_EVENT_FLUSHER_H
#define LNT_EVENT_FLUSHER_H

#include <stdbool.h>

#include "core/outlet.h"
#include "event/loop.h"

/* Embedded in its owner, like a timer. */
struct lnt_flusher {
    struct lnt_loop *loop;
    const struct lnt_outlet *out;
    void (*fn)(struct lnt_flusher *f); /* flushes out */
    struct lnt_watch watch;
    struct lnt_timer retry; /* where there is nothing to watch */
    bool waits;
    unsigned opened; /* which one of out's it waits for */
};

void lnt_flusher_init(struct lnt_flusher *f, struct lnt_loop *loop,
                      const struct lnt_outlet *out,
                      void (*fn)(struct lnt_flusher *f));
/* For the log of this process. */
void lnt_flusher_init_log(struct lnt_flusher *f, struct lnt_loop *loop);
void lnt_flusher_change(struct lnt_flusher *f);
void lnt_flusher_stop(struct lnt_flusher *f);

/* To be called when out may have been written to, at the end of a turn; costs
   nothing as long as it holds nothing. */
static inline void
lnt_flusher_check(struct lnt_flusher *f)
{
    if (f->waits || lnt_outlet_holds(f->out))
        lnt_flusher_change(f);
}

#endif
