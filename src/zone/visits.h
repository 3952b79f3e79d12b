/*
 * Visits: connections that count for their address.  Private to the zone; all
 * of it under the lock.
 */
#ifndef LNT_ZONE_VISITS_H
#define LNT_ZONE_VISITS_H

#include <stdint.h>

struct lnt_network;
struct lnt_zone;

/* 0, or EUSERS (there are max), ENOSPC. */
int lnt_visit_add(struct lnt_zone *z, const struct lnt_network *net,
                  unsigned cell, uint64_t max, uint32_t *visit);
void lnt_visit_end(struct lnt_zone *z, uint32_t visit);
void lnt_visits_repair(struct lnt_zone *z);

#endif
