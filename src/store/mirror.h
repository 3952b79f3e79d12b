/*
 * The mirror: makes a store hold what the rooms of a zone keep, and a new zone
 * hold what a store has.
 *
 * The log says which rooms have something new; what is written is then taken
 * from their histories.  So a room that many talk in costs no more than what it
 * keeps, and a log that was overwritten before it was read loses nothing.
 *
 * The store drops what is too old or too many by a room's settings, and nothing
 * else: a room that the zone has evicted, or of which it keeps less for want of
 * memory, stays in the store as it was ("parked").  When it is used again, what
 * is new comes behind the old.  Only of rooms that are parked there may be too
 * many.
 */
#ifndef LNT_STORE_MIRROR_H
#define LNT_STORE_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lnt_mirror;
struct lnt_strbuf;
struct lnt_zone;

struct lnt_mirror *lnt_mirror_new(struct lnt_zone *z, const char *path);
/* How many rooms that are not in the zone the store keeps; 0: no limit. */
void lnt_mirror_limit(struct lnt_mirror *m, uint64_t rooms);
/* Without writing anything more. */
void lnt_mirror_free(struct lnt_mirror *m);

/* These return 0, or -1 with why. */

/* Into a zone that nobody has used yet.  The store may be another's still. */
int lnt_mirror_load(struct lnt_mirror *m, struct lnt_strbuf *why);
/* Closes the file that load or open has opened. */
void lnt_mirror_let_go(struct lnt_mirror *m);
/*
 * From now on nobody else writes the store.  It must be new, or of this zone,
 * or of the one that this zone's history was loaded from.
 */
int lnt_mirror_open(struct lnt_mirror *m, struct lnt_strbuf *why);

/* Whether the log has anything that the last sync did not see. */
bool lnt_mirror_behind(const struct lnt_mirror *m);
/*
 * Writes what is new; with all, looks at every room, and parks those that are
 * no longer in the zone.  After a failure the next call opens the file
 * again and makes up for it.
 */
int lnt_mirror_sync(struct lnt_mirror *m, bool all, struct lnt_strbuf *why);
/* The last one; lets go of the file.  ended: nobody publishes any more, so the
   next server may go on where this one was. */
int lnt_mirror_finish(struct lnt_mirror *m, bool ended, struct lnt_strbuf *why);

#endif
