/*
 * Sessions that moved here, by the ids that they had before.
 *
 * Events that were published just before the move name the old id, and this
 * worker may not have read them yet.  All of a reload come at once, so the table
 * grows with those that may still be named, and forgets the others when it is
 * full.  When none of them may be named any more, it is given back.
 */
#include "hub/aliases.h"

#include <stdlib.h>

#include "core/mem.h"

enum {
    FULL_MIN = 512,
    /* Records that an alias outlives: somebody may have looked for the session
       just before it moved, and publish just after. */
    LATE = 4096,
};

struct named {
    struct lnt_map_node node;
    struct lnt_alias alias;
};

static void
drop(struct lnt_aliases *t, struct named *e)
{
    lnt_map_remove(&t->map, &e->node);
    free(e);
}

void
lnt_aliases_release(struct lnt_aliases *t)
{
    LNT_MAP_EACH(&t->map, struct named, e, node)
        free(e);
    lnt_map_release(&t->map);
    *t = (struct lnt_aliases){0};
}

static struct named *
find(const struct lnt_aliases *t, uint64_t old_id)
{
    return LNT_MAP_FIND(&t->map, lnt_map_number(old_id), struct named, node);
}

static void
drop_old(struct lnt_aliases *t, uint64_t seq)
{
    LNT_MAP_EACH(&t->map, struct named, e, node) {
        if (e->alias.until + LATE <= seq)
            drop(t, e);
    }
    t->full = t->map.n * 2 < FULL_MIN ? FULL_MIN : t->map.n * 2;
}

void
lnt_aliases_add(struct lnt_aliases *t, uint64_t old_id,
                const struct lnt_alias *a, uint64_t seq)
{
    struct named *e;

    if (old_id == 0)
        return;
    if (t->map.n >= t->full)
        drop_old(t, seq);
    e = find(t, old_id);
    if (!e) {
        e = lnt_malloc(sizeof(*e));
        lnt_map_add(&t->map, &e->node, lnt_map_number(old_id));
    }
    e->alias = *a;
    if (t->last < a->until)
        t->last = a->until;
}

void
lnt_aliases_forget(struct lnt_aliases *t, uint64_t seq)
{
    if (t->map.n > 0 && t->last + LATE <= seq)
        lnt_aliases_release(t);
}

uint64_t
lnt_aliases_id(const struct lnt_aliases *t, uint64_t id, uint64_t seq)
{
    const struct named *e = find(t, id);

    return e && seq > e->alias.after ? e->alias.id : id;
}
