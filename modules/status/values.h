/*
 * Values that both pages show.
 */
#ifndef LNT_STATUS_VALUES_H
#define LNT_STATUS_VALUES_H

#include <stdint.h>

struct lnt_module_ctx;

/* A counter of another process: read once, never torn. */
static inline uint64_t
lnt_status_load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* Seconds since the server started. */
uint64_t lnt_status_uptime(const struct lnt_module_ctx *m);

#endif
