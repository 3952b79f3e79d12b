/*
 * Another binary takes over: the old master's half and the new one's.
 *
 * The old master starts the new binary with one end of a socketpair (named in
 * LINNET_HANDOVER) and sends through it the listening sockets, the zone and
 * the doorbells.  The new one starts its workers; when all serve it says
 * TAKEN, and the old master lets its own drain and ends.  If the new one ends
 * before that, the old one goes on as if nothing had happened.
 */
#ifndef LNT_PROC_UPGRADE_H
#define LNT_PROC_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

struct lnt_asker;
struct lnt_master;
struct lnt_strbuf;

void lnt_upgrade_start(struct lnt_master *m, struct lnt_asker *a);
/* A child that is no worker has ended; false: not ours either. */
bool lnt_upgrade_reap(struct lnt_master *m, pid_t pid, int status);
/* Starts the one that waits; lets the newer master know when nothing of ours
   moves to it any more. */
void lnt_upgrade_next(struct lnt_master *m);
void lnt_upgrade_cancel(struct lnt_master *m, const char *why);

/*
 * In the new binary: takes what the old master hands over into m (inherited,
 * zone, doorbells, generation number), if there is one.  0, or -1 with why.
 */
int lnt_upgrade_receive(struct lnt_master *m, struct lnt_strbuf *why);
/* We serve: the old master may go. */
void lnt_upgrade_taken(struct lnt_master *m);

#endif
