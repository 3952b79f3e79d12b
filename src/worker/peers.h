/*
 * The counting of connections by address: the zone's tables as net/ wants them.
 */
#ifndef LNT_WORKER_PEERS_H
#define LNT_WORKER_PEERS_H

#include "net/peers.h"

struct lnt_config;
struct lnt_zone;

struct lnt_peer_counter {
    struct lnt_zone *zone;
    unsigned cell;
    struct lnt_peers peers;
};

/* For a worker of that cell; c must stay where it is. */
void lnt_peer_counter_init(struct lnt_peer_counter *c, struct lnt_zone *zone,
                           unsigned cell, const struct lnt_config *config);

#endif
