/*
 * Rooms whose records need not wake this worker any more.  Private to the hub.
 */
#ifndef LNT_HUB_UNWAKE_H
#define LNT_HUB_UNWAKE_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_subs;
struct lnt_unwake;
struct lnt_zone;

struct lnt_unwake *lnt_unwake_new(struct lnt_zone *z, struct lnt_subs *subs,
                                  unsigned cell);
void lnt_unwake_free(struct lnt_unwake *u);

/* The doorbell woke this worker. */
void lnt_unwake_rung(struct lnt_unwake *u);
/* A record was read that concerns somebody here; one of that room concerned
   nobody. */
void lnt_unwake_heard(struct lnt_unwake *u);
void lnt_unwake_passed(struct lnt_unwake *u, uint32_t room);
/* Before sleep, when everything has been read.  May publish: a lock that has to
   be repaired does. */
void lnt_unwake_settle(struct lnt_unwake *u);

#endif
