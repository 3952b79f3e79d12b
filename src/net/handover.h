/*
 * Handing a connection over to another worker that is named: the one that has
 * what the connection asks for.  A module asks for it here; src/worker does it.
 *
 * It moves as at a reload, with the unread input.  So a protocol that has
 * consumed a request before it knew who is to answer puts it back
 * (lnt_session_unread), and the other worker reads it as if it had come there.
 */
#ifndef LNT_NET_HANDOVER_H
#define LNT_NET_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/str.h"

struct lnt_net;
struct lnt_round;
struct lnt_session;

/* ---- modules ---- */

/*
 * The name of this worker: cell and incarnation, never 0, at most 40 bits.  A
 * later worker may have the same cell, but never the same name.
 */
uint64_t lnt_net_worker(const struct lnt_net *n);

/*
 * Hands s over to the worker that has the session of that name (detached.h),
 * which is looked for in that worker first and then in all; or, with an empty
 * name, to that worker.  That is at the end of this turn, or as soon as there is
 * a link; nothing is read from its peer until then.  On the other side
 * its protocol thaws and is given the unread input.  When the other worker has
 * gone, ends, does not answer or does not take it, s goes on here:
 * protocol->stays says so (perhaps of another session, which thaw made of the
 * same connection) and the unread input comes to data() again, to be answered
 * here.  A peer that shuts its side meanwhile makes it stay, too.
 *
 * 0, or -1 with errno and nothing happens: EALREADY, that was tried for this
 * input (nothing was sent since, nor input consumed); EINVAL, it is this worker
 * (or the name's session is here); EBUSY, s ends or cannot move; ESHUTDOWN, this
 * worker ends; EAGAIN, too many wait.
 */
int lnt_session_hand_over(struct lnt_session *s, uint64_t worker,
                          struct lnt_str name);
/*
 * The unread input comes to data() again, as soon as the output queue is empty.
 * For protocols that leave a poll unread while it waits for its answer: call it
 * when the session that the poll waits for has moved away, and from thaw of the
 * connection, after that has moved itself.
 */
void lnt_session_again(struct lnt_session *s);
/* From data(), before or behind hand_over: these bytes come again, in front of what data() leaves
   in its input.  May be called piece by piece. */
void lnt_session_unread(struct lnt_session *s, const void *p, size_t n);

/* ---- the worker ---- */

/* One that is to be handed over. */
struct lnt_wish {
    struct lnt_list_node node; /* the worker's, too */
    uint64_t session, worker;
    uint64_t until; /* the worker's, and these: */
    uint64_t at;
    struct lnt_round *round;
    unsigned rounds;
    size_t name_n;
    char name[];
};

/* The next one that was asked for, the caller's now; NULL: that was all. */
struct lnt_wish *lnt_wish_take(struct lnt_net *n);
/* The session, if it is there and waits still. */
struct lnt_session *lnt_wish_session(struct lnt_net *n,
                                     const struct lnt_wish *w);
/* It is done, whatever came of it. */
void lnt_wish_free(struct lnt_net *n, struct lnt_wish *w);
/* It is not done: the session stays, if it is there still. */
void lnt_wish_refuse(struct lnt_net *n, struct lnt_wish *w, const char *why);
/* The same for a session that was frozen, and is here again. */
void lnt_session_stays(struct lnt_session *s, const char *why);
/* For the end of n. */
void lnt_wishes_drop(struct lnt_net *n);

#endif
