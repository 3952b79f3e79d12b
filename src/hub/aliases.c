/*
 * Sessions that moved here, by the ids that they had before.
 *
 * Events that were published just before the move name the old id, and this
 * worker may not have read them yet.  All of a reload come at once, so the table
 * grows with those that may still be named, and forgets the others when it is
 * full.  When none of them may be named any more, it is given back.
 */
#include "hub/aliases.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/mem.h"

enum {
    SLOTS_MIN = 1024,
    /* Records that an alias outlives: somebody may have looked for the session
       just before it moved, and publish just after. */
    LATE = 4096,
};

void
lnt_aliases_release(struct lnt_aliases *t)
{
    free(t->v);
    *t = (struct lnt_aliases){.v = NULL};
}

/* Where the id is, or where it would be. */
static struct lnt_alias *
find(const struct lnt_aliases *t, uint64_t old_id)
{
    uint64_t hash = old_id * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    size_t i = (size_t)hash & (t->slots - 1);

    while (t->v[i].old_id && t->v[i].old_id != old_id)
        i = (i + 1) & (t->slots - 1);
    return &t->v[i];
}

static void
put(struct lnt_aliases *t, const struct lnt_alias *a)
{
    struct lnt_alias *to = find(t, a->old_id);

    t->n += to->old_id == 0;
    *to = *a;
}

/* Leaves half of the slots free, at least. */
static void
make_room(struct lnt_aliases *t, uint64_t seq)
{
    struct lnt_aliases old = *t;
    size_t needed = 1;

    for (size_t i = 0; i < old.slots; i++) {
        if (old.v[i].until + LATE <= seq)
            old.v[i].old_id = 0;
        needed += old.v[i].old_id != 0;
    }
    t->slots = SLOTS_MIN;
    while (t->slots < needed * 4)
        t->slots *= 2;
    t->n = 0;
    t->v = lnt_calloc(t->slots, sizeof(*t->v));
    for (size_t i = 0; i < old.slots; i++) {
        if (old.v[i].old_id)
            put(t, &old.v[i]);
    }
    free(old.v);
}

void
lnt_aliases_add(struct lnt_aliases *t, const struct lnt_alias *a, uint64_t seq)
{
    if (a->old_id == 0)
        return;
    if ((t->n + 1) * 2 > t->slots)
        make_room(t, seq);
    put(t, a);
    if (t->last < a->until)
        t->last = a->until;
}

void
lnt_aliases_forget(struct lnt_aliases *t, uint64_t seq)
{
    if (t->n > 0 && t->last + LATE <= seq)
        lnt_aliases_release(t);
}

uint64_t
lnt_aliases_id(const struct lnt_aliases *t, uint64_t id, uint64_t seq)
{
    const struct lnt_alias *a;

    if (t->n == 0 || id == 0)
        return id;
    a = find(t, id);
    return a->old_id && seq > a->after ? a->id : id;
}
