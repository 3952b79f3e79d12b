/*
 * A hash table of rooms.
 */
#include "store/stored.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"

enum {
    SLOTS_FIRST = 64,
    FEW = 32, /* rooms of one creator that are not many */
};

static size_t
slot_of(const struct lnt_stored *t, uint32_t app, struct lnt_str name)
{
    return lnt_hash(t->hash_key ^ app, name.p, name.n) & (t->nslots - 1);
}

static void
grow(struct lnt_stored *t)
{
    struct lnt_stored_room **old = t->slots;
    size_t n = t->nslots;

    if (n == 0)
        lnt_random(&t->hash_key, sizeof(t->hash_key));
    t->nslots = n ? n * 2 : SLOTS_FIRST;
    t->slots = lnt_calloc(t->nslots, sizeof(*t->slots));
    for (size_t i = 0; i < n; i++) {
        for (struct lnt_stored_room *r = old[i], *next; r; r = next) {
            size_t to = slot_of(t, r->row.app, r->row.name);

            next = r->next;
            r->next = t->slots[to];
            t->slots[to] = r;
        }
    }
    free(old);
}

struct lnt_stored_room *
lnt_stored_find(const struct lnt_stored *t, uint32_t app, struct lnt_str name)
{
    struct lnt_stored_room *r;

    if (t->nslots == 0)
        return NULL;
    r = t->slots[slot_of(t, app, name)];
    while (r && (r->row.app != app || !lnt_str_eq(r->row.name, name)))
        r = r->next;
    return r;
}

struct lnt_stored_room *
lnt_stored_add(struct lnt_stored *t, const struct lnt_store_room *row)
{
    struct lnt_stored_room *r = lnt_calloc(1, sizeof(*r));
    size_t slot;

    if (t->rooms >= t->nslots)
        grow(t);
    r->row = *row;
    memcpy(r->name, row->name.p, row->name.n);
    r->row.name.p = r->name;
    slot = slot_of(t, row->app, r->row.name);
    r->next = t->slots[slot];
    t->slots[slot] = r;
    t->rooms++;
    t->messages += row->messages;
    t->parked += row->parked;
    return r;
}

void
lnt_stored_remove(struct lnt_stored *t, struct lnt_stored_room *r)
{
    struct lnt_stored_room **at =
        &t->slots[slot_of(t, r->row.app, r->row.name)];

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    t->rooms--;
    t->messages -= r->row.messages;
    t->parked -= r->row.parked;
    free(r);
}

void
lnt_stored_clear(struct lnt_stored *t)
{
    for (size_t i = 0; i < t->nslots; i++) {
        for (struct lnt_stored_room *r = t->slots[i], *next; r; r = next) {
            next = r->next;
            free(r);
        }
    }
    free(t->slots);
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
    struct lnt_stored_room **v = lnt_calloc(t->parked + 1, sizeof(*v)), *r;
    size_t found = 0;

    for (r = lnt_stored_next(t, NULL); r; r = lnt_stored_next(t, r)) {
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

struct lnt_stored_room *
lnt_stored_next(const struct lnt_stored *t, const struct lnt_stored_room *r)
{
    size_t slot = 0;

    if (r && r->next)
        return r->next;
    if (r)
        slot = slot_of(t, r->row.app, r->row.name) + 1;
    while (slot < t->nslots && !t->slots[slot])
        slot++;
    return slot < t->nslots ? t->slots[slot] : NULL;
}
