/*
 * Another binary takes over: the old master's half (takeover.h is the new
 * one's).
 *
 * The old master starts the new binary with one end of a socketpair (named in
 * LINNET_HANDOVER) and sends through it the listening sockets, the zone and
 * the doorbells.  The new one starts its workers; when all serve it says
 * TAKEN, and the old master lets its own drain and ends.  If the new one ends
 * before that, the old one goes on as if nothing had happened, and tells why
 * it ended: the asker, and the log.
 */
#ifndef LNT_MASTER_UPGRADE_H
#define LNT_MASTER_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

struct lnt_asker;
struct lnt_master;

/* The asker (or NULL) hears how it ended; so does the log.  One that cannot
   come to a good end is refused before anything is touched.  So is one to a
   binary that cannot keep the zone, unless new_zone: it may make a new one then.
   While an upgrade waits, it may if anyone who asked for it said so. */
void lnt_upgrade_start(struct lnt_master *m, bool new_zone,
                       struct lnt_asker *a);
/* A child that is no worker has ended; false: not ours either. */
bool lnt_upgrade_reap(struct lnt_master *m, pid_t pid, int status);
/* Starts the one that waits; closes the channel to the newer master when all
   of our workers have ended, for which it waits. */
void lnt_upgrade_next(struct lnt_master *m);
void lnt_upgrade_cancel(struct lnt_master *m, const char *why);

#endif
