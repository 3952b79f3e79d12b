/*
 * Admission by an application, for what begins as an HTTP request.
 */
#include "core/log.h"
#include "core/strbuf.h"
#include "modules/http/exchange.h"
#include "modules/http/http.h"
#include "net/module.h"

static struct lnt_credentials
credentials_of(const struct lnt_http_request *r)
{
    return (struct lnt_credentials){
        .authorization = lnt_http_header_get(r, "Authorization"),
        .cookie = lnt_http_header_get(r, "Cookie"),
        .query = r->query,
    };
}

/* 401 tells a client that something is missing, 403 that it is not enough. */
static lnt_verdict
refuse(struct lnt_http_request *r, const struct lnt_credentials *c,
       const char *headers, const char *why)
{
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    bool nobody = !c->authorization.p && !c->cookie.p && c->query.n == 0;
    lnt_verdict v;

    lnt_strbuf_adds(&all, headers ? headers : "");
    if (nobody)
        lnt_strbuf_adds(&all, "WWW-Authenticate: Bearer\r\n");
    v = lnt_http_error(r, nobody ? 401 : 403, all.p,
                       why && why[0] ? why : "The application refused this.");
    lnt_strbuf_release(&all);
    return v;
}

bool
lnt_http_admit(struct lnt_http_request *r, bool waits, const char *headers,
               lnt_verdict *v)
{
    struct lnt_credentials c = credentials_of(r);
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    const struct lnt_endpoint *to = r->route->endpoint;
    enum lnt_admit answer;
    bool go_on;

    lnt_assert(to);
    /* What was asked before the request was put off is not asked again. */
    if (!lnt_http_exchange(r)->late ||
        !lnt_session_asked(r->session, to, &answer, &why))
        answer = lnt_session_ask_admission(r->session, to, &c, &why);
    lnt_http_exchange(r)->conn->flags |= LNT_HTTP_F_ASKED;
    go_on = answer == LNT_ADMIT || (answer == LNT_ADMIT_LATER && waits);
    if (answer == LNT_REFUSE) {
        *v = refuse(r, &c, headers, why.p);
    } else if (!go_on) {
        lnt_session_forget_admission(r->session);
        *v = lnt_http_error(r, 503, headers,
                            "The application cannot answer this at once, and "
                            "it cannot be waited for here.");
    }
    lnt_strbuf_release(&why);
    return go_on;
}
