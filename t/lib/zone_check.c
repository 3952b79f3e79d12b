/*
 * Looks at the whole zone: whether everything in it fits together.  Changes
 * nothing.
 */
#include "t/lib/zone_check.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "os/socket.h"
#include "zone/blocks.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/ring.h"

struct check {
    struct lnt_zone *z;
    struct lnt_strbuf *why;
};

__attribute__((format(printf, 2, 3))) static bool
bad(const struct check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    lnt_strbuf_vaddf(c->why, fmt, ap);
    va_end(ap);
    return false;
}

/* ---- the log ---- */

static bool
check_record(const struct check *c, uint64_t at, uint64_t *last)
{
    const struct lnt_zone *z = c->z;
    uint32_t room;
    struct lnt_zone_record r;

    lnt_ring_peek(z, at, &r);
    room = r.room == LNT_ROOM_NONE ? 0 : lnt_room_index(z, r.room);
    if (room == 0)
        return true;
    if (last[room] ? r.prev != last[room] : r.prev >= z->map->tail)
        return bad(c, "record %llu: the one before it is not at %llu",
                   (unsigned long long)r.seq, (unsigned long long)r.prev);
    last[room] = at;
    return true;
}

static bool
check_records(const struct check *c, uint64_t *last)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_map *map = z->map;
    uint64_t at, seq = 0;
    struct lnt_zone_record r;

    if (map->tail > map->head || map->head - map->tail > map->ring_size)
        return bad(c, "the log's ends do not fit");
    for (at = map->tail; at < map->head; at = lnt_ring_next(z, at)) {
        if (lnt_ring_next(z, at) <= at || lnt_ring_next(z, at) > map->head)
            return bad(c, "a record with a bad length");
        lnt_ring_peek(z, at, &r);
        if (r.kind == 0)
            continue;
        if (seq && r.seq != seq + 1)
            return bad(c, "record %llu follows %llu", (unsigned long long)r.seq,
                       (unsigned long long)seq);
        seq = r.seq;
        if (!check_record(c, at, last))
            return false;
    }
    if (seq && seq != map->seq)
        return bad(c, "the last record is %llu, not %llu",
                   (unsigned long long)seq, (unsigned long long)map->seq);
    return true;
}

static bool
check_log(const struct check *c)
{
    const struct lnt_zone *z = c->z;
    uint32_t rooms = z->map->parts.rooms.fresh;
    uint64_t *last = lnt_calloc(rooms, sizeof(*last));
    bool good = check_records(c, last);

    for (uint32_t i = 1; good && i < rooms; i++) {
        const struct lnt_zone_room *r = lnt_room_at(z, i);

        if (r->state != LNT_NODE_USED)
            continue;
        if (last[i] ? r->last != last[i] : r->last >= z->map->tail)
            good = bad(c, "room %u: its last record is elsewhere", i);
        else if (r->last_seq > z->map->seq)
            good = bad(c, "room %u: a seq that is not in the log", i);
    }
    free(last);
    return good;
}

/* ---- pools ---- */

static bool
check_pool(const struct check *c, const struct lnt_zone_pool *p,
           const char *what, const uint8_t *used)
{
    uint32_t n = 0, count = 0;

    for (uint32_t i = 1; i < p->fresh; i++)
        n += used[i];
    if (n != p->used)
        return bad(c, "%u %s are used, the count says %u", n, what, p->used);
    for (uint32_t i = p->free; i; count++) {
        if (i >= p->fresh || used[i] || count >= p->fresh)
            return bad(c, "the list of free %s is broken", what);
        i = *(uint32_t *)lnt_zone_at(c->z, p->base + (uint64_t)i * p->stride +
                                               p->link);
    }
    if (count + n + 1 != p->fresh)
        return bad(c, "of %u %s %u are lost", p->fresh - 1, what,
                   p->fresh - 1 - n - count);
    return true;
}

static uint8_t
is_used(const struct lnt_zone *z, const struct lnt_zone_pool *p, uint32_t i)
{
    const struct lnt_zone_parts *parts = &z->map->parts;

    if (p == &parts->users)
        return lnt_user_at(z, i)->state != LNT_NODE_FREE;
    if (p == &parts->rooms)
        return lnt_room_at(z, i)->state != LNT_NODE_FREE;
    if (p == &parts->members)
        return lnt_member_state(lnt_member_at(z, i)) != LNT_NODE_FREE;
    if (p == &parts->peers)
        return lnt_peer_at(z, i)->state != LNT_NODE_FREE;
    if (p == &parts->visits)
        return lnt_visit_at(z, i)->incarnation != 0;
    if (p == &parts->creators)
        return lnt_creator_at(z, i)->state != LNT_NODE_FREE;
    return lnt_block_at(z, i)->room != 0;
}

static bool
check_pools(const struct check *c)
{
    const struct lnt_zone_parts *p = &c->z->map->parts;
    const struct {
        const struct lnt_zone_pool *pool;
        const char *what;
    } pools[] = {
        {&p->users, "users"},       {&p->rooms, "rooms"},
        {&p->members, "members"},   {&p->peers, "peers"},
        {&p->visits, "visits"},     {&p->blocks, "blocks"},
        {&p->creators, "creators"},
    };
    bool good = true;

    for (size_t k = 0; k < sizeof(pools) / sizeof(*pools) && good; k++) {
        const struct lnt_zone_pool *pool = pools[k].pool;
        uint8_t *used = lnt_calloc(pool->fresh, 1);

        for (uint32_t i = 1; i < pool->fresh; i++)
            used[i] = is_used(c->z, pool, i);
        good = check_pool(c, pool, pools[k].what, used);
        free(used);
    }
    return good;
}

/* ---- users and members ---- */

static bool
check_user(const struct check *c, uint32_t i, uint32_t *members)
{
    struct lnt_zone *z = c->z;
    const struct lnt_zone_user *u = lnt_user_at(z, i);
    const struct lnt_cell *cell = lnt_cell_at(z, u->cell);
    uint64_t tag = UINT64_MAX;

    if (lnt_slots_nick(z, lnt_str(u->nick, u->nick_len)) != i)
        return bad(c, "user %u cannot be found by its nick", i);
    if (u->incarnation && (cell->incarnation != u->incarnation ||
                           lnt_cell_state(cell) == LNT_CELL_FREE))
        return bad(c, "user %u belongs to a worker that is gone", i);
    for (uint32_t m = u->members; m; m = lnt_member_at(z, m)->user_next) {
        const struct lnt_zone_member *member = lnt_member_at(z, m);

        if (lnt_member_state(member) != LNT_NODE_USED || member->user != i ||
            member->tag >= tag)
            return bad(c, "user %u: its list of rooms is broken", i);
        tag = member->tag;
        ++*members;
    }
    return true;
}

/* That a record of the room wakes the process of that cell, which subscribes.
   One that drains need not: sessions on their way to another worker still name
   its cell, and it has said already that they are gone. */
static bool
check_waker(const struct check *c, uint32_t room, uint32_t cell)
{
    const uint64_t *words = lnt_room_at(c->z, room)->wakers;

    return !lnt_zone_maintained(c->z, LNT_ZONE_F_WAKERS) ||
           lnt_cell_state(lnt_cell_at(c->z, cell)) == LNT_CELL_DRAINING ||
           (words[cell / 64] & UINT64_C(1) << cell % 64) ||
           bad(c, "room %u does not wake cell %u, which subscribes to it", room,
               cell);
}

static bool
check_room_members(const struct check *c, uint32_t i)
{
    struct lnt_zone *z = c->z;
    const struct lnt_zone_room *r = lnt_room_at(z, i);
    uint32_t n = 0, prev = 0;
    uint64_t tag = 0;

    for (uint32_t m = r->first; m; prev = m, m = lnt_member_at(z, m)->next) {
        const struct lnt_zone_member *member = lnt_member_at(z, m);

        if (lnt_member_state(member) != LNT_NODE_USED || member->room != i ||
            member->prev != prev || member->tag <= tag)
            return bad(c, "room %u: its list of members is broken", i);
        if (!check_waker(c, i, lnt_user_at(z, member->user)->cell))
            return false;
        tag = member->tag;
        n++;
    }
    if (n != r->members || prev != r->last_member)
        return bad(c, "room %u has %u members, the count says %u", i, n,
                   r->members);
    prev = 0;
    for (uint32_t m = r->holds; m; prev = m, m = lnt_member_at(z, m)->next) {
        const struct lnt_zone_member *member = lnt_member_at(z, m);

        if (!lnt_member_holds(member) || member->room != i ||
            member->prev != prev)
            return bad(c, "room %u: its list of holds is broken", i);
        if (lnt_member_state(member) == LNT_NODE_LISTEN &&
            !check_waker(c, i, member->user_next))
            return false;
    }
    return true;
}

static bool
check_slots(const struct check *c, enum lnt_slots_kind kind, uint32_t used)
{
    uint32_t n = lnt_slots_count(c->z, kind, used);

    if (n != used)
        return bad(c, "%u in a hash table, not %u", n, used);
    return true;
}

static bool
check_users(const struct check *c)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_parts *p = &z->map->parts;
    uint32_t linked = 0, used = 0;

    for (uint32_t i = 1; i < p->users.fresh; i++) {
        if (lnt_user_at(z, i)->state == LNT_NODE_USED &&
            !check_user(c, i, &linked))
            return false;
    }
    for (uint32_t i = 1; i < p->members.fresh; i++)
        used += lnt_member_state(lnt_member_at(z, i)) == LNT_NODE_USED;
    if (used != linked)
        return bad(c, "%u members, but users have %u", used, linked);
    return check_slots(c, LNT_SLOTS_NICKS, p->users.used);
}

/* ---- peers and visits ---- */

static bool
check_peers(const struct check *c)
{
    struct lnt_zone *z = c->z;
    const struct lnt_zone_parts *p = &z->map->parts;
    uint32_t *visits = lnt_calloc(p->peers.fresh, sizeof(*visits));
    bool good = true;

    for (uint32_t i = 1; i < p->visits.fresh && good; i++) {
        uint32_t peer = lnt_visit_at(z, i)->peer;

        if (!lnt_visit_at(z, i)->incarnation)
            continue;
        good = peer > 0 && peer < p->peers.fresh;
        if (good)
            visits[peer]++;
        else
            (void)bad(c, "visit %u is of peer %u", i, peer);
    }
    for (uint32_t i = 1; i < p->peers.fresh && good; i++) {
        const struct lnt_zone_peer *peer = lnt_peer_at(z, i);
        struct lnt_network net = {peer->prefix, peer->family};

        if (peer->state == LNT_NODE_FREE)
            good = !visits[i] || bad(c, "peer %u is free and visits", i);
        else if (peer->visits != visits[i] || visits[i] == 0)
            good = bad(c, "peer %u visits %u times, the count says %u", i,
                       visits[i], peer->visits);
        else if (lnt_slots_peer(z, &net) != i)
            good = bad(c, "peer %u cannot be found", i);
    }
    free(visits);
    return good && check_slots(c, LNT_SLOTS_PEERS, p->peers.used);
}

/* ---- rooms and history ---- */

static bool
check_stream(const struct check *c, uint32_t i)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_room *r = lnt_room_at(z, i);
    uint32_t n = 0, here = 0, block = 0;
    uint64_t seq = 0;

    for (struct lnt_kept_at at = lnt_kept_first(z, i); at.block;
         at = lnt_kept_next(z, at)) {
        const struct lnt_zone_kept *k = lnt_kept_head(z, at);

        if (at.block != block) {
            if (block && lnt_block_at(z, block)->count != here)
                return bad(c, "room %u: a block's count is wrong", i);
            block = at.block;
            here = 0;
            if (lnt_block_at(z, block)->first != at.offset ||
                lnt_block_at(z, block)->first_seq != k->seq)
                return bad(c, "room %u: a block does not know its first", i);
        }
        if (k->seq <= seq || k->seq > z->map->seq ||
            lnt_kept_behind(z, at) > r->end)
            return bad(c, "room %u: message %u of its history is wrong", i, n);
        seq = k->seq;
        here++;
        n++;
    }
    if (n != r->kept || (n && seq != r->kept_seq))
        return bad(c, "room %u keeps %u messages, the count says %u", i, n,
                   r->kept);
    return true;
}

static bool
check_blocks(const struct check *c, uint32_t i)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_room *r = lnt_room_at(z, i);
    uint64_t order = r->begin / LNT_BLOCK_DATA;
    uint32_t n = 0, prev = 0;

    for (uint32_t b = r->block_first; b; b = lnt_block_at(z, b)->next) {
        const struct lnt_zone_block *block = lnt_block_at(z, b);

        if (block->room != i || block->prev != prev || block->order != order)
            return bad(c, "room %u: its list of blocks is broken", i);
        prev = b;
        order++;
        n++;
    }
    if (n != r->blocks || prev != r->block_last)
        return bad(c, "room %u has %u blocks, the count says %u", i, n,
                   r->blocks);
    if (n == 0 && (r->kept || r->begin != r->end))
        return bad(c, "room %u: history without blocks", i);
    if (n && (r->kept == 0 || (r->end - 1) / LNT_BLOCK_DATA != order - 1))
        return bad(c, "room %u: blocks without history", i);
    if ((r->blocks > r->quota) != r->over)
        return bad(c, "room %u: the wrong side of its quota", i);
    return check_stream(c, i);
}

static bool
check_room(const struct check *c, uint32_t i)
{
    struct lnt_zone *z = c->z;
    const struct lnt_zone_room *r = lnt_room_at(z, i);

    if (lnt_slots_name(z, r->app, lnt_str(r->name, r->name_len)) != i)
        return bad(c, "room %u cannot be found by its name", i);
    if (r->idle != (r->members == 0 && r->holds == 0))
        return bad(c, "room %u: nobody is in it, and it does not know", i);
    return check_room_members(c, i) && check_blocks(c, i);
}

/* The list of rooms over their quota. */
static bool
check_lists(const struct check *c)
{
    const struct lnt_zone *z = c->z;
    uint32_t over = 0, rooms = z->map->parts.rooms.fresh;

    for (uint32_t i = 1; i < rooms; i++) {
        if (lnt_room_at(z, i)->state != LNT_NODE_USED)
            continue;
        over += lnt_room_at(z, i)->over;
    }
    for (uint32_t i = z->map->over_first; i; i = lnt_room_at(z, i)->over_next) {
        if (!lnt_room_at(z, i)->over || over-- == 0)
            return bad(c, "the list of rooms over their quota is broken");
    }
    if (over)
        return bad(c, "%u rooms over their quota are not in the list", over);
    return true;
}

/* ---- creators ---- */

static bool
check_idle(const struct check *c, uint32_t i)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_creator *creator = lnt_creator_at(z, i);
    uint32_t n = 0;

    for (int k = 0; k < LNT_RANKS; k++) {
        uint32_t prev = 0;

        for (uint32_t room = creator->first[k]; room;
             prev = room, room = lnt_room_at(z, room)->idle_next) {
            const struct lnt_zone_room *r = lnt_room_at(z, room);

            if (!r->idle || r->creator != i || r->rank != k ||
                r->idle_prev != prev || ++n > creator->idle)
                return bad(c, "creator %u: a list of idle rooms is broken", i);
        }
        if (creator->last[k] != prev)
            return bad(c, "creator %u: the end of a list is wrong", i);
    }
    if (n != creator->idle)
        return bad(c, "creator %u has %u idle rooms, the count says %u", i, n,
                   creator->idle);
    return true;
}

static bool
check_creator(const struct check *c, uint32_t i, uint32_t rooms)
{
    struct lnt_zone *z = c->z;
    const struct lnt_zone_creator *creator = lnt_creator_at(z, i);
    struct lnt_creator by = {.prefix = creator->prefix,
                             .family = creator->family};

    if (creator->state == LNT_NODE_FREE)
        return rooms == 0 || bad(c, "creator %u is free and has rooms", i);
    if (creator->rooms != rooms || rooms == 0)
        return bad(c, "creator %u has %u rooms, the count says %u", i, rooms,
                   creator->rooms);
    if (lnt_slots_origin(z, &by) != i)
        return bad(c, "creator %u cannot be found", i);
    return check_idle(c, i);
}

/* That every creator with idle rooms is under their number. */
static bool
check_ranking(const struct check *c)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_parts *p = &z->map->parts;
    uint32_t ranked = 0, idle = 0, most = 0;

    for (uint32_t n = 0; n <= p->rooms.max; n++) {
        uint32_t prev = 0, first = z->ranking[n];

        for (uint32_t i = first; i; prev = i, i = lnt_creator_at(z, i)->next) {
            if (lnt_creator_at(z, i)->state != LNT_NODE_USED ||
                lnt_creator_at(z, i)->idle != n ||
                ++ranked > p->creators.used ||
                (prev && lnt_creator_at(z, i)->prev != prev))
                return bad(c, "the ranking is broken at %u", n);
        }
        if (first && lnt_creator_at(z, first)->prev != prev)
            return bad(c, "the ranking has no end at %u", n);
        if (first)
            most = n;
    }
    for (uint32_t i = 1; i < p->creators.fresh; i++)
        idle += lnt_creator_at(z, i)->state == LNT_NODE_USED &&
                lnt_creator_at(z, i)->idle;
    if (idle != ranked || most != z->map->idle_most)
        return bad(c, "%u of %u creators are ranked, up to %u, not %u", ranked,
                   idle, most, z->map->idle_most);
    return true;
}

static bool
check_counts(const struct check *c, uint32_t *rooms, uint32_t *created)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_parts *p = &z->map->parts;
    uint32_t quota = 0;

    for (uint32_t i = 1; i < p->rooms.fresh; i++) {
        const struct lnt_zone_room *r = lnt_room_at(z, i);

        if (r->state != LNT_NODE_USED)
            continue;
        if (r->creator == 0 || r->creator >= p->creators.fresh ||
            r->user >= p->users.fresh)
            return bad(c, "room %u: nobody can have created it", i);
        rooms[r->creator]++;
        if (r->user && lnt_user_at(z, r->user)->serial == r->serial)
            created[r->user]++;
        quota += r->idle ? r->quota : 0;
    }
    if (quota != z->map->idle_quota)
        return bad(c, "%u blocks are promised to idle rooms, not %u", quota,
                   z->map->idle_quota);
    for (uint32_t i = 1; i < p->creators.fresh; i++) {
        if (!check_creator(c, i, rooms[i]))
            return false;
    }
    for (uint32_t i = 1; i < p->users.fresh; i++) {
        if (lnt_user_at(z, i)->state == LNT_NODE_USED &&
            lnt_user_at(z, i)->created != created[i])
            return bad(c, "user %u has created %u rooms, not %u", i, created[i],
                       lnt_user_at(z, i)->created);
    }
    return true;
}

static bool
check_creators(const struct check *c)
{
    const struct lnt_zone_parts *p = &c->z->map->parts;
    uint32_t *rooms = lnt_calloc(p->creators.fresh, sizeof(*rooms));
    uint32_t *created = lnt_calloc(p->users.fresh, sizeof(*created));
    bool good = check_counts(c, rooms, created);

    free(rooms);
    free(created);
    return good && check_ranking(c) &&
           check_slots(c, LNT_SLOTS_ORIGINS, p->creators.used);
}

static bool
check_rooms(const struct check *c)
{
    const struct lnt_zone *z = c->z;
    const struct lnt_zone_parts *p = &z->map->parts;
    uint32_t reserved = 0;

    for (uint32_t i = 1; i < p->rooms.fresh; i++) {
        if (lnt_room_at(z, i)->state != LNT_NODE_USED)
            continue;
        reserved += lnt_room_at(z, i)->quota;
        if (!check_room(c, i))
            return false;
    }
    if (reserved != z->map->reserved || reserved > p->blocks.max)
        return bad(c, "%u blocks are promised, the count says %u", reserved,
                   z->map->reserved);
    return check_lists(c) && check_slots(c, LNT_SLOTS_NAMES, p->rooms.used);
}

bool
lnt_zone_check(struct lnt_zone *z, struct lnt_strbuf *why)
{
    const struct check c = {z, why};
    bool good;

    lnt_zone_lock(z);
    good = z->map->journal.op == LNT_JOURNAL_NONE ||
           bad(&c, "the journal is not empty");
    good = good && check_pools(&c) && check_users(&c) && check_peers(&c) &&
           check_rooms(&c) && check_creators(&c) && check_log(&c);
    lnt_zone_unlock(z);
    return good;
}
