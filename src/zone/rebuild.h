/*
 * Masks of wakers over all rooms.  Private to the zone.
 */
#ifndef LNT_ZONE_REBUILD_H
#define LNT_ZONE_REBUILD_H

#include <stdint.h>

struct lnt_zone;

/* No room wakes the cell any more, whose process of that incarnation is gone and
   has neither users nor holds.  0, or -1 with EBUSY. */
int lnt_wakers_sweep(struct lnt_zone *z, unsigned cell, uint32_t incarnation);

#endif
