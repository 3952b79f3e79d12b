/*
 * Those who wait for a command to be done.
 */
#ifndef LNT_MASTER_WAITERS_H
#define LNT_MASTER_WAITERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/list.h"

struct lnt_waiter {
    struct lnt_list_node node;
    struct lnt_list *list; /* NULL: in none */
    /* text: what to tell; the waiter is gone afterwards. */
    void (*done)(struct lnt_waiter *w, bool ok, const char *text);
};

static inline void
lnt_waiters_add(struct lnt_list *list, struct lnt_waiter *w)
{
    if (!w)
        return; /* a signal */
    w->list = list;
    lnt_list_add_first(list, &w->node);
}

/* Takes it out of the list in which it waits; false: it is in none. */
static inline bool
lnt_waiters_remove(struct lnt_waiter *w)
{
    if (!w->list)
        return false;
    lnt_list_remove(w->list, &w->node);
    w->list = NULL;
    return true;
}

static inline void
lnt_waiters_tell(struct lnt_list *list, bool ok, const char *text)
{
    struct lnt_waiter *w;
    while ((w = LNT_LIST_FIRST(list, struct lnt_waiter, node))) {
        (void)lnt_waiters_remove(w);
        w->done(w, ok, text);
    }
}

#endif
