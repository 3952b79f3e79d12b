/*
 * The places of processes that are started again when they end: one for each
 * worker of a generation, one for each helper.
 */
#ifndef LNT_MASTER_SLOTS_H
#define LNT_MASTER_SLOTS_H

#include "master/child.h"

struct lnt_slot {
    struct lnt_master *m;
    enum lnt_child_kind kind;
    unsigned number;
    char name[32];           /* "worker 1", for people */
    struct lnt_child *child; /* NULL: waits to be spawned again */
    unsigned restarts;
    uint32_t last_cell, last_incarnation; /* of the child that died */
    uint64_t delay; /* ms before the next spawn; 0: healthy */
    struct lnt_timer timer;
};

/* An empty one; number tells it from others of its kind. */
void lnt_slot_init(struct lnt_slot *s, struct lnt_master *m,
                   enum lnt_child_kind kind, unsigned number);
void lnt_slots_make(struct lnt_master *m, struct lnt_generation *g);
/* Spawns into every empty slot.  The first failure ends it: -1 with errno. */
int lnt_slots_fill(struct lnt_master *m, struct lnt_generation *g);
/* The slot of a child in g, or NULL. */
struct lnt_slot *lnt_slots_find(struct lnt_generation *g,
                                const struct lnt_child *c);
/* Its child has ended: spawn another one of the current generation after a
   delay, which grows from one failure to the next and starts anew after 30 s of
   health. */
void lnt_slot_retry(struct lnt_slot *s, const struct lnt_child *c);
/* Spawns one of the current generation now; when that fails (logged), it is
   tried again. */
void lnt_slot_start(struct lnt_slot *s);
/* Stops the timers; the children are the caller's business. */
void lnt_slots_stop(struct lnt_master *m, struct lnt_generation *g);
void lnt_slots_free(struct lnt_master *m, struct lnt_generation *g);

#endif
