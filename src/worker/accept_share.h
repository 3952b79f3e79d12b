/*
 * How a worker knows its share of the connections: from the cells of its
 * siblings in the zone.
 */
#ifndef LNT_WORKER_ACCEPT_SHARE_H
#define LNT_WORKER_ACCEPT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/listener.h"
#include "zone/zone.h"

struct lnt_accept_share {
    struct lnt_zone *zone;
    const int *doorbells;
    unsigned cell;
    uint32_t generation, siblings;
    /* Our own: how many connections came to an end of late. */
    uint64_t since, closed; /* clock, and the counter at that time */
    unsigned slack;
    /* Siblings that did not come when we asked them. */
    struct lnt_accept_away {
        uint64_t until;    /* clock, 0: not away */
        uint64_t accepted; /* at that time */
        bool deaf;         /* had not even looked */
        bool warned;       /* looked in vain; the next time it is away */
    } away[LNT_CELLS];
};

/* A policy over s, which must outlive it. */
struct lnt_accept_policy lnt_accept_share_policy(struct lnt_accept_share *s);

#endif
