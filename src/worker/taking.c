/*
 * Thawing what was moved, and saying so.
 */
#include "worker/taking.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "ipc/channel.h"
#include "ipc/move_step.h"
#include "net/endpoint.h"
#include "net/move.h"
#include "net/net.h"
#include "worker/departure.h"

static const struct lnt_endpoint *
find_endpoint(void *arg, struct lnt_str id)
{
    const struct lnt_endpoint *const *endpoints = arg;
    return lnt_endpoint_find(*endpoints, id);
}

static struct lnt_session *
thaw(struct lnt_net *n, const struct lnt_endpoint *endpoints, int fd,
     struct lnt_str bytes, const char **why)
{
    return lnt_move_thaw(n, fd, bytes, find_endpoint, &endpoints, why);
}

enum lnt_verdict_on_move
lnt_take(struct lnt_taker *t, int fd, struct lnt_str bytes)
{
    const char *why;
    lnt_move_step(LNT_MOVE_ARRIVED);
    lnt_move_spoil(bytes);
    enum lnt_verdict_on_move v = LNT_MOVE_ACCEPTED;
    struct lnt_session *s = thaw(t->net, t->endpoints, fd, bytes, &why);
    if (s && lnt_move_waits(s))
        t->waiting[t->nwaiting++] = lnt_session_id(s);
    if (!s)
        v = errno == EPROTO ? LNT_MOVE_UNREADABLE : LNT_MOVE_REFUSED;
    if (v == LNT_MOVE_UNREADABLE)
        lnt_log_warn("a connection cannot be taken over and ends: %s", why);
    else if (v == LNT_MOVE_REFUSED)
        lnt_log_info("a connection is not taken over: %s", why);
    lnt_move_step(LNT_MOVE_THAWED);
    return v;
}

/*
 * Those that wait go on when the giver has our word in its socket, which it
 * reads before it gives us up, or is gone.  As long as the word is in a queue of
 * ours it may be lost with us.
 */
static void
answer(struct lnt_taker *t, struct lnt_channel *c, struct lnt_str verdicts)
{
    int rc = lnt_channel_send(c, LNT_FRAME_MOVED, 0, verdicts, NULL, 0);
    bool gone = rc < 0 && (errno == EPIPE || errno == ECONNRESET);
    if (rc < 0)
        lnt_log_debug("link: %s", strerror(errno));
    for (size_t i = 0; i < t->nwaiting; i++) {
        struct lnt_session *s = lnt_net_session(t->net, t->waiting[i]);
        if (s && (gone || (rc == 0 && c->queued == 0)))
            lnt_move_go(s);
        else if (s)
            lnt_session_cut(s);
    }
    t->nwaiting = 0;
}

bool
lnt_take_frame(struct lnt_taker *t, struct lnt_channel *c,
               struct lnt_arrival *a, const struct lnt_frame *f)
{
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    bool good = lnt_arrival_frame(a, f->payload, f->fds, f->nfds, &reply);
    /* Also when the rest is not understood: those are served here. */
    if (reply.n)
        answer(t, c, lnt_strbuf_str(&reply));
    for (size_t n = reply.n / LNT_VERDICT_SIZE; n > 0; n--)
        lnt_move_step(LNT_MOVE_TAKEN);
    lnt_strbuf_release(&reply);
    if (!good)
        lnt_log_error("link to another worker: a frame is not understood");
    return good;
}

/* If both went on where it was, one with a filter would use the same keys and
   numbers twice: it is cut when that is not sure. */
struct lnt_session *
lnt_take_back(struct lnt_net *n, const struct lnt_endpoint *endpoints,
              struct lnt_moving *g, enum lnt_back reason)
{
    const char *why;
    struct lnt_session *s =
        thaw(n, endpoints, g->fd, lnt_strbuf_str(&g->bytes), &why);
    if (!s)
        lnt_log_error("a connection is lost on its move: %s", why);
    else if (reason == LNT_BACK_UNREADABLE)
        lnt_session_close(s, LNT_CLOSE_RESTART, "cannot be taken over");
    if (s && reason == LNT_BACK_UNSURE && lnt_move_waits(s))
        lnt_session_cut(s);
    else if (s)
        lnt_move_go(s);
    lnt_moving_free(g);
    return s;
}
