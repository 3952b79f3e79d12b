/*
 * Sessions without a connection of their own: what a client that polls has
 * between two polls.  Such a session is in the table of connections as all
 * others are, with an id, an application, subscriptions, timers and a queue of
 * what was sent to it (send_queue and its policy hold); it moves as they do.
 *
 * Its protocol carries messages between it and connections that come and go,
 * its transports.  There is one at a time.  What is queued is whatever the
 * protocol's send and encode make, so that messages are told apart again: each
 * call queues whole messages.  At the end of a turn in which something was
 * queued, or a transport came, protocol->queued takes out of the queue what the
 * transport takes.
 *
 * It ends by itself when it has no transport for detached_timeout.
 */
#ifndef LNT_NET_DETACHED_H
#define LNT_NET_DETACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "net/session.h"

/* Names are what clients know a session by; they stay when it moves. */
enum { LNT_DETACHED_NAME_MAX = 64 };

/*
 * Begins one of endpoint e, asked for by the session of a connection: it counts
 * for that one's address.  protocol->open runs, and has to call
 * lnt_session_ready, or somebody does later.  It has no transport yet.  NULL with errno:
 * EAGAIN, this worker has too many (detached); EUSERS, too many of that address
 * have no transport (detached_per_ip); EEXIST, the name is in use; EINVAL, it is
 * empty or too long; ESHUTDOWN, this worker ends; ECANCELED, its protocol or
 * application did not let it begin.
 */
struct lnt_session *lnt_detached_open(struct lnt_session *by,
                                      const struct lnt_endpoint *e,
                                      struct lnt_str name);
/* NULL: it is not here (any more). */
struct lnt_session *lnt_detached_find(struct lnt_net *n, struct lnt_str name);
bool lnt_session_is_detached(const struct lnt_session *s);
struct lnt_str lnt_detached_name(const struct lnt_session *s);

/*
 * The connection is its transport from now on, instead of any other.  Both may
 * end at any time: the transport of one whose connection has ended is NULL.  Its
 * protocol says so with leave; until that it counts as one that has a transport.
 * One that has moved here has none.
 */
void lnt_detached_attach(struct lnt_session *s, struct lnt_session *transport);
/* It has none now, and its time runs.  Ends the session when too many of its
   address have none. */
void lnt_detached_leave(struct lnt_session *s);
struct lnt_session *lnt_detached_transport(const struct lnt_session *s);

/*
 * Messages of its client come in by lnt_session_message.  A verdict that this,
 * or lnt_session_ready, returns is to be carried out with lnt_session_close.
 *
 * Messages to its client go out by these.  front: the oldest bytes queued,
 * maybe all; they begin with a message and end with one.  Empty: nothing is
 * queued.  take removes so many of them, whole messages.
 */
struct lnt_str lnt_detached_front(const struct lnt_session *s);
void lnt_detached_take(struct lnt_session *s, size_t n);
/* All to the transport, as they are and by reference, unless it has much queued
   itself; true: that was all. */
bool lnt_detached_pour(struct lnt_session *s);

#endif
