/*
 * Creators as nodes, and the ranking by which rooms are evicted.
 *
 * The ranking is an array of lists: under n, the creators that have n idle
 * rooms.  A room that becomes idle or busy moves its creator by one place, so
 * every change and the choice of a victim take the same short time, however
 * many rooms there are.
 */
#include "zone/creators.h"

#include <errno.h>
#include <string.h>

#include "core/hash.h"
#include "core/log.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/undo.h"

enum { SEARCH = 512 }; /* rooms and places of the ranking looked at */

static bool
is_network(uint32_t family)
{
    return family == LNT_CREATOR_V4 || family == LNT_CREATOR_V6;
}

int
lnt_creator_check(struct lnt_zone *z, const struct lnt_creator *by)
{
    uint32_t i = lnt_slots_origin(z, by);

    if (by->user && by->max_session &&
        lnt_user_at(z, by->user)->created >= by->max_session)
        return EDQUOT;
    if (i && by->max_network && is_network(by->family) &&
        lnt_creator_at(z, i)->rooms >= by->max_network)
        return EUSERS;
    return 0;
}

/* ---- nodes ---- */

/* There is one for each room. */
static uint32_t
new_creator(struct lnt_zone *z, const struct lnt_creator *by)
{
    uint32_t i = lnt_pool_take(z, &z->map->parts.creators);
    struct lnt_zone_creator *c = lnt_creator_at(z, i);

    lnt_assert(i != 0);
    lnt_pool_clear(z, &z->map->parts.creators, i, 0);
    c->prefix = by->prefix;
    c->family = by->family;
    LNT_ZONE_STEP(z);
    c->state = LNT_NODE_USED;
    LNT_ZONE_STEP(z);
    lnt_slots_add(z, LNT_SLOTS_ORIGINS, i);
    return i;
}

static void
drop_creator(struct lnt_zone *z, uint32_t i)
{
    lnt_slots_remove(z, LNT_SLOTS_ORIGINS, i);
    LNT_UNDO_SAVE(z, &lnt_creator_at(z, i)->state);
    lnt_creator_at(z, i)->state = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    lnt_pool_give(z, &z->map->parts.creators, i);
}

/* By how many rooms a session has created, this one included. */
static uint8_t
rank_of(uint32_t created)
{
    if (created <= 1)
        return 0;
    if (created <= 3)
        return 1;
    return created <= 8 ? 2 : 3;
}

void
lnt_creator_name(struct lnt_zone *z, uint32_t room,
                 const struct lnt_creator *by)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    uint32_t i = lnt_slots_origin(z, by);

    r->creator = i ? i : new_creator(z, by);
    if (by->user) {
        const struct lnt_zone_user *u = lnt_user_at(z, by->user);

        r->user = by->user;
        r->serial = u->serial;
        r->rank = rank_of(u->created + 1);
    }
}

/* The user that created the room, if that session still is there. */
static struct lnt_zone_user *
user_of(struct lnt_zone *z, const struct lnt_zone_room *r)
{
    struct lnt_zone_user *u = lnt_user_at(z, r->user);

    return r->user && u->state == LNT_NODE_USED && u->serial == r->serial
               ? u
               : NULL;
}

void
lnt_creator_add(struct lnt_zone *z, uint32_t room)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_zone_user *u = user_of(z, r);

    LNT_UNDO_SAVE(z, &lnt_creator_at(z, r->creator)->rooms);
    lnt_creator_at(z, r->creator)->rooms++;
    if (u) {
        LNT_UNDO_SAVE(z, &u->created);
        u->created++;
    }
    LNT_ZONE_STEP(z);
}

void
lnt_creator_remove(struct lnt_zone *z, uint32_t room)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_zone_user *u = user_of(z, r);

    if (u) {
        LNT_UNDO_SAVE(z, &u->created);
        u->created--;
    }
    LNT_ZONE_STEP(z);
    LNT_UNDO_SAVE(z, &lnt_creator_at(z, r->creator)->rooms);
    if (--lnt_creator_at(z, r->creator)->rooms == 0)
        drop_creator(z, r->creator);
}

uint64_t
lnt_creator_id(const struct lnt_zone *z, uint32_t creator)
{
    const struct lnt_zone_creator *c = lnt_creator_at(z, creator);
    uint64_t id = c->prefix;

    if (c->family != LNT_CREATOR_STORE)
        id = lnt_hash(z->map->hash_key ^ c->family, &c->prefix,
                      sizeof(c->prefix));
    return id ? id : 1;
}

/* ---- the ranking ---- */

static void
unrank(struct lnt_zone *z, uint32_t i)
{
    struct lnt_zone_creator *c = lnt_creator_at(z, i);
    uint32_t *first = &z->ranking[c->idle];

    if (*first == i) {
        LNT_UNDO_SAVE(z, first);
        *first = c->next;
    } else {
        LNT_UNDO_SAVE(z, &lnt_creator_at(z, c->prev)->next);
        lnt_creator_at(z, c->prev)->next = c->next;
    }
    if (c->next) {
        LNT_UNDO_SAVE(z, &lnt_creator_at(z, c->next)->prev);
        lnt_creator_at(z, c->next)->prev = c->prev;
    } else if (*first) {
        LNT_UNDO_SAVE(z, &lnt_creator_at(z, *first)->prev);
        lnt_creator_at(z, *first)->prev = c->prev;
    }
}

static void
rank(struct lnt_zone *z, uint32_t i)
{
    struct lnt_zone_creator *c = lnt_creator_at(z, i);
    uint32_t *first = &z->ranking[c->idle];

    c->next = 0;
    if (*first) {
        uint32_t last = lnt_creator_at(z, *first)->prev;

        LNT_UNDO_SAVE(z, &lnt_creator_at(z, last)->next);
        LNT_UNDO_SAVE(z, &lnt_creator_at(z, *first)->prev);
        c->prev = last;
        lnt_creator_at(z, last)->next = i;
        lnt_creator_at(z, *first)->prev = i;
    } else {
        LNT_UNDO_SAVE(z, first);
        c->prev = i;
        *first = i;
    }
}

/* Moves the creator from n idle rooms to n + 1, or to n - 1. */
static void
move(struct lnt_zone *z, uint32_t i, bool up)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_creator *c = lnt_creator_at(z, i);

    LNT_UNDO_SAVE(z, c);
    LNT_UNDO_SAVE(z, &map->idle_most);
    if (c->idle)
        unrank(z, i);
    c->idle += up ? 1 : UINT32_MAX;
    if (c->idle)
        rank(z, i);
    if (c->idle > map->idle_most)
        map->idle_most = c->idle;
    else if (map->idle_most && !z->ranking[map->idle_most])
        map->idle_most--;
    LNT_ZONE_STEP(z);
}

/* What says that a room is idle, but for its neighbours in the list. */
static void
save_idle(struct lnt_zone *z, uint32_t room)
{
    LNT_UNDO_SAVE(z, lnt_room_at(z, room));
    LNT_UNDO_SAVE(z, lnt_creator_at(z, lnt_room_at(z, room)->creator));
    LNT_UNDO_SAVE(z, &z->map->idle_quota);
}

void
lnt_creator_idle(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_zone_creator *c = lnt_creator_at(z, r->creator);

    save_idle(z, room);
    r->idle_next = 0;
    r->idle_prev = c->last[r->rank];
    if (r->idle_prev) {
        LNT_UNDO_SAVE(z, &lnt_room_at(z, r->idle_prev)->idle_next);
        lnt_room_at(z, r->idle_prev)->idle_next = room;
    } else {
        c->first[r->rank] = room;
    }
    c->last[r->rank] = room;
    r->idle = 1;
    z->map->idle_quota += r->quota;
    LNT_ZONE_STEP(z);
    move(z, r->creator, true);
}

void
lnt_creator_busy(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_zone_creator *c = lnt_creator_at(z, r->creator);

    save_idle(z, room);
    if (r->idle_prev) {
        LNT_UNDO_SAVE(z, &lnt_room_at(z, r->idle_prev)->idle_next);
        lnt_room_at(z, r->idle_prev)->idle_next = r->idle_next;
    } else {
        c->first[r->rank] = r->idle_next;
    }
    if (r->idle_next) {
        LNT_UNDO_SAVE(z, &lnt_room_at(z, r->idle_next)->idle_prev);
        lnt_room_at(z, r->idle_next)->idle_prev = r->idle_prev;
    } else {
        c->last[r->rank] = r->idle_prev;
    }
    r->idle = 0;
    z->map->idle_quota -= r->quota;
    LNT_ZONE_STEP(z);
    move(z, r->creator, false);
}

uint32_t
lnt_creator_own(struct lnt_zone *z, const struct lnt_creator *by)
{
    const struct lnt_zone_creator *c =
        lnt_creator_at(z, lnt_slots_origin(z, by));
    int k = LNT_RANKS - 1;

    while (k > 0 && !c->first[k])
        k--;
    return c->first[k];
}

uint32_t
lnt_creator_victim(const struct lnt_zone *z, uint32_t except, bool quota)
{
    unsigned looked = 0;

    for (uint32_t n = z->map->idle_most; n > 0 && looked < SEARCH; n--) {
        looked++;
        for (uint32_t i = z->ranking[n]; i; i = lnt_creator_at(z, i)->next) {
            const struct lnt_zone_creator *c = lnt_creator_at(z, i);

            for (int k = LNT_RANKS - 1; k >= 0; k--) {
                uint32_t room = c->first[k];

                for (; room && looked < SEARCH;
                     room = lnt_room_at(z, room)->idle_next) {
                    looked++;
                    if (room != except &&
                        (!quota || lnt_room_at(z, room)->quota))
                        return room;
                }
            }
            if (looked >= SEARCH)
                break;
        }
    }
    return 0;
}

/* ---- after a crash ---- */

void
lnt_creators_repair(struct lnt_zone *z)
{
    struct lnt_zone_parts *parts = &z->map->parts;
    struct lnt_zone_pool *p = &parts->creators;

    lnt_pool_reset(p);
    lnt_slots_reset(z, LNT_SLOTS_ORIGINS, p->fresh);
    memset(z->ranking, 0, (parts->rooms.max + 1) * sizeof(*z->ranking));
    z->map->idle_most = z->map->idle_quota = 0;
    for (uint32_t i = 1; i < p->fresh; i++) {
        struct lnt_zone_creator *c = lnt_creator_at(z, i);

        c->rooms = c->idle = 0;
        memset(c->first, 0, sizeof(c->first));
        memset(c->last, 0, sizeof(c->last));
    }
    for (uint32_t i = 1; i < parts->users.fresh; i++)
        lnt_user_at(z, i)->created = 0;
    for (uint32_t i = 1; i < parts->rooms.fresh; i++) {
        if (lnt_room_at(z, i)->state == LNT_NODE_USED)
            lnt_creator_add(z, i);
    }
    for (uint32_t i = p->fresh - 1; i > 0; i--) {
        if (lnt_creator_at(z, i)->rooms) {
            p->used++;
            lnt_slots_add(z, LNT_SLOTS_ORIGINS, i);
        } else {
            lnt_creator_at(z, i)->state = LNT_NODE_FREE;
            LNT_ZONE_STEP(z);
            lnt_pool_return(z, p, i);
        }
    }
}
