/*
 * Links to other workers on demand: over them go the connections that modules
 * hand over to a worker by its name (net/handover.h).
 *
 * The master makes a link when it is asked (a LINK frame, answered by one with
 * the same request number).  It is kept for the next one, up to a number.
 * Before connections are frozen the other worker is asked whether it takes them
 * (OFFER, OFFERED): so one that is stopped, or ends, has nobody's connection.
 * Then they move as in mover.h: MOVE, MOVED, and kept until that.
 */
#ifndef LNT_WORKER_LINKS_H
#define LNT_WORKER_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_channel;
struct lnt_endpoint;
struct lnt_links;
struct lnt_loop;
struct lnt_net;
struct lnt_server_info;
struct lnt_zone;

struct lnt_links_params {
    struct lnt_loop *loop;
    struct lnt_net *net;
    const struct lnt_endpoint *endpoints; /* of this worker's configuration */
    struct lnt_channel *master;
    struct lnt_zone *zone; /* these two to find who has a session */
    const struct lnt_server_info *server;
    unsigned links_max; /* that we give over; 0: 32 */
    uint64_t patience;  /* ms until one that waits stays here; 0: 5 s */
};

struct lnt_links *lnt_links_new(const struct lnt_links_params *p);
/* What is on its way is the taker's, if that lives; NULL is fine. */
void lnt_links_free(struct lnt_links *ls);

/* The end of a turn: what modules asked for in it.  true: sessions that stay
   have something to do. */
bool lnt_links_turn(struct lnt_links *ls);
/* The master has answered: with our end of a link (owned from here on), or with
   -1 and why not. */
void lnt_links_answer(struct lnt_links *ls, uint32_t request, int fd,
                      struct lnt_str why);
/* Another worker's link to us, owned from here on. */
void lnt_links_take(struct lnt_links *ls, int fd);
/* This worker ends: no more is taken, and what waits to be given goes with all
   others (mover.h) or stays. */
void lnt_links_drain(struct lnt_links *ls);

#endif
