/*
 * Bits of rooms that go away, and masks that are made again from the nodes.
 *
 * Masks of many rooms are never gone through in one locked section: nobody is to
 * wait for that.
 */
#include "hub/zone_rebuild.h"

#include "hub/zone_map.h"
#include "hub/zone_masters.h"
#include "hub/zone_undo.h"
#include "hub/zone_wakers.h"

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

/* Calls fn for each node of a pool, free ones, too.  0, or -1 with EBUSY. */
static int
each_node(struct lnt_zone *z, const struct lnt_zone_pool *p,
          void (*fn)(struct lnt_zone *z, uint32_t node, unsigned arg),
          unsigned arg)
{
    bool more = true;

    for (uint32_t i = 1; more;) {
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        for (uint32_t n = 0; n < NODES_AT_ONCE && i < p->fresh; n++, i++)
            fn(z, i, arg);
        LNT_ZONE_STEP(z);
        more = i < p->fresh;
        lnt_zone_unlock(z);
    }
    return 0;
}

static void
clear_cell(struct lnt_zone *z, uint32_t room, unsigned cell)
{
    clear_bit(z, room, cell);
}

int
lnt_wakers_sweep(struct lnt_zone *z, unsigned cell, uint32_t incarnation)
{
    /* A second call may come when the cell is another process's already. */
    if (lnt_cell_at(z, cell)->incarnation != incarnation)
        return 0;
    return each_node(z, &z->map->parts.rooms, clear_cell, cell);
}

/* ---- made again ---- */

static void
clear_room(struct lnt_zone *z, uint32_t room, unsigned arg)
{
    (void)arg;
    LNT_UNDO_SAVE(z, &lnt_room_at(z, room)->wakers);
    lnt_wakers_clear(z, room);
}

static void
add_node(struct lnt_zone *z, uint32_t member, unsigned arg)
{
    const struct lnt_zone_member *m = lnt_member_at(z, member);

    (void)arg;
    if (lnt_member_state(m) == LNT_NODE_FREE)
        return;
    LNT_UNDO_SAVE(z, &lnt_room_at(z, m->room)->wakers);
    lnt_waker_add(z, member);
}

/* Whether all processes maintain what this binary knows, and no master has come
   since there had been that many. */
static bool
is_agreed(struct lnt_zone *z, uint64_t arrivals)
{
    return z->map->arrivals == arrivals &&
           lnt_masters_agree(z, LNT_ZONE_F_WAKERS);
}

/* The masks are right: all processes have kept them up to date since they were
   made again. */
static void
finish(struct lnt_zone *z, uint64_t arrivals)
{
    if (lnt_zone_lock_soon(z) < 0)
        return;
    if (is_agreed(z, arrivals)) {
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
    uint64_t arrivals;
    bool agreed;

    if (lnt_zone_maintained(z, LNT_ZONE_F_WAKERS) || lnt_zone_lock_soon(z) < 0)
        return;
    arrivals = z->map->arrivals;
    agreed = is_agreed(z, arrivals);
    lnt_zone_unlock(z);
    /* What comes while this goes on sets its bits itself.  First all are
       cleared: a node that is seen afterwards is not undone. */
    if (agreed && each_node(z, &p->rooms, clear_room, 0) == 0 &&
        each_node(z, &p->members, add_node, 0) == 0)
        finish(z, arrivals);
}
