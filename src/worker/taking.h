/*
 * Frozen connections made into sessions again: those that come over a link,
 * and those that have to be taken back.
 */
#ifndef LNT_WORKER_TAKING_H
#define LNT_WORKER_TAKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "os/socket.h"
#include "worker/arrival.h"

struct lnt_channel;
struct lnt_endpoint;
struct lnt_frame;
struct lnt_moving;
struct lnt_net;
struct lnt_session;

/* Of one link over which connections come. */
struct lnt_taker {
    struct lnt_net *net;
    const struct lnt_endpoint *endpoints; /* of this worker's configuration */
    /* Came with the frame in hand, and wait for their giver to be told (one may
       have begun in the frame before). */
    uint64_t waiting[LNT_FDS_MAX + 1];
    size_t nwaiting;
};

/* One that has arrived; fd is the callee's.  Says in the log what is wrong. */
enum lnt_verdict_on_move lnt_take(struct lnt_taker *t, int fd,
                                  struct lnt_str bytes);
/* A MOVE frame came through c, and is answered there; false: it is not
   understood. */
bool lnt_take_frame(struct lnt_taker *t, struct lnt_channel *c,
                    struct lnt_arrival *a, const struct lnt_frame *f);

/* Why one is taken up again where it was frozen. */
enum lnt_back {
    LNT_BACK_UNTAKEN,    /* the taker has not all of it, refused it, or is gone
                            and had not said that it serves it */
    LNT_BACK_UNREADABLE, /* those who follow us do not understand it */
    LNT_BACK_UNSURE,     /* the taker may serve it: its word was not awaited */
};

/* Frees g.  The session; NULL: it is lost. */
struct lnt_session *lnt_take_back(struct lnt_net *n,
                                  const struct lnt_endpoint *endpoints,
                                  struct lnt_moving *g, enum lnt_back reason);

#endif
