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

/* What the worker knows of its siblings; handed down by the process floor. */
struct lnt_accept_policy {
    /* How many connections this worker may take now; 0: others have fewer. */
    unsigned (*share)(void *arg);
    /* Asks the one with the fewest to look at its listeners. */
    void (*pass)(void *arg);
    /* A number that grows whenever a sibling accepts. */
    uint64_t (*progress)(void *arg);
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
