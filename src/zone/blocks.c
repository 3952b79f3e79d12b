/*
 * History: the kept messages of a room are a stream, cut into blocks of one
 * size that are shared out among the rooms.
 *
 * A room's quota of blocks is promised: the quotas of all rooms together are
 * never more than there are blocks.  Blocks that nobody needs may be used by
 * any room on top of its quota; when a room needs one for its quota and none
 * is free, the room that is longest over its own gives its oldest messages.
 *
 * Of what is newer than lost_seq every message is kept; of older ones some may
 * be.  Settings and reading for others are left to history.c, making it
 * whole after a crash to repair.c.
 */
#include "zone/blocks.h"

#include <string.h>

#include "zone/pool.h"
#include "zone/undo.h"

enum {
    TRIM = 64,  /* messages dropped for their age at once */
    CLEAR = 64, /* blocks given up between two commits */
};

static struct lnt_zone_pool *
pool_of(struct lnt_zone *z)
{
    return &z->map->parts.blocks;
}

uint32_t
lnt_kept_blocks(uint64_t bytes)
{
    uint64_t n = (bytes + LNT_BLOCK_DATA - 1) / LNT_BLOCK_DATA;

    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* ---- to be undone ---- */

/* What a message more or less changes in the room; once a commit if it comes
   first. */
static void
save_stream(struct lnt_zone *z, const struct lnt_zone_room *r)
{
    lnt_undo_save_once(z, &r->begin,
                       offsetof(struct lnt_zone_room, quota) -
                           offsetof(struct lnt_zone_room, begin));
}

/* Its data is only written where none is that counts. */
static void
save_block(struct lnt_zone *z, uint32_t block)
{
    lnt_undo_save(z, lnt_block_at(z, block),
                  offsetof(struct lnt_zone_block, data));
}

/* Neighbours in the list of those over their quota, and who is in it. */
static void
save_over(struct lnt_zone *z, uint32_t room)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);

    LNT_UNDO_SAVE(z, &r->over_next);
    LNT_UNDO_SAVE(z, &r->over_prev);
    LNT_UNDO_SAVE(z, &r->over);
}

/* ---- rooms over their quota ---- */

static void
over_unlink(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_room *r = lnt_room_at(z, room);

    save_over(z, room);
    LNT_UNDO_SAVE(z, &map->over_first);
    LNT_UNDO_SAVE(z, &map->over_last);
    if (r->over_prev) {
        save_over(z, r->over_prev);
        lnt_room_at(z, r->over_prev)->over_next = r->over_next;
    } else {
        map->over_first = r->over_next;
    }
    if (r->over_next) {
        save_over(z, r->over_next);
        lnt_room_at(z, r->over_next)->over_prev = r->over_prev;
    } else {
        map->over_last = r->over_prev;
    }
    r->over = 0;
}

static void
over_append(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_room *r = lnt_room_at(z, room);

    save_over(z, room);
    LNT_UNDO_SAVE(z, &map->over_first);
    LNT_UNDO_SAVE(z, &map->over_last);
    r->over_next = 0;
    r->over_prev = map->over_last;
    if (map->over_last) {
        save_over(z, map->over_last);
        lnt_room_at(z, map->over_last)->over_next = room;
    } else {
        map->over_first = room;
    }
    map->over_last = room;
    r->over = 1;
}

void
lnt_kept_settle(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    bool over = r->blocks > r->quota;

    if (over && !r->over)
        over_append(z, room);
    else if (!over && r->over)
        over_unlink(z, room);
    LNT_ZONE_STEP(z);
}

int
lnt_kept_reserve(struct lnt_zone *z, uint32_t room, uint32_t blocks)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_room *r = lnt_room_at(z, room);

    if (blocks > pool_of(z)->max ||
        map->reserved - r->quota > pool_of(z)->max - blocks)
        return -1;
    LNT_UNDO_SAVE(z, &map->reserved);
    LNT_UNDO_SAVE(z, &map->idle_quota);
    LNT_UNDO_SAVE(z, &r->quota);
    map->reserved += blocks - r->quota;
    if (r->idle)
        map->idle_quota += blocks - r->quota;
    LNT_ZONE_STEP(z);
    r->quota = blocks;
    lnt_kept_settle(z, room);
    return 0;
}

/* ---- blocks of a room ---- */

void
lnt_kept_link(struct lnt_zone *z, uint32_t room, uint32_t block)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_zone_block *b = lnt_block_at(z, block);

    save_stream(z, r);
    b->next = 0;
    b->prev = r->block_last;
    if (r->block_last) {
        LNT_UNDO_SAVE(z, &lnt_block_at(z, r->block_last)->next);
        lnt_block_at(z, r->block_last)->next = block;
    } else {
        r->block_first = block;
    }
    r->block_last = block;
    r->blocks++;
}

/* There is a free one. */
static void
take_block(struct lnt_zone *z, uint32_t room, uint64_t order)
{
    uint32_t i = lnt_pool_take(z, pool_of(z));
    struct lnt_zone_block *b = lnt_block_at(z, i);

    b->order = order;
    b->first_seq = 0;
    b->first = LNT_BLOCK_DATA;
    b->count = 0;
    LNT_ZONE_STEP(z);
    b->room = room;
    LNT_ZONE_STEP(z);
    lnt_kept_link(z, room, i);
    LNT_ZONE_STEP(z);
}

/* Gives up the room's blocks before order. */
static void
free_blocks(struct lnt_zone *z, uint32_t room, uint64_t order)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);

    save_stream(z, r);
    while (r->block_first && lnt_block_at(z, r->block_first)->order < order) {
        uint32_t i = r->block_first;
        struct lnt_zone_block *b = lnt_block_at(z, i);

        save_block(z, i);
        b->room = 0;
        LNT_ZONE_STEP(z);
        r->block_first = b->next;
        if (b->next) {
            LNT_UNDO_SAVE(z, &lnt_block_at(z, b->next)->prev);
            lnt_block_at(z, b->next)->prev = 0;
        } else {
            r->block_last = 0;
        }
        r->blocks--;
        LNT_ZONE_STEP(z);
        lnt_pool_give(z, pool_of(z), i);
    }
    lnt_kept_settle(z, room);
}

/* ---- places ---- */

static struct lnt_zone_kept *
head_at(const struct lnt_zone *z, struct lnt_kept_at at)
{
    return (struct lnt_zone_kept *)(void *)(lnt_block_at(z, at.block)->data +
                                            at.offset);
}

const struct lnt_zone_kept *
lnt_kept_head(const struct lnt_zone *z, struct lnt_kept_at at)
{
    return head_at(z, at);
}

static uint64_t
position(const struct lnt_zone *z, struct lnt_kept_at at)
{
    return lnt_block_at(z, at.block)->order * LNT_BLOCK_DATA + at.offset;
}

uint64_t
lnt_kept_behind(const struct lnt_zone *z, struct lnt_kept_at at)
{
    return lnt_kept_align(position(z, at) + head_at(z, at)->head +
                          head_at(z, at)->len);
}

/* The place of pos, which is in block or one behind it. */
static struct lnt_kept_at
place(const struct lnt_zone *z, uint32_t block, uint64_t pos)
{
    uint64_t order = pos / LNT_BLOCK_DATA;

    while (block && lnt_block_at(z, block)->order < order)
        block = lnt_block_at(z, block)->next;
    return (struct lnt_kept_at){block, (uint32_t)(pos % LNT_BLOCK_DATA)};
}

struct lnt_kept_at
lnt_kept_first(const struct lnt_zone *z, uint32_t room)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);

    if (r->kept == 0)
        return (struct lnt_kept_at){0, 0};
    return place(z, r->block_first, r->begin);
}

struct lnt_kept_at
lnt_kept_next(const struct lnt_zone *z, struct lnt_kept_at at)
{
    uint64_t next = lnt_kept_behind(z, at);

    if (next >= lnt_room_at(z, lnt_block_at(z, at.block)->room)->end)
        return (struct lnt_kept_at){0, 0};
    return place(z, at.block, lnt_kept_fit(next));
}

static struct lnt_kept_at
block_start(const struct lnt_zone *z, uint32_t block)
{
    return (struct lnt_kept_at){block, lnt_block_at(z, block)->first};
}

struct lnt_kept_at
lnt_kept_since(const struct lnt_zone *z, uint32_t room, uint64_t since)
{
    uint32_t block = lnt_room_at(z, room)->block_last, from = 0;
    struct lnt_kept_at at;

    /* Back to the block in which since lies, or to the first. */
    for (; block; block = lnt_block_at(z, block)->prev) {
        if (lnt_block_at(z, block)->count == 0)
            continue;
        from = block;
        if (lnt_block_at(z, block)->first_seq <= since)
            break;
    }
    if (!from)
        return (struct lnt_kept_at){0, 0};
    at = block_start(z, from);
    while (at.block && head_at(z, at)->seq <= since)
        at = lnt_kept_next(z, at);
    return at;
}

struct lnt_kept_at
lnt_kept_back(const struct lnt_zone *z, uint32_t room, uint64_t before,
              unsigned n)
{
    const struct lnt_kept_at none = {0, 0};
    uint32_t block = lnt_room_at(z, room)->block_last;
    struct lnt_kept_at at;
    unsigned found = 0;

    while (block && (lnt_block_at(z, block)->count == 0 ||
                     lnt_block_at(z, block)->first_seq >= before))
        block = lnt_block_at(z, block)->prev;
    if (!block || n == 0)
        return none;
    for (at = block_start(z, block);
         at.block == block && head_at(z, at)->seq < before;
         at = lnt_kept_next(z, at))
        found++;
    uint32_t start = block;
    while (found < n && (block = lnt_block_at(z, block)->prev)) {
        if (lnt_block_at(z, block)->count == 0)
            continue;
        start = block;
        found += lnt_block_at(z, block)->count;
    }
    for (at = block_start(z, start); found > n; found--)
        at = lnt_kept_next(z, at);
    return at;
}

void
lnt_kept_data(const struct lnt_zone *z, struct lnt_kept_at at, char *to)
{
    size_t left = head_at(z, at)->len,
           offset = at.offset + head_at(z, at)->head;

    for (uint32_t i = at.block; left > 0;
         i = lnt_block_at(z, i)->next, offset = 0) {
        size_t n = LNT_BLOCK_DATA - offset;

        if (n > left)
            n = left;
        memcpy(to, lnt_block_at(z, i)->data + offset, n);
        to += n;
        left -= n;
    }
}

/* ---- dropping ---- */

static void
lose(struct lnt_zone_room *r, uint64_t seq)
{
    if (r->lost_seq < seq)
        r->lost_seq = seq;
}

/* Gives up the oldest blocks of a room that has many.  false: it has not, or all
   that is behind them belongs to one message. */
static bool
clear_some(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    uint32_t gone = 0, i = r->block_first;

    if (r->blocks <= CLEAR)
        return false;
    for (int n = 0; n < CLEAR; n++, i = lnt_block_at(z, i)->next)
        gone += lnt_block_at(z, i)->count;
    while (i && lnt_block_at(z, i)->count == 0)
        i = lnt_block_at(z, i)->next;
    if (!i)
        return false;
    save_stream(z, r);
    lose(r, lnt_block_at(z, i)->first_seq - 1);
    LNT_ZONE_STEP(z);
    r->begin = position(z, block_start(z, i));
    LNT_ZONE_STEP(z);
    r->kept -= gone;
    free_blocks(z, room, r->begin / LNT_BLOCK_DATA);
    return true;
}

void
lnt_kept_clear(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);

    while (clear_some(z, room))
        lnt_undo_commit(z);
    save_stream(z, r);
    if (r->kept > 0)
        lose(r, r->kept_seq);
    LNT_ZONE_STEP(z);
    r->begin = lnt_kept_whole(r->end);
    LNT_ZONE_STEP(z);
    r->end = r->begin;
    r->kept = 0;
    free_blocks(z, room, UINT64_MAX);
}

/* The stream is saved. */
static void
drop_oldest(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_kept_at at = lnt_kept_first(z, room), next;
    struct lnt_zone_block *b = lnt_block_at(z, at.block);

    if (r->kept == 1) {
        lnt_kept_clear(z, room);
        return;
    }
    next = lnt_kept_next(z, at);
    save_block(z, at.block);
    lose(r, head_at(z, at)->seq);
    LNT_ZONE_STEP(z);
    r->begin = position(z, next);
    LNT_ZONE_STEP(z);
    r->kept--;
    b->count--;
    if (next.block == at.block) {
        b->first = (uint16_t)next.offset;
        b->first_seq = head_at(z, next)->seq;
    }
    if (lnt_block_at(z, r->block_first)->order < r->begin / LNT_BLOCK_DATA)
        free_blocks(z, room, r->begin / LNT_BLOCK_DATA);
}

void
lnt_kept_trim(struct lnt_zone *z, uint32_t room, uint64_t now_us)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    uint64_t age = (uint64_t)r->keep_age * 1000000;

    if (r->keep_count == 0 || (age && r->kept_time + age < now_us)) {
        lnt_kept_clear(z, room);
        return;
    }
    for (int i = 0; i < TRIM && r->kept > 0; i++) {
        uint64_t time_us = head_at(z, lnt_kept_first(z, room))->time_us;

        if (r->kept <= r->keep_count && (!age || time_us + age >= now_us))
            break;
        save_stream(z, r);
        drop_oldest(z, room);
        lnt_undo_commit(z);
        save_stream(z, r);
    }
}

/* ---- adding ---- */

/*
 * Which room has to give up its oldest message so that room gets want more
 * blocks; 0 none.  alone: what the message needs when it is the only one.
 */
static uint32_t
victim_for(const struct lnt_zone *z, uint32_t room, uint32_t want,
           uint32_t alone)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);
    uint32_t over = z->map->over_first;

    if (r->blocks + want <= r->quota)
        return over;
    /* Beyond its quota it may not be better off than others that are. */
    if (over && over != room &&
        lnt_room_at(z, over)->blocks - lnt_room_at(z, over)->quota >
            r->blocks + want - r->quota)
        return over;
    if (r->kept > 0 &&
        (alone <= r->quota ||
         alone <= r->blocks + lnt_pool_left(&z->map->parts.blocks)))
        return room;
    return 0;
}

static void
rob(struct lnt_zone *z, uint32_t victim)
{
    uint32_t left = lnt_pool_left(pool_of(z));

    save_stream(z, lnt_room_at(z, victim));
    while (lnt_room_at(z, victim)->kept > 0 &&
           lnt_pool_left(pool_of(z)) == left)
        drop_oldest(z, victim);
    if (lnt_room_at(z, victim)->over && z->map->over_last != victim) {
        over_unlink(z, victim);
        LNT_ZONE_STEP(z);
        over_append(z, victim);
    }
    lnt_undo_commit(z);
}

struct span {
    uint64_t start, stop; /* of the stream */
    uint64_t order;       /* of the first block it needs more */
    uint32_t want;        /* how many */
};

static struct span
span_for(const struct lnt_zone *z, const struct lnt_zone_room *r, size_t len)
{
    struct span s;
    uint64_t last;

    s.start = lnt_kept_fit(r->end);
    s.stop = lnt_kept_align(s.start + LNT_KEPT_HEAD + len);
    last = (s.stop - 1) / LNT_BLOCK_DATA;
    s.order = r->block_last ? lnt_block_at(z, r->block_last)->order + 1
                            : s.start / LNT_BLOCK_DATA;
    s.want = last >= s.order ? (uint32_t)(last - s.order + 1) : 0;
    return s;
}

/* Makes room for len bytes: false when there is none to be had. */
static bool
make_room(struct lnt_zone *z, uint32_t room, size_t len, struct span *s)
{
    for (;;) {
        uint32_t victim;

        *s = span_for(z, lnt_room_at(z, room), len);
        if (s->want <= lnt_pool_left(pool_of(z)))
            break;
        if (s->want > pool_of(z)->max)
            return false;
        victim =
            victim_for(z, room, s->want, lnt_kept_blocks(LNT_KEPT_HEAD + len));
        if (!victim)
            return false;
        rob(z, victim);
    }
    if (s->want == 0)
        return true;
    /* They may have been given up just now: nobody gets them back. */
    lnt_undo_commit(z);
    save_stream(z, lnt_room_at(z, room));
    for (uint32_t i = 0; i < s->want; i++)
        take_block(z, room, s->order + i);
    lnt_kept_settle(z, room);
    return true;
}

static void
copy_in(struct lnt_zone *z, struct lnt_kept_at at, struct lnt_str data)
{
    size_t offset = at.offset + LNT_KEPT_HEAD;

    for (uint32_t i = at.block; data.n > 0; i = lnt_block_at(z, i)->next) {
        size_t n = LNT_BLOCK_DATA - offset;

        if (n > data.n)
            n = data.n;
        memcpy(lnt_block_at(z, i)->data + offset, data.p, n);
        data.p += n;
        data.n -= n;
        offset = 0;
    }
}

/* The stream is saved behind each commit in here. */
void
lnt_kept_add(struct lnt_zone *z, uint32_t room, const struct lnt_event *e)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    struct lnt_kept_at at;
    struct span s;
    uint64_t order;

    save_stream(z, r);
    if (r->kept > 0 && r->kept >= r->keep_count)
        drop_oldest(z, room);
    if (r->kept > 0)
        lnt_kept_trim(z, room, e->time_us);
    if (r->keep_count == 0 || !make_room(z, room, e->data.n, &s)) {
        save_stream(z, r);
        lose(r, e->seq);
        return;
    }
    at.block = r->block_last;
    order = s.start / LNT_BLOCK_DATA;
    while (lnt_block_at(z, at.block)->order > order)
        at.block = lnt_block_at(z, at.block)->prev;
    at.offset = (uint32_t)(s.start % LNT_BLOCK_DATA);
    save_block(z, at.block);
    *head_at(z, at) = (struct lnt_zone_kept){
        .len = (uint32_t)e->data.n,
        .kind = e->kind,
        .flags = (uint8_t)e->flags,
        .head = LNT_KEPT_HEAD,
        .seq = e->seq,
        .time_us = e->time_us,
        .origin = e->origin,
    };
    copy_in(z, at, e->data);
    LNT_ZONE_STEP(z);
    if (lnt_block_at(z, at.block)->count++ == 0) {
        lnt_block_at(z, at.block)->first = (uint16_t)at.offset;
        lnt_block_at(z, at.block)->first_seq = e->seq;
    }
    r->kept_time = e->time_us;
    r->kept_seq = e->seq;
    LNT_ZONE_STEP(z);
    r->end = s.stop;
    LNT_ZONE_STEP(z);
    r->kept++;
    LNT_ZONE_STEP(z);
}
