/*
 * Publishing, and whom to wake.  The ring itself is ring.c; reading it
 * needs no lock and is there, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "os/clock.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/ring.h"

/* The numbers of all rooms of the audience, and who is to be woken. */
static void
resolve(struct lnt_zone *z, uint32_t app, const struct lnt_zone_audience *a,
        uint64_t mask[LNT_CELL_WORDS])
{
    memset(mask, 0, LNT_CELL_WORDS * sizeof(*mask));
    for (size_t i = 0; i < a->n; i++) {
        uint32_t room = lnt_slots_name(z, app, a->names[i]);
        uint32_t number = room ? lnt_room_number(z, room) : 0;

        memcpy(a->numbers + i * sizeof(number), &number, sizeof(number));
        for (unsigned w = 0; room && i < a->hear && w < LNT_CELL_WORDS; w++)
            mask[w] |= lnt_room_at(z, room)->wakers[w];
    }
}

/* With the lock held; false: the room is gone. */
static bool
append(struct lnt_zone *z, struct lnt_event *e)
{
    uint32_t room = 0;

    if (e->room != LNT_ROOM_NONE) {
        room = lnt_room_index(z, e->room);
        if (room == 0 || lnt_room_at(z, room)->app != e->app)
            return false;
    }
    lnt_ring_append(z, room, e);
    return true;
}

/* Takes the lock, unless it is too large. */
static int
begin(struct lnt_zone *z, struct lnt_event *e)
{
    lnt_assert(e->kind != 0 && e->flags <= UINT8_MAX);
    if (e->data.n > lnt_zone_record_max(z)) {
        errno = EMSGSIZE;
        return -1;
    }
    e->time_us = lnt_clock_wall_us();
    lnt_zone_lock(z);
    return 0;
}

static int
end(struct lnt_zone *z, bool done)
{
    lnt_zone_unlock(z);
    if (done)
        return 0;
    errno = ENOENT;
    return -1;
}

int
lnt_zone_publish(struct lnt_zone *z, struct lnt_event *e)
{
    return begin(z, e) < 0 ? -1 : end(z, append(z, e));
}

int
lnt_zone_publish_to(struct lnt_zone *z, struct lnt_event *e,
                    const struct lnt_zone_audience *a)
{
    uint64_t mask[LNT_CELL_WORDS];
    bool done;

    if (begin(z, e) < 0)
        return -1;
    resolve(z, e->app, a, mask);
    z->audience = mask;
    done = append(z, e);
    z->audience = NULL;
    return end(z, done);
}

void
lnt_zone_cursor_init(struct lnt_zone *z, struct lnt_cursor *c)
{
    *c = (struct lnt_cursor){0};
    lnt_zone_lock(z);
    c->position = z->map->head;
    c->seq = z->map->seq;
    lnt_zone_unlock(z);
}

bool
lnt_zone_cursor_after(struct lnt_zone *z, struct lnt_cursor *c, uint64_t seq)
{
    struct lnt_cursor from;
    struct lnt_event e = {0};

    lnt_zone_cursor_init(z, c);
    if (c->seq <= seq)
        return c->seq == seq;
    from = (struct lnt_cursor){
        .position = __atomic_load_n(&z->map->tail, __ATOMIC_ACQUIRE)};
    do {
        uint64_t before = from.position;

        if (lnt_zone_read(z, &from, &e) != LNT_READ_ONE || e.seq > seq + 1) {
            free(from.scratch);
            return false;
        }
        if (e.seq == seq + 1)
            from.position = before;
    } while (e.seq < seq);
    from.seq = seq;
    *c = from;
    return true;
}

void
lnt_zone_jump(struct lnt_zone *z, unsigned cell, struct lnt_cursor *c,
              struct lnt_ahead *a)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_concern *first = &map->concerns[cell];

    /* Reading waits for nobody.  What was noted stays for the next time. */
    if (lnt_zone_lock_try(z) < 0)
        return;
    /* What is not maintained any more was not when another master came. */
    if (a->known && a->arrivals == map->arrivals && c->position >= a->base) {
        if (first->position == 0) {
            c->position = map->head;
            c->seq = map->seq;
        } else if (first->position > c->position) {
            c->position = first->position;
            c->seq = first->seq;
        }
    }
    *a = (struct lnt_ahead){
        .known = lnt_zone_maintained(z, LNT_ZONE_F_WAKERS),
        .base = map->head,
        .arrivals = map->arrivals,
    };
    first->position = 0;
    LNT_ZONE_STEP(z);
    lnt_zone_unlock(z);
}

size_t
lnt_zone_sleepers(struct lnt_zone *z, int self, uint8_t *cells)
{
    const struct lnt_unrung unrung = z->unrung;
    size_t n = 0;

    if (!unrung.any)
        return 0;
    z->unrung = (struct lnt_unrung){.any = false};
    LNT_ZONE_STEP(z);
    /* The head is out before we look who sleeps; a sleeper says so before it
       looks at the head once more.  One of the two sees the other. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned w = 0; w < LNT_CELL_WORDS; w++) {
        uint64_t bits =
            __atomic_load_n(&z->map->cells_used[w], __ATOMIC_SEQ_CST);

        if (!unrung.all)
            bits &= unrung.cells[w] |
                    __atomic_load_n(&z->map->readers[w], __ATOMIC_SEQ_CST);
        for (; bits; bits &= bits - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzll(bits);
            uint32_t *asleep = &lnt_cell_at(z, i)->asleep;

            if ((int)i != self && __atomic_load_n(asleep, __ATOMIC_SEQ_CST) &&
                __atomic_exchange_n(asleep, 0, __ATOMIC_SEQ_CST))
                cells[n++] = (uint8_t)i;
        }
    }
    LNT_ZONE_STEP(z);
    return n;
}
