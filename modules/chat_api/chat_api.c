/*
 * chat_api: the chat for programs that speak HTTP.
 *
 *     POST /api/v1/publish            {"result":{"epoch":E,"seq":N}}
 *     {"room":"lobby","text":"hi","from":"ann"}
 *
 * The path of the route may be anything that ends there, /api/ as a rule.  What
 * is asked for is the chat's to do, by its request "publish"; this file reads
 * the JSON and says in terms of HTTP how it went.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "hub/hub.h"
#include "modules/chat_api/access.h"
#include "modules/http/http.h"
#include "net/module.h"
#include "net/net.h"
#include "net/stats.h"

enum {
    BODY_MAX = 128 * 1024,
    WAIT = 2 * LNT_OP_TIME, /* ms; the hub has given up by then */
};

/* What [route] says. */
struct api_route {
    struct lnt_strings token;
    unsigned chat; /* its index in the list of modules */
};

/* A request that is answered later. */
struct waiting {
    struct lnt_list_node node;
    uint64_t id;
    struct lnt_http_later *later;
};

/* A worker's scratch memory. */
struct api {
    struct lnt_strbuf request, out;
    struct lnt_strbuf headers;       /* of every answer to this request */
    struct lnt_http_request *asking; /* NULL once it is answered */
    uint64_t asked;          /* requests, ever: the latest one's number */
    lnt_verdict verdict;     /* of that answer */
    struct lnt_list waiting; /* those that are answered later */
};

/* An error on its way to the client. */
struct refusal {
    int status;
    const char *headers;
    struct lnt_str code, message;
};

static const struct lnt_directive directives[] = {
    {
        .name = "token",
        .type = LNT_TYPE_LIST,
        .offset = offsetof(struct api_route, token),
        .secret = true,
        .help = "chat_api: what \"Authorization: Bearer\" must have; may "
                "repeat; ${file:/path} keeps it out of this file; none: only "
                "requests from this machine.",
    },
    {.name = NULL},
};

static const struct lnt_directive_set route_set = {
    .owner = "chat_api",
    .size = sizeof(struct api_route),
    .directives = directives,
};

static const struct lnt_section_extension extensions[] = {
    {.kind = "route", .set = &route_set},
    {.kind = NULL},
};

/* ---- the configuration ---- */

static bool
check_tokens(struct lnt_module_setup *setup, const struct lnt_section *section,
             const struct api_route *route)
{
    struct lnt_origin at = lnt_section_origin(section, &route_set, "token");
    bool given = lnt_section_block(section, &route_set)->given & 1;
    bool good = !given || route->token.n > 0;

    for (size_t i = 0; i < route->token.n; i++)
        good = good && lnt_api_is_token(lnt_str_c(route->token.v[i]));
    if (!good)
        lnt_report_add(setup->report, at.file, at.line,
                       "a token has letters, digits and -._~+/ and must not "
                       "be empty; \"openssl rand -hex 32\" makes one");
    return good;
}

static int
prepare(struct lnt_module_setup *setup, const struct lnt_section *section,
        const void **conf)
{
    struct api_route *route = lnt_section_data(section, &route_set);
    const struct lnt_module *chat = lnt_module_find(setup->modules, "chat");

    *conf = route;
    if (!chat || !chat->on_request) {
        lnt_report_add(setup->report, section->file, section->line,
                       "[route %s]: handler = chat_api needs the module chat, "
                       "which is not part of this program",
                       section->name);
        return -1;
    }
    while (setup->modules[route->chat] != chat)
        route->chat++;
    return check_tokens(setup, section, route) ? 0 : -1;
}

/* ---- answers ---- */

/* Without these its browser keeps the answer from a page of another host. */
static void
begin_headers(const struct lnt_http_request *r, struct api *api, bool fits)
{
    struct lnt_str origin = lnt_http_header_get(r, "Origin");

    lnt_strbuf_clear(&api->headers);
    lnt_strbuf_adds(&api->headers, "Cache-Control: no-store\r\n"
                                   "Vary: Origin\r\n");
    if (fits && origin.n > 0)
        lnt_strbuf_addf(&api->headers, "Access-Control-Allow-Origin: %.*s\r\n",
                        LNT_STR_ARG(origin));
}

static lnt_verdict
refuse(struct lnt_http_request *r, struct api *api, const struct refusal *why)
{
    struct lnt_strbuf *out = &api->out;

    lnt_strbuf_clear(out);
    lnt_strbuf_adds(out, "{\"error\":{\"code\":");
    lnt_strbuf_add_json(out, why->code);
    lnt_strbuf_adds(out, ",\"message\":");
    lnt_strbuf_add_json(out, why->message);
    lnt_strbuf_adds(out, "}}\n");
    if (why->headers)
        lnt_strbuf_adds(&api->headers, why->headers);
    return lnt_http_respond(r, why->status, "application/json", api->headers.p,
                            lnt_strbuf_str(out));
}

static lnt_verdict
refuse_bad(struct lnt_http_request *r, struct api *api, const char *code,
           const char *message)
{
    return refuse(r, api,
                  &(struct refusal){400, NULL, lnt_str_c(code),
                                    lnt_str_c(message)});
}

/* What the chat refuses: "code: why not". */
static lnt_verdict
refuse_reply(struct lnt_http_request *r, struct api *api, struct lnt_str text)
{
    static const struct {
        const char *code;
        int status;
    } known[] = {
        {"bad_request", 400},  {"bad_room", 400},    {"bad_nick", 400},
        {"too_long", 413},     {"server_full", 503}, {"timed_out", 504},
        {"rate_limited", 429},
    };
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    struct refusal why = {.status = 500,
                          .code = LNT_STR("internal_server_error"),
                          .message = text};

    if (colon) {
        why.code = lnt_str(text.p, (size_t)(colon - text.p));
        why.message = lnt_str_trim(lnt_str(colon + 1, text.n - why.code.n - 1));
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (lnt_str_eq(why.code, lnt_str_c(known[i].code)))
            why.status = known[i].status;
    }
    return refuse(r, api, &why);
}

static lnt_verdict
answer(struct lnt_module_ctx *m, struct lnt_http_request *r, struct api *api,
       struct lnt_str text)
{
    size_t seq = strlen("seq "); /* the reply is "seq N" */
    struct lnt_strbuf *out = &api->out;

    lnt_count(lnt_session_stats(r->session), LNT_C_HTTP_PUBLISHED);
    lnt_strbuf_clear(out);
    lnt_strbuf_adds(out, "{\"result\":{\"epoch\":");
    lnt_strbuf_addu(out, lnt_hub_epoch(m->hub));
    lnt_strbuf_adds(out, ",\"seq\":");
    lnt_strbuf_add_str(out, lnt_str(text.p + seq, text.n - seq));
    lnt_strbuf_adds(out, "}}\n");
    return lnt_http_respond(r, 200, "application/json", api->headers.p,
                            lnt_strbuf_str(out));
}

/* ---- publish ---- */

/* A member of text; NULL with *why when it is not there, or no text. */
static const char *
member(const json_t *body, const char *key, const char *otherwise,
       const char **why)
{
    const json_t *value = json_object_get(body, key);

    if (json_is_string(value))
        return json_string_value(value);
    if (value || !otherwise)
        *why = value ? "room, text and from must be strings"
                     : "room or text is missing; the body is "
                       "{\"room\":...,\"text\":...,\"from\":...}";
    return otherwise;
}

/* Only requests from pages that may publish wait. */
static void
answer_late(struct lnt_module_ctx *m, struct waiting *w, bool good,
            struct lnt_str text)
{
    struct api *api = m->data;
    struct lnt_http_request *r = lnt_http_resume(w->later);

    lnt_list_remove(&api->waiting, &w->node);
    free(w);
    begin_headers(r, api, true);
    if (good)
        (void)answer(m, r, api, text);
    else
        (void)refuse_reply(r, api, text);
}

/* The chat has published it, or not: for the request that is in hand, or for one
   that waits, if that is still there. */
static void
on_reply(const struct lnt_requester *to, bool good, struct lnt_str text)
{
    struct lnt_module_ctx *m = to->arg;
    struct api *api = m->data;
    struct lnt_http_request *r = api->asking;

    if (r && api->asked == to->id) {
        api->asking = NULL;
        api->verdict =
            good ? answer(m, r, api, text) : refuse_reply(r, api, text);
        return;
    }
    LNT_LIST_EACH(&api->waiting, struct waiting, w, node) {
        if (w->id == to->id) {
            answer_late(m, w, good, text);
            return;
        }
    }
}

/* Has the chat do it, and waits for its answer if that comes later. */
static lnt_verdict
ask_chat(struct lnt_module_ctx *m, struct lnt_http_request *r, struct api *api,
         struct lnt_module_ctx *chat)
{
    const struct lnt_requester to = {on_reply, m, ++api->asked};
    struct waiting *w;

    api->asking = r;
    chat->module->on_request(chat, LNT_STR("publish"),
                             lnt_strbuf_str(&api->request), &to);
    if (!api->asking)
        return api->verdict;
    api->asking = NULL;
    w = lnt_calloc(1, sizeof(*w));
    w->id = to.id;
    w->later = lnt_http_park(r, WAIT, w);
    lnt_list_add_last(&api->waiting, &w->node);
    return LNT_GO_ON;
}

static void
on_due(struct lnt_module_ctx *m, struct lnt_http_later *l,
       enum lnt_http_due why)
{
    (void)why;
    answer_late(m, lnt_http_later_data(l), false,
                LNT_STR("timed_out: there was no answer in time; it may have "
                        "been published all the same"));
}

static void
on_gone(struct lnt_module_ctx *m, struct lnt_http_later *l)
{
    struct api *api = m->data;
    struct waiting *w = lnt_http_later_data(l);

    lnt_list_remove(&api->waiting, &w->node);
    free(w);
}

/* It stays where its answer comes. */
static int
on_freeze(struct lnt_module_ctx *m, struct lnt_http_later *l,
          struct lnt_strbuf *out)
{
    (void)m;
    (void)l;
    (void)out;
    return -1;
}

/* So nobody writes what could be read here. */
static int
on_thaw(struct lnt_module_ctx *m, struct lnt_http_later *l,
        struct lnt_str state)
{
    (void)m;
    (void)l;
    (void)state;
    return -1;
}

static lnt_verdict
publish_body(struct lnt_module_ctx *m, struct lnt_http_request *r,
             struct api *api, const json_t *body)
{
    const struct api_route *route = r->route->conf;
    struct lnt_module_ctx *chat =
        lnt_net_ctx(lnt_session_net(r->session), route->chat);
    const char *why = NULL;
    const char *room = member(body, "room", NULL, &why);
    const char *text = member(body, "text", NULL, &why);
    const char *from = member(body, "from", "server", &why);

    if (why)
        return refuse_bad(r, api, "bad_request", why);
    lnt_strbuf_clear(&api->request);
    lnt_strbuf_add(&api->request, room, strlen(room) + 1);
    lnt_strbuf_add(&api->request, from, strlen(from) + 1);
    lnt_strbuf_adds(&api->request, text);
    return ask_chat(m, r, api, chat);
}

static bool
is_json(const struct lnt_http_request *r)
{
    struct lnt_str type = lnt_http_header_get(r, "Content-Type");
    const char *end = type.n ? memchr(type.p, ';', type.n) : NULL;

    if (end)
        type.n = (size_t)(end - type.p);
    return lnt_http_header_count(r, "Content-Type") == 1 &&
           lnt_str_ieq(lnt_str_trim(type), LNT_STR("application/json"));
}

static lnt_verdict
publish(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct api *api = m->data;
    json_error_t error;
    json_t *body;
    lnt_verdict v;

    if (!is_json(r))
        return refuse(r, api,
                      &(struct refusal){
                          415, "Accept: application/json\r\n",
                          LNT_STR("unsupported_media_type"),
                          LNT_STR("the body must be JSON, with Content-Type: "
                                  "application/json")});
    body = json_loadb(r->body.n ? r->body.p : "", r->body.n,
                      JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(body))
        v = refuse_bad(r, api, "bad_json",
                       "the body must be one JSON object, without NULs and "
                       "with each key once");
    else
        v = publish_body(m, r, api, body);
    json_decref(body);
    return v;
}

/* ---- the handler ---- */

static lnt_verdict
refuse_access(struct lnt_http_request *r, struct api *api,
              enum lnt_api_access access)
{
    struct refusal why = {.status = 401, .code = LNT_STR("unauthorized")};

    switch (access) {
    case LNT_API_GRANTED:
    case LNT_API_NO_TOKEN:
        why.headers = "WWW-Authenticate: Bearer realm=\"linnet\"\r\n";
        why.message = LNT_STR("a token is needed: Authorization: Bearer ...");
        break;
    case LNT_API_BAD_TOKEN:
        why.headers = "WWW-Authenticate: Bearer realm=\"linnet\", "
                      "error=\"invalid_token\"\r\n";
        why.message = LNT_STR("the token is not valid here");
        break;
    case LNT_API_ELSEWHERE:
        why.status = 403;
        why.code = LNT_STR("forbidden");
        why.message = LNT_STR("without a token in the configuration only "
                              "requests from the server's own machine are "
                              "taken");
        break;
    }
    return refuse(r, api, &why);
}

static bool
ends_with(struct lnt_str s, struct lnt_str end)
{
    return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* Before a page of another host may send JSON; nothing is asked for yet, and
   the token is not there. */
static lnt_verdict
answer_options(struct lnt_http_request *r, struct api *api)
{
    lnt_strbuf_adds(&api->headers, "Allow: POST, OPTIONS\r\n");
    if (lnt_http_header_count(r, "Origin") > 0)
        lnt_strbuf_adds(
            &api->headers,
            "Access-Control-Allow-Methods: POST\r\n"
            "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
            "Access-Control-Max-Age: 600\r\n");
    return lnt_http_respond(r, 204, NULL, api->headers.p, lnt_str("", 0));
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    const struct api_route *route = r->route->conf;
    struct api *api = m->data;
    bool asks = r->method == LNT_HTTP_OPTIONS;
    bool fits = lnt_http_origin_fits(r);
    enum lnt_api_access access =
        asks ? LNT_API_GRANTED : lnt_api_access(&route->token, r);

    begin_headers(r, api, fits);
    if (access != LNT_API_GRANTED)
        return refuse_access(r, api, access);
    if (!fits)
        return refuse(r, api,
                      &(struct refusal){403, NULL, LNT_STR("forbidden"),
                                        LNT_STR("pages from this origin may "
                                                "not publish")});
    if (asks)
        return answer_options(r, api);
    if (ends_with(r->path, LNT_STR("/v1/publish")))
        return publish(m, r);
    return refuse(r, api,
                  &(struct refusal){404, NULL, LNT_STR("not_found"),
                                    LNT_STR("paths here end in /v1/publish")});
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct api));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct api *api = m->data;

    if (!api)
        return;
    lnt_strbuf_release(&api->request);
    lnt_strbuf_release(&api->out);
    lnt_strbuf_release(&api->headers);
    free(api);
    m->data = NULL;
}

static const struct lnt_http_handler handler = {
    .body_max = BODY_MAX,
    .allow = "POST, OPTIONS",
    .json = true,
    .prepare = prepare,
    .handle = handle,
    .due = on_due,
    .gone = on_gone,
    .freeze = on_freeze,
    .thaw = on_thaw,
};

const struct lnt_module lnt_module_chat_api = {
    LNT_MODULE_HEAD,
    .name = "chat_api",
    .help = "HTTP handler: publishing into the rooms of the chat.",
    .extensions = extensions,
    .handler = &handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
