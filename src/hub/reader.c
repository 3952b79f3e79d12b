/*
 * Reading the log: what concerns somebody here goes to fanout.c, all else is
 * passed over without being copied.  That may be most of it: a worker is not
 * woken for rooms of others, so it finds them all when it is woken.
 */
#include "hub/reader.h"

#include <stdlib.h>

#include "core/log.h"
#include "hub/fanout.h"
#include "hub/subs.h"
#include "hub/unwake.h"
#include "net/stats.h"
#include "os/clock.h"

enum {
    TURN_RECORDS = 512, /* read in one turn, at most */
    TURN_BYTES = 1024 * 1024,
    TURN_PASSED = 8192,         /* passed over in one turn, at most */
    FAR = 4096,                 /* bytes in front of us that are worth a lock */
    SCRATCH_KEEP = 1024 * 1024, /* more is given back after a turn */
    WARN_INTERVAL = 60000,      /* ms */
};

void
lnt_reader_init(struct lnt_reader *r)
{
    lnt_zone_cursor_init(r->zone, &r->cursor);
    r->ahead = (struct lnt_ahead){.known = false};
    r->warn_again = 0;
}

void
lnt_reader_release(struct lnt_reader *r)
{
    free(r->cursor.scratch);
}

/* Subscribers that joined before seq get it. */
static void
reach(struct lnt_reader *r, uint64_t seq)
{
    if (lnt_subs_waiting(r->subs) > seq)
        return;
    lnt_fanout_flush(r->fanout);
    lnt_subs_reach(r->subs, seq);
}

static void
lapped(struct lnt_reader *r)
{
    uint64_t now = lnt_clock_ms();

    lnt_count(r->stats, LNT_C_LAPPED);
    if (now >= r->warn_again) {
        lnt_log_warn("the log was overwritten before this worker had read it; "
                     "a larger zone_size gives it more time");
        r->warn_again = now + WARN_INTERVAL;
    }
    lnt_fanout_flush(r->fanout);
    lnt_fanout_gap(r->fanout);
}

static bool
concerns_us(void *arg, const struct lnt_event *e)
{
    struct lnt_reader *r = arg;

    if (lnt_fanout_wants(r->fanout, e)) {
        /* Whether anybody here is in one of several rooms is not known yet. */
        if (!(e->flags & LNT_EVENT_SPREAD))
            lnt_unwake_heard(r->unwake);
        return true;
    }
    if (e->room != LNT_ROOM_NONE)
        lnt_unwake_passed(r->unwake, e->room);
    return false;
}

/* Much lies in front of us only when we have slept, or are slow: then all of it
   may concern us, and the lock is taken a few times more. */
static void
jump(struct lnt_reader *r)
{
    if (lnt_zone_lag(r->zone, &r->cursor) < FAR)
        return;
    lnt_zone_jump(r->zone, r->cell_index, &r->cursor, &r->ahead);
    lnt_fanout_passed(r->fanout, r->cursor.seq);
}

void
lnt_reader_moved(struct lnt_reader *r)
{
    uint64_t head = r->cursor.position + lnt_zone_lag(r->zone, &r->cursor);

    if (r->ahead.base < head)
        r->ahead.base = head;
}

/* Reads and queues a part of the log. */
static void
read_log(struct lnt_reader *r)
{
    struct lnt_wanted wanted = {concerns_us, r, TURN_PASSED};
    struct lnt_event e;
    size_t bytes = 0;

    jump(r);

    for (int n = 0; n < TURN_RECORDS && bytes < TURN_BYTES; n++) {
        if (lnt_zone_pass(r->zone, &r->cursor, &wanted) == LNT_READ_NONE)
            return;
        switch (lnt_zone_read(r->zone, &r->cursor, &e)) {
        case LNT_READ_NONE:
            return;
        case LNT_READ_LAPPED:
            lapped(r);
            break;
        case LNT_READ_ONE:
            reach(r, e.seq);
            lnt_fanout_event(r->fanout, &e);
            bytes += e.data.n;
            break;
        }
    }
}

/* Others may want to know. */
static void
tell_position(const struct lnt_reader *r)
{
    __atomic_store_n(&r->cell->position, r->cursor.position, __ATOMIC_RELAXED);
}

void
lnt_reader_turn(struct lnt_reader *r)
{
    lnt_subs_begin(r->subs);
    read_log(r);
    lnt_fanout_flush(r->fanout);
    lnt_subs_end(r->subs);
    lnt_subs_reach(r->subs, r->cursor.seq + 1);
    tell_position(r);
    if (r->cursor.cap > SCRATCH_KEEP) {
        free(r->cursor.scratch);
        r->cursor.scratch = NULL;
        r->cursor.cap = 0;
    }
}

void
lnt_reader_pass(struct lnt_reader *r)
{
    struct lnt_wanted wanted = {concerns_us, r, TURN_PASSED};

    jump(r);
    /* If it was lapped, that is found once more in the next turn. */
    (void)lnt_zone_pass(r->zone, &r->cursor, &wanted);
    tell_position(r);
}
