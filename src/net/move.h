/*
 * Moving a connection: frozen in one process into bytes and a descriptor,
 * thawed from them in another.
 */
#ifndef LNT_NET_MOVE_H
#define LNT_NET_MOVE_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_endpoint;
struct lnt_net;
struct lnt_session;
struct lnt_strbuf;

/*
 * Freezes a session: appends all that it is to out.  On success the session
 * has ended here without its peer noticing (close callbacks have run, with
 * lnt_session_moved true) and its descriptor is returned, the caller's now.
 * -1: it cannot be moved (now, or ever), and goes on as it was.
 */
int lnt_move_freeze(struct lnt_session *s, struct lnt_strbuf *out);

/*
 * Makes a session of bytes and fd (owned from here on, also on failure).  find
 * gives the endpoint of an id, NULL when there is none any more.  true: it
 * lives, or it says goodbye in its protocol's way, because its endpoint is gone
 * (1001) or its application does not take it (1012).  false with *why: the
 * bytes are not understood, and it was cut.
 */
bool lnt_move_thaw(struct lnt_net *n, int fd, struct lnt_str frozen,
                   const struct lnt_endpoint *(*find)(void *arg,
                                                      struct lnt_str id),
                   void *arg, const char **why);

#endif
