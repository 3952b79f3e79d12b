/*
 * websocket: the protocol of RFC 6455, for [route] sections of http.
 *
 * A request comes through http and handshake.c, then the session is ours:
 * receive.c makes messages of its bytes, send.c frames of messages.
 * Compression (RFC 7692) is agreed on in offers.c and done in deflate.c.
 */
#include <stddef.h>
#include <string.h>

#include "core/conf.h"
#include "core/log.h"
#include "modules/http/http.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/handshake.h"
#include "modules/websocket/session.h"
#include "net/module.h"
#include "net/net.h"

static const struct lnt_enum_value compressions[] = {
    {"off", LNT_WS_COMPRESSION_OFF},
    {"shared", LNT_WS_COMPRESSION_SHARED},
    {NULL, 0},
};

static const struct lnt_directive directives[] = {
    {
        .name = "subprotocol",
        .type = LNT_TYPE_LIST,
        .offset = offsetof(struct lnt_ws_route, subprotocol),
        .help = "A name for Sec-WebSocket-Protocol; may repeat, the preferred "
                "one first.",
    },
    {
        .name = "compression",
        .type = LNT_TYPE_SIZE,
        .offset = offsetof(struct lnt_ws_route, compression),
        .def = "off",
        .min = 4 * 1024,
        .max = 256 * 1024,
        .values = compressions,
        .help = "off, shared (one compressor a worker, without memory of "
                "earlier messages), or the memory for one of each session's "
                "own.",
    },
    {
        .name = "compression_min",
        .type = LNT_TYPE_SIZE,
        .offset = offsetof(struct lnt_ws_route, compression_min),
        .def = "128",
        .max = LNT_WS_COMPRESSION_MIN_MAX,
        .help = "Shorter messages are sent as they are.",
    },
    {.name = NULL},
};

static const struct lnt_directive_set route_set = {
    .owner = "websocket",
    .size = sizeof(struct lnt_ws_route),
    .directives = directives,
};

static const struct lnt_section_extension extensions[] = {
    {.kind = "route", .set = &route_set},
    {.kind = NULL},
};

static int prepare(struct lnt_module_setup *setup,
                   const struct lnt_section *section, const void **conf);
static int worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why);
static void worker_stop(struct lnt_module_ctx *m);
static lnt_verdict open_session(struct lnt_session *s);
static void close_session(struct lnt_session *s);

static const struct lnt_http_handler ws_handler = {
    .allow = "GET",
    .upgrades = "a WebSocket",
    .prepare = prepare,
    .handle = lnt_ws_handshake,
};

static const struct lnt_protocol ws_protocol = {
    .state_size = sizeof(struct lnt_ws),
    .open = open_session,
    .data = lnt_ws_data,
    .send = lnt_ws_send,
    .encode = lnt_ws_encode,
    .append = lnt_ws_append,
    .variant = lnt_ws_variant,
    .ping = lnt_ws_ping,
    .timeout = lnt_ws_timeout,
    .goodbye = lnt_ws_goodbye,
    .freeze = lnt_ws_freeze,
    .thaw = lnt_ws_thaw,
    .close = close_session,
};

const struct lnt_module lnt_module_websocket = {
    LNT_MODULE_HEAD,
    .name = "websocket",
    .help = "WebSocket (RFC 6455), on routes of http",
    .extensions = extensions,
    .protocol = &ws_protocol,
    .handler = &ws_handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};

static int
prepare(struct lnt_module_setup *setup, const struct lnt_section *section,
        const void **conf)
{
    const struct lnt_ws_route *route = lnt_section_data(section, &route_set);
    struct lnt_origin at =
        lnt_section_origin(section, &route_set, "subprotocol");
    int result = 0;

    for (size_t i = 0; i < route->subprotocol.n; i++) {
        struct lnt_str name = lnt_str_c(route->subprotocol.v[i]);
        if (lnt_ws_is_token(name) && name.n <= LNT_WS_SUBPROTOCOL_MAX)
            continue;
        lnt_report_add(setup->report, at.file, at.line,
                       "\"%s\" is no name for a subprotocol: letters, digits "
                       "and !#$%%&'*+-.^_`|~, at most %d of them",
                       route->subprotocol.v[i], LNT_WS_SUBPROTOCOL_MAX);
        result = -1;
    }
    *conf = route;
    return result;
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_ws_streams_new(lnt_net_stats(m->net));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    lnt_ws_streams_free(m->data);
    m->data = NULL;
}

static lnt_verdict
open_session(struct lnt_session *s)
{
    struct lnt_ws *ws = lnt_session_state(s);

    /* Before the application may subscribe, which asks for the variant. */
    ws->deflate = lnt_ws_deflate_claim(lnt_session_protocol(s)->data);
    return lnt_session_ready(s);
}

static void
close_session(struct lnt_session *s)
{
    struct lnt_ws *ws = lnt_session_state(s);
    lnt_assert(!(ws->flags & LNT_WS_IN_DATA));
    lnt_ws_free_more(ws->more);
    lnt_ws_deflate_free(ws->deflate);
    ws->more = NULL;
    ws->deflate = NULL;
    lnt_http_upgrade_ended(s);
}
