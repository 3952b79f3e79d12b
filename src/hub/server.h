/*
 * The whole server as its workers' statistics show it: for modules that tell
 * operators (status).
 */
#ifndef LNT_HUB_SERVER_H
#define LNT_HUB_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/stats.h"
#include "zone/types.h"

struct lnt_hub;

enum lnt_worker_state {
    LNT_WORKER_STARTING,
    LNT_WORKER_READY, /* takes connections */
    LNT_WORKER_DRAINING,
};

/* One worker, of this generation or of one that drains. */
struct lnt_worker_info {
    uint32_t slot, incarnation, generation;
    int32_t pid;
    enum lnt_worker_state state;
    const struct lnt_stats *stats; /* changes while it is read */
};

/* The next worker at or behind *at (start with 0); false: there are no more. */
bool lnt_hub_worker_next(const struct lnt_hub *h, unsigned *at,
                         struct lnt_worker_info *w);
/* The sums over the whole server, of workers that are gone, too. */
void lnt_hub_counters(struct lnt_hub *h, uint64_t sums[LNT_COUNTERS]);
/* Lines of the log that any of its processes has lost. */
uint64_t lnt_hub_log_lost(const struct lnt_hub *h);
/* The seq of the last record in the log. */
uint64_t lnt_hub_head(const struct lnt_hub *h);
/* How full the shared memory is. */
void lnt_hub_usage(struct lnt_hub *h, struct lnt_zone_usage *u);
/* What the store's process tells; changes while it is read. */
const struct lnt_store_state *lnt_hub_store(const struct lnt_hub *h);

#endif
