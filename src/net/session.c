/*
 * What modules may do with a session.  Thin: the connection under it does the
 * work.
 */
#include "net/session.h"

#include <errno.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "net/app.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/stats.h"
#include "net/table.h"
#include "os/socket.h"
#include "zone/zone.h"

static struct lnt_conn *
conn(const struct lnt_session *s)
{
    return lnt_conn_of(s);
}

uint64_t
lnt_session_id(const struct lnt_session *s)
{
    return lnt_table_id(conn(s));
}

const struct lnt_endpoint *
lnt_session_endpoint(const struct lnt_session *s)
{
    return s->endpoint;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    return s->endpoint->limits;
}

struct lnt_net *
lnt_session_net(const struct lnt_session *s)
{
    return conn(s)->net;
}

struct lnt_stats *
lnt_session_stats(const struct lnt_session *s)
{
    return conn(s)->net->stats;
}

uint64_t
lnt_session_now(const struct lnt_session *s)
{
    return lnt_loop_now(conn(s)->net->loop);
}

uint64_t
lnt_session_age(const struct lnt_session *s)
{
    const struct lnt_conn *c = conn(s);
    return lnt_net_time(c->net) - c->opened;
}

int
lnt_session_peer(const struct lnt_session *s, struct lnt_addr *peer)
{
    if (lnt_conn_is_detached(conn(s))) {
        *peer = lnt_conn_detached(conn(s))->peer;
        errno = ENOTCONN;
        return peer->len ? 0 : -1;
    }
    peer->len = sizeof(peer->ss);
    return getpeername(conn(s)->watch.fd, (struct sockaddr *)&peer->ss,
                       &peer->len);
}

void
lnt_session_close(struct lnt_session *s, int code, const char *reason)
{
    lnt_conn_ask_close(conn(s), code, reason);
}

void
lnt_session_cut(struct lnt_session *s)
{
    struct lnt_conn *c = conn(s);
    if (c->state == LNT_CONN_DEAD)
        return;
    c->flags |= LNT_F_DOOMED;
    lnt_output_touch(c);
}

bool
lnt_session_closing(const struct lnt_session *s)
{
    const struct lnt_conn *c = conn(s);
    return c->state >= LNT_CONN_GOODBYE ||
           (c->flags & (LNT_F_CLOSE_ASKED | LNT_F_DOOMED));
}

bool
lnt_session_moved(const struct lnt_session *s)
{
    return conn(s)->flags & LNT_F_MOVED;
}

/* ---- applications ---- */

void *
lnt_session_app_state(const struct lnt_session *s)
{
    return s->app_state;
}

struct lnt_module_ctx *
lnt_session_app(const struct lnt_session *s)
{
    return s->endpoint->app ? &conn(s)->net->ctx[s->endpoint->app_index] : NULL;
}

/* n bytes that hold so many messages are queued, dropped, or the end. */
static inline bool
may_queue(struct lnt_conn *c, size_t n, uint32_t messages)
{
    const struct lnt_limits *l = c->session.endpoint->limits;
    if (lnt_output_fits(c, n, l->send_queue))
        return true;
    if (c->flags & LNT_F_DOOMED)
        return false;
    if (l->send_queue_policy == LNT_SLOW_DROP) {
        lnt_count_add(c->net->stats, LNT_C_SLOW_DROPPED, messages);
        return false;
    }
    lnt_count(c->net->stats, LNT_C_SLOW_CLOSED);
    c->flags |= LNT_F_DOOMED;
    lnt_output_touch(c);
    return false;
}

/* Over send_queue, as it seems. */
__attribute__((noinline)) static bool
may_send_still(struct lnt_conn *c, size_t n)
{
    if (c->flags & LNT_F_DOOMED)
        return false;
    /* Echoes of this read, which the kernel was not asked to take yet. */
    if (c->net->current == c)
        lnt_output_echo(c->net);
    return may_queue(c, n, 1);
}

/* One message is let into an empty queue, however large it is. */
static inline bool
may_send(struct lnt_conn *c, size_t n)
{
    enum { HEAD = 16 }; /* what a protocol adds to a message */
    size_t queued = lnt_session_queued(&c->session);
    return queued == 0 ||
           queued + n + HEAD <= c->session.endpoint->limits->send_queue ||
           may_send_still(c, n + HEAD);
}

bool
lnt_session_may_send(struct lnt_conn *c, size_t n)
{
    return may_send(c, n);
}

void
lnt_session_send(struct lnt_session *s, enum lnt_message_type type,
                 const void *p, size_t n)
{
    struct lnt_conn *c = conn(s);
    if (c->state != LNT_CONN_READY || !may_send(c, n))
        return;
    lnt_count(c->net->stats, LNT_C_MESSAGES_OUT);
    s->endpoint->protocol->protocol->send(s, type, p, n);
}

bool
lnt_session_is_human(const struct lnt_session *s)
{
    return s->endpoint->protocol->protocol->human;
}

/* ---- protocols ---- */

void *
lnt_session_state(const struct lnt_session *s)
{
    return s->state;
}

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    return &conn(s)->net->ctx[s->endpoint->protocol_index];
}

/*
 * The permitted rate, by the moment at which the next message would be on
 * time; a second's worth may come at once.  Counted in sixteenths of a
 * millisecond, or in smaller units where messages may follow each other so
 * fast; a moment further off than the burst is left from long ago.
 */
static bool
over_rate(struct lnt_conn *c, uint64_t milli)
{
    enum { UNITS = 16, FINE_UNITS = 1024, FAST = 1000 * 1000 };
    uint32_t units = milli > FAST ? FINE_UNITS : UNITS, second = units * 1000;
    uint32_t now = lnt_net_time(c->net) * units;
    uint32_t step = (uint32_t)(second * 1000ull / milli);
    uint32_t ahead = c->rate_at - now;
    if (!(c->flags & LNT_F_RATED) || ahead > second + step)
        ahead = 0;
    c->flags |= LNT_F_RATED;
    if (ahead > second)
        return true;
    c->rate_at = now + ahead + step;
    return false;
}

bool
lnt_session_takes(struct lnt_conn *c)
{
    lnt_count(c->net->stats, LNT_C_MESSAGES_IN);
    uint64_t rate = c->session.endpoint->limits->message_rate;
    if (!rate || !over_rate(c, rate))
        return true;
    lnt_count(c->net->stats, LNT_C_RATE_LIMITED);
    lnt_session_close(&c->session, LNT_CLOSE_POLICY, "too many messages");
    return false;
}

lnt_verdict
lnt_session_message(struct lnt_session *s, enum lnt_message_type type, void *p,
                    size_t n)
{
    struct lnt_conn *c = conn(s);
    if (!lnt_conn_is_open(c) || !lnt_session_takes(c))
        return LNT_GO_ON;
    struct lnt_message m = {.type = type, .data = {p, n}};
    return lnt_app_message(s, &m);
}

lnt_verdict
lnt_session_ready(struct lnt_session *s)
{
    struct lnt_conn *c = conn(s);
    if (!lnt_admit_ready(c))
        return LNT_GO_ON;
    lnt_verdict v = lnt_conn_ready(c);
    if (!v)
        lnt_deadline_set(c);
    return v;
}

void
lnt_session_write(struct lnt_session *s, const void *p, size_t n)
{
    if (conn(s)->state <= LNT_CONN_GOODBYE)
        lnt_output_copy(conn(s), p, n);
}

void
lnt_session_write_input(struct lnt_session *s, const void *p, size_t n)
{
    if (conn(s)->state <= LNT_CONN_GOODBYE)
        lnt_output_input(conn(s), p, n);
}

void
lnt_session_write_buf(struct lnt_session *s, struct lnt_buf *b)
{
    if (conn(s)->state <= LNT_CONN_GOODBYE)
        lnt_output_ref(conn(s), b);
}

size_t
lnt_session_queued(const struct lnt_session *s)
{
    const struct lnt_conn *c = conn(s);
    return c->out_bytes + (c->net->current == c ? c->net->echo_n : 0);
}

ssize_t
lnt_session_send_file(struct lnt_session *s, int fd, uint64_t offset,
                      uint64_t n)
{
    struct lnt_conn *c = conn(s);
    ssize_t sent = lnt_output_file(c, fd, offset, n);
    if (sent < 0 || (uint64_t)sent == n)
        return sent;
    c->flags |= LNT_F_HELD;
    if (lnt_output_block(c) < 0) {
        c->flags |= LNT_F_DOOMED;
        lnt_output_touch(c);
    }
    return sent;
}

uint64_t
lnt_session_sent(const struct lnt_session *s)
{
    const struct lnt_conn *c = conn(s);
    return c->net->sent ? c->net->sent[c->index] : 0;
}

void
lnt_session_finish(struct lnt_session *s)
{
    lnt_conn_finish(conn(s));
}

void
lnt_session_end(struct lnt_session *s)
{
    conn(s)->flags |= LNT_F_END;
    lnt_conn_finish(conn(s));
}

void
lnt_session_deadline(struct lnt_session *s, uint64_t at_ms)
{
    struct lnt_conn *c = conn(s);
    if (c->state > LNT_CONN_READY)
        return;
    uint64_t start = c->net->start;
    c->deadline = at_ms > start ? (uint32_t)(at_ms - start) : 0;
    if (c->deadline)
        lnt_deadline_set(c);
}

void
lnt_session_active(struct lnt_session *s)
{
    conn(s)->active = lnt_net_time(conn(s)->net);
}

void
lnt_session_hold(struct lnt_session *s)
{
    conn(s)->flags |= LNT_F_HELD;
}

/* A watch that cannot be set is as good as a broken connection. */
static void
watch(struct lnt_conn *c)
{
    if (lnt_output_watch(c) == 0)
        return;
    c->flags |= LNT_F_DOOMED;
    lnt_output_touch(c);
}

void
lnt_session_park(struct lnt_session *s)
{
    struct lnt_conn *c = conn(s);
    if (c->flags & LNT_F_PARKED)
        return;
    c->flags |= LNT_F_PARKED;
    c->net->stats->parked++;
    watch(c);
}

void
lnt_session_unpark(struct lnt_session *s)
{
    struct lnt_conn *c = conn(s);
    if (!(c->flags & LNT_F_PARKED))
        return;
    lnt_conn_unpark(c);
    c->active = lnt_net_time(c->net);
    /* As what was held: from the end of this turn on. */
    c->flags |= LNT_F_HELD;
    lnt_output_touch(c);
    watch(c);
    lnt_deadline_set(c);
}

lnt_verdict
lnt_session_become(struct lnt_session *s, const struct lnt_endpoint *to)
{
    return lnt_conn_become(conn(s), to);
}

static enum lnt_admission
turn_away(struct lnt_conn *c, enum lnt_counter cause,
          enum lnt_admission refusal)
{
    lnt_count(c->net->stats, LNT_C_REFUSED);
    lnt_count(c->net->stats, cause);
    lnt_app_forget(c);
    return refusal;
}

enum lnt_admission
lnt_session_admits(const struct lnt_session *s, const struct lnt_endpoint *to)
{
    struct lnt_conn *c = conn(s);
    const struct lnt_net *n = c->net;
    const struct lnt_limits *l = to->limits;
    int64_t before = s->endpoint->limits->connections_per_ip;
    if (n->count - n->detached > l->connections)
        return turn_away(c, LNT_C_REFUSED_FULL, LNT_TOO_MANY);
    /* What the listener saw to need not be looked at again. */
    if (!c->visit || l->connections_per_ip == 0 ||
        (before && before <= l->connections_per_ip))
        return LNT_ADMITTED;
    if (lnt_zone_peer_count(n->zone, c->visit) >
        (uint64_t)l->connections_per_ip)
        return turn_away(c, LNT_C_REFUSED_PEER, LNT_TOO_MANY_FROM_THERE);
    return LNT_ADMITTED;
}

/* ---- delivery ---- */

void
lnt_net_deliver(struct lnt_session *s, struct lnt_buf *b)
{
    struct lnt_conn *c = conn(s);
    if (c->state != LNT_CONN_READY || (c->flags & LNT_F_DOOMED))
        return;
    if (!may_queue(c, b->len, b->messages))
        return;
    lnt_count_add(c->net->stats, LNT_C_MESSAGES_OUT, b->messages);
    lnt_output_ref(c, b);
}
