/*
 * Creators: rooms counted by where they come from, and which room is evicted
 * first.  Private to the zone; all of it under the lock.
 */
#ifndef LNT_ZONE_CREATORS_H
#define LNT_ZONE_CREATORS_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_creator;
struct lnt_zone;

/* Whether one more room may be created: 0, or EDQUOT (the session has created
   too many), EUSERS (its network has). */
int lnt_creator_check(struct lnt_zone *z, const struct lnt_creator *by);
/* The idle room of that network that is evicted first, so that it can create
   another one; 0: none of its rooms is idle. */
uint32_t lnt_creator_own(struct lnt_zone *z, const struct lnt_creator *by);
/* Fills the room's fields that name its creator; the room node was taken and is
   not used yet. */
void lnt_creator_name(struct lnt_zone *z, uint32_t room,
                      const struct lnt_creator *by);
/* Counts the room that has become used, and one that is used no more. */
void lnt_creator_add(struct lnt_zone *z, uint32_t room);
void lnt_creator_remove(struct lnt_zone *z, uint32_t room);
/* The room has no member or hold any more, or has one again. */
void lnt_creator_idle(struct lnt_zone *z, uint32_t room);
void lnt_creator_busy(struct lnt_zone *z, uint32_t room);

/*
 * The idle room that is evicted next: of the creator with most idle rooms; of
 * those the ones whose sessions had created most; of those the one that has
 * been idle for the longest time.  Not the room except; with quota, only a room
 * that has one.  0: there is none, or none is found in a bounded search.
 */
uint32_t lnt_creator_victim(const struct lnt_zone *z, uint32_t except,
                            bool quota);

/* The same for all rooms of a creator, in every run of the server: tells nobody
   what it is.  Never 0. */
uint64_t lnt_creator_id(const struct lnt_zone *z, uint32_t creator);

/* Makes all of it again from the rooms, none of which is idle then. */
void lnt_creators_repair(struct lnt_zone *z);

#endif
