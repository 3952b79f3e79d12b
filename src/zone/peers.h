/*
 * Connections by address, for the other files of the zone.  Private to it.
 */
#ifndef LNT_ZONE_PEERS_H
#define LNT_ZONE_PEERS_H

#include <stdint.h>

struct lnt_zone;

/* The worker of that incarnation is gone, and its connections with it; locks.  0,
   or -1 with EBUSY: not all of them yet. */
int lnt_peers_sweep(struct lnt_zone *z, uint32_t incarnation);

#endif
