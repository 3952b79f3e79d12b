/*
 * The workers of the server as their cells in the zone show them.
 */
#ifndef LNT_STATUS_WORKERS_H
#define LNT_STATUS_WORKERS_H

#include <stdint.h>

struct lnt_cell;
struct lnt_module_ctx;
struct lnt_zone;

/* The next worker that is there, at or behind *at (start with 0); NULL. */
const struct lnt_cell *lnt_status_next(struct lnt_zone *z, unsigned *at);

/* A counter of another process: read once, never torn. */
static inline uint64_t
lnt_status_load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Seconds since the server started. */
uint64_t lnt_status_uptime(const struct lnt_module_ctx *m);

#endif
