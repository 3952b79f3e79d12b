/*
 * Lists of those who wait for a command.
 */
#ifndef LNT_MASTER_ASKERS_H
#define LNT_MASTER_ASKERS_H

#include <stdbool.h>

#include "master/master.h"

static inline void
lnt_askers_add(struct lnt_asker **list, struct lnt_asker *a)
{
    if (!a)
        return; /* a signal */
    a->next = *list;
    *list = a;
}

static inline void
lnt_askers_tell(struct lnt_asker **list, bool ok, const char *text)
{
    while (*list) {
        struct lnt_asker *a = *list;
        *list = a->next;
        a->done(a, ok, text);
    }
}

#endif
