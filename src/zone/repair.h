/*
 * Making the zone whole after a process died in it.  Private to the zone.
 */
#ifndef LNT_ZONE_REPAIR_H
#define LNT_ZONE_REPAIR_H

struct lnt_zone;

/* Under the lock.  Whoever dies in here leaves something to be repaired. */
void lnt_zone_repair(struct lnt_zone *z);

#endif
