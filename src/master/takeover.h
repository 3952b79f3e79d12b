/*
 * Taking over from an older binary: the new master's half of an upgrade
 * (upgrade.h is the old one's).
 *
 * The old master demands that its zone is kept, unless the operator has said
 * --new-zone: it hands over LNT_TAKEOVER_KEEP before the zone.  A zone that
 * cannot be kept is then the end of the upgrade, before anything is touched; so
 * is one whose lock is not to be had, in any case.
 * Without the demand (release 0.1.0 did not know it) a new zone is made.
 */
#ifndef LNT_MASTER_TAKEOVER_H
#define LNT_MASTER_TAKEOVER_H

struct lnt_master;
struct lnt_strbuf;

/* In the environment: the descriptor of the socket to the old master. */
#define LNT_TAKEOVER_ENV "LINNET_HANDOVER"

/* The demand that the zone is kept.  Release 0.1.0 does not know it and exits
   with status 1, without a reason. */
#define LNT_TAKEOVER_KEEP "must keep-zone"

/* In TAKEN: the zone is kept; anything else says why not.  Release 0.1.0, which
   never keeps it, says nothing. */
#define LNT_TAKEOVER_KEPT "kept"

/* What a refusal that follows from it goes on with. */
#define LNT_TAKEOVER_HINT                                                      \
    "to upgrade with a new zone, say \"linnet ctl upgrade --new-zone\": that " \
    "disconnects all clients in rooms (they are asked to come back), and "     \
    "history that is not in a store is lost"

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
