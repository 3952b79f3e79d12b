/*
 * Requests under way.  A list: there are few, and most are answered within a
 * turn or two.
 */
#include "ipc/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "ipc/channel.h"

enum {
    PENDING_MAX = 1024,
    TIMEOUT_MAX = 3600000, /* ms */
    PIECE = LNT_FRAME_PAYLOAD_MAX - 1,
};

/* The first byte of a REPLY. */
enum { OK = '+', MORE = '>', REFUSED = '-' };

#define TOO_LARGE "the answer is too large"

struct pending {
    struct pending *next;
    uint32_t id;
    struct lnt_channel *to;
    uint64_t due;
    lnt_reply_fn *fn;
    void *arg;
    struct lnt_strbuf data; /* the pieces so far */
};

struct lnt_requests {
    struct lnt_loop *loop;
    struct pending *first;
    size_t n;
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
finish(struct lnt_requests *r, struct pending **link, bool ok,
       struct lnt_str data)
{
    struct pending *p = *link;
    *link = p->next;
    r->n--;
    p->fn(p->arg, ok, data);
    lnt_strbuf_release(&p->data);
    free(p);
}

void
lnt_requests_free(struct lnt_requests *r)
{
    if (!r)
        return;
    while (r->first)
        finish(r, &r->first, false, LNT_STR("the process ends"));
    lnt_timer_stop(r->loop, &r->timer);
    free(r);
}

static void
set_timer(struct lnt_requests *r)
{
    uint64_t due = UINT64_MAX;
    for (const struct pending *p = r->first; p; p = p->next)
        if (p->due < due)
            due = p->due;
    if (due == UINT64_MAX)
        lnt_timer_stop(r->loop, &r->timer);
    else
        lnt_timer_at(r->loop, &r->timer, due);
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
    if (r->n >= PENDING_MAX) {
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
    p->next = r->first;
    r->first = p;
    r->n++;
    set_timer(r);
    return 0;
}

void
lnt_requests_take(struct lnt_requests *r, struct lnt_channel *from, uint32_t id,
                  struct lnt_str payload)
{
    struct pending **link = &r->first;
    while (*link && ((*link)->id != id || (*link)->to != from))
        link = &(*link)->next;
    struct pending *p = *link;
    if (!p || payload.n == 0)
        return; /* it came after its time */
    struct lnt_str piece = lnt_str(payload.p + 1, payload.n - 1);
    char kind = payload.p[0];
    if (kind == REFUSED) {
        finish(r, link, false, piece);
    } else if (p->data.n + piece.n > LNT_ANSWER_MAX) {
        finish(r, link, false, LNT_STR(TOO_LARGE));
    } else if (kind == OK && p->data.n == 0) {
        finish(r, link, true, piece);
    } else {
        lnt_strbuf_add_str(&p->data, piece);
        if (kind == OK)
            finish(r, link, true, lnt_strbuf_str(&p->data));
    }
    set_timer(r);
}

void
lnt_requests_drop(struct lnt_requests *r, const struct lnt_channel *gone,
                  const char *why)
{
    struct pending **link = &r->first;
    while (*link) {
        if ((*link)->to != gone) {
            link = &(*link)->next;
            continue;
        }
        finish(r, link, false, lnt_str_c(why));
        link = &r->first; /* the callback may have changed the list */
    }
    set_timer(r);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_requests *r = LNT_OWNER(t, struct lnt_requests, timer);
    uint64_t now = lnt_loop_now(r->loop);
    struct pending **link = &r->first;
    while (*link) {
        if ((*link)->due > now) {
            link = &(*link)->next;
            continue;
        }
        finish(r, link, false, LNT_STR("no answer in time"));
        link = &r->first;
    }
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
lnt_requests_obeyed(struct lnt_channel *c, const struct lnt_frame *f,
                    const char *why)
{
    if (f->request == 0)
        return; /* nobody waits for it */
    if (lnt_requests_answer(c, f->request, !why, lnt_str_c(why ? why : "")) < 0)
        lnt_log_error("cannot answer %s: %s", lnt_frame_names[f->type],
                      strerror(errno));
}
