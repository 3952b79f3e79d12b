/*
 * Tables of nodes and hash tables over them.  Private to the zone; all of it
 * under the lock.
 */
#ifndef LNT_ZONE_POOL_H
#define LNT_ZONE_POOL_H

#include "zone/map.h"

static inline uint32_t
lnt_pool_left(const struct lnt_zone_pool *p)
{
    return p->max - p->used;
}

/* A node's index, 0 when all are used.  Its state is the caller's. */
uint32_t lnt_pool_take(struct lnt_zone *z, struct lnt_zone_pool *p);
/* Clears a node from that byte on: what lies behind the fields that this binary
   sets, and fields of other releases. */
void lnt_pool_clear(struct lnt_zone *z, const struct lnt_zone_pool *p,
                    uint32_t i, size_t from);
/* Its state is FREE already. */
void lnt_pool_give(struct lnt_zone *z, struct lnt_zone_pool *p, uint32_t i);
/* Forgets what is free; for repair, which gives back every free node below
   fresh one by one with lnt_pool_return, and counts the others. */
void lnt_pool_reset(struct lnt_zone_pool *p);
void lnt_pool_return(struct lnt_zone *z, struct lnt_zone_pool *p, uint32_t i);

enum lnt_slots_kind {
    LNT_SLOTS_NICKS,
    LNT_SLOTS_NAMES,
    LNT_SLOTS_PEERS,
    LNT_SLOTS_ORIGINS,
};

void lnt_slots_add(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i);
void lnt_slots_remove(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i);
/* Empties the table for n nodes to come. */
void lnt_slots_reset(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t n);
/* How many are in the table, up to max + 1; for checks. */
uint32_t lnt_slots_count(struct lnt_zone *z, enum lnt_slots_kind kind,
                         uint32_t max);
uint32_t lnt_slots_nick(struct lnt_zone *z, struct lnt_str nick);
uint32_t lnt_slots_peer(struct lnt_zone *z, const struct lnt_network *net);
uint32_t lnt_slots_name(struct lnt_zone *z, uint32_t app, struct lnt_str name);
uint32_t lnt_slots_origin(struct lnt_zone *z, const struct lnt_creator *by);

#endif
