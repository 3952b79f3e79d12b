/*
 * Who moves connections to whom: the master makes the links.
 */
#ifndef LNT_MASTER_MOVES_H
#define LNT_MASTER_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_child;
struct lnt_master;
struct lnt_strbuf;

/* Links every serving worker that is not of the current generation with those
   that are; to be called before the former are told to end. */
void lnt_moves_link(struct lnt_master *m);

/* A worker of the current generation that took the place of one that died:
   those who still give, give to it, too. */
void lnt_moves_link_new(struct lnt_master *m, struct lnt_child *to);
/* Whether connections are still moving to the workers of the current
   generation, from workers of ours or of an older master, or such workers are
   still ending: then the next change waits, so that there are never more than
   two generations. */
bool lnt_moves_going(const struct lnt_master *m);
/*
 * Evens out: when a worker of the current generation has more than 1.25 times
 * the mean, it gives a bounded number of connections to the one with the
 * fewest.  To be called every few seconds.
 */
void lnt_moves_level(struct lnt_master *m);
/*
 * The worker in that slot gives all its connections to the others of its
 * generation and ends; the slot is filled anew.  true, or false with why not.
 */
bool lnt_moves_drain(struct lnt_master *m, struct lnt_str slot,
                     struct lnt_strbuf *why);
/* Replaces workers whose resident memory is over worker_memory. */
void lnt_moves_trim(struct lnt_master *m);

/* An upgrade: the new master's side, which makes the links with those that were
   named to it and sends the old master's ends to that; the old master's side,
   which hands one on.  Workers are named by their incarnation: one that was
   respawned meanwhile has another. */
void lnt_moves_link_older(struct lnt_master *m);
void lnt_moves_forward(struct lnt_master *m, uint32_t incarnation, int fd);

/* The upgrade has failed before any of them was told to give. */
void lnt_moves_cancel(struct lnt_master *m);

#endif
