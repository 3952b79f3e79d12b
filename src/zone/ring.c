/*
 * The ring: records in one order, written under the lock, read without it.
 *
 * Positions are bytes since the beginning of time; head and tail are the ends.
 * A writer moves the tail past what it is going to overwrite, writes, and then
 * commits by moving the head.  A reader copies a record out and then looks at
 * the tail: if it has passed the record, what was copied may be of two records
 * and is thrown away.  All bytes of the ring are written and read as atomic
 * words, so a torn copy is possible, but never a data race.
 */
#include "zone/ring.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "zone/blocks.h"
#include "zone/undo.h"
#include "zone/wakers.h"

enum {
    WORD = sizeof(uint64_t),
    HEAD = sizeof(struct lnt_zone_record),
    STRIDE = 4096,           /* the tail moves by at least so much */
    BACKWARDS_MAX = 1000000, /* µs */
};

_Static_assert(HEAD % WORD == 0, "records begin at words");
_Static_assert(offsetof(struct lnt_zone_record, seq) == WORD,
               "pads are one word");

static uint64_t
align(uint64_t n)
{
    return (n + WORD - 1) & ~(uint64_t)(WORD - 1);
}

static uint64_t *
word_at(const struct lnt_zone *z, uint64_t position)
{
    return (uint64_t *)(void *)(z->ring + (position & z->ring_mask));
}

/* ---- words ---- */

static void
store_words(uint64_t *to, const char *from, size_t n)
{
    uint64_t word;

    for (; n >= WORD; n -= WORD, from += WORD) {
        memcpy(&word, from, WORD);
        __atomic_store_n(to++, word, __ATOMIC_RELAXED);
    }
    if (n > 0) {
        word = 0;
        memcpy(&word, from, n);
        __atomic_store_n(to, word, __ATOMIC_RELAXED);
    }
}

/* Up to a multiple of the word. */
static void
load_words(char *to, const uint64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i += WORD) {
        uint64_t word = __atomic_load_n(from++, __ATOMIC_RELAXED);
        memcpy(to + i, &word, WORD);
    }
}

/* Whether the bytes at position were still there when they were copied. */
static bool
still_there(const struct lnt_zone *z, uint64_t position)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&z->map->tail, __ATOMIC_RELAXED) <= position;
}

/* ---- writing ---- */

/* A head as this binary knows it, of a record whose first word is in r: a shorter
   one leaves what it lacks 0. */
static void
load_head(const struct lnt_zone *z, uint64_t position,
          struct lnt_zone_record *r)
{
    if (r->head >= HEAD) {
        load_words((char *)r, word_at(z, position), HEAD);
    } else {
        memset((char *)r + r->head, 0, HEAD - r->head);
        load_words((char *)r, word_at(z, position), r->head);
    }
}

void
lnt_ring_peek(const struct lnt_zone *z, uint64_t position,
              struct lnt_zone_record *r)
{
    load_words((char *)r, word_at(z, position), WORD);
    load_head(z, position, r);
}

uint64_t
lnt_ring_next(const struct lnt_zone *z, uint64_t position)
{
    struct lnt_zone_record r;

    load_words((char *)&r, word_at(z, position), WORD);
    return position + (r.kind ? r.head + align(r.len) : r.len);
}

/* Makes the bytes up to end free to be overwritten. */
static void
move_tail(struct lnt_zone *z, uint64_t end)
{
    struct lnt_zone_map *map = z->map;
    uint64_t tail = map->tail, past;

    if (end - tail <= map->ring_size)
        return;
    past = end - map->ring_size + STRIDE;
    if (past > map->head)
        past = map->head;
    while (tail < past)
        tail = lnt_ring_next(z, tail);
    __atomic_store_n(&map->tail, tail, __ATOMIC_RELAXED);
    /* Who sees any word written from here on sees this tail, too. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    LNT_ZONE_STEP(z);
}

/* Times follow the order, unless the clock was set back. */
static void
set_time(struct lnt_zone_map *map, struct lnt_event *e)
{
    if (e->time_us < map->time_us && map->time_us - e->time_us < BACKWARDS_MAX)
        e->time_us = map->time_us;
    map->time_us = e->time_us;
}

static void
write_record(struct lnt_zone *z, uint64_t at, uint64_t prev,
             const struct lnt_event *e)
{
    const struct lnt_zone_record r = {
        .len = (uint32_t)e->data.n,
        .kind = e->kind,
        .flags = (uint8_t)e->flags,
        .head = HEAD,
        .seq = e->seq,
        .time_us = e->time_us,
        .origin = e->origin,
        .target = e->target,
        .prev = prev,
        .app = e->app,
        .room = e->room,
    };

    store_words(word_at(z, at), (const char *)&r, HEAD);
    store_words(word_at(z, at) + HEAD / WORD, e->data.p, e->data.n);
    LNT_ZONE_STEP(z);
}

/* Fills the ring up to its end. */
static void
write_pad(struct lnt_zone *z, uint64_t at, uint64_t n)
{
    const struct lnt_zone_record pad = {.len = (uint32_t)n};

    store_words(word_at(z, at), (const char *)&pad, WORD);
    LNT_ZONE_STEP(z);
}

/* The last steps.  In this order repair can tell how far they went, and what the
   room said before. */
static void
commit(struct lnt_zone *z, struct lnt_zone_room *r, uint64_t at, uint64_t end,
       uint64_t seq)
{
    struct lnt_zone_map *map = z->map;

    map->room_seq = r ? r->last_seq : 0;
    LNT_ZONE_STEP(z);
    map->last = at;
    LNT_ZONE_STEP(z);
    if (r) {
        r->last_seq = seq;
        LNT_ZONE_STEP(z);
        r->last = at;
        LNT_ZONE_STEP(z);
    }
    __atomic_store_n(&map->seq, seq, __ATOMIC_RELEASE);
    LNT_ZONE_STEP(z);
    map->undo_head = end;
    LNT_ZONE_STEP(z);
    __atomic_store_n(&map->head, end, __ATOMIC_RELEASE);
    LNT_ZONE_STEP(z);
    lnt_undo_commit(z);
    map->undo_head = 0;
    LNT_ZONE_STEP(z);
}

void
lnt_ring_append(struct lnt_zone *z, uint32_t room, struct lnt_event *e)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_room *r = room ? lnt_room_at(z, room) : NULL;
    uint64_t at = map->head, need = HEAD + align(e->data.n);
    uint64_t left = map->ring_size - (at & z->ring_mask);
    uint64_t pad = left < need ? left : 0;

    e->seq = map->seq + 1;
    e->room = room ? lnt_room_number(z, room) : LNT_ROOM_NONE;
    set_time(map, e);
    move_tail(z, at + pad + need);
    if (pad > 0)
        write_pad(z, at, pad);
    at += pad;
    write_record(z, at, r ? r->last : 0, e);
    if (r && (e->flags & LNT_EVENT_HISTORY))
        lnt_kept_add(z, room, e);
    lnt_wakers_concern(z, room, e, at + need);
    commit(z, r, at, at + need, e->seq);
}

/* ---- reading, without the lock ---- */

bool
lnt_ring_head(const struct lnt_zone *z, uint64_t position,
              struct lnt_zone_record *r)
{
    if (position >= __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE))
        return false;
    load_words((char *)r, word_at(z, position), WORD);
    if (!still_there(z, position))
        return false;
    load_head(z, position, r);
    return still_there(z, position);
}

bool
lnt_ring_copy(const struct lnt_zone *z, uint64_t position,
              struct lnt_zone_record *r, char *data)
{
    uint32_t len = r->len;

    load_words(data, word_at(z, position) + r->head / WORD, len);
    return still_there(z, position);
}

uint64_t
lnt_zone_end(const struct lnt_zone *z)
{
    return __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE);
}

uint64_t
lnt_zone_lag(const struct lnt_zone *z, const struct lnt_cursor *c)
{
    return lnt_zone_end(z) - c->position;
}

bool
lnt_zone_pending(const struct lnt_zone *z, const struct lnt_cursor *c)
{
    return lnt_zone_end(z) != c->position;
}

bool
lnt_zone_is_place(const struct lnt_zone *z, uint64_t position, uint64_t seq)
{
    uint64_t head = __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE);
    struct lnt_zone_record r;

    /* At the end of the ring there is a pad before the record. */
    for (int i = 0; i < 2 && position < head; i++) {
        uint64_t left = z->ring_mask + 1 - (position & z->ring_mask);

        if (position % WORD != 0)
            return false;
        load_words((char *)&r, word_at(z, position), WORD);
        if (!still_there(z, position))
            return true;
        if (r.kind == 0) {
            if (r.len != left)
                return false;
            position += left;
            continue;
        }
        if (left < LNT_RECORD_HEAD)
            return false;
        load_head(z, position, &r);
        return !still_there(z, position) || r.seq == seq + 1;
    }
    return position == head;
}

static enum lnt_read
lapped(const struct lnt_zone *z, struct lnt_cursor *c)
{
    /* Head before seq: what lies between is read as if it were new. */
    c->position = __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE);
    c->seq = __atomic_load_n(&z->map->seq, __ATOMIC_ACQUIRE);
    return LNT_READ_LAPPED;
}

static void
fill(struct lnt_event *e, const struct lnt_zone_record *r, const char *data)
{
    e->seq = r->seq;
    e->time_us = r->time_us;
    e->origin = r->origin;
    e->target = r->target;
    e->app = r->app;
    e->room = r->room;
    e->kind = r->kind;
    e->flags = r->flags;
    e->data = lnt_str(data, r->len);
}

/* Goes to the next record, over pads, and loads the first word of its head.
   LAPPED: what is there has been overwritten. */
static enum lnt_read
next_record(const struct lnt_zone *z, struct lnt_cursor *c, uint64_t head,
            struct lnt_zone_record *r)
{
    for (;;) {
        if (c->position == head)
            return LNT_READ_NONE;
        load_words((char *)r, word_at(z, c->position), WORD);
        if (!still_there(z, c->position))
            return LNT_READ_LAPPED;
        if (r->kind)
            return LNT_READ_ONE;
        c->position += r->len;
    }
}

enum lnt_read
lnt_zone_read(struct lnt_zone *z, struct lnt_cursor *c, struct lnt_event *e)
{
    struct lnt_zone_record r;
    uint64_t head = __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE);
    enum lnt_read got = next_record(z, c, head, &r);
    size_t room;

    if (got != LNT_READ_ONE)
        return got == LNT_READ_NONE ? got : lapped(z, c);
    room = align(r.len);
    if (c->cap < room) {
        c->scratch = lnt_realloc(c->scratch, room * 2);
        c->cap = room * 2;
    }
    load_head(z, c->position, &r);
    load_words(c->scratch, word_at(z, c->position) + r.head / WORD, room);
    if (!still_there(z, c->position))
        return lapped(z, c);
    c->position += r.head + room;
    c->seq = r.seq;
    fill(e, &r, c->scratch);
    return LNT_READ_ONE;
}

enum lnt_read
lnt_zone_pass(struct lnt_zone *z, struct lnt_cursor *c, struct lnt_wanted *w)
{
    uint64_t head = __atomic_load_n(&z->map->head, __ATOMIC_ACQUIRE);
    struct lnt_zone_record r;
    struct lnt_event e;

    for (;;) {
        enum lnt_read got = next_record(z, c, head, &r);

        if (got != LNT_READ_ONE)
            return got;
        load_head(z, c->position, &r);
        if (!still_there(z, c->position))
            return LNT_READ_LAPPED;
        fill(&e, &r, NULL);
        if (w->fn(w->arg, &e))
            return LNT_READ_ONE;
        if (w->left == 0)
            return LNT_READ_NONE;
        w->left--;
        c->position += r.head + align(r.len);
        c->seq = r.seq;
    }
}
