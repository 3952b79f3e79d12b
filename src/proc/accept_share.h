/*
 * How a worker knows its share of the connections: from the cells of its
 * siblings in the zone.
 */
#ifndef LNT_PROC_ACCEPT_SHARE_H
#define LNT_PROC_ACCEPT_SHARE_H

#include <stdint.h>

#include "net/listener.h"

struct lnt_zone;

struct lnt_accept_share {
    struct lnt_zone *zone;
    const int *doorbells;
    unsigned cell;
    uint32_t generation, siblings;
    /* Our own: how many connections came to an end of late. */
    uint64_t since, closed; /* clock, and the counter at that time */
    unsigned slack;
};

/* A policy over s, which must outlive it. */
struct lnt_accept_policy lnt_accept_share_policy(struct lnt_accept_share *s);

#endif
