/*
 * Those who wait for a command to be done.
 */
#ifndef LNT_MASTER_WAITERS_H
#define LNT_MASTER_WAITERS_H

#include <stdbool.h>
#include <stddef.h>

struct lnt_waiter {
    struct lnt_waiter *next, **at; /* at NULL: in no list */
    /* text: what to tell; the waiter is gone afterwards. */
    void (*done)(struct lnt_waiter *w, bool ok, const char *text);
};

static inline void
lnt_waiters_add(struct lnt_waiter **list, struct lnt_waiter *w)
{
    if (!w)
        return; /* a signal */
    w->next = *list;
    w->at = list;
    if (w->next)
        w->next->at = &w->next;
    *list = w;
}

/* Takes it out of the list in which it waits; false: it is in none. */
static inline bool
lnt_waiters_remove(struct lnt_waiter *w)
{
    if (!w->at)
        return false;
    *w->at = w->next;
    if (w->next)
        w->next->at = w->at;
    w->next = NULL;
    w->at = NULL;
    return true;
}

static inline void
lnt_waiters_tell(struct lnt_waiter **list, bool ok, const char *text)
{
    while (*list) {
        struct lnt_waiter *w = *list;
        (void)lnt_waiters_remove(w);
        w->done(w, ok, text);
    }
}

#endif
