/*
 * Moving connections between two workers over a link: a channel of their own,
 * which the master has made for them.
 *
 * The giver freezes a connection, sends the bytes and the descriptor, and
 * keeps both until the taker says that it serves it.  If the taker refuses, or
 * dies before, the giver takes the connection up again where it was.
 *
 * A connection with a filter must never go on in both (net/move.h).  Its taker
 * reads and writes nothing before the giver's socket has the answer; its giver
 * takes it up again when it is refused, or at the end of file of a link of which
 * it has heard everything, and else cuts it.
 */
#ifndef LNT_WORKER_MOVER_H
#define LNT_WORKER_MOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lnt_endpoint;
struct lnt_hub;
struct lnt_loop;
struct lnt_mover;
struct lnt_net;

struct lnt_mover_params {
    struct lnt_loop *loop;
    struct lnt_net *net;
    struct lnt_hub *hub;                  /* NULL: no link is a foreign one */
    const struct lnt_endpoint *endpoints; /* of this worker's configuration */
    /* ms for those that can be moved when this worker has read on in the log:
       on a machine that is overloaded it may be seconds behind.  Another taker
       is not awaited longer, either. */
    uint64_t patience;
    /* Everything that could be given has been given. */
    void (*done)(void *arg);
    void *arg;
};

struct lnt_mover *lnt_mover_new(const struct lnt_mover_params *p);
/* What is under way is taken up again first. */
void lnt_mover_free(struct lnt_mover *mv);
/* A link, fd owned from here on; gives: we give connections through it, else
   we take them. */
void lnt_mover_link(struct lnt_mover *mv, int fd, bool gives);
/* The same to give only what lnt_mover_give asks for: who takes them is as old
   as we are. */
void lnt_mover_link_some(struct lnt_mover *mv, int fd);
/* The same to take connections of another zone's clients: what they were there
   is gone. */
void lnt_mover_link_foreign(struct lnt_mover *mv, int fd);
/* Whether there is a link to give connections through. */
bool lnt_mover_can_give(const struct lnt_mover *mv);
/* Gives all connections away, in turn over all links, a batch a loop turn and
   not in every turn; then calls done.  When all takers die, others are awaited
   for a while. */
void lnt_mover_give_all(struct lnt_mover *mv);
/* There will be no further links: the master is gone. */
void lnt_mover_alone(struct lnt_mover *mv);
/* Gives up to n away and closes the links that are for that. */
void lnt_mover_give(struct lnt_mover *mv, size_t n);

#endif
