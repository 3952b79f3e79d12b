/*
 * The places for workers of one generation: who sits there, and when an empty
 * one is filled again.
 */
#ifndef LNT_MASTER_SLOTS_H
#define LNT_MASTER_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_child;
struct lnt_generation;
struct lnt_master;
struct lnt_slot;

void lnt_slots_make(struct lnt_master *m, struct lnt_generation *g);
/* Spawns into every empty slot.  The first failure ends it: -1 with errno. */
int lnt_slots_fill(struct lnt_master *m, struct lnt_generation *g);
/* The slot of a child in g, or NULL. */
struct lnt_slot *lnt_slots_find(struct lnt_generation *g,
                                const struct lnt_child *c);
/* Its child has ended: spawn again after the delay, which grows from one
   failure to the next and starts anew after 30 s of health. */
void lnt_slot_retry(struct lnt_slot *s, const struct lnt_child *c);
/* Milliseconds to wait for the next try of anything that lived so long, when
   it was before for the last one (0: there was none). */
uint64_t lnt_slots_delay(uint64_t lived, uint64_t before);
/* Stops the timers; the children are the caller's business. */
void lnt_slots_free(struct lnt_master *m, struct lnt_generation *g);

#endif
