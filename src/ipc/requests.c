/*
 * Requests under way.  A list: there are few, and most are answered within a
 * turn or two.
 */
#include "ipc/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "ipc/channel.h"

enum {
    PENDING_MAX = 1024,    /* to one channel: who does not answer is only in the
                           way of those that ask it */
    TIMEOUT_MAX = 3600000, /* ms */
    PIECE = LNT_FRAME_PAYLOAD_MAX - 1,
};

/* The first byte of a REPLY. */
enum { OK = '+', MORE = '>', REFUSED = '-' };

#define TOO_LARGE "the answer is too large"

struct pending {
    struct lnt_list_node node;
    uint32_t id;
    struct lnt_channel *to;
    uint64_t due;
    lnt_reply_fn *fn;
    void *arg;
    struct lnt_strbuf data; /* the pieces so far */
};

struct lnt_requests {
    struct lnt_loop *loop;
    struct lnt_list pending;
    uint32_t last_id;
    struct lnt_timer timer;
};

static void on_timer(struct lnt_timer *t);

struct lnt_requests *
lnt_requests_new(struct lnt_loop *loop)
{
    struct lnt_requests *r = lnt_calloc(1, sizeof(*r));
    r->loop = loop;
    r->timer.fn = on_timer;
    return r;
}

/* Takes it out of the list before it is called back: the callback may send
   the next one. */
static void
finish(struct lnt_requests *r, struct pending *p, bool ok, struct lnt_str data)
{
    lnt_list_remove(&r->pending, &p->node);
    p->fn(p->arg, ok, data);
    lnt_strbuf_release(&p->data);
    free(p);
}

/* The first that is to this channel (NULL: any) and due by then. */
static struct pending *
find(const struct lnt_requests *r, const struct lnt_channel *to, uint64_t due)
{
    LNT_LIST_EACH(&r->pending, struct pending, p, node) {
        if ((!to || p->to == to) && p->due <= due)
            return p;
    }
    return NULL;
}

/* Finishes all that find() finds; looks from the first again each time, as a
   callback may change the list. */
static void
finish_all(struct lnt_requests *r, const struct lnt_channel *to, uint64_t due,
           struct lnt_str why)
{
    struct pending *p;
    while ((p = find(r, to, due)))
        finish(r, p, false, why);
}

void
lnt_requests_free(struct lnt_requests *r)
{
    if (!r)
        return;
    finish_all(r, NULL, UINT64_MAX, LNT_STR("the process ends"));
    lnt_timer_stop(r->loop, &r->timer);
    free(r);
}

static void
set_timer(struct lnt_requests *r)
{
    uint64_t due = UINT64_MAX;
    LNT_LIST_EACH(&r->pending, const struct pending, p, node) {
        if (p->due < due)
            due = p->due;
    }
    if (due == UINT64_MAX)
        lnt_timer_stop(r->loop, &r->timer);
    else
        lnt_timer_at(r->loop, &r->timer, due);
}

static size_t
pending_to(const struct lnt_requests *r, const struct lnt_channel *to)
{
    size_t n = 0;
    LNT_LIST_EACH(&r->pending, const struct pending, p, node)
        n += p->to == to;
    return n;
}

int
lnt_requests_send(struct lnt_requests *r, struct lnt_channel *to,
                  enum lnt_frame_type type, struct lnt_str payload,
                  uint64_t timeout_ms, lnt_reply_fn *fn, void *arg)
{
    return lnt_requests_send_fds(r, to, type, payload, NULL, 0, timeout_ms, fn,
                                 arg);
}

int
lnt_requests_send_fds(struct lnt_requests *r, struct lnt_channel *to,
                      enum lnt_frame_type type, struct lnt_str payload,
                      const int *fds, size_t nfds, uint64_t timeout_ms,
                      lnt_reply_fn *fn, void *arg)
{
    if (pending_to(r, to) >= PENDING_MAX) {
        errno = EAGAIN;
        return -1;
    }
    uint32_t id = ++r->last_id ? r->last_id : ++r->last_id;
    if (lnt_channel_send(to, type, id, payload, fds, nfds) < 0)
        return -1;
    /* At least one tick, so that one that is sent from the callback of another
       is not due in the same pass. */
    if (timeout_ms == 0)
        timeout_ms = 1;
    else if (timeout_ms > TIMEOUT_MAX)
        timeout_ms = TIMEOUT_MAX;
    struct pending *p = lnt_calloc(1, sizeof(*p));
    p->id = id;
    p->to = to;
    p->due = lnt_loop_now(r->loop) + timeout_ms;
    p->fn = fn;
    p->arg = arg;
    lnt_list_add_first(&r->pending, &p->node);
    set_timer(r);
    return 0;
}

void
lnt_requests_take(struct lnt_requests *r, struct lnt_channel *from, uint32_t id,
                  struct lnt_str payload)
{
    struct pending *p = LNT_LIST_FIRST(&r->pending, struct pending, node);
    while (p && (p->id != id || p->to != from))
        p = LNT_LIST_NEXT(p, struct pending, node);
    if (!p || payload.n == 0)
        return; /* it came after its time */
    struct lnt_str piece = lnt_str(payload.p + 1, payload.n - 1);
    char kind = payload.p[0];
    if (kind == REFUSED) {
        finish(r, p, false, piece);
    } else if (p->data.n + piece.n > LNT_ANSWER_MAX) {
        finish(r, p, false, LNT_STR(TOO_LARGE));
    } else if (kind == OK && p->data.n == 0) {
        finish(r, p, true, piece);
    } else {
        lnt_strbuf_add_str(&p->data, piece);
        if (kind == OK)
            finish(r, p, true, lnt_strbuf_str(&p->data));
    }
    set_timer(r);
}

void
lnt_requests_drop(struct lnt_requests *r, const struct lnt_channel *gone,
                  const char *why)
{
    finish_all(r, gone, UINT64_MAX, lnt_str_c(why));
    set_timer(r);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_requests *r = LNT_OWNER(t, struct lnt_requests, timer);
    finish_all(r, NULL, lnt_loop_now(r->loop), LNT_STR("no answer in time"));
    set_timer(r);
}

/* Sends one frame of it, and leaves the rest in data. */
static int
send_piece(struct lnt_channel *to, uint32_t id, bool ok, struct lnt_str *data)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_str piece = *data;
    if (piece.n > PIECE)
        piece.n = PIECE;
    *data = lnt_str(data->p + piece.n, data->n - piece.n);
    lnt_strbuf_addc(&b, !ok ? REFUSED : data->n ? MORE : OK);
    lnt_strbuf_add_str(&b, piece);
    int rc =
        lnt_channel_send(to, LNT_FRAME_REPLY, id, lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
    return rc;
}

int
lnt_requests_answer(struct lnt_channel *to, uint32_t id, bool ok,
                    struct lnt_str data)
{
    struct lnt_str full = LNT_STR("too many answers wait to be taken");
    int rc;
    if (data.n > LNT_ANSWER_MAX) {
        ok = false;
        data = LNT_STR(TOO_LARGE);
    }
    do {
        rc = send_piece(to, id, ok, &data);
    } while (rc == 0 && ok && data.n);
    /* Better a refusal, which is short, than to be waited for in vain. */
    if (rc < 0 && errno == ENOBUFS)
        rc = send_piece(to, id, false, &full);
    return rc;
}

void
lnt_request_encode(struct lnt_strbuf *out, const struct lnt_request *q)
{
    lnt_pack_u32(out, q->cell);
    lnt_pack_str(out, q->module);
    lnt_pack_str(out, q->name);
    lnt_strbuf_add_str(out, q->data);
}

int
lnt_request_decode(struct lnt_str payload, struct lnt_request *q)
{
    q->data = payload;
    return lnt_unpack_u32(&q->data, &q->cell) &&
                   lnt_unpack_str(&q->data, &q->module) &&
                   lnt_unpack_str(&q->data, &q->name)
               ? 0
               : -1;
}

void
lnt_requests_reply(struct lnt_channel *c, const struct lnt_frame *f,
                   const char *why)
{
    if (f->request == 0)
        return; /* nobody waits for it */
    if (lnt_requests_answer(c, f->request, !why, lnt_str_c(why ? why : "")) < 0)
        lnt_log_error("cannot answer %s: %s", lnt_frame_names[f->type],
                      strerror(errno));
}
