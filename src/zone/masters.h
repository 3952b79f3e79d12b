/*
 * Masters that use the zone, and derived state.  Private to the zone.
 */
#ifndef LNT_ZONE_MASTERS_H
#define LNT_ZONE_MASTERS_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_strbuf;
struct lnt_zone;

/* This process becomes a master of the zone: derived state that it does not
   maintain is not used any more.  0, or -1 with a text in why: EBUSY, the lock
   was not to be had; EPROTO, there are too many. */
int lnt_masters_enter(struct lnt_zone *z, struct lnt_strbuf *why);
/* It ends.  Nothing happens in another process, as one that was forked. */
void lnt_masters_leave(struct lnt_zone *z);
/* Whether every live process maintains that feature.  Under the lock. */
bool lnt_masters_agree(struct lnt_zone *z, uint64_t feature);

#endif
