/*
 * Accepting.  All workers listen on the same sockets; a worker that has more
 * than its share leaves new connections to the others.
 */
#ifndef LNT_NET_LISTENER_H
#define LNT_NET_LISTENER_H

struct lnt_accept_share;
struct lnt_endpoint;
struct lnt_listener;
struct lnt_net;

/*
 * Starts accepting from fd (owned from here on) for e.  share must outlive
 * the listener.  NULL with errno; fd is closed then.
 */
struct lnt_listener *lnt_listener_open(struct lnt_net *n, int fd,
                                       const struct lnt_endpoint *e,
                                       struct lnt_accept_share *share);
/* A sibling asks: accepts what waits, within the share. */
void lnt_listener_poll(struct lnt_listener *l);
void lnt_listener_close(struct lnt_listener *l); /* closes fd, frees */

#endif
