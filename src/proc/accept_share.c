/*
 * The share: a worker takes connections as long as it has no more than the
 * sibling with the fewest, plus an eighth.  Exact for the first few, loose
 * enough for thousands not to be handed around; looser where they come and go,
 * for then it is not worth a turn of a sibling who gets the next one.
 */
#include "proc/accept_share.h"

#include "hub/zone.h"
#include "os/clock.h"
#include "os/memory.h"

enum {
    LOOK_BACK = 100, /* ms */
    SLACK_MAX = 64,
};

struct view {
    int fewest_cell;   /* -1: no sibling is accepting */
    uint64_t fewest;   /* its connections */
    uint64_t accepted; /* of all siblings, ever */
};

static struct view
look(const struct lnt_accept_share *s)
{
    struct view v = {.fewest_cell = -1};
    uint32_t seen = 1;
    for (unsigned i = 0; i < LNT_CELLS && seen < s->siblings; i++) {
        const struct lnt_cell *c = lnt_zone_cell(s->zone, i);
        if (i == s->cell || lnt_cell_state(c) != LNT_CELL_READY ||
            c->generation != s->generation)
            continue;
        uint64_t n = __atomic_load_n(&c->stats.connections, __ATOMIC_RELAXED);
        seen++;
        v.accepted += __atomic_load_n(&c->stats.counters[LNT_C_ACCEPTED],
                                      __ATOMIC_RELAXED);
        if (v.fewest_cell < 0 || n < v.fewest) {
            v.fewest_cell = (int)i;
            v.fewest = n;
        }
    }
    return v;
}

/* An eighth of the connections that we lose in the time we look back. */
static unsigned
slack(struct lnt_accept_share *s, const struct lnt_stats *mine)
{
    uint64_t passed = lnt_clock_ms() - s->since;
    if (passed < LOOK_BACK)
        return s->slack;
    uint64_t gone = mine->counters[LNT_C_CLOSED] - s->closed;
    uint64_t n = gone * LOOK_BACK / passed / 8;
    s->slack = n < SLACK_MAX ? (unsigned)n : SLACK_MAX;
    s->since += passed;
    s->closed += gone;
    return s->slack;
}

static unsigned
share(void *arg)
{
    struct lnt_accept_share *s = arg;
    struct view v = look(s);
    if (v.fewest_cell < 0)
        return UINT32_MAX;
    const struct lnt_stats *stats = &lnt_zone_cell(s->zone, s->cell)->stats;
    uint64_t mine = __atomic_load_n(&stats->connections, __ATOMIC_RELAXED);
    uint64_t allowed = v.fewest + v.fewest / 8 + 1 + slack(s, stats);
    return mine < allowed ? (unsigned)(allowed - mine) : 0;
}

static void
pass(void *arg)
{
    const struct lnt_accept_share *s = arg;
    struct view v = look(s);
    if (v.fewest_cell < 0)
        return;
    struct lnt_cell *c = lnt_zone_cell(s->zone, (unsigned)v.fewest_cell);
    /* The order of a publish: the word first, then the look whether it
       sleeps. */
    __atomic_store_n(&c->hint, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&c->asleep, 0, __ATOMIC_SEQ_CST))
        lnt_eventfd_ring(s->doorbells[v.fewest_cell]);
}

static uint64_t
progress(void *arg)
{
    return look(arg).accepted;
}

struct lnt_accept_policy
lnt_accept_share_policy(struct lnt_accept_share *s)
{
    struct lnt_accept_policy p = {.arg = s};
    if (s->siblings > 1) {
        p.share = share;
        p.pass = pass;
        p.progress = progress;
    }
    return p;
}
