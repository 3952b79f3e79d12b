/*
 * When a connection has to be looked at again: the first of its deadlines.
 * What is done then is conn.c's.
 */
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"

uint32_t
lnt_deadline_ping(const struct lnt_conn *c)
{
    uint32_t ms = (uint32_t)c->session.endpoint->limits->ping_interval;
    uint32_t half = ms / 2;
    uint32_t mixed = c->serial * 2654435761u;
    return ms - (uint32_t)((uint64_t)mixed * half >> 32);
}

bool
lnt_deadline_pings(const struct lnt_conn *c)
{
    return c->session.endpoint->limits->ping_interval &&
           c->session.endpoint->protocol->protocol->ping;
}

bool
lnt_deadline_silence(const struct lnt_conn *c, uint32_t *at)
{
    const struct lnt_limits *l = c->session.endpoint->limits;
    bool any = l->idle_timeout != 0;
    /* It waits for us. */
    if (c->flags & LNT_F_PARKED)
        return false;
    *at = c->active + (uint32_t)l->idle_timeout;
    if (!lnt_deadline_pings(c) || (c->flags & LNT_F_BEHIND) ||
        ((c->flags & LNT_F_PINGED) && !l->ping_timeout))
        return any;
    uint32_t t = c->active + lnt_deadline_ping(c);
    if (c->flags & LNT_F_PINGED)
        t += (uint32_t)l->ping_timeout;
    if (!any || lnt_net_due(*at, t))
        *at = t;
    return true;
}

bool
lnt_deadline_handshake(const struct lnt_conn *c, uint32_t *at)
{
    const struct lnt_limits *l = c->session.endpoint->limits;
    *at = l->handshake_timeout ? c->opened + (uint32_t)l->handshake_timeout
                               : c->active + (uint32_t)l->idle_timeout;
    return l->handshake_timeout || l->idle_timeout;
}

/* What is due first, in net time; false when nothing ever is. */
static bool
next_due(const struct lnt_conn *c, uint32_t *at)
{
    bool any = false;
    if (c->deadline) {
        *at = c->deadline;
        any = true;
    }
    uint32_t t;
    if (c->flags & LNT_F_FILTERED) {
        t = lnt_conn_filter(c)->due;
        if (t && (!any || lnt_net_due(*at, t))) {
            *at = t;
            any = true;
        }
    }
    if (lnt_conn_is_detached(c) && c->state == LNT_CONN_READY) {
        t = lnt_conn_detached(c)->until;
        if (t && (!any || lnt_net_due(*at, t)))
            *at = t;
        return any || t;
    }
    if ((c->state == LNT_CONN_HANDSHAKE && lnt_deadline_handshake(c, &t)) ||
        (c->state == LNT_CONN_READY && lnt_deadline_silence(c, &t))) {
        *at = !any || lnt_net_due(*at, t) ? t : *at;
        any = true;
    }
    return any;
}

void
lnt_deadline_set(struct lnt_conn *c)
{
    struct lnt_loop *loop = c->net->loop;
    uint32_t at = 0;
    if (!next_due(c, &at))
        return;
    int32_t delay = (int32_t)(at - lnt_net_time(c->net));
    uint64_t due = lnt_loop_now(loop) + (delay > 0 ? (uint64_t)delay : 0);
    /* One that fires early looks again; that is cheaper than moving it. */
    if (lnt_timer_active(&c->timer) && lnt_timer_due(loop, &c->timer) <= due)
        return;
    lnt_timer_at(loop, &c->timer, due);
}
