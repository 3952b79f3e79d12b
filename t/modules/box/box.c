/*
 * A handler for tests: says what it was asked, with the body that came.
 */
#include "core/strbuf.h"
#include "modules/http/http.h"
#include "net/module.h"

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    (void)m;
    lnt_strbuf_addf(&b, "%.*s %.*s [%.*s] [%.*s]", LNT_STR_ARG(r->method_text),
                    LNT_STR_ARG(r->path), LNT_STR_ARG(r->host),
                    LNT_STR_ARG(r->body));
    lnt_verdict v = lnt_http_respond(r, 200, "text/plain; charset=utf-8", NULL,
                                     lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return v;
}

static const struct lnt_http_handler handler = {
    .allow = "GET, HEAD, POST",
    .body_max = 1000,
    .handle = handle,
};

const struct lnt_module lnt_module_box = {
    LNT_MODULE_HEAD,
    .name = "box",
    .help = "HTTP handler for tests: says what it was asked.",
    .handler = &handler,
};
