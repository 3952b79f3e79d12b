/*
 * Doorbells: an eventfd for each cell, by which whoever writes to the log wakes
 * the process that has that cell.  Every process has them all.
 */
#ifndef LNT_MASTER_DOORBELLS_H
#define LNT_MASTER_DOORBELLS_H

#include <stdint.h>

struct lnt_config;
struct lnt_zone;

/* LNT_CELLS of them, all -1. */
int *lnt_doorbells_new(void);
/* Makes them, before the first fork: a process that does not have a doorbell
   could not wake its owner.  Those that were handed over stay, and no others
   come to them, as older processes know only those.  At most as many as z has
   cells.  0, or -1 with errno. */
int lnt_doorbells_make(int *bells, const struct lnt_config *c,
                       const struct lnt_zone *z);
/* How many there are: so many processes can be alive at once. */
unsigned lnt_doorbells_count(const int *bells);
/* Rings those that sleep although the log of the zone has grown. */
void lnt_doorbells_ring(const int *bells, struct lnt_zone *z);
/* Rings everybody: a process that is gone may have owed it to anyone. */
void lnt_doorbells_ring_all(const int *bells, struct lnt_zone *z);
/* Rings the workers that stand where they stood at the last call, although the
   log went on behind that place: whoever wrote there may have been stopped or
   killed before it rang. */
struct lnt_late {
    uint64_t end;       /* of the log at the last call, 0 at first */
    uint64_t *position; /* LNT_CELLS of them, 0 at first */
};
void lnt_doorbells_ring_late(const int *bells, struct lnt_zone *z,
                             struct lnt_late *s);
void lnt_doorbells_free(int *bells);

#endif
