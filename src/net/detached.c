/*
 * Sessions without a connection: their beginning, their transports, their way
 * to another worker.
 */
#include "net/detached.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/names.h"
#include "net/stats.h"
#include "net/table.h"

enum { POUR_MAX = 64 * 1024 }; /* queued bytes of a transport */

bool
lnt_session_is_detached(const struct lnt_session *s)
{
    return lnt_conn_is_detached(lnt_conn_of(s));
}

static struct lnt_detached *
detached(const struct lnt_session *s)
{
    return lnt_conn_detached(lnt_conn_of(s));
}

static uint64_t
timeout_of(const struct lnt_detached *d)
{
    return d->conn.session.endpoint->limits->detached_timeout;
}

/* Has none from now on, and so many ms until it ends. */
static void
begin_absence(struct lnt_detached *d, uint64_t ms)
{
    lnt_names_transport(d, 0);
    d->until = ms ? lnt_net_time(d->conn.net) + (uint32_t)ms : 0;
    if (ms && d->until == 0)
        d->until = 1;
    lnt_deadline_set(&d->conn);
}

static void
set_peer(struct lnt_detached *d, const struct lnt_addr *peer)
{
    struct lnt_network net;
    lnt_names_leave(d->conn.net, d);
    if (!peer)
        return;
    d->peer = *peer;
    if (lnt_addr_network(peer, &net))
        lnt_names_enter(d->conn.net, d, &net);
}

/* ---- begin ---- */

static int
refuse(struct lnt_net *n, int error)
{
    lnt_count(n->stats, LNT_C_DETACHED_REFUSED);
    return error;
}

/* 0 or an errno. */
static int
judge(struct lnt_net *n, const struct lnt_endpoint *e, struct lnt_str name,
      const struct lnt_addr *peer)
{
    uint64_t max = (uint64_t)e->limits->detached_per_ip;
    struct lnt_network net;
    if (name.n == 0 || name.n > LNT_DETACHED_NAME_MAX)
        return EINVAL;
    if (n->draining)
        return ESHUTDOWN;
    if (lnt_names_find(n, name))
        return EEXIST;
    if (n->detached >= e->limits->detached)
        return refuse(n, EAGAIN);
    if (max && peer && lnt_addr_network(peer, &net) &&
        lnt_names_full(n, &net, max))
        return refuse(n, EUSERS);
    return 0;
}

struct lnt_session *
lnt_detached_open(struct lnt_session *by, const struct lnt_endpoint *e,
                  struct lnt_str name)
{
    struct lnt_net *n = lnt_conn_of(by)->net;
    struct lnt_addr peer, *known = NULL;
    if (lnt_session_peer(by, &peer) == 0)
        known = &peer;
    errno = judge(n, e, name, known);
    if (errno)
        return NULL;
    struct lnt_detached *d = lnt_conn_make(n, e, name);
    if (!d) {
        errno = refuse(n, EAGAIN);
        return NULL;
    }
    set_peer(d, known);
    lnt_names_add(n, d);
    lnt_count(n->stats, LNT_C_DETACHED);
    begin_absence(d, timeout_of(d));
    const struct lnt_protocol *p = e->protocol->protocol;
    lnt_verdict v = p->open ? p->open(&d->conn.session) : LNT_GO_ON;
    if (!v && d->conn.state != LNT_CONN_DEAD)
        return &d->conn.session;
    lnt_conn_kill(&d->conn);
    errno = ECANCELED;
    return NULL;
}

struct lnt_session *
lnt_detached_find(struct lnt_net *n, struct lnt_str name)
{
    struct lnt_detached *d = lnt_names_find(n, name);
    return d ? &d->conn.session : NULL;
}

struct lnt_str
lnt_detached_name(const struct lnt_session *s)
{
    const struct lnt_detached *d = detached(s);
    return lnt_str(d->name, d->name_n);
}

/* ---- transports ---- */

struct lnt_session *
lnt_detached_transport(const struct lnt_session *s)
{
    const struct lnt_detached *d = detached(s);
    struct lnt_conn *t =
        d->transport ? lnt_table_find(d->conn.net, d->transport) : NULL;
    return t && t->state < LNT_CONN_FINISHING ? &t->session : NULL;
}

void
lnt_detached_attach(struct lnt_session *s, struct lnt_session *transport)
{
    struct lnt_detached *d = detached(s);
    struct lnt_addr peer;
    lnt_assert(!lnt_session_is_detached(transport));
    if (lnt_session_peer(transport, &peer) == 0 &&
        !lnt_addr_equal(&peer, &d->peer))
        set_peer(d, &peer);
    begin_absence(d, timeout_of(d)); /* if it goes and nobody says so */
    lnt_names_transport(d, lnt_session_id(transport));
    if (d->conn.out)
        lnt_output_touch(&d->conn);
}

void
lnt_detached_leave(struct lnt_session *s)
{
    struct lnt_detached *d = detached(s);
    uint64_t max = (uint64_t)s->endpoint->limits->detached_per_ip;
    if (d->transport == 0)
        return;
    if (max && lnt_names_crowded(d, max)) {
        lnt_count(d->conn.net->stats, LNT_C_DETACHED_REFUSED);
        lnt_session_close(s, LNT_CLOSE_LATER, "too many without a connection");
    }
    begin_absence(d, timeout_of(d));
}

/* ---- the queue ---- */

struct lnt_str
lnt_detached_front(const struct lnt_session *s)
{
    const struct lnt_conn *c = &detached(s)->conn;
    if (!c->out)
        return lnt_str("", 0);
    return lnt_str((const char *)c->out->data + c->out_off,
                   c->out->len - c->out_off);
}

void
lnt_detached_take(struct lnt_session *s, size_t n)
{
    lnt_assert(n <= lnt_detached_front(s).n);
    lnt_output_take(&detached(s)->conn, n);
}

bool
lnt_detached_pour(struct lnt_session *s)
{
    struct lnt_conn *c = &detached(s)->conn;
    struct lnt_session *transport = lnt_detached_transport(s);
    struct lnt_conn *t = transport ? lnt_conn_of(transport) : NULL;
    while (c->out) {
        if (!t || t->out_bytes >= POUR_MAX)
            return false;
        if (c->out_off)
            lnt_output_copy(t, c->out->data + c->out_off,
                            c->out->len - c->out_off);
        else
            lnt_output_ref(t, c->out);
        lnt_output_take(c, c->out->len - c->out_off);
    }
    return true;
}

/* ---- moves ---- */

void
lnt_detached_pack(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_detached *d = lnt_conn_detached(c);
    uint32_t now = lnt_net_time(c->net);
    uint32_t left = 0;
    if (d->until && d->transport == 0)
        left = lnt_net_due(now, d->until) ? 1 : d->until - now;
    lnt_pack_str(out, lnt_str(d->name, d->name_n));
    lnt_pack_u32(out, left);
    lnt_pack_str(out, lnt_str((const char *)&d->peer.ss, d->peer.len));
}

struct lnt_conn *
lnt_detached_unpack(struct lnt_net *n, const struct lnt_endpoint *e,
                    struct lnt_str in, const char **why)
{
    struct lnt_str name, address;
    struct lnt_addr peer = {0};
    uint32_t left;
    errno = EPROTO;
    *why = "a moved session without a connection cannot be read";
    if (!lnt_unpack_str(&in, &name) || name.n == 0 ||
        name.n > LNT_DETACHED_NAME_MAX || !lnt_unpack_u32(&in, &left) ||
        !lnt_unpack_str(&in, &address) || address.n > sizeof(peer.ss))
        return NULL;
    errno = ENFILE;
    *why = "no room for a moved session";
    struct lnt_detached *d =
        lnt_names_find(n, name) ? NULL : lnt_conn_make(n, e, name);
    if (!d)
        return NULL;
    memcpy(&peer.ss, address.p, address.n);
    peer.len = (socklen_t)address.n;
    set_peer(d, address.n ? &peer : NULL);
    lnt_names_add(n, d);
    uint64_t most = timeout_of(d);
    begin_absence(d, left && left < most ? left : most);
    return &d->conn;
}
