/*
 * Those who wait for a command to be done.
 */
#ifndef LNT_MASTER_WAITERS_H
#define LNT_MASTER_WAITERS_H

#include <stdbool.h>
#include <stddef.h>

struct lnt_waiter {
    struct lnt_waiter *next;
    /* text: what to tell; the waiter is gone afterwards. */
    void (*done)(struct lnt_waiter *w, bool ok, const char *text);
};

static inline void
lnt_waiters_add(struct lnt_waiter **list, struct lnt_waiter *w)
{
    if (!w)
        return; /* a signal */
    w->next = *list;
    *list = w;
}

static inline void
lnt_waiters_tell(struct lnt_waiter **list, bool ok, const char *text)
{
    while (*list) {
        struct lnt_waiter *w = *list;
        *list = w->next;
        w->done(w, ok, text);
    }
}

#endif
