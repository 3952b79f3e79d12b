/*
 * Sessions that moved here, by the ids that they had before.  Private to the
 * hub.
 */
#ifndef LNT_HUB_ALIASES_H
#define LNT_HUB_ALIASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/map.h"

struct lnt_alias {
    uint64_t id;
    uint64_t after; /* seq: what is before it was told where it came from */
    uint64_t until; /* seq: behind it hardly any event names the old id */
};

struct lnt_aliases {
    struct lnt_map map; /* by the old id */
    size_t full;        /* so many, and it is looked which may go */
    uint64_t last;      /* seq: the highest until of all */
};

/* All zero is an empty table. */
void lnt_aliases_release(struct lnt_aliases *t);
/* In the place of one that has that old id.  seq: of the last event that was
   read; those that it is far behind may go. */
void lnt_aliases_add(struct lnt_aliases *t, uint64_t old_id,
                     const struct lnt_alias *a, uint64_t seq);
/* What a session is called by now as an event with that seq names it: id itself,
   if none of that id moved here before that. */
uint64_t lnt_aliases_id(const struct lnt_aliases *t, uint64_t id, uint64_t seq);
/* Whether an event with that seq may be from before a session moved here. */
static inline bool
lnt_aliases_recent(const struct lnt_aliases *t, uint64_t seq)
{
    return seq <= t->last;
}
/* Gives the memory back once seq, of the last event that was read, is far behind
   all of them. */
void lnt_aliases_forget(struct lnt_aliases *t, uint64_t seq);

#endif
