/*
 * Writing into the ring, and walking back in it.  Private to the zone.
 */
#ifndef LNT_ZONE_RING_H
#define LNT_ZONE_RING_H

#include "zone/map.h"

/*
 * Appends e, for the room of that index (0: none), and to that room's history
 * if it has LNT_EVENT_HISTORY; e->room is set.  Under the lock.  e->time_us is
 * the caller's, and moved so that times do not run against the order.
 */
void lnt_ring_append(struct lnt_zone *z, uint32_t room, struct lnt_event *e);

/* The head of the record at position, copied out; false when it is gone.
   Never locks. */
bool lnt_ring_head(const struct lnt_zone *z, uint64_t position,
                   struct lnt_zone_record *r);
/* The same with its data (r->len bytes, room for a multiple of 8). */
bool lnt_ring_copy(const struct lnt_zone *z, uint64_t position,
                   struct lnt_zone_record *r, char *data);

/* ---- for repair and check, under the lock ---- */

/* Position behind the record or pad at position. */
uint64_t lnt_ring_next(const struct lnt_zone *z, uint64_t position);
/* The record whose head may lie past the end of the log. */
void lnt_ring_peek(const struct lnt_zone *z, uint64_t position,
                   struct lnt_zone_record *r);

#endif
