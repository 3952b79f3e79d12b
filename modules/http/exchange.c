/*
 * How an exchange begins: nothing is known of the request yet.
 */
#include "modules/http/exchange.h"

#include "net/module.h"
#include "net/session.h"

void
lnt_http_exchange_begin(struct lnt_http_exchange *x, struct lnt_session *s)
{
    x->conn = lnt_session_state(s);
    x->worker = lnt_session_protocol(s)->data;
    x->entry = NULL;
    x->head = lnt_str("", 0);
    x->answered = x->upgraded = x->parked = x->late = false;
    x->handed = false;
    x->begun = lnt_session_now(s);
    x->framing = (struct lnt_http_framing){0};
    struct lnt_http_request *r = &x->r;
    r->session = s;
    r->route = NULL;
    r->method = LNT_HTTP_OTHER;
    r->method_text = r->target = r->path = r->rest = lnt_str("", 0);
    r->host = r->query = r->body = lnt_str(NULL, 0);
    r->version = 11;
    r->keep_alive = false;
    r->nheaders = r->ncaptures = 0;
}
