/*
 * An HTTP session without a server: the session functions that the protocol
 * calls, made of arrays, a few routes, and a client that feeds it bytes.  For
 * http_conn and its fuzz target.
 *
 * The core's promises are kept to the letter: input lies in memory of exactly
 * its size and is gone when data() returns, what data() leaves comes again
 * with more behind it, nothing comes while input is held.
 */
#ifndef LNT_T_HTTP_HARNESS_H
#define LNT_T_HTTP_HARNESS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "modules/http/conn.h"
#include "modules/http/exchange.h"
#include "modules/http/route.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/net.h"
#include "net/session.h"
#include "net/stats.h"
#include "os/socket.h"

struct lnt_net {
    struct lnt_loop *loop;
    struct lnt_module_ctx ctx[1];
};

struct lnt_session {
    struct lnt_http_conn *conn; /* NULL: is another protocol's */
    struct lnt_net net;
    struct lnt_limits limits;
    struct lnt_stats stats;
    struct lnt_endpoint endpoint;
    struct lnt_http_worker worker;
    uint64_t now, deadline;
    size_t queued;
    bool ready, held, parked, finished, cut, eof, moved;
    int closing;             /* what lnt_session_close was given */
    struct lnt_strbuf out;   /* everything sent */
    struct lnt_strbuf rest;  /* input not consumed */
    struct lnt_strbuf other; /* what came to the other protocol */
    const char *fault;       /* a promise that was broken */
};

#define HTTP_UNUSED __attribute__((unused))

/* ---- what the protocol calls ---- */

uint64_t
lnt_session_id(const struct lnt_session *s)
{
    (void)s;
    return 0x100;
}

const struct lnt_endpoint *
lnt_session_endpoint(const struct lnt_session *s)
{
    return &s->endpoint;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    return &s->limits;
}

struct lnt_net *
lnt_session_net(const struct lnt_session *s)
{
    return (struct lnt_net *)(uintptr_t)&s->net;
}

struct lnt_stats *
lnt_session_stats(const struct lnt_session *s)
{
    return (struct lnt_stats *)(uintptr_t)&s->stats;
}

uint64_t
lnt_session_now(const struct lnt_session *s)
{
    return s->now;
}

int
lnt_session_peer(const struct lnt_session *s, struct lnt_addr *peer)
{
    (void)s;
    memset(peer, 0, sizeof(*peer));
    return -1;
}

void
lnt_session_cut(struct lnt_session *s)
{
    s->cut = true;
}

void *
lnt_session_state(const struct lnt_session *s)
{
    return s->conn;
}

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    return (struct lnt_module_ctx *)(uintptr_t)&s->net.ctx[0];
}

struct lnt_module_ctx *
lnt_net_ctx(struct lnt_net *n, unsigned index)
{
    return &n->ctx[index];
}

lnt_verdict
lnt_session_ready(struct lnt_session *s)
{
    s->ready = true;
    return LNT_GO_ON;
}

static void
http_queue(struct lnt_session *s, const void *p, size_t n)
{
    if (s->finished) {
        s->fault = "written after finish";
        return;
    }
    lnt_strbuf_add(&s->out, p, n);
    s->queued += n;
}

void
lnt_session_write(struct lnt_session *s, const void *p, size_t n)
{
    http_queue(s, p, n);
}

void
lnt_session_write_buf(struct lnt_session *s, struct lnt_buf *b)
{
    http_queue(s, b->data, b->len);
}

ssize_t
lnt_session_send_file(struct lnt_session *s, int fd, uint64_t offset,
                      uint64_t n)
{
    (void)s;
    (void)fd;
    (void)offset;
    (void)n;
    errno = EINVAL;
    return -1;
}

uint64_t
lnt_session_sent(const struct lnt_session *s)
{
    (void)s;
    return 0;
}

bool
lnt_session_moved(const struct lnt_session *s)
{
    return s->moved;
}

struct lnt_module_ctx *
lnt_net_find(struct lnt_net *n, const char *module)
{
    (void)module;
    return &n->ctx[0];
}

size_t
lnt_session_queued(const struct lnt_session *s)
{
    return s->queued;
}

void
lnt_session_finish(struct lnt_session *s)
{
    s->finished = true;
}

void
lnt_session_deadline(struct lnt_session *s, uint64_t at_ms)
{
    s->deadline = at_ms;
}

void
lnt_session_hold(struct lnt_session *s)
{
    s->held = true;
}

void
lnt_session_park(struct lnt_session *s)
{
    s->parked = true;
}

void
lnt_session_unpark(struct lnt_session *s)
{
    s->held |= s->parked;
    s->parked = false;
}

void
lnt_session_close(struct lnt_session *s, int code, const char *reason)
{
    (void)reason;
    s->closing = code;
}

struct lnt_loop *
lnt_net_loop(struct lnt_net *n)
{
    return n->loop;
}

static HTTP_UNUSED void
http_close(struct lnt_session *s)
{
    if (s->conn) {
        struct lnt_http_conn *conn = s->conn;
        lnt_http_protocol.close(s);
        s->conn = NULL;
        lnt_loop_free(s->net.loop, conn);
    }
}

lnt_verdict
lnt_session_become(struct lnt_session *s, const struct lnt_endpoint *to)
{
    (void)to;
    http_close(s);
    return LNT_GO_ON;
}

enum lnt_admission
lnt_session_admits(const struct lnt_session *s, const struct lnt_endpoint *to)
{
    (void)s;
    (void)to;
    return LNT_ADMITTED;
}

/* ---- routes ---- */

enum { HTTP_BIG = 300000 };
static char http_big[HTTP_BIG];

static bool
http_clean(struct lnt_str path)
{
    return path.n > 0 && path.p[0] == '/' && !memchr(path.p, 0, path.n) &&
           !memmem(path.p, path.n, "//", 2) &&
           !memmem(path.p, path.n, "/../", 4) &&
           !memmem(path.p, path.n, "/./", 3) &&
           (path.n < 3 || memcmp(path.p + path.n - 3, "/..", 3) != 0);
}

/* Says what it was asked. */
static lnt_verdict
http_box(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    (void)m;
    if (!http_clean(r->path) || r->body.n > 1000)
        r->session->fault = "a path or a body that should not get here";
    lnt_strbuf_addf(&b, "%.*s %.*s [%.*s]", LNT_STR_ARG(r->method_text),
                    LNT_STR_ARG(r->path), LNT_STR_ARG(r->body));
    lnt_verdict v =
        lnt_http_respond(r, 200, "text/plain", NULL, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return v;
}

static lnt_verdict
http_large(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    return lnt_http_respond_static(r, 200, "text/plain", NULL,
                                   lnt_str(http_big, HTTP_BIG));
}

static lnt_verdict
http_up(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    return lnt_http_upgrade(r, LNT_STR("HTTP/1.1 101 Up\r\n\r\n"));
}

static lnt_verdict
http_bye(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    (void)lnt_http_respond(r, 200, NULL, NULL, LNT_STR("bye"));
    return LNT_CLOSE_POLICY;
}

static const struct lnt_http_handler http_handlers[] = {
    {.handle = http_box, .allow = "POST, GET, HEAD", .body_max = 1000},
    {.handle = http_large, .allow = "GET, HEAD"},
    {.handle = http_up, .allow = "GET", .upgrades = "a thing"},
    {.handle = http_bye, .allow = "GET"},
#ifdef HTTP_LATER
    HTTP_LATER,
#endif
};

static const struct lnt_module http_module = {.name = "harness"};
static const struct lnt_endpoint http_other = {.name = "route other"};

#define HTTP_GETS (1u << LNT_HTTP_GET | 1u << LNT_HTTP_HEAD)
#define HTTP_ENTRY(p, h, m, a)                                                 \
    {                                                                          \
        .route = {.path = p,                                                   \
                  .module = &http_module,                                      \
                  .handler = &http_handlers[h],                                \
                  .endpoint = &http_other},                                    \
        .path_len = sizeof(p) - 1, .methods = (m), .allow = "Allow: " a "\r\n" \
    }
static const struct lnt_http_entry http_entries[] = {
    HTTP_ENTRY("/large", 1, HTTP_GETS, "GET, HEAD, OPTIONS"),
    HTTP_ENTRY("/box", 0, HTTP_GETS | 1u << LNT_HTTP_POST,
               "POST, GET, HEAD, OPTIONS"),
    HTTP_ENTRY("/bye", 3, 1u << LNT_HTTP_GET, "GET, OPTIONS"),
    HTTP_ENTRY("/up", 2, 1u << LNT_HTTP_GET, "GET"),
#ifdef HTTP_LATER
    HTTP_ENTRY("/later", 4, HTTP_GETS | 1u << LNT_HTTP_POST,
               "GET, HEAD, POST, OPTIONS"),
    HTTP_ENTRY("/stays", 5, HTTP_GETS, "GET, HEAD, OPTIONS"),
#endif
};
static const struct lnt_http_entry *http_order[] = {
    &http_entries[0], &http_entries[1], &http_entries[2], &http_entries[3],
#ifdef HTTP_LATER
    &http_entries[4], &http_entries[5],
#endif
};
static const struct lnt_http_table http_table = {
    .entries = http_order, .n = sizeof(http_order) / sizeof(http_order[0])};
static const struct lnt_http_conf http_conf = {
    .limits = {1024, 2048, 50},
    .body_timeout = 3000,
    .later_max = 60000,
    .gzip_min = 1024,
    .tables = &http_table,
};

/* ---- the client ---- */

static HTTP_UNUSED struct lnt_session *
http_open(void)
{
    struct lnt_session *s = calloc(1, sizeof(*s));
    s->limits.handshake_timeout = 1000;
    s->limits.message_size = 65536;
    s->limits.send_queue = 1 << 20;
    s->now = 5000;
    s->net.loop = lnt_loop_new();
    s->worker.conf = &http_conf;
    s->worker.path = malloc(http_conf.limits.line + 1);
    s->net.ctx[0].module = &http_module;
    s->net.ctx[0].data = &s->worker;
    s->conn = calloc(1, sizeof(*s->conn));
    lnt_http_protocol.open(s);
    return s;
}

static HTTP_UNUSED void
http_free(struct lnt_session *s)
{
    http_close(s);
    free(s->worker.path);
    lnt_strbuf_release(&s->worker.text);
    lnt_strbuf_release(&s->out);
    lnt_strbuf_release(&s->rest);
    lnt_strbuf_release(&s->other);
    lnt_loop_destroy(s->net.loop);
    free(s);
}

/* One call of data() with all that is left. */
static HTTP_UNUSED lnt_verdict
http_data(struct lnt_session *s)
{
    size_t n = s->rest.n;
    uint8_t *p = malloc(n + 1);
    if (n > 0)
        memcpy(p, s->rest.p, n);
    uint8_t *exact = realloc(p, n ? n : 1);
    struct lnt_input in = {.p = exact, .n = n, .eof = s->eof};
    lnt_verdict v = lnt_http_protocol.data(s, &in);
    if (in.used > n) {
        s->fault = "more used than there was";
        in.used = n;
    }
    lnt_strbuf_clear(&s->rest);
    if (!s->conn)
        lnt_strbuf_add(&s->other, exact + in.used, n - in.used);
    else
        lnt_strbuf_add(&s->rest, exact + in.used, n - in.used);
    free(exact);
    return v;
}

/* The kernel takes everything; what was held goes on. */
static HTTP_UNUSED lnt_verdict
http_drain(struct lnt_session *s)
{
    lnt_verdict v = LNT_GO_ON;
    for (int i = 0; i < 10000 && !v; i++) {
        bool held = s->held;
        s->queued = 0;
        s->held = false;
        if (!s->conn || s->finished || s->cut)
            return v;
        lnt_http_protocol.drained(s);
        if (!held)
            return v;
        if (!s->held && !s->parked && !s->finished && (s->rest.n > 0 || s->eof))
            v = http_data(s);
    }
    return v;
}

/* step bytes at a time; the queue is emptied after each when drain is set. */
static HTTP_UNUSED lnt_verdict
http_feed(struct lnt_session *s, const char *p, size_t n, size_t step,
          bool drain)
{
    lnt_verdict v = LNT_GO_ON;
    for (size_t at = 0; at < n && !v;) {
        size_t piece = n - at < step ? n - at : step;
        if (s->finished || s->cut)
            return v;
        if (!s->conn) {
            lnt_strbuf_add(&s->other, p + at, piece);
        } else {
            lnt_strbuf_add(&s->rest, p + at, piece);
            if (!s->held && !s->parked)
                v = http_data(s);
            if (drain && !v)
                v = http_drain(s);
        }
        at += piece;
    }
    return v;
}

#endif
