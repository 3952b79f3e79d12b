/*
 * The protocol: requests out of a connection, one after the other, each
 * answered before the next is looked at.
 *
 * A request that is there whole is handled where it lies in the input.  Of one
 * that is not, an incomplete head stays in the input (the core keeps it), and
 * a head whose body is awaited is copied.  Whatever makes it unsure where the
 * next request begins is answered with "Connection: close".
 */
#include "modules/http/conn.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "modules/http/exchange.h"
#include "modules/http/later.h"
#include "modules/http/path.h"
#include "modules/http/pending.h"
#include "modules/http/respond.h"
#include "modules/http/route.h"
#include "modules/http/transfer.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/net.h"
#include "net/stats.h"

enum { PIPELINE_MAX = 64 * 1024 }; /* bytes of answers queued ahead */

/* What moves; OLD_SIZE: release 0.1.0 wrote at most that. */
enum {
    FROZEN_VERSION = 1,
    LATER_VERSION = 2, /* with a request that is put off: nobody may miss it */
    OLD_SIZE = 8,
};

/* What is to be done with the rest of the input. */
enum step {
    STEP_NEXT, /* there may be another request in it */
    STEP_WAIT, /* for more of it, or for the output to go */
    STEP_GONE, /* the session is another protocol's now */
};

static struct lnt_http_worker *
worker_of(const struct lnt_session *s)
{
    return lnt_session_protocol(s)->data;
}

static struct lnt_http_exchange *
begin_exchange(struct lnt_session *s)
{
    struct lnt_http_worker *w = worker_of(s);
    struct lnt_http_exchange *x = &w->x;
    lnt_http_exchange_begin(x, s);
    enum { OTHERS = LNT_HTTP_F_TRANSFER | LNT_HTTP_F_LATER };
    if (!(x->conn->flags & OTHERS) && x->conn->busy.pending)
        x->begun = x->conn->busy.pending->begun;
    return x;
}

/* ---- one request ---- */

/* An answer of our own; the connection cannot stay when a body follows that
   nobody will read. */
static void
refuse(struct lnt_http_exchange *x, int status, const char *headers,
       const char *message)
{
    if (lnt_http_has_body(&x->framing))
        x->r.keep_alive = false;
    (void)lnt_http_error(&x->r, status, headers, message);
}

/* An answer after which it is unsure where the next request begins. */
static void
refuse_fault(struct lnt_http_exchange *x, const struct lnt_http_fault *fault)
{
    x->r.keep_alive = false;
    lnt_log_info("bad request: %s (%d)", fault->message, fault->status);
    (void)lnt_http_error(&x->r, fault->status, NULL, fault->message);
}

static void
answer_options(struct lnt_http_exchange *x, const char *allow)
{
    if (lnt_http_has_body(&x->framing))
        x->r.keep_alive = false;
    (void)lnt_http_respond(&x->r, 204, NULL, allow, lnt_str("", 0));
}

/* What the server says without a handler; true when it has.  Where another
   protocol begins there is nothing to have options: only its GET is taken. */
static bool
answer_methods(struct lnt_http_exchange *x, const struct lnt_http_entry *e)
{
    struct lnt_http_request *r = &x->r;
    if (e->methods & 1u << r->method)
        return false;
    if (r->method == LNT_HTTP_OPTIONS && !e->route.handler->upgrades)
        answer_options(x, e->allow);
    else
        refuse(x, 405, e->allow, "the method is not allowed here");
    return true;
}

/*
 * Everything that the head alone decides.  Returns the route when a handler is
 * to be asked; NULL when the request is answered.
 */
static const struct lnt_http_entry *
judge_head(struct lnt_http_exchange *x)
{
    struct lnt_http_request *r = &x->r;
    struct lnt_http_fault fault;
    if (lnt_http_read_fields(r, &x->framing, &fault) < 0) {
        refuse_fault(x, &fault);
        return NULL;
    }
    if (r->method == LNT_HTTP_OTHER) {
        refuse(x, 501, NULL, "the method is not known");
        return NULL;
    }
    if (lnt_http_read_target(r, x->worker->path, &fault) < 0) {
        refuse(x, fault.status, NULL, fault.message);
        return NULL;
    }
    if (r->path.p[0] == '*') {
        answer_options(x, "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, "
                          "OPTIONS\r\n");
        return NULL;
    }
    const struct lnt_http_entry *e = lnt_http_route_find(x->conn->table, r);
    if (!e) {
        refuse(x, 404, NULL, "there is nothing here");
        return NULL;
    }
    if (answer_methods(x, e))
        return NULL;
    uint64_t max = e->route.handler->body_max;
    if (x->framing.length > max || (x->framing.chunked && max == 0)) {
        refuse(x, 413, NULL,
               max ? "the body is too big" : "no body is taken here");
        return NULL;
    }
    return e;
}

static void
count_request(struct lnt_http_exchange *x)
{
    struct lnt_http_conn *c = x->conn;
    uint32_t max = x->worker->conf->requests_max;
    c->flags &= (uint16_t)~LNT_HTTP_F_BLANK;
    c->requests++;
    if (max && c->requests >= max) {
        c->flags |= LNT_HTTP_F_CLOSE;
        lnt_count(lnt_session_stats(x->r.session), LNT_C_REQUESTS_MAX);
    }
}

static lnt_verdict
handle(struct lnt_http_exchange *x, const struct lnt_http_entry *e)
{
    struct lnt_http_request *r = &x->r;
    struct lnt_net *net = lnt_session_net(r->session);
    x->entry = e;
    lnt_verdict v =
        e->route.handler->handle(lnt_net_ctx(net, e->module_index), r);
    if (!x->answered && !x->parked && !x->handed) {
        lnt_log_alert("module %s left a request without an answer",
                      e->route.module->name);
        (void)lnt_http_error(r, 500, NULL, "the request was not answered");
    }
    /* The handler cannot know. */
    if (x->parked && (x->conn->flags & LNT_HTTP_F_ENDING))
        lnt_http_later_due(x->conn, LNT_HTTP_DUE_END);
    return v;
}

static enum step
after_answer(const struct lnt_http_exchange *x)
{
    if (x->upgraded)
        return STEP_GONE;
    return x->parked || x->handed ? STEP_WAIT : STEP_NEXT;
}

/* ---- requests that are not whole ---- */

static void
set_deadline(struct lnt_session *s, uint64_t after)
{
    lnt_session_deadline(s, after ? lnt_session_now(s) + after : 0);
}

static void
wait_for_head(struct lnt_http_exchange *x, const struct lnt_http_parser *ps)
{
    struct lnt_http_conn *c = x->conn;
    if (!c->busy.pending) {
        c->busy.pending = lnt_http_pending_new();
        c->busy.pending->begun = x->begun;
        struct lnt_session *s = x->r.session;
        set_deadline(s, lnt_session_limits(s)->handshake_timeout);
    }
    c->busy.pending->parser = *ps;
}

static void
forget_pending(struct lnt_http_exchange *x)
{
    struct lnt_http_conn *c = x->conn;
    if (!c->busy.pending)
        return;
    lnt_http_pending_free(c->busy.pending);
    c->busy.pending = NULL;
    lnt_session_deadline(x->r.session, 0);
}

static void
wait_for_body(struct lnt_http_exchange *x, const struct lnt_http_entry *e,
              const char *head, size_t n, bool some)
{
    struct lnt_http_pending *p = lnt_http_pending_new();
    p->begun = x->begun;
    p->head = lnt_malloc(n);
    memcpy(p->head, head, n);
    p->head_n = n;
    p->route = &e->route;
    lnt_http_body_init(&p->body, &x->framing, e->route.handler->body_max);
    x->conn->busy.pending = p;
    set_deadline(x->r.session, x->worker->conf->body_timeout);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (x->framing.expects && !some)
        lnt_session_write(x->r.session, go_on, sizeof(go_on) - 1);
}

/* The head that was copied when the body was not there. */
static void
recall_head(struct lnt_http_exchange *x, const struct lnt_http_pending *p)
{
    struct lnt_http_parser ps = {0};
    struct lnt_http_fault fault;
    size_t size = 0;
    enum lnt_http_parse got =
        lnt_http_parse_head(&ps, &x->worker->conf->limits, p->head, p->head_n,
                            &x->r, &size, &fault);
    lnt_assert(got == LNT_HTTP_DONE && size == p->head_n);
    x->head = lnt_str(p->head, p->head_n);
}

/* Here is the body. */
static lnt_verdict
handle_pending(struct lnt_http_exchange *x, struct lnt_http_pending *p)
{
    recall_head(x, p);
    const struct lnt_http_entry *e = judge_head(x);
    if (!e)
        return LNT_GO_ON;
    x->r.body = lnt_strbuf_str(&p->body.data);
    return handle(x, e);
}

/* Its body is not to be had; what the head says is for the access log. */
static void
recall_request(struct lnt_http_exchange *x, const struct lnt_http_pending *p)
{
    struct lnt_http_fault fault;
    recall_head(x, p);
    (void)lnt_http_read_fields(&x->r, &x->framing, &fault);
    (void)lnt_http_read_target(&x->r, x->worker->path, &fault);
    x->r.route = p->route;
    x->r.keep_alive = false;
}

static enum step
take_body(struct lnt_http_exchange *x, struct lnt_input *in, lnt_verdict *v)
{
    struct lnt_http_conn *c = x->conn;
    struct lnt_http_pending *p = c->busy.pending;
    struct lnt_http_fault fault;
    size_t used;
    enum lnt_http_parse got =
        lnt_http_body_feed(&p->body, (const char *)in->p + in->used,
                           in->n - in->used, &used, &fault);
    in->used += used;
    if (got == LNT_HTTP_MORE)
        return STEP_WAIT;
    c->busy.pending = NULL; /* an answer may need the place */
    lnt_session_deadline(x->r.session, 0);
    if (got == LNT_HTTP_BAD) {
        recall_request(x, p);
        refuse_fault(x, &fault);
    } else {
        *v = handle_pending(x, p);
    }
    lnt_http_pending_free(p);
    return after_answer(x);
}

/* ---- requests in the input ---- */

/* An empty line before a request is what some clients send behind a body. */
static bool
skip_blank(struct lnt_http_conn *c, struct lnt_input *in)
{
    const uint8_t *p = in->p + in->used;
    size_t n = in->n - in->used;
    if (c->busy.pending || (c->flags & LNT_HTTP_F_BLANK) || p[0] != '\r')
        return true;
    if (n == 1)
        return false;
    if (p[1] == '\n') {
        in->used += 2;
        c->flags |= LNT_HTTP_F_BLANK;
    }
    return in->used < in->n;
}

static enum step
take_whole(struct lnt_http_exchange *x, struct lnt_input *in, size_t size,
           lnt_verdict *v)
{
    const char *head = (const char *)in->p + in->used;
    forget_pending(x);
    count_request(x);
    in->used += size;
    *v = lnt_session_ready(x->r.session);
    const struct lnt_http_entry *e = *v ? NULL : judge_head(x);
    if (!e)
        return STEP_NEXT;
    const struct lnt_http_framing *f = &x->framing;
    size_t left = in->n - in->used;
    if (f->chunked || f->length > left) {
        wait_for_body(x, e, head, size, left > 0);
        return STEP_NEXT;
    }
    x->head = lnt_str(head, size);
    x->r.body = lnt_str(head + size, (size_t)f->length);
    in->used += (size_t)f->length;
    *v = handle(x, e);
    return after_answer(x);
}

static enum step
take_head(struct lnt_http_exchange *x, struct lnt_input *in, lnt_verdict *v)
{
    struct lnt_http_conn *c = x->conn;
    struct lnt_http_parser ps = {0};
    struct lnt_http_fault fault;
    size_t size;
    if (!skip_blank(c, in))
        return STEP_WAIT;
    if (c->busy.pending)
        ps = c->busy.pending->parser;
    switch (lnt_http_parse_head(&ps, &x->worker->conf->limits,
                                (const char *)in->p + in->used,
                                in->n - in->used, &x->r, &size, &fault)) {
    case LNT_HTTP_MORE:
        wait_for_head(x, &ps);
        return STEP_WAIT;
    case LNT_HTTP_BAD:
        forget_pending(x);
        refuse_fault(x, &fault);
        return STEP_NEXT;
    case LNT_HTTP_DONE:
        break;
    }
    return take_whole(x, in, size, v);
}

/* Whether enough answers are on their way for now. */
static bool
must_hold(struct lnt_session *s)
{
    uint64_t max = lnt_session_limits(s)->send_queue / 2;
    return lnt_session_queued(s) >= (max < PIPELINE_MAX ? max : PIPELINE_MAX);
}

/* The client is gone while its request is put off.  What it has sent behind
   that is nobody's. */
static void
end_later(struct lnt_session *s, struct lnt_http_conn *c)
{
    lnt_http_later_gone(c);
    c->flags |= LNT_HTTP_F_DONE;
    lnt_session_finish(s);
}

static lnt_verdict
take_requests(struct lnt_session *s, struct lnt_input *in)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    c->flags &= (uint16_t)~LNT_HTTP_F_HELD;
    for (;;) {
        lnt_verdict v = LNT_GO_ON;
        if (c->flags & LNT_HTTP_F_TRANSFER)
            return LNT_GO_ON;
        if (c->flags & LNT_HTTP_F_DONE) {
            in->used = in->n;
            return LNT_GO_ON;
        }
        if (in->used == in->n)
            return LNT_GO_ON;
        if (must_hold(s)) {
            c->flags |= LNT_HTTP_F_HELD;
            lnt_session_hold(s);
            return LNT_GO_ON;
        }
        struct lnt_http_exchange *x = begin_exchange(s);
        enum step step = c->busy.pending && c->busy.pending->head
                             ? take_body(x, in, &v)
                             : take_head(x, in, &v);
        if (v || step != STEP_NEXT)
            return v;
    }
}

static lnt_verdict
on_data(struct lnt_session *s, struct lnt_input *in)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    lnt_verdict v = LNT_GO_ON;
    if (!(c->flags & (LNT_HTTP_F_LATER | LNT_HTTP_F_ANSWERING)))
        v = take_requests(s, in);
    if (in->eof && lnt_session_state(s) == c && (c->flags & LNT_HTTP_F_LATER))
        end_later(s, c);
    return v;
}

static void
on_drained(struct lnt_session *s)
{
    lnt_http_transfer_continue(s, lnt_session_state(s));
}

/* ---- begin and end ---- */

static lnt_verdict
on_open(struct lnt_session *s)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    c->table = lnt_http_table_find(worker_of(s)->conf->tables,
                                   lnt_session_endpoint(s)->section);
    return LNT_GO_ON;
}

static void
on_close(struct lnt_session *s)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    if (c->flags & LNT_HTTP_F_TRANSFER)
        lnt_http_transfer_drop(s, c);
    else if (c->flags & LNT_HTTP_F_LATER)
        lnt_http_later_gone(c);
    else
        lnt_http_pending_free(c->busy.pending);
    c->busy.pending = NULL;
}

static bool
is_idle(const struct lnt_http_conn *c)
{
    enum {
        BUSY = LNT_HTTP_F_TRANSFER | LNT_HTTP_F_HELD | LNT_HTTP_F_LATER |
               LNT_HTTP_F_ANSWERING
    };
    return !(c->flags & BUSY) && !c->busy.pending;
}

/* Too slow: said when a request had begun. */
static lnt_verdict
on_timeout(struct lnt_session *s, enum lnt_timeout which)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    if (c->flags & LNT_HTTP_F_LATER) {
        lnt_http_later_due(c, LNT_HTTP_DUE_DEADLINE);
        return LNT_GO_ON;
    }
    if (c->flags & LNT_HTTP_F_ANSWERING)
        lnt_log_alert("a request that was resumed is left without an answer");
    if (c->flags &
        (LNT_HTTP_F_TRANSFER | LNT_HTTP_F_DONE | LNT_HTTP_F_ANSWERING)) {
        lnt_session_cut(s);
        return LNT_GO_ON;
    }
    bool body = c->busy.pending && c->busy.pending->head;
    if (which == LNT_TIMEOUT_OWN)
        lnt_count(lnt_session_stats(s),
                  body ? LNT_C_TIMEOUTS_BODY : LNT_C_TIMEOUTS_HANDSHAKE);
    if (c->busy.pending) {
        struct lnt_http_exchange *x = begin_exchange(s);
        struct lnt_http_pending *p = c->busy.pending;
        c->busy.pending = NULL; /* an answer may need the place */
        lnt_session_deadline(s, 0);
        if (body)
            recall_request(x, p);
        (void)lnt_http_error(&x->r, 408, NULL,
                             body ? "the body did not come in time"
                                  : "the request head did not come in time");
        lnt_http_pending_free(p);
        return LNT_GO_ON;
    }
    c->flags |= LNT_HTTP_F_DONE;
    lnt_session_finish(s);
    return LNT_GO_ON;
}

static bool
on_drain(struct lnt_session *s)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    c->flags |= LNT_HTTP_F_CLOSE | LNT_HTTP_F_ENDING;
    if (c->flags & LNT_HTTP_F_LATER)
        lnt_http_later_due(c, LNT_HTTP_DUE_END);
    return lnt_session_state(s) == c && is_idle(c);
}

/* A request that has begun is still answered, and then the session ends
   itself. */
static bool
on_goodbye(struct lnt_session *s, int code, const char *reason)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    c->flags |= LNT_HTTP_F_CLOSE | LNT_HTTP_F_ENDING;
    if (c->flags & LNT_HTTP_F_LATER)
        lnt_http_later_due(c, LNT_HTTP_DUE_END);
    /* Another protocol by now.  It has the time of a goodbye, but who is thrown
       out is not let in by that. */
    if (lnt_session_state(s) != c) {
        if (code != LNT_CLOSE_AWAY)
            lnt_session_close(s, code, reason);
        return true;
    }
    if (code != LNT_CLOSE_AWAY || (c->flags & LNT_HTTP_F_DONE))
        return c->flags & LNT_HTTP_F_TRANSFER;
    return !is_idle(c);
}

/*
 * Between requests there is little to carry: unread input goes along by itself,
 * and a head in it is looked through again.  What goes, by the rules of
 * core/pack.h: version, the requests so far, and for how long there has been a
 * head (1 + ms; 0, there is none); then what is put off (later.c), if anything
 * is.
 */
static int
freeze_later(struct lnt_http_conn *c, struct lnt_strbuf *out)
{
    lnt_pack_version(out, LATER_VERSION, LATER_VERSION);
    lnt_pack_u32(out, c->requests);
    lnt_pack_u32(out, 0);
    size_t later = lnt_pack_begin(out);
    if (lnt_http_later_freeze(c, out) < 0)
        return -1;
    lnt_pack_end(out, later);
    return 0;
}

static int
on_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    enum {
        NEVER = LNT_HTTP_F_TRANSFER | LNT_HTTP_F_DONE | LNT_HTTP_F_ANSWERING
    };
    if (c->flags & NEVER)
        return -1;
    if (c->flags & LNT_HTTP_F_LATER)
        return freeze_later(c, out);
    const struct lnt_http_pending *p = c->busy.pending;
    if (p && p->head)
        return -1;
    lnt_pack_version(out, FROZEN_VERSION, FROZEN_VERSION);
    lnt_pack_u32(out, c->requests);
    lnt_pack_u32(out, p ? 1 + (uint32_t)(lnt_session_now(s) - p->begun) : 0);
    return 0;
}

/* It still has to be whole in time, whether more of it comes or not. */
static void
thaw_head(struct lnt_session *s, struct lnt_http_conn *c, uint64_t age)
{
    uint64_t max = lnt_session_limits(s)->handshake_timeout;
    struct lnt_http_pending *p = lnt_http_pending_new();
    p->begun = lnt_session_now(s) - (age < max ? age : max);
    c->busy.pending = p;
    if (max)
        lnt_session_deadline(s, p->begun + max);
}

/* As release 0.1.0 has it, without a version: perhaps the requests, and then
   perhaps the age of a head. */
static bool
unpack_old(struct lnt_str *state, uint32_t *requests, uint32_t *age)
{
    if (!lnt_unpack_late_u32(state, requests))
        return false;
    if (state->n == 0)
        return true;
    if (!lnt_unpack_u32(state, age))
        return false;
    *age += *age < UINT32_MAX;
    return true;
}

static void
on_stays(struct lnt_session *s, const char *why)
{
    (void)s;
    lnt_log_info("a request is not handed over: %s", why);
}

static int
on_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct lnt_http_conn *c = lnt_session_state(s);
    struct lnt_pack_version v;
    struct lnt_str later = lnt_str("", 0);
    uint32_t age = 0;
    bool known;
    if (state.n <= OLD_SIZE)
        known = unpack_old(&state, &c->requests, &age);
    else
        known = lnt_unpack_version(&state, LATER_VERSION, &v) &&
                lnt_unpack_u32(&state, &c->requests) &&
                lnt_unpack_u32(&state, &age) &&
                lnt_unpack_late_str(&state, &later);
    if (!known)
        return -1;
    if (age)
        thaw_head(s, c, age - 1);
    (void)on_open(s);
    return later.n ? lnt_http_later_thaw(s, c, later) : 0;
}

const struct lnt_protocol lnt_http_protocol = {
    .state_size = sizeof(struct lnt_http_conn),
    .bare = true,
    .open = on_open,
    .data = on_data,
    .drained = on_drained,
    .timeout = on_timeout,
    .goodbye = on_goodbye,
    .drain = on_drain,
    .freeze = on_freeze,
    .thaw = on_thaw,
    .close = on_close,
    .stays = on_stays,
};
