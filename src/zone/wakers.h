/*
 * Whom a record concerns.  Private to the zone; all of it under the lock.
 */
#ifndef LNT_ZONE_WAKERS_H
#define LNT_ZONE_WAKERS_H

#include "zone/map.h"

/* A node has come (member, hold or listener): its room wakes its cell, if that
   subscribes by it. */
void lnt_waker_add(struct lnt_zone *z, uint32_t member);
/* All rooms of the user wake that cell, too. */
void lnt_wakers_move(struct lnt_zone *z, uint32_t user, unsigned cell);
/* The room wakes nobody. */
void lnt_wakers_clear(struct lnt_zone *z, uint32_t room);
/* Says in map->readers whether the cell is one that is rung for every record:
   to be called when it was taken. */
void lnt_waker_reads(struct lnt_zone *z, unsigned cell);

/* This process is about to append e for the room of that index (0: none), and
   the log will end at end. */
void lnt_wakers_concern(struct lnt_zone *z, uint32_t room,
                        const struct lnt_event *e, uint64_t end);
/* It has to ring everybody. */
void lnt_wakers_all(struct lnt_zone *z);

#endif
