/*
 * sse: server-sent events, a protocol for [route] sections of http whose
 * clients only listen (HTML standard, "Server-sent events").
 *
 *     GET /events?room=lobby          "id: EPOCH:SEQ", "event: message",
 *     Last-Event-ID: EPOCH:SEQ        "data: {...}", an empty line
 *
 * The answer has no length and ends with its connection: every client and every
 * proxy knows what that is, and what goes to a room is the same bytes for all
 * who listen.  The request is read by query.c, events are written by event.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/conf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "hub/hub.h"
#include "modules/http/http.h"
#include "modules/sse/event.h"
#include "modules/sse/query.h"
#include "net/app.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/net.h"
#include "net/stats.h"

enum { FROZEN_VERSION = 2, FROZEN_NEEDS = 2 };

/* What [route] says about event streams. */
struct sse_route {
    uint64_t retry; /* ms, 0: as browsers like it */
};

/* A worker. */
struct sse_worker {
    struct lnt_sse_query query; /* of the request that is being answered */
    bool telling; /* a session what it begins with; the latest is in said */
    struct lnt_strbuf said;
    uint64_t streams; /* open now */
};

/* A session. */
struct sse_session {
    uint64_t sent; /* lnt_session_sent, at the last look */
};

static const struct lnt_directive directives[] = {
    {
        .name = "retry",
        .type = LNT_TYPE_DURATION,
        .offset = offsetof(struct sse_route, retry),
        .def = "3s",
        .max = 3600000,
        .help = "sse: after which time browsers come back when a stream broke, "
                "each up to half as much later; 0: as they like it.",
    },
    {.name = NULL},
};

static const struct lnt_directive_set route_set = {
    .owner = "sse",
    .size = sizeof(struct sse_route),
    .directives = directives,
};

static const struct lnt_section_extension extensions[] = {
    {.kind = "route", .set = &route_set},
    {.kind = NULL},
};

static struct sse_worker *
worker_of(const struct lnt_session *s)
{
    return lnt_session_protocol(s)->data;
}

/* ---- the configuration ---- */

/* One that cannot be listened to would leave its clients in the dark. */
static int
prepare(struct lnt_module_setup *setup, const struct lnt_section *section,
        const void **conf)
{
    const struct lnt_directive_set *set = NULL;
    const char *name = lnt_section_text(section, "app", &set);
    const struct lnt_module *app =
        name ? lnt_module_find(setup->modules, name) : NULL;

    *conf = lnt_section_data(section, &route_set);
    if (!app || !app->app || (app->app->listen && app->app->may_listen))
        return 0;
    struct lnt_origin at = lnt_section_origin(section, set, "app");
    lnt_report_add(setup->report, at.file, at.line,
                   "[route %s]: app %s has nothing that could be listened to "
                   "over protocol = sse; chat has",
                   section->name, name);
    return -1;
}

/* ---- the request ---- */

/* Appends the headers for pages of other hosts. */
static void
add_origin(const struct lnt_http_request *r, struct lnt_strbuf *headers)
{
    struct lnt_str origin = lnt_http_header_get(r, "Origin");

    lnt_strbuf_adds(headers, "Vary: Origin\r\n");
    if (origin.n > 0)
        lnt_strbuf_addf(headers, "Access-Control-Allow-Origin: %.*s\r\n",
                        LNT_STR_ARG(origin));
}

/* Before a script of another host may send headers of its own. */
static lnt_verdict
answer_options(struct lnt_http_request *r, struct lnt_strbuf *headers)
{
    lnt_strbuf_adds(headers, "Allow: GET, OPTIONS\r\n");
    if (lnt_http_header_count(r, "Origin") > 0)
        lnt_strbuf_adds(
            headers,
            "Access-Control-Allow-Methods: GET\r\n"
            "Access-Control-Allow-Headers: Last-Event-ID, Cache-Control\r\n"
            "Access-Control-Max-Age: 600\r\n");
    return lnt_http_respond(r, 204, NULL, headers->p, lnt_str("", 0));
}

/* Where it left off: what the browser says goes before what its page said when
   it began.  An id that is not ours is one that nothing is known of. */
static void
take_last_id(const struct lnt_http_request *r, struct lnt_interest *l)
{
    struct lnt_str id = lnt_http_header_get(r, "Last-Event-ID");

    if (id.n == 0)
        return;
    l->resumes = true;
    if (!lnt_sse_id_read(id, &l->epoch, &l->seq))
        l->epoch = l->seq = 0;
}

static lnt_verdict
answer_stream(struct lnt_http_request *r, struct sse_worker *w,
              struct lnt_strbuf *text)
{
    const struct lnt_endpoint *e = r->route->endpoint;
    struct lnt_interest *l = &w->query.listen;
    const char *why;
    lnt_verdict v;

    if (!lnt_sse_query_read(&w->query, r->query, &why))
        return lnt_http_error(r, 400, text->p, why);
    take_last_id(r, l);
    if (!e->app->app->may_listen(lnt_net_ctx(lnt_session_net(r->session),
                                             e->app_index),
                                 l, &w->said))
        return lnt_http_error(r, 400, text->p, w->said.p ? w->said.p : "");
    if (!lnt_http_admit(r, false, text->p, &v))
        return v;
    /* nginx would wait for more before it passes anything on. */
    lnt_strbuf_adds(text, "Cache-Control: no-cache\r\n"
                          "X-Accel-Buffering: no\r\n");
    return lnt_http_stream(r, "text/event-stream", text->p);
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct sse_worker *w = m->data;
    struct lnt_strbuf headers = LNT_STRBUF_INIT;
    lnt_verdict v;

    if (!lnt_http_origin_fits(r)) {
        struct lnt_str origin = lnt_http_header_get(r, "Origin");

        lnt_log_info("events refused: origin \"%.*s\" is not allowed",
                     (int)(origin.n < 200 ? origin.n : 200), origin.p);
        return lnt_http_error(r, 403, "Vary: Origin\r\n",
                              "Pages from this origin may not listen.");
    }
    add_origin(r, &headers);
    lnt_strbuf_clear(&w->said);
    v = r->method == LNT_HTTP_OPTIONS ? answer_options(r, &headers)
                                      : answer_stream(r, w, &headers);
    lnt_strbuf_release(&headers);
    return v;
}

/* ---- keepalive ---- */

/* Time between two comments, or, without them, between two looks at whether
   the client still takes what it is sent; 0: there is nothing to do. */
static uint64_t
pause_of(const struct lnt_session *s)
{
    const struct lnt_limits *l = lnt_session_limits(s);
    uint64_t pause = l->ping_interval, idle = l->idle_timeout / 2;

    if (idle > 0 && (pause == 0 || pause > idle))
        pause = idle;
    return pause;
}

/* A number of the session's own below n. */
static uint64_t
spread(const struct lnt_session *s, uint64_t n)
{
    uint64_t hash = lnt_session_id(s) * UINT64_C(0x9e3779b97f4a7c15);

    return n ? (hash >> 32) % n : 0;
}

static void
arm(struct lnt_session *s)
{
    uint64_t pause = pause_of(s);

    if (pause > 0)
        lnt_session_deadline(s,
                             lnt_session_now(s) + pause - spread(s, pause / 8));
}

/* Who listens says nothing: alive is who takes what it is sent.  One that does
   not is left to idle_timeout. */
static lnt_verdict
sse_timeout(struct lnt_session *s, enum lnt_timeout which)
{
    struct sse_session *stream = lnt_session_state(s);
    uint64_t sent = lnt_session_sent(s);
    size_t queued = lnt_session_queued(s);

    if (which != LNT_TIMEOUT_OWN)
        return LNT_GO_ON;
    if (queued == 0 || sent != stream->sent)
        lnt_session_active(s);
    if (queued == 0 && lnt_session_limits(s)->ping_interval > 0)
        lnt_session_write(s, ":\n\n", 3);
    stream->sent = sent;
    arm(s);
    return LNT_GO_ON;
}

/* ---- out ---- */

static uint64_t
epoch_of(const struct lnt_module_ctx *m)
{
    return lnt_hub_epoch(m->hub);
}

static bool
is_text(enum lnt_message_type type, struct lnt_str data)
{
    return type == LNT_TEXT || lnt_utf8_valid(data.p, data.n);
}

static void
send_event(struct lnt_session *s, uint64_t epoch, struct lnt_str message)
{
    struct lnt_buf *b = lnt_buf_new(message.n + 128);

    b = lnt_sse_event_add(b, epoch, message);
    lnt_session_write_buf(s, b);
    lnt_buf_unref(b);
}

/* Of what a session is told at its beginning the latest message is kept back:
   only the last of them has an id, so that whoever leaves in between asks for all of it again. */
static void
sse_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    struct sse_worker *w = worker_of(s);
    struct lnt_str message = lnt_str(p, n);

    if (!is_text(type, message)) {
        lnt_log_debug("a message that is not text cannot be an event");
        return;
    }
    if (!w->telling) {
        send_event(s, epoch_of(lnt_session_protocol(s)), message);
        return;
    }
    if (w->said.n > 0)
        send_event(s, 0, lnt_strbuf_str(&w->said));
    lnt_strbuf_clear(&w->said);
    lnt_strbuf_add_str(&w->said, message);
}

/* lnt_interest.telling */
static void
sse_telling(struct lnt_session *s, bool begins)
{
    struct sse_worker *w = worker_of(s);

    if (!begins && w->said.n > 0)
        send_event(s, epoch_of(lnt_session_protocol(s)),
                   lnt_strbuf_str(&w->said));
    lnt_strbuf_release(&w->said);
    w->telling = begins;
}

static struct lnt_buf *
sse_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
           enum lnt_message_type type, struct lnt_str data)
{
    (void)variant;
    return is_text(type, data) ? lnt_sse_event_add(b, epoch_of(m), data) : b;
}

static struct lnt_buf *
sse_encode(struct lnt_module_ctx *m, unsigned variant,
           enum lnt_message_type type, struct lnt_str data)
{
    return sse_append(m, variant, lnt_buf_new(data.n + 128), type, data);
}

/* ---- a session ---- */

static void
begin(struct lnt_session *s, struct sse_worker *w)
{
    lnt_net_meter(lnt_session_net(s));
    w->streams++;
}

static lnt_verdict
listen_to(struct lnt_session *s, struct sse_worker *w)
{
    lnt_verdict v = lnt_session_ready(s);

    return v == LNT_GO_ON ? lnt_app_listen(s, &w->query.listen) : v;
}

/* The request has been answered with the head; its query is still there. */
static lnt_verdict
sse_open(struct lnt_session *s)
{
    struct sse_worker *w = worker_of(s);
    const struct sse_route *route =
        lnt_section_data(lnt_session_endpoint(s)->section, &route_set);
    lnt_verdict v;

    begin(s, w);
    lnt_count(lnt_session_stats(s), LNT_C_EVENT_STREAMS);
    if (route->retry > 0) {
        struct lnt_strbuf line = LNT_STRBUF_INIT;

        lnt_strbuf_adds(&line, "retry: ");
        lnt_strbuf_addu(&line, route->retry + spread(s, route->retry / 2));
        lnt_strbuf_adds(&line, "\n\n");
        lnt_session_write(s, line.p, line.n);
        lnt_strbuf_release(&line);
    }
    w->query.listen.telling = sse_telling;
    v = listen_to(s, w);
    arm(s);
    return v;
}

/* Nothing is expected: what comes behind the request means nothing. */
static lnt_verdict
sse_data(struct lnt_session *s, struct lnt_input *in)
{
    (void)s;
    in->used = in->n;
    return LNT_GO_ON;
}

/* A browser comes back by itself; its page may read here that it should not,
   and close the stream. */
static bool
sse_goodbye(struct lnt_session *s, int code, const char *reason)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    lnt_strbuf_addf(&text, "{\"type\":\"close\",\"code\":%d,\"reason\":", code);
    lnt_strbuf_add_json(&text, lnt_str_c(reason ? reason : ""));
    lnt_strbuf_addc(&text, '}');
    send_event(s, 0, lnt_strbuf_str(&text));
    lnt_strbuf_release(&text);
    return false;
}

static void
sse_close(struct lnt_session *s)
{
    worker_of(s)->streams--;
    lnt_http_upgrade_ended(s);
}

/* ---- moving ---- */

/*
 * A stream has no state that is to move: what was half sent goes along as it
 * is, and what was delivered last is the application's to know.  What goes, by
 * the rules of core/pack.h: version, and counted what the access log is to say.
 * In version 1, of release 0.1.0, that was not counted.
 */
static int
sse_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    lnt_pack_version(out, FROZEN_VERSION, FROZEN_NEEDS);
    size_t line = lnt_pack_begin(out);
    lnt_http_upgrade_freeze(s, out);
    lnt_pack_end(out, line);
    return 0;
}

static int
sse_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct lnt_pack_version v;
    struct lnt_str line = {0};

    begin(s, worker_of(s));
    if (!lnt_unpack_version(&state, FROZEN_VERSION, &v))
        return -1;
    if (v.is == 1) {
        line = state;
    } else if (!lnt_unpack_part(&state, &line)) {
        errno = EPROTO;
        return -1;
    }
    arm(s);
    return lnt_http_upgrade_thaw(s, line);
}

/* ---- the module ---- */

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct sse_worker));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct sse_worker *w = m->data;

    if (!w)
        return;
    lnt_sse_query_release(&w->query);
    lnt_strbuf_release(&w->said);
    free(w);
    m->data = NULL;
}

static void
status(struct lnt_module_ctx *m, struct lnt_strbuf *json)
{
    const struct sse_worker *w = m->data;

    lnt_strbuf_adds(json, ",\"event_streams\":");
    lnt_strbuf_addu(json, w->streams);
}

static const struct lnt_http_handler handler = {
    .allow = "GET, OPTIONS",
    .upgrades = "a stream of events",
    .prepare = prepare,
    .handle = handle,
};

static const struct lnt_protocol protocol = {
    .state_size = sizeof(struct sse_session),
    .open = sse_open,
    .data = sse_data,
    .send = sse_send,
    .encode = sse_encode,
    .append = sse_append,
    .timeout = sse_timeout,
    .goodbye = sse_goodbye,
    .freeze = sse_freeze,
    .thaw = sse_thaw,
    .close = sse_close,
};

const struct lnt_module lnt_module_sse = {
    LNT_MODULE_HEAD,
    .name = "sse",
    .help = "server-sent events, on routes of http",
    .extensions = extensions,
    .protocol = &protocol,
    .handler = &handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .status = status,
};
