/*
 * How a worker knows its share of the connections: from the cells of its
 * siblings in the zone.
 */
#ifndef LNT_NET_ACCEPT_SHARE_H
#define LNT_NET_ACCEPT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "zone/zone.h"

struct lnt_accept_share {
    struct lnt_zone *zone;
    const int *doorbells;
    unsigned cell;
    uint32_t generation, siblings; /* one sibling is ourselves: no sharing */
    /* Our own: how many connections came to an end of late. */
    uint64_t since, closed; /* clock, and the counter at that time */
    unsigned slack;
    /* Siblings that did not come when we asked them. */
    struct lnt_accept_away {
        uint64_t until;    /* clock, 0: not away */
        uint64_t accepted; /* at that time */
        bool deaf;         /* had not even looked */
        bool warned;       /* looked in vain; the next time it is away */
    } away[LNT_CELLS];
};

/* Who was asked to accept, and what the siblings had accepted by then. */
struct lnt_accept_asked {
    int cell; /* -1: nobody */
    uint64_t accepted;
};

/* How many connections this worker may take now; 0: others have fewer. */
unsigned lnt_accept_allowed(struct lnt_accept_share *s);
/* Asks the one with the fewest to look at its listeners. */
struct lnt_accept_asked lnt_accept_pass(struct lnt_accept_share *s);
/* Connections still wait: if that is because whoever was asked does not come,
   it counts no more for a moment. */
void lnt_accept_still_waits(struct lnt_accept_share *s,
                            struct lnt_accept_asked asked);

#endif
