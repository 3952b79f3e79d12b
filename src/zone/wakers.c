/*
 * Whom a record concerns: a room has a bit for each cell whose process
 * subscribes to it.  A publisher notes the bits of the room under the lock, with
 * the record, and rings those of them that sleep when it gets to it
 * (lnt_zone_sleepers).
 *
 * For each cell the first record that concerns it is noted, too, so that a
 * process that was woken need not look at all the others before it
 * (lnt_zone_jump).
 *
 * A bit that is missing loses a message, so it is set in the locked section that
 * makes it necessary.  A bit too many costs a wake-up that finds nothing, so who
 * clears it may take its time: only the process itself knows when its last
 * subscriber of a room is gone (hub/unwake.c).
 *
 * Who is killed or stopped between a record and its rings is made up for by the
 * master (src/master/doorbells.h).
 *
 * The masks are derived state (LNT_ZONE_F_WAKERS).  While a process of a release
 * without them uses the zone, everybody is rung.  How they are made again is
 * left to rebuild.c.
 */
#include "zone/wakers.h"

#include <string.h>

#include "zone/undo.h"

enum {
    /* When the log has grown by so many bytes everybody is rung: so a process
       that sleeps is never lapped, nor has it too much to pass over when it
       wakes up.  A power of two. */
    RING_EVERY = 1024 * 1024,
    RING_PARTS = 8, /* at least so often while the ring is filled once */
};

/* ---- rooms ---- */

static void
set_bit(uint64_t *words, unsigned i)
{
    words[i / 64] |= UINT64_C(1) << i % 64;
}

void
lnt_waker_add(struct lnt_zone *z, uint32_t member)
{
    const struct lnt_zone_member *m = lnt_member_at(z, member);
    uint64_t *words = lnt_room_at(z, m->room)->wakers;

    if (lnt_member_state(m) == LNT_NODE_USED)
        set_bit(words, lnt_user_at(z, m->user)->cell);
    else if (lnt_member_state(m) == LNT_NODE_LISTEN)
        set_bit(words, m->user_next);
    LNT_ZONE_STEP(z);
}

void
lnt_wakers_move(struct lnt_zone *z, uint32_t user, unsigned cell)
{
    for (uint32_t i = lnt_user_at(z, user)->members; i;
         i = lnt_member_at(z, i)->user_next) {
        struct lnt_zone_room *r = lnt_room_at(z, lnt_member_at(z, i)->room);

        LNT_UNDO_SAVE(z, &r->wakers);
        set_bit(r->wakers, cell);
    }
    LNT_ZONE_STEP(z);
}

void
lnt_wakers_clear(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);

    memset(r->wakers, 0, sizeof(r->wakers));
}

/* ---- cells ---- */

void
lnt_waker_reads(struct lnt_zone *z, unsigned cell)
{
    const struct lnt_cell *c = lnt_cell_at(z, cell);
    uint64_t *word = &z->map->readers[cell / 64];
    uint64_t bit = UINT64_C(1) << cell % 64;

    if (lnt_cell_state(c) != LNT_CELL_FREE && !lnt_cell_is_worker(c))
        __atomic_or_fetch(word, bit, __ATOMIC_SEQ_CST);
    else
        __atomic_and_fetch(word, ~bit, __ATOMIC_SEQ_CST);
}

/* ---- publishing ---- */

void
lnt_wakers_all(struct lnt_zone *z)
{
    z->unrung.any = z->unrung.all = true;
}

/* Whether the log will have grown past a place at which everybody is rung. */
static bool
has_grown(const struct lnt_zone_map *map, uint64_t end)
{
    uint64_t every = map->ring_size / RING_PARTS;

    if (every > RING_EVERY)
        every = RING_EVERY;
    return ((end ^ map->head) & ~(every - 1)) != 0;
}

/* The mask of a record in mask; of one for several rooms it is known.  A direct message concerns the cell of a session
   that has just been looked for; if that has moved since, its new worker knows
   it by its old number, and it may be any. */
static void
find_mask(const struct lnt_zone *z, uint32_t room, const struct lnt_event *e,
          uint64_t mask[LNT_CELL_WORDS])
{
    const struct lnt_zone_user *u = lnt_user_at(z, z->found);
    bool direct = e->flags & LNT_EVENT_DIRECT;

    if (z->audience) {
        memcpy(mask, z->audience, LNT_CELL_WORDS * sizeof(*mask));
    } else if (room && !direct) {
        memcpy(mask, lnt_room_at(z, room)->wakers,
               LNT_CELL_WORDS * sizeof(*mask));
    } else if (direct && z->found && u->state == LNT_NODE_USED &&
               u->session == e->target) {
        memset(mask, 0, LNT_CELL_WORDS * sizeof(*mask));
        set_bit(mask, u->cell);
    } else {
        memset(mask, 0xff, LNT_CELL_WORDS * sizeof(*mask));
    }
}

/* What is noted here before the record is there may be noted in vain. */
void
lnt_wakers_concern(struct lnt_zone *z, uint32_t room, const struct lnt_event *e,
                   uint64_t end)
{
    struct lnt_zone_map *map = z->map;
    uint64_t mask[LNT_CELL_WORDS];

    z->unrung.any = true;
    if (!lnt_zone_maintained(z, LNT_ZONE_F_WAKERS)) {
        z->unrung.all = true;
        return;
    }
    if (has_grown(map, end))
        z->unrung.all = true;
    find_mask(z, room, e, mask);
    for (unsigned w = 0; w < LNT_CELL_WORDS; w++) {
        z->unrung.cells[w] |= mask[w];
        for (uint64_t bits = mask[w]; bits; bits &= bits - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzll(bits);

            if (i < LNT_CELLS && map->concerns[i].position == 0) {
                map->concerns[i].seq = map->seq;
                __atomic_signal_fence(__ATOMIC_SEQ_CST);
                map->concerns[i].position = map->head;
            }
        }
    }
    LNT_ZONE_STEP(z);
}
