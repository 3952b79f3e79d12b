/*
 * The share: a worker takes connections as long as it has no more than the
 * sibling with the fewest, plus an eighth.  Exact for the first few, loose
 * enough for thousands not to be handed around; looser where they come and go,
 * for then it is not worth a turn of a sibling who gets the next one.
 *
 * A sibling that does not come when it is asked is not waited for until it
 * does, or for a moment; the share is then one of those who are there.
 */
#include "net/accept_share.h"

#include "os/clock.h"
#include "os/memory.h"

enum {
    LOOK_BACK = 100, /* ms */
    SLACK_MAX = 64,
    AWAY = 500, /* ms */
};

struct view {
    int fewest_cell;   /* -1: no sibling is there to accept */
    uint64_t fewest;   /* its connections */
    uint64_t accepted; /* of all siblings, ever */
};

static uint64_t
accepted_by(const struct lnt_cell *c)
{
    return __atomic_load_n(&c->stats.counters[LNT_C_ACCEPTED],
                           __ATOMIC_RELAXED);
}

static bool
is_asked(const struct lnt_cell *c)
{
    return __atomic_load_n(&c->hint, __ATOMIC_SEQ_CST) != 0;
}

static bool
is_away(struct lnt_accept_away *a, const struct lnt_cell *c)
{
    if (a->until == 0)
        return false;
    if (accepted_by(c) != a->accepted || (a->deaf && !is_asked(c)) ||
        lnt_clock_ms() >= a->until)
        a->until = 0;
    return a->until != 0;
}

static struct view
look(struct lnt_accept_share *s)
{
    struct view v = {.fewest_cell = -1};
    uint32_t seen = 1;
    for (unsigned i = 0; i < lnt_zone_cells(s->zone) && seen < s->siblings;
         i++) {
        const struct lnt_cell *c = lnt_zone_cell(s->zone, i);
        if (i == s->cell || lnt_cell_state(c) != LNT_CELL_READY ||
            c->generation != s->generation)
            continue;
        uint64_t n = __atomic_load_n(&c->stats.connections, __ATOMIC_RELAXED);
        seen++;
        v.accepted += accepted_by(c);
        if (is_away(&s->away[i], c))
            continue;
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

unsigned
lnt_accept_allowed(struct lnt_accept_share *s)
{
    if (s->siblings <= 1)
        return UINT32_MAX;
    struct view v = look(s);
    if (v.fewest_cell < 0)
        return UINT32_MAX;
    const struct lnt_stats *stats = &lnt_zone_cell(s->zone, s->cell)->stats;
    uint64_t mine = __atomic_load_n(&stats->connections, __ATOMIC_RELAXED);
    uint64_t allowed = v.fewest + v.fewest / 8 + 1 + slack(s, stats);
    return mine < allowed ? (unsigned)(allowed - mine) : 0;
}

struct lnt_accept_asked
lnt_accept_pass(struct lnt_accept_share *s)
{
    struct view v = look(s);
    struct lnt_accept_asked asked = {v.fewest_cell, v.accepted};
    if (v.fewest_cell < 0)
        return asked;
    struct lnt_cell *c = lnt_zone_cell(s->zone, (unsigned)v.fewest_cell);
    /* The order of a publish: the word first, then the look whether it
       sleeps. */
    __atomic_store_n(&c->hint, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&c->asleep, 0, __ATOMIC_SEQ_CST))
        lnt_eventfd_ring(s->doorbells[v.fewest_cell]);
    return asked;
}

/* That one did not look; or it did, but nobody took anything, twice (it has no
   descriptors, say; the first time it may have been waiting for another one).
   If others did, it may have come too late for them. */
void
lnt_accept_still_waits(struct lnt_accept_share *s,
                       struct lnt_accept_asked asked)
{
    if (asked.cell < 0)
        return;
    const struct lnt_cell *c = lnt_zone_cell(s->zone, (unsigned)asked.cell);
    struct lnt_accept_away *a = &s->away[asked.cell];
    uint64_t accepted = accepted_by(c);
    bool deaf = is_asked(c);
    if (!deaf && look(s).accepted != asked.accepted)
        return;
    bool is_new = !deaf && !(a->warned && a->accepted == accepted);
    *a = (struct lnt_accept_away){.until = is_new ? 0 : lnt_clock_ms() + AWAY,
                                  .accepted = accepted,
                                  .deaf = deaf,
                                  .warned = is_new};
}
