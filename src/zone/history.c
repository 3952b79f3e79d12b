/*
 * History for those outside: what rooms keep, and reading it back.  Long
 * answers are copied in several locked sections, so that nobody waits for
 * long; where messages are kept is left to blocks.c.
 */
#include <errno.h>
#include <string.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/strbuf.h"
#include "os/clock.h"
#include "zone/blocks.h"
#include "zone/creators.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/ring.h"
#include "zone/steps.h"
#include "zone/undo.h"

enum {
    COPY = 32 * 1024, /* bytes copied in one locked section */
    EVICT = 256,      /* rooms that may have to go for another */
    WALK = 64 * 1024, /* records looked at on the way back in the log */
    ROOMS_AT_ONCE = 64,
    LEAP = 1024 * 1024, /* seqs left out where some may have been lost */
};

/* Whether rooms without members have enough quota for this one to get
   blocks. */
static bool
others_have(const struct lnt_zone *z, uint32_t room, uint32_t blocks)
{
    const struct lnt_zone_map *map = z->map;
    const struct lnt_zone_room *r = lnt_room_at(z, room);
    uint64_t all = (uint64_t)map->reserved - r->quota + blocks;

    return all - map->idle_quota + (r->idle ? r->quota : 0) <=
           map->parts.blocks.max;
}

/* -1 when the quota cannot be promised. */
static int
set_keep(struct lnt_zone *z, uint32_t room, const struct lnt_keep *keep)
{
    uint32_t blocks = keep->count ? lnt_kept_blocks(keep->bytes) : 0;
    struct lnt_zone_room *r = lnt_room_at(z, room);
    int e;

    LNT_UNDO_SAVE(z, r);
    r->keep_count = keep->count;
    r->keep_age = keep->age_s;
    r->told = 1;
    e = lnt_kept_reserve(z, room, blocks);
    if (e == 0 || !others_have(z, room, blocks))
        return e;
    for (int n = 0; e < 0 && n < EVICT && lnt_room_evict(z, room, true); n++) {
        lnt_undo_commit(z);
        e = lnt_kept_reserve(z, room, blocks);
    }
    return e;
}

int
lnt_zone_keep(struct lnt_zone *z, uint32_t room, const struct lnt_keep *keep)
{
    uint32_t i;
    int e = 0;

    lnt_zone_lock(z);
    i = lnt_room_index(z, room);
    if (i) {
        e = set_keep(z, i, keep);
        lnt_kept_trim(z, i, lnt_clock_wall_us());
        lnt_room_settle(z, i);
    }
    lnt_zone_unlock(z);
    if (i && e == 0)
        return 0;
    errno = i ? ENOSPC : ENOENT;
    return -1;
}

void
lnt_zone_sweep(struct lnt_zone *z)
{
    const struct lnt_zone_pool *p = &z->map->parts.rooms;
    uint64_t now = lnt_clock_wall_us();
    uint32_t i = 1, n;

    do {
        if (lnt_zone_lock_soon(z) < 0)
            return;
        for (n = 0; n < ROOMS_AT_ONCE && i < p->fresh; n++, i++) {
            if (lnt_room_at(z, i)->state != LNT_NODE_USED)
                continue;
            if (lnt_room_at(z, i)->kept > 0)
                lnt_kept_trim(z, i, now);
            lnt_room_settle(z, i);
            lnt_undo_commit(z);
        }
        lnt_zone_unlock(z);
    } while (n > 0);
}

/* ---- copies ---- */

static size_t
padded(uint32_t len)
{
    return LNT_KEPT_HEAD + lnt_kept_align(len);
}

/* There is room for it in out. */
static void
copy_kept(const struct lnt_zone *z, struct lnt_kept_at at,
          struct lnt_strbuf *out)
{
    const struct lnt_zone_kept *k = lnt_kept_head(z, at);
    size_t n = padded(k->len);
    char *to = out->p + out->n;

    memset(to + n - 8, 0, 8);
    memset(to, 0, LNT_KEPT_HEAD);
    memcpy(to, k, k->head < LNT_KEPT_HEAD ? k->head : LNT_KEPT_HEAD);
    lnt_kept_data(z, at, to + LNT_KEPT_HEAD);
    out->n += n;
    out->p[out->n] = '\0';
}

/* What is being read, from section to section. */
struct reading {
    struct lnt_strbuf *out;
    size_t start;           /* what was in out before */
    uint64_t since, before; /* seqs, both left out */
    uint64_t oldest_us;     /* older ones are left out */
    unsigned left;
    unsigned count;
    size_t room;   /* reserved in out */
    size_t want;   /* to be reserved, for the next message */
    uint64_t lost; /* the room's lost_seq when it began */
};

/*
 * Copies messages from at on as long as there is room.  false: that was all.
 */
static bool
copy_some(const struct lnt_zone *z, struct lnt_kept_at at, struct reading *r)
{
    size_t used = 0;

    for (; at.block && r->left > 0; at = lnt_kept_next(z, at)) {
        const struct lnt_zone_kept *k = lnt_kept_head(z, at);

        if (k->seq >= r->before)
            return false;
        if (k->time_us >= r->oldest_us) {
            r->want = padded(k->len);
            if (used + r->want > r->room)
                return true;
            used += r->want;
            copy_kept(z, at, r->out);
            r->count++;
        }
        r->since = k->seq;
        r->left--;
    }
    return false;
}

static void
forget_copied(struct reading *r)
{
    r->out->n = r->start;
    r->count = 0;
}

static void
make_space(struct reading *r)
{
    r->room = r->want > COPY ? r->want : COPY;
    lnt_strbuf_reserve(r->out, r->room);
}

unsigned
lnt_zone_history(struct lnt_zone *z, uint32_t room, uint64_t before,
                 unsigned limit, struct lnt_strbuf *out)
{
    struct reading r = {
        .out = out, .start = out->n, .before = before, .left = limit};
    uint64_t now = lnt_clock_wall_us(), age;
    bool more = true;

    while (more) {
        uint32_t i;

        make_space(&r);
        lnt_zone_lock(z);
        i = lnt_room_index(z, room);
        age = i ? (uint64_t)lnt_room_at(z, i)->keep_age * 1000000 : 0;
        r.oldest_us = age && age < now ? now - age : 0;
        if (i && r.since == 0)
            r.lost = lnt_room_at(z, i)->lost_seq;
        /* What follows on what was copied is gone meanwhile: no hole. */
        if (i && r.lost < lnt_room_at(z, i)->lost_seq &&
            r.since < lnt_room_at(z, i)->lost_seq)
            forget_copied(&r);
        more = i && copy_some(z,
                              r.since == 0 ? lnt_kept_back(z, i, before, limit)
                                           : lnt_kept_since(z, i, r.since),
                              &r);
        lnt_zone_unlock(z);
    }
    return r.count;
}

int
lnt_zone_kept(struct lnt_zone *z, uint32_t room, struct lnt_kept *k)
{
    uint32_t i;

    *k = (struct lnt_kept){0};
    lnt_zone_lock(z);
    i = lnt_room_index(z, room);
    if (i) {
        const struct lnt_zone_room *r = lnt_room_at(z, i);

        k->keep.count = r->keep_count;
        k->keep.age_s = r->keep_age;
        k->keep.bytes = (uint64_t)r->quota * LNT_BLOCK_DATA;
        k->count = r->kept;
        k->lost = r->lost_seq;
        k->creator = lnt_creator_id(z, r->creator);
        k->told = r->told;
        k->configured = r->configured;
        if (r->kept > 0) {
            k->first = lnt_kept_head(z, lnt_kept_first(z, i))->seq;
            k->last = r->kept_seq;
        }
    }
    lnt_zone_unlock(z);
    if (i)
        return 0;
    errno = ENOENT;
    return -1;
}

unsigned
lnt_zone_kept_after(struct lnt_zone *z, uint32_t room, uint64_t seq, size_t max,
                    struct lnt_strbuf *out)
{
    struct reading r = {.out = out,
                        .start = out->n,
                        .since = seq,
                        .before = UINT64_MAX,
                        .left = UINT32_MAX};
    bool more = true;

    while (more && out->n - r.start < max) {
        uint32_t i;

        make_space(&r);
        lnt_zone_lock(z);
        i = lnt_room_index(z, room);
        more = i && copy_some(z, lnt_kept_since(z, i, r.since), &r);
        lnt_zone_unlock(z);
    }
    return r.count;
}

/* ---- what was missed ---- */

/* From the room's history; false when that does not have all of it. */
static bool
since_kept(struct lnt_zone *z, uint32_t room, struct reading *r)
{
    bool more = true, whole = true;

    while (more && whole) {
        uint32_t i;

        make_space(r);
        lnt_zone_lock(z);
        i = lnt_room_index(z, room);
        whole = i && r->since >= lnt_room_at(z, i)->lost_seq;
        if (whole)
            more = copy_some(z, lnt_kept_since(z, i, r->since), r);
        lnt_zone_unlock(z);
        whole = whole && r->out->n - r->start <= LNT_SINCE_MAX;
    }
    return whole;
}

/*
 * Positions of the room's messages behind since in the log, newest first.
 * false: the way back is cut, or too long.
 */
static bool
walk_back(const struct lnt_zone *z, uint64_t position, const struct reading *r,
          struct lnt_strbuf *found)
{
    struct lnt_zone_record rec;
    unsigned n = 0;

    for (unsigned steps = 0; position != 0; steps++) {
        if (steps == WALK || !lnt_ring_head(z, position, &rec))
            return false;
        if (rec.seq <= r->since)
            break;
        if ((rec.flags & LNT_EVENT_HISTORY) && rec.seq < r->before) {
            if (++n > r->left)
                return false;
            lnt_strbuf_add(found, &position, sizeof(position));
        }
        position = rec.prev;
    }
    return true;
}

static bool
copy_record(const struct lnt_zone *z, uint64_t position, struct reading *r)
{
    struct lnt_zone_record rec;
    struct lnt_zone_kept k = {0};
    char *to;
    size_t n;

    if (!lnt_ring_head(z, position, &rec))
        return false;
    k.len = rec.len;
    k.kind = rec.kind;
    k.flags = rec.flags;
    k.head = LNT_KEPT_HEAD;
    k.seq = rec.seq;
    k.time_us = rec.time_us;
    k.origin = rec.origin;
    n = padded(rec.len);
    to = lnt_strbuf_reserve(r->out, n);
    memcpy(to, &k, LNT_KEPT_HEAD);
    if (!lnt_ring_copy(z, position, &rec, to + LNT_KEPT_HEAD))
        return false;
    r->out->n += n;
    r->out->p[r->out->n] = '\0';
    r->count++;
    return true;
}

/* From the log, without the lock. */
static bool
since_log(struct lnt_zone *z, uint32_t room, struct reading *r)
{
    struct lnt_strbuf found = LNT_STRBUF_INIT;
    uint64_t position = 0, at;
    bool whole = false;
    uint32_t i;

    lnt_zone_lock(z);
    i = lnt_room_index(z, room);
    if (i && r->since >= lnt_room_at(z, i)->born_seq &&
        r->since <= z->map->seq) {
        whole = true;
        position = lnt_room_at(z, i)->last;
    }
    lnt_zone_unlock(z);
    whole = whole && walk_back(z, position, r, &found);
    for (size_t n = found.n; whole && n > 0; n -= sizeof(at)) {
        memcpy(&at, found.p + n - sizeof(at), sizeof(at));
        whole = copy_record(z, at, r) && r->out->n - r->start <= LNT_SINCE_MAX;
    }
    lnt_strbuf_release(&found);
    return whole;
}

bool
lnt_zone_since(struct lnt_zone *z, uint32_t room, uint64_t since,
               uint64_t before, unsigned limit, struct lnt_strbuf *out,
               unsigned *count)
{
    const struct reading start = {.out = out,
                                  .start = out->n,
                                  .since = since,
                                  .before = before,
                                  .left = limit};
    struct reading r = start;
    bool whole;

    /* One more than the limit, to see that there are too many. */
    if (limit < UINT32_MAX)
        r.left++;
    whole = since <= lnt_zone_head(z) && since_kept(z, room, &r);
    if (!whole) {
        r = start;
        forget_copied(&r);
        whole = since_log(z, room, &r);
    }
    whole = whole && r.count <= limit;
    *count = whole ? r.count : 0;
    if (!whole) {
        forget_copied(&r);
        if (out->p)
            out->p[out->n] = '\0';
    }
    return whole;
}

bool
lnt_zone_kept_next(struct lnt_str *rest, struct lnt_event *e)
{
    struct lnt_zone_kept k;

    if (rest->n < LNT_KEPT_HEAD)
        return false;
    memcpy(&k, rest->p, LNT_KEPT_HEAD);
    if (rest->n < padded(k.len))
        return false;
    *e = (struct lnt_event){
        .seq = k.seq,
        .time_us = k.time_us,
        .origin = k.origin,
        .room = LNT_ROOM_NONE,
        .kind = k.kind,
        .flags = k.flags,
        .data = {rest->p + LNT_KEPT_HEAD, k.len},
    };
    rest->p += padded(k.len);
    rest->n -= padded(k.len);
    return true;
}

/* ---- a former zone's history ---- */

void
lnt_zone_continue(struct lnt_zone *z, uint64_t epoch, uint64_t seq, bool whole)
{
    lnt_zone_lock(z);
    lnt_assert(z->map->seq == 0);
    LNT_UNDO_SAVE(z, &z->map->epoch);
    LNT_UNDO_SAVE(z, &z->map->seq);
    LNT_UNDO_SAVE(z, &z->map->whole_seq);
    z->map->epoch = epoch;
    z->map->seq = whole ? seq : seq + LEAP;
    z->map->whole_seq = whole ? 0 : z->map->seq;
    lnt_zone_unlock(z);
}

static uint64_t
higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A room that was evicted from the former zone, or never fitted into it, has what
   others leave. */
static uint32_t
spare_room(struct lnt_zone *z, uint32_t room, const struct lnt_keep *keep)
{
    if (lnt_kept_reserve(z, room, lnt_kept_blocks(keep->bytes)) == 0)
        return room;
    lnt_room_settle(z, room);
    return 0;
}

/* Nobody is in it, as it says at once: what others have to give up for it is
   committed while it has no message yet. */
static uint32_t
new_room(struct lnt_zone *z, uint32_t room, const struct lnt_keep *keep,
         bool parked)
{
    if (parked)
        lnt_room_at(z, room)->rank = LNT_RANKS - 1;
    lnt_creator_idle(z, room);
    return parked ? spare_room(z, room, keep) : room;
}

/* The room as it was before message seq. */
static uint32_t
old_room(struct lnt_zone *z, uint32_t app, struct lnt_str name,
         const struct lnt_keep *keep, const struct lnt_former *f, uint64_t seq)
{
    const struct lnt_creator by = {
        .prefix = f->creator ? f->creator : lnt_hash(app, name.p, name.n),
        .family = LNT_CREATOR_STORE,
    };
    uint32_t room = lnt_slots_name(z, app, name);
    struct lnt_zone_room *r;
    int e;

    if (!room && (!f->parked || lnt_pool_left(&z->map->parts.rooms) > 0)) {
        room = lnt_room_take(z, app, name, &by, &e);
        if (room)
            room = new_room(z, room, keep, f->parked);
    }
    if (!room)
        return 0;
    r = lnt_room_at(z, room);
    LNT_UNDO_SAVE(z, &r->lost_seq);
    if (r->kept > 0) {
        r->lost_seq = higher(r->lost_seq, f->lost);
        return room;
    }
    /* The first one: it is not known what came before. */
    r->lost_seq = higher(higher(seq - 1, f->lost), z->map->whole_seq);
    /* Without promise it is kept as well as can be. */
    (void)set_keep(z, room, keep);
    return room;
}

int
lnt_zone_restore_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                    const struct lnt_keep *keep, const struct lnt_former *f,
                    const struct lnt_event *e)
{
    uint32_t room;

    if (name.n == 0 || name.n > LNT_ROOM_NAME_MAX || e->seq == 0 ||
        e->seq > lnt_zone_head(z)) {
        errno = EINVAL;
        return -1;
    }
    if (e->data.n > lnt_zone_record_max(z)) {
        errno = EMSGSIZE;
        return -1;
    }
    lnt_zone_lock(z);
    room = old_room(z, app, name, keep, f, e->seq);
    if (room) {
        if (e->seq > lnt_room_at(z, room)->kept_seq)
            lnt_kept_add(z, room, e);
        lnt_room_settle(z, room);
    }
    lnt_zone_unlock(z);
    if (room)
        return 0;
    errno = ENOSPC;
    return -1;
}
