/*
 * Bits of rooms that go away, and masks that are made again from the nodes.
 *
 * Masks of many rooms are never gone through in one locked section: nobody is to
 * wait for that.
 */
#include "zone/rebuild.h"

#include "zone/map.h"
#include "zone/masters.h"
#include "zone/undo.h"
#include "zone/wakers.h"

enum { NODES_AT_ONCE = 256 }; /* looked at in one locked section */

static void
clear_bit(struct lnt_zone *z, uint32_t room, unsigned i)
{
    uint64_t *words = lnt_room_at(z, room)->wakers;
    uint64_t bit = UINT64_C(1) << i % 64;

    if (!(words[i / 64] & bit))
        return;
    LNT_UNDO_SAVE(z, &words[i / 64]);
    words[i / 64] &= ~bit;
}

void
lnt_zone_unwake(struct lnt_zone *z, unsigned cell, const uint32_t *rooms,
                size_t n)
{
    lnt_zone_lock(z);
    for (size_t i = 0; i < n; i++) {
        uint32_t room = lnt_room_index(z, rooms[i]);

        if (room)
            clear_bit(z, room, cell);
    }
    LNT_ZONE_STEP(z);
    lnt_zone_unlock(z);
}

/* What is done with all nodes of a pool, as long as goes_on says so in each locked
   section. */
struct walk {
    bool (*goes_on)(const struct lnt_zone *z, const struct walk *w);
    void (*fn)(struct lnt_zone *z, uint32_t node, const struct walk *w);
    unsigned cell;
    uint32_t incarnation;
    uint64_t arrivals;
};

/* Free nodes, too.  0, or -1 with EBUSY. */
static int
each_node(struct lnt_zone *z, const struct lnt_zone_pool *p,
          const struct walk *w)
{
    bool more = true;

    for (uint32_t i = 1; more;) {
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        more = w->goes_on(z, w);
        for (uint32_t n = 0; more && n < NODES_AT_ONCE && i < p->fresh;
             n++, i++)
            w->fn(z, i, w);
        LNT_ZONE_STEP(z);
        more = more && i < p->fresh;
        lnt_zone_unlock(z);
    }
    return 0;
}

/* A second call may come when the cell is another process's already, or becomes
   one's meanwhile: two masters may have seen the end of the first. */
static bool
is_its_cell(const struct lnt_zone *z, const struct walk *w)
{
    return lnt_cell_at(z, w->cell)->incarnation == w->incarnation;
}

static void
clear_cell(struct lnt_zone *z, uint32_t room, const struct walk *w)
{
    clear_bit(z, room, w->cell);
}

int
lnt_wakers_sweep(struct lnt_zone *z, unsigned cell, uint32_t incarnation)
{
    const struct walk w = {
        .goes_on = is_its_cell,
        .fn = clear_cell,
        .cell = cell,
        .incarnation = incarnation,
    };

    return each_node(z, &z->map->parts.rooms, &w);
}

/* ---- made again ---- */

static void
clear_room(struct lnt_zone *z, uint32_t room, const struct walk *w)
{
    (void)w;
    LNT_UNDO_SAVE(z, &lnt_room_at(z, room)->wakers);
    lnt_wakers_clear(z, room);
}

static void
add_node(struct lnt_zone *z, uint32_t member, const struct walk *w)
{
    const struct lnt_zone_member *m = lnt_member_at(z, member);

    (void)w;
    if (lnt_member_state(m) == LNT_NODE_FREE)
        return;
    LNT_UNDO_SAVE(z, &lnt_room_at(z, m->room)->wakers);
    lnt_waker_add(z, member);
}

/* Another master that begins with it clears what this one has made, and no master
   must have come. */
static bool
is_alone(const struct lnt_zone *z, const struct walk *w)
{
    return z->map->arrivals == w->arrivals;
}

/* 0 with w->arrivals, or -1: not now. */
static int
begin(struct lnt_zone *z, struct walk *w)
{
    bool begun;

    if (lnt_zone_lock_soon(z) < 0)
        return -1;
    begun = !lnt_zone_maintained(z, LNT_ZONE_F_WAKERS) &&
            lnt_masters_agree(z, LNT_ZONE_F_WAKERS);
    if (begun)
        w->arrivals = ++z->map->arrivals;
    lnt_zone_unlock(z);
    return begun ? 0 : -1;
}

/* The masks are right: all processes have kept them up to date since they were
   made again. */
static void
finish(struct lnt_zone *z, const struct walk *w)
{
    if (lnt_zone_lock_soon(z) < 0)
        return;
    if (is_alone(z, w) && lnt_masters_agree(z, LNT_ZONE_F_WAKERS)) {
        for (unsigned i = 0; i < lnt_cells_of(z); i++)
            lnt_waker_reads(z, i);
        LNT_ZONE_STEP(z);
        __atomic_or_fetch(&z->map->maintained, (uint64_t)LNT_ZONE_F_WAKERS,
                          __ATOMIC_RELEASE);
    }
    LNT_ZONE_STEP(z);
    lnt_zone_unlock(z);
}

void
lnt_zone_rebuild(struct lnt_zone *z)
{
    const struct lnt_zone_parts *p = &z->map->parts;
    struct walk w = {.goes_on = is_alone, .fn = clear_room};

    if (lnt_zone_maintained(z, LNT_ZONE_F_WAKERS) || begin(z, &w) < 0)
        return;
    /* What comes while this goes on sets its bits itself.  First all are
       cleared: a node that is seen afterwards is not undone. */
    if (each_node(z, &p->rooms, &w) < 0)
        return;
    w.fn = add_node;
    if (each_node(z, &p->members, &w) == 0)
        finish(z, &w);
}
