/*
 * Another binary takes over: the old master's half (takeover.h is the new
 * one's).
 *
 * The old master starts the new binary with one end of a socketpair (named in
 * LINNET_HANDOVER) and sends through it the listening sockets, the zone and
 * the doorbells.  The new one starts its workers; when all serve it says
 * TAKEN, and the old master lets its own drain and ends.  If the new one ends
 * before that, the old one goes on as if nothing had happened, and tells why
 * it ended: those who asked, and the log.
 */
#ifndef LNT_MASTER_UPGRADE_H
#define LNT_MASTER_UPGRADE_H

#include <stdbool.h>

struct lnt_child;
struct lnt_master;

/* An upgrade, which m->changes.now is.  It fails with a binary that cannot keep
   the zone, unless new_zone: that may make a new one. */
void lnt_upgrade_begin(struct lnt_master *m, bool new_zone);
/* The new binary, or the test of one, has ended. */
void lnt_upgrade_ended(struct lnt_master *m, const struct lnt_child *c);
/* Closes the channel to the newer master when all of our workers have ended, for
   which it waits. */
void lnt_upgrade_step(struct lnt_master *m);
/* Gives it up, if one goes on. */
void lnt_upgrade_cancel(struct lnt_master *m, const char *why);

#endif
