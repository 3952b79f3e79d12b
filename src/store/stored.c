/*
 * The table of rooms, and which of them go first.
 */
#include "store/stored.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { FEW = 32 }; /* rooms of one creator that are not many */

struct lnt_stored_room *
lnt_stored_find(const struct lnt_stored *t, uint32_t app, struct lnt_str name)
{
    struct lnt_map_node *node = NULL;

    if (t->rooms.n > 0)
        node = lnt_map_find(&t->rooms, lnt_map_hash(&t->rooms, app, name));
    for (; node; node = lnt_map_more(node)) {
        struct lnt_stored_room *r =
            LNT_OWNER(node, struct lnt_stored_room, node);

        if (r->row.app == app && lnt_str_eq(r->row.name, name))
            return r;
    }
    return NULL;
}

struct lnt_stored_room *
lnt_stored_add(struct lnt_stored *t, const struct lnt_store_room *row)
{
    struct lnt_stored_room *r = lnt_calloc(1, sizeof(*r));

    r->row = *row;
    memcpy(r->name, row->name.p, row->name.n);
    r->row.name.p = r->name;
    lnt_map_seed(&t->rooms);
    lnt_map_add(&t->rooms, &r->node,
                lnt_map_hash(&t->rooms, row->app, r->row.name));
    t->messages += row->messages;
    t->parked += row->parked;
    return r;
}

void
lnt_stored_remove(struct lnt_stored *t, struct lnt_stored_room *r)
{
    lnt_map_remove(&t->rooms, &r->node);
    t->messages -= r->row.messages;
    t->parked -= r->row.parked;
    free(r);
}

void
lnt_stored_clear(struct lnt_stored *t)
{
    LNT_MAP_EACH(&t->rooms, struct lnt_stored_room, r, node)
        free(r);
    lnt_map_release(&t->rooms);
    *t = (struct lnt_stored){0};
}

void
lnt_stored_park(struct lnt_stored *t, struct lnt_stored_room *r, bool parked)
{
    t->parked -= r->row.parked;
    r->row.parked = parked;
    t->parked += parked;
}

/* ---- which go first ---- */

static struct lnt_stored_room *
at(const void *p)
{
    struct lnt_stored_room *r;

    memcpy(&r, p, sizeof(r));
    return r;
}

/* By creator, those that were created first before the others. */
static int
by_creator(const void *a, const void *b)
{
    const struct lnt_store_room *x = &at(a)->row, *y = &at(b)->row;

    if (x->creator != y->creator)
        return x->creator < y->creator ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The highest rank first, and those that were created last. */
static int
by_rank(const void *a, const void *b)
{
    const struct lnt_stored_room *x = at(a), *y = at(b);

    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    return (x->row.id < y->row.id) - (x->row.id > y->row.id);
}

struct lnt_stored_room **
lnt_stored_excess(const struct lnt_stored *t, size_t *n)
{
    struct lnt_stored_room **v = lnt_calloc(t->parked + 1, sizeof(*v));
    size_t found = 0;

    LNT_MAP_EACH(&t->rooms, struct lnt_stored_room, r, node) {
        if (r->row.parked && !r->row.configured)
            v[found++] = r;
    }
    qsort(v, found, sizeof(*v), by_creator);
    /* Creators lose rooms in turns, from the one with most down to those that
       have a few. */
    for (size_t i = 0; i < found; i++) {
        uint64_t creator = v[i]->row.creator;

        v[i]->rank = i > 0 && creator && v[i - 1]->row.creator == creator
                         ? v[i - 1]->rank + 1
                         : 1;
    }
    for (size_t i = 0; i < found; i++)
        if (v[i]->rank <= FEW)
            v[i]->rank = 0;
    qsort(v, found, sizeof(*v), by_rank);
    if (*n > found)
        *n = found;
    return v;
}
