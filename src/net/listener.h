/*
 * Accepting.  All workers listen on the same sockets; a worker that has more
 * than its share leaves new connections to the others.
 */
#ifndef LNT_NET_LISTENER_H
#define LNT_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_endpoint;
struct lnt_listener;
struct lnt_net;

/* Who was asked to accept, and what the siblings had accepted by then. */
struct lnt_accept_asked {
    int cell; /* -1: nobody */
    uint64_t accepted;
};

/* What the worker knows of its siblings; handed down by the process floor. */
struct lnt_accept_policy {
    /* How many connections this worker may take now; 0: others have fewer. */
    unsigned (*share)(void *arg);
    /* Asks the one with the fewest to look at its listeners. */
    struct lnt_accept_asked (*pass)(void *arg);
    /* Connections still wait: if that is because whoever was asked does not
       come, it counts no more for a moment. */
    void (*still_waits)(void *arg, struct lnt_accept_asked asked);
    void *arg; /* NULL functions: no siblings */
};

/*
 * Starts accepting from fd (owned from here on) for e.  policy must outlive
 * the listener.  NULL with errno; fd is closed then.
 */
struct lnt_listener *lnt_listener_open(struct lnt_net *n, int fd,
                                       const struct lnt_endpoint *e,
                                       const struct lnt_accept_policy *policy);
/* A sibling asks: accepts what waits, within the share. */
void lnt_listener_poll(struct lnt_listener *l);
void lnt_listener_close(struct lnt_listener *l); /* closes fd, frees */

#endif
