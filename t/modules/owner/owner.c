/*
 * Connections handed over to the worker that a client names, for t/handover.t.
 *
 * As a protocol (lines) and as an HTTP handler:
 *
 *   me                  GET /me            this worker's name, pid and slot
 *   at WORKER TEXT      GET /at/WORKER     goes to that worker, which answers
 *                       POST /at/WORKER    "here PID TEXT" (TEXT: the body);
 *                                          else "stays PID TEXT" (503)
 *   try WORKER TEXT                        the same by one that remembers nothing
 *   bad WORKER TEXT                        ... and says "going" before each try
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/strbuf.h"
#include "modules/http/http.h"
#include "net/handover.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/server_info.h"

struct owner {
    bool stays; /* the next line is not handed over again */
};

/* ---- lines ---- */

__attribute__((format(printf, 2, 3))) static void
say(struct lnt_session *s, const char *fmt, ...)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&b, fmt, ap);
    va_end(ap);
    lnt_session_write(s, b.p, b.n);
    lnt_strbuf_release(&b);
}

/* false: another worker is to see the line. */
static bool
take_line(struct lnt_session *s, const char *line, size_t n)
{
    struct owner *o = lnt_session_state(s);
    uint64_t own = lnt_net_worker(lnt_session_net(s)), worker;
    char text[4096], *end;
    snprintf(text, sizeof(text), "%.*s", (int)(n - 1), line);
    if (strcmp(text, "me") == 0) {
        say(s, "%" PRIu64 " %d %d\n", own, (int)getpid(),
            lnt_session_protocol(s)->server->slot);
        return true;
    }
    bool at = strncmp(text, "at ", 3) == 0, bad = strncmp(text, "bad ", 4) == 0;
    if (!at && !bad && strncmp(text, "try ", 4) != 0) {
        say(s, "what?\n");
        return true;
    }
    worker = strtoull(strchr(text, ' ') + 1, &end, 10);
    if (bad)
        say(s, "going\n");
    if (worker != own && (!at || !o->stays) &&
        lnt_session_hand_over(s, worker, lnt_str("", 0)) == 0) {
        lnt_session_unread(s, line, n);
        return false;
    }
    say(s, "%s %d%s\n", worker == own ? "here" : "stays", (int)getpid(), end);
    o->stays = false;
    return true;
}

static lnt_verdict
on_data(struct lnt_session *s, struct lnt_input *in)
{
    const char *p = (const char *)in->p, *lf;
    while (in->used < in->n &&
           (lf = memchr(p + in->used, '\n', in->n - in->used))) {
        const char *line = p + in->used;
        in->used += (size_t)(lf + 1 - line);
        if (!take_line(s, line, (size_t)(lf + 1 - line)))
            return LNT_GO_ON;
    }
    if (in->eof) {
        in->used = in->n;
        lnt_session_finish(s);
    }
    return LNT_GO_ON;
}

static void
on_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
        size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

static void
on_stays(struct lnt_session *s, const char *why)
{
    struct owner *o = lnt_session_state(s);
    (void)why;
    o->stays = true;
}

static const struct lnt_protocol protocol = {
    .state_size = sizeof(struct owner),
    .bare = true,
    .open = lnt_session_ready,
    .data = on_data,
    .send = on_send,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
    .stays = on_stays,
};

/* ---- HTTP ---- */

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    uint64_t own = lnt_net_worker(m->net), worker = 0;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    char text[64];
    int status = 200;
    snprintf(text, sizeof(text), "%.*s", (int)r->rest.n, r->rest.p);
    if (strncmp(text, "at/", 3) == 0) {
        worker = strtoull(text + 3, NULL, 10);
        if (worker != own && lnt_http_hand_over(r, worker, lnt_str("", 0)) == 0)
            return LNT_GO_ON;
        status = worker == own ? 200 : 503;
        lnt_strbuf_addf(&b, "%s %d ", worker == own ? "here" : "stays",
                        (int)getpid());
        lnt_strbuf_add(&b, r->body.p, r->body.n);
    } else {
        lnt_strbuf_addf(&b, "%" PRIu64 " %d %d", own, (int)getpid(),
                        m->server->slot);
    }
    lnt_verdict v =
        lnt_http_respond(r, status, "text/plain", NULL, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return v;
}

static const struct lnt_http_handler handler = {
    .body_max = 4 << 20,
    .allow = "GET, HEAD, POST",
    .handle = handle,
};

const struct lnt_module lnt_module_owner = {
    LNT_MODULE_HEAD,
    .name = "owner",
    .help = "hands connections over to other workers, for tests",
    .protocol = &protocol,
    .handler = &handler,
};
