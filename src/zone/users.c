/*
 * Users: nicks, unique in the server, and the cells of the workers that own
 * them.  When a worker is gone, so are its users.
 */
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "zone/map.h"
#include "zone/peers.h"
#include "zone/pool.h"
#include "zone/rebuild.h"
#include "zone/steps.h"
#include "zone/undo.h"
#include "zone/wakers.h"

enum { SWEEP = 256 }; /* nodes looked at in one locked section */

static bool
is_nick(struct lnt_str nick)
{
    if (nick.n > 0 && nick.n <= LNT_NICK_MAX)
        return true;
    errno = EINVAL;
    return false;
}

static int
add_user(struct lnt_zone *z, struct lnt_str nick, unsigned cell,
         uint64_t session, uint32_t *user)
{
    struct lnt_zone_user *u;
    uint32_t i;

    if (lnt_slots_nick(z, nick))
        return EEXIST;
    i = lnt_pool_take(z, &z->map->parts.users);
    if (!i)
        return ENOSPC;
    u = lnt_user_at(z, i);
    lnt_pool_clear(z, &z->map->parts.users, i, LNT_USER_KNOWN);
    u->session = session;
    u->incarnation = lnt_cell_at(z, cell)->incarnation;
    u->members = 0;
    u->created = 0;
    u->serial++;
    u->cell = (uint8_t)cell;
    memcpy(u->nick, nick.p, nick.n);
    u->nick_len = (uint8_t)nick.n;
    LNT_ZONE_STEP(z);
    u->state = LNT_NODE_USED;
    LNT_ZONE_STEP(z);
    lnt_slots_add(z, LNT_SLOTS_NICKS, i);
    *user = i;
    return 0;
}

int
lnt_zone_user_add(struct lnt_zone *z, struct lnt_str nick, unsigned cell,
                  uint64_t session, uint32_t *user)
{
    int e;

    lnt_assert(cell < lnt_cells_of(z));
    if (!is_nick(nick))
        return -1;
    lnt_zone_lock(z);
    e = add_user(z, nick, cell, session, user);
    lnt_zone_unlock(z);
    if (e == 0)
        return 0;
    errno = e;
    return -1;
}

int
lnt_zone_user_rename(struct lnt_zone *z, uint32_t user, struct lnt_str nick,
                     unsigned announce_max)
{
    uint32_t other;

    if (!is_nick(nick))
        return -1;
    lnt_zone_lock(z);
    lnt_assert(lnt_user_at(z, user)->state == LNT_NODE_USED);
    other = lnt_slots_nick(z, nick);
    if (!other)
        lnt_user_rename(z, user, nick, announce_max);
    lnt_zone_unlock(z);
    if (!other || other == user)
        return 0;
    errno = EEXIST;
    return -1;
}

/* by_room: by what the room's members said last instead of announce_max. */
static void
remove_user(struct lnt_zone *z, uint32_t user, bool by_room,
            unsigned announce_max)
{
    struct lnt_zone_user *u = lnt_user_at(z, user);

    while (u->members) {
        uint32_t member = u->members;
        const struct lnt_zone_room *r =
            lnt_room_at(z, lnt_member_at(z, member)->room);

        lnt_member_leave(z, member, u->session,
                         r->members <=
                             (by_room ? r->announce_max : announce_max));
        lnt_undo_commit(z);
    }
    lnt_slots_remove(z, LNT_SLOTS_NICKS, user);
    LNT_UNDO_SAVE(z, u);
    u->state = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    lnt_pool_give(z, &z->map->parts.users, user);
    lnt_undo_commit(z);
}

void
lnt_zone_user_remove(struct lnt_zone *z, uint32_t user, unsigned announce_max)
{
    lnt_zone_lock(z);
    lnt_assert(lnt_user_at(z, user)->state == LNT_NODE_USED);
    remove_user(z, user, false, announce_max);
    lnt_zone_unlock(z);
}

int
lnt_zone_user_move(struct lnt_zone *z, uint32_t user, uint64_t old_session,
                   unsigned cell, uint64_t session)
{
    bool owned = false;

    lnt_zone_lock(z);
    if (user > 0 && user < z->map->parts.users.fresh) {
        struct lnt_zone_user *u = lnt_user_at(z, user);

        owned = u->state == LNT_NODE_USED && u->session == old_session;
        if (owned) {
            LNT_UNDO_SAVE(z, u);
            lnt_wakers_move(z, user, cell);
            /* The incarnation alone says whose it is; a repair finds the
               cell by it.  Before the session: one that nobody knows would
               stay with the worker that gave it. */
            u->incarnation = lnt_cell_at(z, cell)->incarnation;
            LNT_ZONE_STEP(z);
            u->session = session;
            LNT_ZONE_STEP(z);
            u->cell = (uint8_t)cell;
            LNT_ZONE_STEP(z);
        }
    }
    lnt_zone_unlock(z);
    if (owned)
        return 0;
    errno = ENOENT;
    return -1;
}

struct lnt_str
lnt_zone_user_nick(const struct lnt_zone *z, uint32_t user)
{
    return lnt_str(lnt_user_at(z, user)->nick, lnt_user_at(z, user)->nick_len);
}

uint64_t
lnt_zone_user_find(struct lnt_zone *z, struct lnt_str nick)
{
    uint64_t session = 0;
    uint32_t user;

    if (!is_nick(nick))
        return 0;
    lnt_zone_lock(z);
    user = lnt_slots_nick(z, nick);
    if (user)
        session = lnt_user_at(z, user)->session;
    z->found = user;
    lnt_zone_unlock(z);
    return session;
}

/* ---- cells ---- */

int
lnt_zone_cell_take(struct lnt_zone *z, uint32_t slot, uint32_t generation)
{
    int found = -1;

    if (lnt_zone_lock_soon(z) < 0)
        return -1;
    for (unsigned i = 0; i < lnt_cells_of(z) && found < 0; i++) {
        struct lnt_cell *c = lnt_cell_at(z, i);

        if (lnt_cell_state(c) != LNT_CELL_FREE)
            continue;
        memset(c, 0, z->cell_size);
        if (++z->map->incarnation == 0)
            z->map->incarnation = 1;
        c->incarnation = z->map->incarnation;
        c->generation = generation;
        c->slot = slot;
        __atomic_store_n(&c->position, z->map->head, __ATOMIC_RELAXED);
        c->features = LNT_ZONE_FEATURES;
        lnt_cell_set_state(c, LNT_CELL_STARTING);
        lnt_waker_reads(z, i);
        LNT_ZONE_STEP(z);
        __atomic_or_fetch(&z->map->cells_used[i / 64], UINT64_C(1) << i % 64,
                          __ATOMIC_SEQ_CST);
        found = (int)i;
    }
    lnt_zone_unlock(z);
    if (found < 0)
        errno = EUSERS;
    return found;
}

static int
sweep_users(struct lnt_zone *z, uint32_t incarnation)
{
    const struct lnt_zone_pool *p = &z->map->parts.users;
    uint32_t i = 1, n;
    bool more = true;

    while (more) {
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        for (n = 0; n < SWEEP && i < p->fresh; n++, i++) {
            const struct lnt_zone_user *u = lnt_user_at(z, i);

            if (u->state == LNT_NODE_USED && u->incarnation == incarnation)
                remove_user(z, i, true, 0);
        }
        more = i < p->fresh;
        lnt_zone_unlock(z);
    }
    return 0;
}

static int
sweep_holds(struct lnt_zone *z, unsigned cell, uint32_t incarnation)
{
    const struct lnt_zone_pool *p = &z->map->parts.members;
    uint32_t i = 1, n;
    bool more = true;

    while (more) {
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        for (n = 0; n < SWEEP && i < p->fresh; n++, i++) {
            const struct lnt_zone_member *m = lnt_member_at(z, i);

            if (lnt_member_holds(m) && m->user_next == cell &&
                m->user == incarnation) {
                lnt_member_unhold(z, i);
                lnt_undo_commit(z);
            }
        }
        more = i < p->fresh;
        lnt_zone_unlock(z);
    }
    return 0;
}

/* The connections are gone, what was counted stays. */
static void
add_to_past(struct lnt_zone *z, const struct lnt_stats *s)
{
    for (unsigned i = 0; i < lnt_counters_of(z); i++) {
        uint64_t n = __atomic_load_n(&s->counters[i], __ATOMIC_RELAXED);

        /* It is counted here at once, without the lock. */
        if (i != LNT_C_LOG_LOST)
            lnt_count_add(lnt_past_of(z), i, n);
    }
}

/* What was done before the lock could not be had is not done again: it finds
   nothing any more. */
int
lnt_zone_cell_release(struct lnt_zone *z, unsigned cell, uint32_t incarnation)
{
    struct lnt_cell *c = lnt_cell_at(z, cell);

    /* It may have died between publishing and ringing. */
    lnt_wakers_all(z);
    if (sweep_users(z, incarnation) < 0 ||
        sweep_holds(z, cell, incarnation) < 0 ||
        lnt_peers_sweep(z, incarnation) < 0 ||
        lnt_wakers_sweep(z, cell, incarnation) < 0 || lnt_zone_lock_soon(z) < 0)
        return -1;
    if (c->incarnation == incarnation && lnt_cell_state(c) != LNT_CELL_FREE) {
        __atomic_and_fetch(&z->map->cells_used[cell / 64],
                           ~(UINT64_C(1) << cell % 64), __ATOMIC_SEQ_CST);
        LNT_ZONE_STEP(z);
        lnt_cell_set_state(c, LNT_CELL_FREE);
        add_to_past(z, &c->stats);
    }
    lnt_zone_unlock(z);
    return 0;
}

void
lnt_zone_counters(struct lnt_zone *z, uint64_t sums[LNT_COUNTERS])
{
    bool locked = lnt_zone_lock_soon(z) == 0;

    for (unsigned i = 0; i < LNT_COUNTERS; i++)
        sums[i] =
            __atomic_load_n(&lnt_past_of(z)->counters[i], __ATOMIC_RELAXED);
    for (unsigned cell = 0; cell < lnt_cells_of(z); cell++) {
        const struct lnt_stats *s = &lnt_cell_at(z, cell)->stats;

        if (lnt_cell_state(lnt_cell_at(z, cell)) == LNT_CELL_FREE)
            continue;
        for (unsigned i = 0; i < LNT_COUNTERS; i++)
            sums[i] += __atomic_load_n(&s->counters[i], __ATOMIC_RELAXED);
    }
    if (locked)
        lnt_zone_unlock(z);
}
