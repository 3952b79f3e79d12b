/*
 * From a store into a new zone, when a server starts.  What the store says may
 * have been written by anybody who had access to the file: nothing in it is
 * taken for granted.
 */
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "os/clock.h"

#define NUMBER_MAX (UINT64_C(1) << 53) /* epochs and seqs are below */

struct loading {
    struct lnt_store *store;
    struct lnt_zone *zone;
    uint64_t now;
    const struct lnt_store_room *room;
    uint64_t lost;     /* of the room, so far */
    uint64_t messages; /* of the room, that it should keep */
    uint64_t all;      /* the same of all rooms */
};

static int
load_message(void *arg, const struct lnt_event *e, struct lnt_strbuf *why)
{
    struct loading *l = arg;
    const struct lnt_store_room *r = l->room;
    uint64_t age = (uint64_t)r->keep.age_s * 1000000;
    struct lnt_former f;

    if (e->kind < LNT_EVENT_APP || !(e->flags & LNT_EVENT_HISTORY))
        return lnt_store_damaged(l->store, "a message that is none", why);
    if (age > 0 && e->time_us + age < l->now) {
        l->lost = e->seq;
        return 0;
    }
    l->messages++;
    /* None of the configuration is evicted for the sake of others. */
    f.creator = r->configured ? 0 : r->creator;
    f.parked = r->parked && !r->configured;
    f.lost = l->lost;
    if (lnt_zone_restore_by(l->zone, r->app, r->name, &r->keep, &f, e) == 0)
        return 0;
    if (errno == EINVAL)
        return lnt_store_damaged(l->store, "a message without a good seq", why);
    l->lost = e->seq;
    return 0;
}

static int
load_room(void *arg, const struct lnt_store_room *r, struct lnt_strbuf *why)
{
    struct loading *l = arg;

    if (r->name.n == 0 || r->name.n > LNT_ROOM_NAME_MAX)
        return lnt_store_damaged(l->store, "a room without a good name", why);
    l->room = r;
    l->lost = r->lost;
    l->messages = 0;
    if (lnt_store_messages(l->store, r->id, load_message, l, why) < 0)
        return -1;
    /* Those that were not in the last zone either are no news. */
    if (!r->parked)
        l->all += l->messages < r->keep.count ? l->messages : r->keep.count;
    return 0;
}

static int
highest_seq(void *arg, const struct lnt_store_room *r, struct lnt_strbuf *why)
{
    uint64_t *seq = arg;

    (void)why;
    if (*seq < r->last)
        *seq = r->last;
    return 0;
}

static int
load(struct loading *l, struct lnt_strbuf *why)
{
    struct lnt_store_head head;
    uint64_t seq, epoch;

    if (lnt_store_check(l->store, why) < 0 ||
        lnt_store_head(l->store, &head, why) < 0)
        return -1;
    if (head.epoch == 0)
        return 0; /* a new one */
    seq = head.seq;
    if (lnt_store_rooms(l->store, highest_seq, &seq, why) < 0)
        return -1;
    if (head.epoch >= NUMBER_MAX || seq >= NUMBER_MAX)
        return lnt_store_damaged(l->store, "a number that is too large", why);
    /*
     * If that server has not ended in order, it may have told clients of
     * messages that were not written any more.  Its epoch is over then: whoever
     * asks for what came behind them hears that there is a gap, and a seq that
     * is used a second time cannot be mistaken for the first.
     */
    epoch = head.whole ? head.epoch : lnt_zone_epoch(l->zone);
    lnt_zone_continue(l->zone, epoch, seq, true);
    __atomic_store_n(&lnt_zone_store(l->zone)->origin, head.epoch,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&lnt_zone_store(l->zone)->loaded, seq, __ATOMIC_RELAXED);
    return lnt_store_rooms(l->store, load_room, l, why);
}

static void
tell(const struct loading *l)
{
    struct lnt_zone_usage u;

    lnt_zone_usage(l->zone, &u);
    if (u.kept < l->all)
        lnt_log_warn("of %" PRIu64 " messages in the store %" PRIu64
                     " did not fit into the zone; a larger zone_size would "
                     "help",
                     l->all, l->all - u.kept);
    lnt_log_info("%" PRIu64 " messages of %" PRIu64 " rooms from the store",
                 u.kept, u.rooms);
}

int
lnt_store_load(struct lnt_store *s, struct lnt_zone *z, struct lnt_strbuf *why)
{
    struct loading l = {.store = s, .zone = z, .now = lnt_clock_wall_us()};

    if (lnt_store_begin_reading(s, why) < 0 || load(&l, why) < 0 ||
        lnt_store_commit(s, why) < 0)
        return -1;
    tell(&l);
    return 0;
}
