/*
 * Repair after a process died in a change.  What it had overwritten is put back
 * from its undo log, in as long as the change took.  A record that was being
 * written lies behind the head and does not exist; what had been noted of it in
 * its room is taken back.
 *
 * Where the undo log does not say all, everything is made again, while all others
 * wait: what the nodes say of themselves is true, and the rest (free lists, hash
 * tables, lists, counts) follows from that.
 *
 * Every step may be the last one of this process, too: nothing is destroyed
 * that a second repair would need.
 */
#include "zone/repair.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "os/clock.h"
#include "zone/blocks.h"
#include "zone/creators.h"
#include "zone/pool.h"
#include "zone/ring.h"
#include "zone/steps.h"
#include "zone/undo.h"
#include "zone/visits.h"
#include "zone/wakers.h"

/* ---- the log ---- */

/* What the room had noted of a record that does not exist. */
static void
take_back(struct lnt_zone *z, const struct lnt_zone_record *r)
{
    uint32_t i = r->room == LNT_ROOM_NONE ? 0 : lnt_room_index(z, r->room);
    struct lnt_zone_room *room = lnt_room_at(z, i);

    if (i == 0)
        return;
    if (room->last >= z->map->head)
        room->last = r->prev;
    LNT_ZONE_STEP(z);
    if (room->last_seq == r->seq)
        room->last_seq = z->map->room_seq;
    LNT_ZONE_STEP(z);
}

static void
repair_log(struct lnt_zone *z)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_record r;

    if (map->last < map->head)
        return;
    lnt_ring_peek(z, map->last, &r);
    take_back(z, &r);
    __atomic_store_n(&map->seq, r.seq - 1, __ATOMIC_RELEASE);
    LNT_ZONE_STEP(z);
    map->last = 0;
    LNT_ZONE_STEP(z);
}

/* ---- nodes ---- */

/* Whose incarnation it bears; one that moved may still name its old cell. */
static void
repair_cell(struct lnt_zone *z, struct lnt_zone_user *u)
{
    for (unsigned i = 0; i < lnt_cells_of(z); i++) {
        if (lnt_cell_at(z, i)->incarnation == u->incarnation)
            u->cell = (uint8_t)i;
    }
}

static void
repair_users(struct lnt_zone *z)
{
    struct lnt_zone_pool *p = &z->map->parts.users;

    lnt_pool_reset(p);
    lnt_slots_reset(z, LNT_SLOTS_NICKS, p->fresh);
    for (uint32_t i = p->fresh - 1; i > 0; i--) {
        struct lnt_zone_user *u = lnt_user_at(z, i);

        if (u->state == LNT_NODE_USED) {
            p->used++;
            u->members = 0;
            repair_cell(z, u);
            lnt_slots_add(z, LNT_SLOTS_NICKS, i);
        } else {
            lnt_pool_return(z, p, i);
        }
    }
}

static void
repair_rooms(struct lnt_zone *z)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_pool *p = &map->parts.rooms;

    lnt_pool_reset(p);
    lnt_slots_reset(z, LNT_SLOTS_NAMES, p->fresh);
    map->over_first = map->over_last = 0;
    map->reserved = 0;
    for (uint32_t i = p->fresh - 1; i > 0; i--) {
        struct lnt_zone_room *r = lnt_room_at(z, i);

        if (r->state != LNT_NODE_USED) {
            lnt_pool_return(z, p, i);
            continue;
        }
        p->used++;
        r->first = r->last_member = r->members = r->holds = 0;
        r->idle = r->over = 0;
        lnt_wakers_clear(z, i);
        map->reserved += r->quota;
        lnt_slots_add(z, LNT_SLOTS_NAMES, i);
    }
}

struct entry {
    uint64_t order;
    uint32_t room, node;
};

static int
compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->room != y->room)
        return x->room < y->room ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static bool
is_member(const struct lnt_zone *z, const struct lnt_zone_member *m)
{
    if (lnt_member_state(m) == LNT_NODE_FREE ||
        lnt_room_at(z, m->room)->state != LNT_NODE_USED)
        return false;
    return lnt_member_holds(m) ||
           lnt_user_at(z, m->user)->state == LNT_NODE_USED;
}

static void
repair_members(struct lnt_zone *z)
{
    struct lnt_zone_pool *p = &z->map->parts.members;
    struct entry *v = lnt_malloc(p->fresh * sizeof(*v));
    size_t n = 0;

    lnt_pool_reset(p);
    for (uint32_t i = p->fresh - 1; i > 0; i--) {
        struct lnt_zone_member *m = lnt_member_at(z, i);

        if (is_member(z, m)) {
            p->used++;
            v[n++] = (struct entry){.order = m->tag, .node = i};
        } else {
            m->tag = LNT_NODE_FREE;
            lnt_pool_return(z, p, i);
        }
    }
    /* One order over all rooms, so that the users' lists come out right. */
    qsort(v, n, sizeof(*v), compare);
    for (size_t i = 0; i < n; i++)
        lnt_member_link(z, v[i].node);
    free(v);
}

/* ---- history ---- */

static void
free_block(struct lnt_zone *z, uint32_t block)
{
    lnt_block_at(z, block)->room = 0;
    LNT_ZONE_STEP(z);
    lnt_pool_return(z, &z->map->parts.blocks, block);
}

/* Whether the blocks hold the whole of the room's stream. */
static bool
is_whole(const struct lnt_zone_room *r, const struct entry *v, size_t n)
{
    uint64_t first = r->begin / LNT_BLOCK_DATA, last;

    if (r->begin >= r->end)
        return false;
    last = (r->end - 1) / LNT_BLOCK_DATA;
    for (size_t i = 0; i < n; i++) {
        if (v[i].order == first && n - i > last - first)
            return v[i + (last - first)].order == last;
    }
    return false;
}

/* Counts the messages again, up to where the log ends. */
static void
recount(struct lnt_zone *z, struct lnt_zone_room *r)
{
    struct lnt_kept_at at = {r->block_first,
                             (uint32_t)(r->begin % LNT_BLOCK_DATA)};
    uint64_t end = lnt_kept_whole(r->begin);

    for (; at.block; at = lnt_kept_next(z, at)) {
        const struct lnt_zone_kept *k = lnt_kept_head(z, at);
        struct lnt_zone_block *b = lnt_block_at(z, at.block);

        if (k->seq > z->map->seq || lnt_kept_behind(z, at) > r->end)
            break;
        if (b->count++ == 0) {
            b->first = (uint16_t)at.offset;
            b->first_seq = k->seq;
        }
        r->kept++;
        r->kept_seq = k->seq;
        r->kept_time = k->time_us;
        end = lnt_kept_behind(z, at);
    }
    r->end = end;
    if (r->kept == 0)
        r->begin = r->end;
}

/* v: the n blocks that say that they are this room's, in order. */
static void
repair_history(struct lnt_zone *z, uint32_t room, const struct entry *v,
               size_t n)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    bool whole = is_whole(r, v, n);
    uint64_t first = r->begin / LNT_BLOCK_DATA, last;

    r->block_first = r->block_last = r->blocks = r->kept = 0;
    if (!whole) {
        if (r->begin < r->end)
            r->lost_seq = z->map->seq; /* cannot be; but never wrong */
        r->end = lnt_kept_whole(r->begin > r->end ? r->begin : r->end);
        r->begin = r->end;
    } else {
        for (size_t i = 0; i < n; i++) {
            lnt_block_at(z, v[i].node)->count = 0;
            if (v[i].order >= first)
                lnt_kept_link(z, room, v[i].node);
        }
        recount(z, r);
    }
    /* Once more, with only those that are needed. */
    r->block_first = r->block_last = r->blocks = 0;
    last = r->kept ? (r->end - 1) / LNT_BLOCK_DATA : 0;
    for (size_t i = 0; i < n; i++) {
        if (r->kept && v[i].order >= first && v[i].order <= last) {
            lnt_kept_link(z, room, v[i].node);
            z->map->parts.blocks.used++;
        } else {
            free_block(z, v[i].node);
        }
    }
    lnt_kept_settle(z, room);
}

static void
repair_blocks(struct lnt_zone *z)
{
    struct lnt_zone_pool *p = &z->map->parts.blocks;
    uint32_t rooms = z->map->parts.rooms.fresh;
    struct entry *v = lnt_malloc(p->fresh * sizeof(*v));
    size_t n = 0, at = 0;

    lnt_pool_reset(p);
    for (uint32_t i = p->fresh - 1; i > 0; i--) {
        const struct lnt_zone_block *b = lnt_block_at(z, i);

        if (b->room && lnt_room_at(z, b->room)->state == LNT_NODE_USED)
            v[n++] = (struct entry){b->order, b->room, i};
        else
            free_block(z, i);
    }
    qsort(v, n, sizeof(*v), compare);
    for (uint32_t room = 1; room < rooms; room++) {
        size_t from = at;

        while (at < n && v[at].room == room)
            at++;
        if (lnt_room_at(z, room)->state == LNT_NODE_USED)
            repair_history(z, room, v + from, at - from);
    }
    free(v);
}

/* ---- the whole ---- */

static void
repair_cells(struct lnt_zone *z)
{
    for (unsigned i = 0; i < lnt_cells_of(z); i++) {
        uint64_t *word = &z->map->cells_used[i / 64];
        uint64_t bit = UINT64_C(1) << i % 64;

        if (lnt_cell_state(lnt_cell_at(z, i)) == LNT_CELL_FREE)
            __atomic_and_fetch(word, ~bit, __ATOMIC_SEQ_CST);
        else
            __atomic_or_fetch(word, bit, __ATOMIC_SEQ_CST);
        lnt_waker_reads(z, i);
    }
}

/* Makes all tables again. */
static void
rebuild(struct lnt_zone *z)
{
    uint32_t rooms = z->map->parts.rooms.fresh;

    lnt_undo_stop(z);
    z->map->rebuilds++;
    repair_log(z);
    lnt_journal_undo(z);
    repair_users(z);
    repair_rooms(z);
    lnt_creators_repair(z);
    repair_members(z);
    repair_blocks(z);
    lnt_visits_repair(z);
    for (uint32_t room = 1; room < rooms; room++) {
        if (lnt_room_at(z, room)->state == LNT_NODE_USED)
            lnt_room_settle(z, room);
    }
}

void
lnt_zone_repair(struct lnt_zone *z)
{
    const uint64_t start = lnt_clock_us();
    const size_t size = z->undo_size;
    bool undone = lnt_undo_apply(z);

    if (undone)
        repair_log(z);
    else
        rebuild(z);
    repair_cells(z);
    z->map->repairs++;
    z->undo_size = size;
    lnt_undo_begin(z);
    z->map->undo_head = 0;
    lnt_undo_commit(z);
    LNT_ZONE_STEP(z);
    lnt_journal_finish(z);
    lnt_wakers_all(z);
    lnt_log_warn("the zone was repaired in %llu us%s: a process died while "
                 "changing it",
                 (unsigned long long)(lnt_clock_us() - start),
                 undone ? "" : ", its tables were made again");
}
