/*
 * The state of the server over HTTP: by the last name of the path /status
 * (JSON, the shape of "linnet ctl status --json" as far as a worker knows it),
 * /metrics (Prometheus), /healthz and /readyz (for what watches over servers).
 *
 *     [route status]
 *     listen  = web
 *     match   = ^/(status|metrics|healthz|readyz)$
 *     handler = status
 */
#include <inttypes.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "hub/hub.h"
#include "hub/server.h"
#include "modules/http/http.h"
#include "modules/status/metrics.h"
#include "modules/status/values.h"
#include "net/module.h"
#include "net/net.h"
#include "net/server_info.h"
#include "net/stats.h"
#include "os/process.h"

static const char no_store[] = "Cache-Control: no-store\r\n";

static const char *const state_names[] = {
    [LNT_WORKER_STARTING] = "starting",
    [LNT_WORKER_READY] = "ready",
    [LNT_WORKER_DRAINING] = "draining",
};

static void
add_worker(struct lnt_strbuf *out, const struct lnt_worker_info *w)
{
    const struct lnt_stats *s = w->stats;
    lnt_strbuf_addf(out,
                    "{\"slot\":%" PRIu32 ",\"pid\":%" PRId32
                    ",\"incarnation\":%" PRIu32 ",\"generation\":%" PRIu32
                    ",\"state\":\"%s\",\"connections\":%" PRIu64
                    ",\"messages_in\":%" PRIu64 ",\"messages_out\":%" PRIu64
                    ",\"detached\":%" PRIu64 ",\"send_queue\":%" PRIu64
                    ",\"parked\":%" PRIu64 ",\"rss\":%" PRIu64 "}",
                    w->slot, w->pid, w->incarnation, w->generation,
                    state_names[w->state], lnt_status_load(&s->connections),
                    lnt_status_load(&s->counters[LNT_C_MESSAGES_IN]),
                    lnt_status_load(&s->counters[LNT_C_MESSAGES_OUT]),
                    lnt_status_load(&s->detached),
                    lnt_status_load(&s->send_queue),
                    lnt_status_load(&s->parked), lnt_process_rss(w->pid));
}

static void
add_status(struct lnt_module_ctx *m, struct lnt_strbuf *out)
{
    struct lnt_worker_info w;
    uint64_t connections = 0;
    for (unsigned at = 0; lnt_hub_worker_next(m->hub, &at, &w);)
        connections += lnt_status_load(&w.stats->connections);
    lnt_strbuf_addf(out,
                    "{\"version\":\"%s\",\"epoch\":%" PRIu64
                    ",\"generation\":%" PRIu32 ",\"pid\":%" PRId32
                    ",\"uptime\":%" PRIu64 ",\"connections\":%" PRIu64
                    ",\"workers\":[",
                    m->server->version, lnt_hub_epoch(m->hub),
                    m->server->generation, m->server->master_pid,
                    lnt_status_uptime(m), connections);
    bool first = true;
    for (unsigned at = 0; lnt_hub_worker_next(m->hub, &at, &w); first = false) {
        if (!first)
            lnt_strbuf_addc(out, ',');
        add_worker(out, &w);
    }
    lnt_strbuf_adds(out, "],\"counters\":");
    uint64_t sums[LNT_COUNTERS];
    lnt_hub_counters(m->hub, sums);
    char before = '{';
    for (unsigned i = 0; i < LNT_COUNTERS; i++) {
        if (!lnt_counter_names[i])
            continue;
        lnt_strbuf_addf(out, "%c\"%s\":%" PRIu64, before, lnt_counter_names[i],
                        sums[i]);
        before = ',';
    }
    lnt_strbuf_adds(out, "}}\n");
}

/* Whether the server takes new connections: during a reload the worker that
   answers may be on its way out while others serve. */
static bool
is_ready(struct lnt_module_ctx *m)
{
    struct lnt_worker_info w;
    unsigned at = 0;
    while (lnt_hub_worker_next(m->hub, &at, &w))
        if (w.state == LNT_WORKER_READY)
            return true;
    return false;
}

static struct lnt_str
last_name(struct lnt_str path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return lnt_str(path.p + at, path.n - at);
}

static lnt_verdict
answer_text(struct lnt_http_request *r, int status, const char *text)
{
    return lnt_http_respond(r, status, "text/plain; charset=utf-8", no_store,
                            lnt_str_c(text));
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct lnt_strbuf *out = m->data;
    struct lnt_str name = last_name(r->path);
    lnt_strbuf_clear(out);
    if (lnt_str_eq(name, LNT_STR("healthz")))
        return answer_text(r, 200, "ok\n");
    if (lnt_str_eq(name, LNT_STR("readyz")))
        return is_ready(m) ? answer_text(r, 200, "ready\n")
                           : answer_text(r, 503, "draining\n");
    if (lnt_str_eq(name, LNT_STR("metrics"))) {
        lnt_status_metrics(m, out);
        return lnt_http_respond(r, 200,
                                "text/plain; version=0.0.4; charset=utf-8",
                                no_store, lnt_strbuf_str(out));
    }
    if (lnt_str_eq(name, LNT_STR("status"))) {
        add_status(m, out);
        return lnt_http_respond(r, 200, "application/json", no_store,
                                lnt_strbuf_str(out));
    }
    return lnt_http_error(r, 404, NULL,
                          "paths here end in /status, /metrics, /healthz or "
                          "/readyz");
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct lnt_strbuf));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    lnt_strbuf_release(m->data);
    free(m->data);
    m->data = NULL;
}

static const struct lnt_http_handler handler = {
    .allow = "GET, HEAD",
    .handle = handle,
};

const struct lnt_module lnt_module_status = {
    LNT_MODULE_HEAD,
    .name = "status",
    .help = "HTTP handler: /status, /metrics, /healthz and /readyz.",
    .handler = &handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
