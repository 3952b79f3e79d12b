/*
 * Taking over from an older binary: the new master's half of an upgrade
 * (upgrade.h is the old one's).
 */
#ifndef LNT_PROC_TAKEOVER_H
#define LNT_PROC_TAKEOVER_H

struct lnt_master;
struct lnt_strbuf;

/* In the environment: the descriptor of the socket to the old master. */
#define LNT_TAKEOVER_ENV "LINNET_HANDOVER"

/*
 * Takes what the old master hands over into m (inherited, zone, doorbells,
 * generation number), if there is one.  0, or -1 with why.
 */
int lnt_takeover_receive(struct lnt_master *m, struct lnt_strbuf *why);
/* Tells the old master why this binary does not start, if there is one.  m may
   be NULL as long as nothing has been received. */
void lnt_takeover_refuse(struct lnt_master *m, const char *why);
/* We serve: the old master may go. */
void lnt_takeover_done(struct lnt_master *m);

#endif
