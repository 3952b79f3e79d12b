/*
 * HTTP/1.1: the module, its configuration, its workers.
 */
#include "modules/http/http.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/conf.h"
#include "core/mem.h"
#include "modules/http/access.h"
#include "modules/http/conn.h"
#include "modules/http/encoding.h"
#include "modules/http/exchange.h"
#include "modules/http/routes.h"
#include "modules/http/upgraded.h"
#include "net/module.h"
#include "net/net.h"
#include "net/server_info.h"

/* [http] */
struct http_conf {
    uint64_t line_size, head_size;
    int64_t headers;
    uint64_t body_timeout;
    uint64_t later_timeout;
    int64_t requests;
    uint64_t gzip_min;
};

#define FIELD(name) offsetof(struct http_conf, name)

static const struct lnt_directive http_directives[] = {
    {.name = "line_size",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(line_size),
     .def = "8k",
     .min = 256,
     .max = 65536,
     .help = "The longest request line; longer ones are answered with 414."},
    {.name = "head_size",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(head_size),
     .def = "16k",
     .min = 512,
     .max = 65536,
     .help = "The largest request head, request line included; larger ones "
             "are answered with 431."},
    {.name = "headers",
     .type = LNT_TYPE_INT,
     .offset = FIELD(headers),
     .def = "100",
     .min = 8,
     .max = LNT_HTTP_HEADERS_MAX,
     .help = "Headers in a request; more are answered with 431."},
    {.name = "body_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(body_timeout),
     .def = "30s",
     .min = 0,
     .max = 3600000,
     .help = "Time for a request body, from the end of its head to its own; "
             "0: none. The head has handshake_timeout."},
    {.name = "later_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(later_timeout),
     .def = "60s",
     .min = 1000,
     .max = 3600000,
     .help = "The longest that an answer is put off (long polling), whatever "
             "the handler asks for."},
    {.name = "keepalive_requests",
     .type = LNT_TYPE_INT,
     .offset = FIELD(requests),
     .def = "0",
     .min = 0,
     .max = 1000000000,
     .help = "Requests on one connection before it is closed; 0: no limit."},
    {.name = "gzip_min",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(gzip_min),
     .def = "1k",
     .min = 64,
     .max = 1 << 30,
     .help = "Answers that are made (status, metrics) are compressed from this "
             "size on, where the route's gzip is on and the client takes it."},
    {.name = NULL},
};

static const struct lnt_directive_set http_set = {
    "http", sizeof(struct http_conf), http_directives};

/* What the module adds to [log]. */
struct log_conf {
    struct lnt_strings access_format;
};

static const struct lnt_directive log_directives[] = {
    {.name = "access_format",
     .type = LNT_TYPE_LIST,
     .offset = offsetof(struct log_conf, access_format),
     .help = "A line of the access log: combined, json, or text with "
             "variables ($remote_addr $request $status ...); may repeat, a "
             "blank joins the parts; none: combined, or an object where "
             "format is json."},
    {.name = NULL},
};

static const struct lnt_directive_set log_set = {
    "http", sizeof(struct log_conf), log_directives};

static const struct lnt_section_extension extensions[] = {
    {.kind = "log", .set = &log_set},
    {.kind = NULL},
};

static const struct lnt_section_kind sections[] = {
    {.kind = "http",
     .help = "What is taken as an HTTP request.",
     .set = &http_set},
    {.kind = "route",
     .named = true,
     .help = "What is behind a path of an HTTP listener.",
     .set = &lnt_http_route_set},
    {.kind = NULL},
};

/* NULL when there is none. */
static const char *
format_text(struct lnt_arena *a, const struct lnt_strings *parts)
{
    const char *text = parts->n > 0 ? parts->v[0] : NULL;
    for (size_t i = 1; i < parts->n; i++)
        text = lnt_arena_printf(a, "%s %s", text, parts->v[i]);
    return text;
}

/* Both forms: which of them is the log's is known when a worker starts. */
static void
read_format(struct lnt_module_setup *setup, struct lnt_http_conf *conf)
{
    const struct lnt_section *s = lnt_section_find(setup->sections, "log");
    const struct log_conf *c = lnt_section_data(s, &log_set);
    const char *text = format_text(setup->arena, &c->access_format);
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (lnt_http_access_compile(setup->arena, text, false, &conf->text, &why) <
            0 ||
        lnt_http_access_compile(setup->arena, text, true, &conf->json, &why) <
            0) {
        struct lnt_origin o = lnt_section_origin(s, &log_set, "access_format");
        lnt_report_add(setup->report, o.file, o.line, "access_format: %s",
                       why.p);
    }
    lnt_strbuf_release(&why);
}

/* A listener whose clients skip the request would be open to every page. */
static void
check_listeners(struct lnt_module_setup *setup)
{
    struct lnt_section *s = lnt_section_find(setup->sections, "listen");

    for (; s; s = lnt_section_find(s->next, "listen")) {
        const struct lnt_directive_set *set;
        const char *name = lnt_section_text(s, "protocol", &set);
        const struct lnt_module *m =
            name ? lnt_module_find(setup->modules, name) : NULL;
        if (!m || !m->handler || !m->handler->upgrades)
            continue;
        struct lnt_origin at = lnt_section_origin(s, set, "protocol");
        lnt_report_add(setup->report, at.file, at.line,
                       "%s begins as a request of HTTP: write protocol = http "
                       "here, and protocol = %s in a [route] with listen = %s",
                       m->handler->upgrades, name, s->name);
    }
}

static int
configure(struct lnt_module_setup *setup)
{
    unsigned errors = setup->report->errors;
    struct lnt_http_conf *conf = lnt_arena_alloc(setup->arena, sizeof(*conf));
    const struct http_conf *c =
        lnt_section_data(lnt_section_find(setup->sections, "http"), &http_set);
    conf->limits.line = (uint32_t)c->line_size;
    conf->limits.head = (uint32_t)c->head_size;
    conf->limits.headers = (uint32_t)c->headers;
    conf->body_timeout = c->body_timeout;
    conf->later_max = c->later_timeout;
    conf->requests_max = (uint32_t)c->requests;
    read_format(setup, conf);
    check_listeners(setup);
    conf->gzip_min = c->gzip_min;
    lnt_http_routes_make(setup, &conf->tables);
    setup->conf = conf;
    return setup->report->errors == errors ? 0 : -1;
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    struct lnt_http_worker *w = lnt_calloc(1, sizeof(*w));
    (void)why;
    w->conf = m->conf;
    w->path = lnt_malloc(w->conf->limits.line + 1);
    if (m->server->access_fd >= 0) {
        const struct lnt_http_access_format *format =
            m->server->access_json ? &w->conf->json : &w->conf->text;
        w->access = lnt_http_access_new(lnt_net_loop(m->net), m->server, format,
                                        lnt_net_stats(m->net));
        w->upgraded = lnt_http_upgraded_new();
        lnt_net_meter(m->net);
    }
    m->data = w;
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct lnt_http_worker *w = m->data;
    lnt_http_upgraded_free(w->upgraded);
    lnt_http_access_free(w->access);
    lnt_http_packer_free(w->packer);
    lnt_strbuf_release(&w->text);
    free(w->path);
    free(w);
    m->data = NULL;
}

static void
on_reopen(struct lnt_module_ctx *m)
{
    struct lnt_http_worker *w = m->data;
    lnt_http_access_reopen(w->access);
}

const struct lnt_module lnt_module_http = {
    LNT_MODULE_HEAD,
    .name = "http",
    .help = "HTTP/1.1: routes to handlers, and to other protocols.",
    .sections = sections,
    .extensions = extensions,
    .protocol = &lnt_http_protocol,
    .configure = configure,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .on_reopen = on_reopen,
};
