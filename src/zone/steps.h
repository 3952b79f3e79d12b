/*
 * Changes of rooms and members that take several steps, and what has to be
 * done about one that was interrupted.  Private to the zone; all of it under
 * the lock.
 */
#ifndef LNT_ZONE_STEPS_H
#define LNT_ZONE_STEPS_H

#include "zone/map.h"

/* The room of that name, created if it is new; another one may be evicted for
   it.  0 with *e: ENOSPC, EDQUOT, EUSERS, or ENOENT when by is NULL. */
uint32_t lnt_room_take(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                       const struct lnt_creator *by, int *e);
/* To be called when a member, a hold or the history is gone, or one has come:
   frees a room that nothing keeps. */
void lnt_room_settle(struct lnt_zone *z, uint32_t room);
/* Frees the room that lnt_creator_victim names, history and all.  false when
   there is none. */
bool lnt_room_evict(struct lnt_zone *z, uint32_t except, bool quota);

/* Links a node by what it says of itself, behind all others; counts it. */
void lnt_member_link(struct lnt_zone *z, uint32_t member);

/* Makes user a member; with the event unless the room then has more than
   announce_max members.  The node, or 0 when the table is full. */
uint32_t lnt_member_join(struct lnt_zone *z, uint32_t user, uint32_t room,
                         uint64_t origin, unsigned announce_max);
/* Ends it; told: with the event.  The room may be gone afterwards. */
void lnt_member_leave(struct lnt_zone *z, uint32_t member, uint64_t origin,
                      bool told);
/* listens: the cell's process also subscribes to the room. */
uint32_t lnt_member_hold(struct lnt_zone *z, uint32_t room, unsigned cell,
                         uint32_t incarnation, bool listens);
void lnt_member_unhold(struct lnt_zone *z, uint32_t member);

/* Gives the user another nick, which nobody has, and tells its rooms. */
void lnt_user_rename(struct lnt_zone *z, uint32_t user, struct lnt_str nick,
                     unsigned announce_max);

/* After a crash, before the tables are rebuilt: a nick that was being changed
   is what it was. */
void lnt_journal_undo(struct lnt_zone *z);
/* And when they have been rebuilt: ends what was going on. */
void lnt_journal_finish(struct lnt_zone *z);

#endif
