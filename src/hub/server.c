/*
 * The whole server, read from the zone.
 */
#include "hub/server.h"

#include "hub/state.h"

static enum lnt_worker_state
state_of(const struct lnt_cell *c)
{
    switch ((enum lnt_cell_state)lnt_cell_state(c)) {
    case LNT_CELL_READY:
        return LNT_WORKER_READY;
    case LNT_CELL_DRAINING:
        return LNT_WORKER_DRAINING;
    case LNT_CELL_STARTING:
    case LNT_CELL_FREE:
        break;
    }
    return LNT_WORKER_STARTING;
}

bool
lnt_hub_worker_next(const struct lnt_hub *h, unsigned *at,
                    struct lnt_worker_info *w)
{
    while (*at < lnt_zone_cells(h->zone)) {
        const struct lnt_cell *c = lnt_zone_cell(h->zone, (*at)++);

        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c))
            continue;
        *w = (struct lnt_worker_info){
            .slot = c->slot,
            .incarnation = c->incarnation,
            .generation = c->generation,
            .pid = c->pid,
            .state = state_of(c),
            .stats = &c->stats,
        };
        return true;
    }
    return false;
}

void
lnt_hub_counters(struct lnt_hub *h, uint64_t sums[LNT_COUNTERS])
{
    lnt_zone_counters(h->zone, sums);
}

uint64_t
lnt_hub_log_lost(const struct lnt_hub *h)
{
    return __atomic_load_n(lnt_zone_log_lost(h->zone), __ATOMIC_RELAXED);
}

uint64_t
lnt_hub_head(const struct lnt_hub *h)
{
    return lnt_zone_head(h->zone);
}

void
lnt_hub_usage(struct lnt_hub *h, struct lnt_zone_usage *u)
{
    lnt_zone_usage(h->zone, u);
}

const struct lnt_store_state *
lnt_hub_store(const struct lnt_hub *h)
{
    return lnt_zone_store(h->zone);
}
