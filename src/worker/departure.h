/*
 * Connections on their way to another worker: frozen, sent in frames (see
 * arrival.h) and kept until the taker has answered.
 */
#ifndef LNT_WORKER_DEPARTURE_H
#define LNT_WORKER_DEPARTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"
#include "os/socket.h"

struct lnt_channel;

/* One on its way: still ours to take up again. */
struct lnt_moving {
    struct lnt_moving *next;
    uint32_t number;
    int fd;
    struct lnt_strbuf bytes;
};

/* What is on its way over one link. */
struct lnt_departure {
    struct lnt_channel *channel;
    bool broken; /* could not be written to; its end of file will be read */
    uint32_t last_number;
    size_t n;
    struct lnt_moving *first, **last; /* oldest first */
    struct lnt_moving **unsent; /* from there on the taker has not all of it */
    struct lnt_moving *failed;  /* could not be sent */
    struct lnt_strbuf frame;    /* that is being filled */
    int fds[LNT_FDS_MAX];
    size_t nfds;
};

void lnt_departure_init(struct lnt_departure *d, struct lnt_channel *channel);
/* Nothing must be on its way. */
void lnt_departure_release(struct lnt_departure *d);
/* Owns g from here on.  Frames that are full are sent. */
void lnt_departure_add(struct lnt_departure *d, struct lnt_moving *g);
/* Sends what is left. */
void lnt_departure_send(struct lnt_departure *d);
/* Each of them gives one back to the caller, NULL when there is none: the one
   of that number; one that could not be sent; any. */
struct lnt_moving *lnt_departure_take(struct lnt_departure *d, uint32_t number);
struct lnt_moving *lnt_departure_failed(struct lnt_departure *d);
struct lnt_moving *lnt_departure_any(struct lnt_departure *d);

/* Not its descriptor. */
void lnt_moving_free(struct lnt_moving *g);

#endif
