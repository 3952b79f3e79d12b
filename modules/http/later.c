/*
 * Requests whose answer is put off.  Of such a request its head is kept; when it
 * is to be answered, an exchange of its own is made from that, for another
 * request may be in hand at that moment.
 */
#include "modules/http/later.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "event/loop.h"
#include "modules/http/access.h"
#include "modules/http/path.h"
#include "modules/http/route.h"
#include "net/module.h"
#include "net/net.h"

enum { CLIENT_GONE = 499 }; /* in the access log, as others write it */

struct lnt_http_later {
    struct lnt_session *session;
    const struct lnt_http_entry *entry;
    void *data;     /* the handler's */
    uint64_t begun; /* when the request's first byte came */
    uint64_t due;
    bool *resumed; /* somebody wants to know; or NULL */
    size_t head_n;
    char head[];
};

/* The exchange of a head, in one allocation with a copy of that and room for its
   path.  NULL: this worker would not have taken it. */
static struct lnt_http_exchange *
make_exchange(struct lnt_session *s, struct lnt_str head, uint64_t begun)
{
    struct lnt_http_parser ps = {0};
    struct lnt_http_fault fault;
    size_t size = 0;
    struct lnt_http_exchange *x = lnt_malloc(sizeof(*x) + 2 * head.n + 1);
    char *copy = (char *)(x + 1);
    memcpy(copy, head.p, head.n);
    lnt_http_exchange_begin(x, s);
    x->begun = begun;
    x->head = lnt_str(copy, head.n);
    if (lnt_http_parse_head(&ps, &x->worker->conf->limits, copy, head.n, &x->r,
                            &size, &fault) == LNT_HTTP_DONE &&
        size == head.n &&
        lnt_http_read_fields(&x->r, &x->framing, &fault) == 0 &&
        lnt_http_read_target(&x->r, copy + head.n, &fault) == 0)
        x->entry = lnt_http_route_find(x->conn->table, &x->r);
    if (x->entry)
        return x;
    free(x);
    return NULL;
}

static struct lnt_http_exchange *
recall(const struct lnt_http_later *l)
{
    struct lnt_http_exchange *x =
        make_exchange(l->session, lnt_str(l->head, l->head_n), l->begun);
    lnt_assert(x && x->entry == l->entry);
    return x;
}

static struct lnt_http_later *
put_off(struct lnt_http_exchange *x, uint64_t ms, void *data)
{
    struct lnt_session *s = x->r.session;
    uint64_t max = x->worker->conf->later_max;
    struct lnt_http_later *l = lnt_malloc(sizeof(*l) + x->head.n);
    *l = (struct lnt_http_later){
        .session = s,
        .entry = x->entry,
        .data = data,
        .begun = x->begun,
        .due = lnt_session_now(s) + (ms < max ? ms : max),
        .head_n = x->head.n,
    };
    memcpy(l->head, x->head.p, x->head.n);
    x->conn->busy.later = l;
    x->conn->flags |= LNT_HTTP_F_LATER;
    lnt_session_park(s);
    lnt_session_deadline(s, l->due);
    return l;
}

static struct lnt_module_ctx *
module_of(const struct lnt_http_later *l)
{
    return lnt_net_ctx(lnt_session_net(l->session), l->entry->module_index);
}

/* ---- for handlers ---- */

struct lnt_http_later *
lnt_http_park(struct lnt_http_request *r, uint64_t ms, void *data)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    const struct lnt_http_handler *h = r->route->handler;
    lnt_assert(!x->answered && !x->parked && !x->late && h->due && h->gone);
    x->parked = true;
    return put_off(x, ms, data);
}

void *
lnt_http_later_data(const struct lnt_http_later *l)
{
    return l->data;
}

void
lnt_http_later_keep(struct lnt_http_later *l, void *data)
{
    l->data = data;
}

struct lnt_session *
lnt_http_later_session(const struct lnt_http_later *l)
{
    return l->session;
}

struct lnt_http_request *
lnt_http_resume(struct lnt_http_later *l)
{
    struct lnt_session *s = l->session;
    struct lnt_http_exchange *x = recall(l);
    x->late = true;
    x->conn->busy.later = NULL;
    x->conn->flags &= (uint16_t)~LNT_HTTP_F_LATER;
    x->conn->flags |= LNT_HTTP_F_ANSWERING;
    if (l->resumed)
        *l->resumed = true;
    free(l);
    lnt_loop_free(lnt_net_loop(lnt_session_net(s)), x);
    return &x->r;
}

/* ---- for the connection ---- */

void
lnt_http_later_due(struct lnt_http_conn *c, enum lnt_http_due why)
{
    struct lnt_http_later *l = c->busy.later;
    bool resumed = false;
    l->resumed = &resumed;
    struct lnt_session *s = l->session;
    const struct lnt_http_route *route = &l->entry->route;
    route->handler->due(module_of(l), l, why);
    if (resumed && !(c->flags & LNT_HTTP_F_ANSWERING))
        return;
    lnt_log_alert("module %s left a request without an answer that was due",
                  route->module->name);
    if (resumed) {
        lnt_session_cut(s);
        return;
    }
    l->resumed = NULL;
    (void)lnt_http_error(lnt_http_resume(l), 503, NULL,
                         "the request was not answered in time");
}

static void
log_gone(const struct lnt_http_later *l)
{
    const struct lnt_http_worker *w = lnt_session_protocol(l->session)->data;
    if (!w->access)
        return;
    struct lnt_http_exchange *x = recall(l);
    lnt_http_access_add(w->access, x, CLIENT_GONE, 0, 0);
    free(x);
}

void
lnt_http_later_gone(struct lnt_http_conn *c)
{
    struct lnt_http_later *l = c->busy.later;
    c->busy.later = NULL;
    c->flags &= (uint16_t)~LNT_HTTP_F_LATER;
    if (!lnt_session_moved(l->session))
        log_gone(l);
    l->entry->route.handler->gone(module_of(l), l);
    free(l);
}

/* ---- moving ---- */

int
lnt_http_later_freeze(struct lnt_http_conn *c, struct lnt_strbuf *out)
{
    struct lnt_http_later *l = c->busy.later;
    const struct lnt_http_handler *h = l->entry->route.handler;
    uint64_t now = lnt_session_now(l->session);
    if (!h->freeze || !h->thaw) {
        lnt_http_later_due(c, LNT_HTTP_DUE_MOVE);
        return -1;
    }
    lnt_pack_u64(out, now - l->begun);
    lnt_pack_u64(out, l->due > now ? l->due - now : 0);
    lnt_pack_str(out, lnt_str(l->head, l->head_n));
    lnt_pack_str(out, lnt_str_c(l->entry->route.module->name));
    size_t state = lnt_pack_begin(out);
    int rc = h->freeze(module_of(l), l, out);
    lnt_pack_end(out, state);
    return rc;
}

int
lnt_http_later_thaw(struct lnt_session *s, struct lnt_http_conn *c,
                    struct lnt_str frozen)
{
    struct lnt_str head, module, state;
    uint64_t age, left;
    errno = EPROTO;
    if (!lnt_unpack_u64(&frozen, &age) || !lnt_unpack_u64(&frozen, &left) ||
        !lnt_unpack_str(&frozen, &head) || !lnt_unpack_str(&frozen, &module) ||
        !lnt_unpack_str(&frozen, &state))
        return -1;
    uint64_t now = lnt_session_now(s);
    struct lnt_http_exchange *x =
        make_exchange(s, head, now - (age < now ? age : now));
    if (!x || !lnt_str_eq(module, lnt_str_c(x->entry->route.module->name)) ||
        !x->entry->route.handler->thaw) {
        free(x);
        errno = ENOENT;
        return -1;
    }
    struct lnt_http_later *l = put_off(x, left, NULL);
    free(x);
    errno = EPROTO;
    if (l->entry->route.handler->thaw(module_of(l), l, state) == 0)
        return 0;
    /* It never had it: gone is not for that. */
    int error = errno;
    c->busy.later = NULL;
    c->flags &= (uint16_t)~LNT_HTTP_F_LATER;
    free(l);
    errno = error;
    return -1;
}
