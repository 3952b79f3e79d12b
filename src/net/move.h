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
 * -1: it cannot be moved, and goes on as it was; EAGAIN: its application wants
 * it to be tried again in a moment, EBUSY: nobody knows when it can, if ever.
 */
int lnt_move_freeze(struct lnt_session *s, struct lnt_strbuf *out);

/*
 * Makes a session of bytes and fd (owned from here on, also on failure).  find
 * gives the endpoint of a name, NULL when there is none any more.  The session
 * lives, or says goodbye in its protocol's way because its application does
 * not take it (1012).  NULL with *why (valid until the next one of n), and its
 * descriptor closed here: EPROTO, the bytes are not understood; ENOENT, its
 * endpoint is gone; ENFILE, there is no room.
 *
 * They may have been frozen by an older or a newer release: move.c says how far
 * that goes.
 */
struct lnt_session *lnt_move_thaw(
    struct lnt_net *n, int fd, struct lnt_str frozen,
    const struct lnt_endpoint *(*find)(void *arg, struct lnt_str name),
    void *arg, const char **why);

/*
 * A session with a filter (net/filter.h) is not read from and not written to
 * when it was thawed: of the two processes that could go on, only one may ever
 * use the filter's keys and numbers.  It waits for one of:
 *
 *   lnt_move_go      the other one cannot go on any more, or never could: it
 *                    was told that this one serves the session; or this one is
 *                    where it was frozen, and the other has refused it or is
 *                    gone without a word
 *   lnt_session_cut  nobody knows
 *
 * Others do not wait, and lnt_move_go does nothing for them.
 */
bool lnt_move_waits(const struct lnt_session *s);
void lnt_move_go(struct lnt_session *s);

#endif
