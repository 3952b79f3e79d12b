/*
 * The life of a connection: input to its protocol, the states in which it
 * ends, its deadlines.  What is written is output.c's; what modules may call
 * is session.c's.
 *
 * Callbacks of modules run from the event handlers here and from the end of
 * the turn only (lnt_conn_settle), never from within delivery: whoever queues
 * output may be in the middle of a list of sessions.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/names.h"
#include "net/stats.h"
#include "net/table.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    BEHIND_MIN =
        64 * 1024,       /* bytes that a ping_timeout may not be enough for */
    GOODBYE_TIME = 5000, /* for the peer's answer */
    FINISH_TIME = 10000, /* for the rest of the output */
    LINGER_TIME = 2000,  /* for the peer's end of file */
    READ_MIN = 64 * 1024,
    UNREAD_MAX = 64 * 1024, /* over message_size */
};

static void on_event(struct lnt_watch *w, uint32_t events);
static void on_timer(struct lnt_timer *t);

static const struct lnt_protocol *
protocol_of(const struct lnt_conn *c)
{
    return c->session.endpoint->protocol->protocol;
}

/* ---- begin and end ---- */

/* What every session of an endpoint begins with. */
static void
begin_session(struct lnt_conn *c, const struct lnt_endpoint *e)
{
    c->session.endpoint = e;
    c->session.state = NULL;
    /* An admission comes before the session that it is for. */
    if (!c->admission)
        c->session.app_state = NULL;
    c->state = LNT_CONN_HANDSHAKE;
    c->opened = c->active = lnt_net_time(c->net);
    c->deadline = 0;
    const struct lnt_protocol *p = protocol_of(c);
    if (p->state_size)
        c->session.state = lnt_calloc(1, p->state_size);
}

static lnt_verdict
open_protocol(struct lnt_conn *c, const struct lnt_endpoint *e)
{
    begin_session(c, e);
    const struct lnt_protocol *p = protocol_of(c);
    return p->open ? p->open(&c->session) : LNT_GO_ON;
}

/* Into the table and into epoll; NULL, and the descriptor closed. */
static struct lnt_conn *
new_conn(struct lnt_net *n, int fd, const struct lnt_endpoint *e)
{
    bool filtered = lnt_endpoint_listener(e)->filter != NULL;
    size_t behind = filtered ? sizeof(struct lnt_filtered) : 0;
    struct lnt_conn *c = lnt_calloc(1, sizeof(*c) + behind);
    c->net = n;
    c->flags = filtered ? LNT_F_FILTERED : 0;
    c->watch.fd = fd;
    c->watch.fn = on_event;
    c->timer.fn = on_timer;
    if (!lnt_table_add(n, c)) {
        lnt_log_error("connection refused: the table of connections is full");
    } else if (lnt_watch_add(n->loop, &c->watch, EPOLLIN) < 0) {
        lnt_log_error("epoll: cannot watch a connection: %s", strerror(errno));
        lnt_table_remove(n, c);
    } else {
        return c;
    }
    close(fd);
    free(c);
    return NULL;
}

struct lnt_detached *
lnt_conn_make(struct lnt_net *n, const struct lnt_endpoint *e,
              struct lnt_str name)
{
    struct lnt_detached *d = lnt_calloc(1, sizeof(*d) + name.n);
    struct lnt_conn *c = &d->conn;
    c->net = n;
    c->watch.fd = -1;
    c->timer.fn = on_timer;
    d->name_n = (uint32_t)name.n;
    memcpy(d->name, name.p, name.n);
    if (!lnt_table_add(n, c)) {
        free(d);
        return NULL;
    }
    begin_session(c, e);
    return d;
}

struct lnt_conn *
lnt_conn_open(struct lnt_net *n, int fd, const struct lnt_endpoint *e,
              uint32_t visit)
{
    struct lnt_conn *c = new_conn(n, fd, e);
    if (!c) {
        if (visit)
            lnt_zone_peer_leave(n->zone, visit, n->cell);
        return NULL;
    }
    c->visit = visit;
    lnt_count(n->stats, LNT_C_ACCEPTED);
    lnt_log_conn(lnt_table_id(c));
    lnt_verdict v = open_protocol(c, e);
    if ((c->flags & LNT_F_FILTERED) && lnt_filter_open(c, e) < 0) {
        lnt_conn_kill(c);
        c = NULL;
    } else if (v) {
        lnt_conn_goodbye(c, v, NULL);
    } else {
        if (c->flags & LNT_F_FILTERED)
            lnt_output_touch(c); /* it may have spoken first */
        lnt_deadline_set(c);
    }
    lnt_log_conn(0);
    return c;
}

struct lnt_conn *
lnt_conn_attach(struct lnt_net *n, int fd, const struct lnt_endpoint *e)
{
    struct lnt_conn *c = new_conn(n, fd, e);
    if (!c)
        return NULL;
    begin_session(c, e);
    c->flags |= LNT_F_SHARED;
    return c;
}

static void
end_protocol(struct lnt_conn *c)
{
    const struct lnt_protocol *p = protocol_of(c);
    if (p->close)
        p->close(&c->session);
    /* Its code may be on the stack above us. */
    lnt_loop_free(c->net->loop, c->session.state);
    c->session.state = NULL;
}

/* All of it but the descriptor. */
static void
end_conn(struct lnt_conn *c)
{
    struct lnt_net *n = c->net;
    lnt_app_close(c);
    end_protocol(c);
    c->state = LNT_CONN_DEAD;
    lnt_timer_stop(n->loop, &c->timer);
    lnt_output_release(c);
    if (c->flags & LNT_F_FILTERED)
        lnt_filter_release(c);
    free(c->in);
    c->in = NULL;
    lnt_conn_unpark(c);
    /* Whoever takes it over takes the count along. */
    if (c->visit && !(c->flags & LNT_F_MOVED))
        lnt_zone_peer_leave(n->zone, c->visit, n->cell);
    if (lnt_conn_is_detached(c))
        lnt_names_remove(n, lnt_conn_detached(c));
    lnt_table_remove(n, c);
    lnt_loop_free(n->loop, c);
}

void
lnt_conn_kill(struct lnt_conn *c)
{
    if (c->state == LNT_CONN_DEAD)
        return;
    end_conn(c);
    if (lnt_conn_is_detached(c))
        return;
    /* As long as another process has it open, closing alone would leave it in
       our epoll. */
    close(c->flags & LNT_F_SHARED ? lnt_watch_del(c->net->loop, &c->watch)
                                  : lnt_watch_forget(&c->watch));
    lnt_count(c->net->stats, LNT_C_CLOSED);
}

int
lnt_conn_detach(struct lnt_conn *c)
{
    c->flags |= LNT_F_MOVED;
    end_conn(c);
    return lnt_conn_is_detached(c) ? -1
                                   : lnt_watch_del(c->net->loop, &c->watch);
}

static void
bound_state(struct lnt_conn *c, uint32_t ms)
{
    struct lnt_net *n = c->net;
    uint32_t now = lnt_net_time(n);
    /* A worker that drains gives each the time it has itself. */
    if (n->draining && c->state == LNT_CONN_GOODBYE) {
        uint64_t loop_now = lnt_loop_now(n->loop);
        if (n->drain_until > loop_now + ms)
            ms = (uint32_t)(n->drain_until - loop_now);
    }
    c->deadline = now + ms ? now + ms : 1;
    lnt_deadline_set(c);
}

void
lnt_conn_finish(struct lnt_conn *c)
{
    if (c->state >= LNT_CONN_FINISHING)
        return;
    lnt_app_close(c);
    lnt_conn_unpark(c);
    /* What has no way out would be waited for in vain. */
    if (lnt_conn_is_shaking(c))
        lnt_output_drop(c);
    c->state = LNT_CONN_FINISHING;
    bound_state(c, FINISH_TIME);
    lnt_output_touch(c);
}

void
lnt_conn_goodbye(struct lnt_conn *c, int code, const char *reason)
{
    if (c->state >= LNT_CONN_GOODBYE)
        return;
    lnt_app_close(c);
    c->state = LNT_CONN_GOODBYE;
    const struct lnt_protocol *p = protocol_of(c);
    if (p->goodbye && p->goodbye(&c->session, code, reason)) {
        if (c->state == LNT_CONN_GOODBYE)
            bound_state(c, GOODBYE_TIME);
    } else {
        lnt_conn_finish(c);
    }
}

void
lnt_conn_ask_close(struct lnt_conn *c, int code, const char *reason)
{
    if (c->state >= LNT_CONN_GOODBYE || (c->flags & LNT_F_CLOSE_ASKED))
        return;
    struct lnt_close *entry = lnt_calloc(1, sizeof(*entry));
    entry->conn = c;
    entry->code = code;
    if (reason)
        snprintf(entry->reason, sizeof(entry->reason), "%s", reason);
    entry->next = c->net->closes;
    c->net->closes = entry;
    c->flags |= LNT_F_CLOSE_ASKED;
}

lnt_verdict
lnt_conn_become(struct lnt_conn *c, const struct lnt_endpoint *e)
{
    /* Also behind the goodbye of one that still answers what it was asked when
       its worker began to drain. */
    lnt_assert(c->state <= LNT_CONN_GOODBYE);
    uint64_t unacked = lnt_limits_unacked(e->limits);
    if (unacked != lnt_limits_unacked(c->session.endpoint->limits))
        lnt_socket_user_timeout(c->watch.fd, unacked);
    if (!lnt_app_admitted_to(c, e))
        lnt_app_close(c);
    end_protocol(c);
    lnt_verdict v = open_protocol(c, e);
    if (!v)
        lnt_deadline_set(c);
    return v;
}

lnt_verdict
lnt_conn_ready(struct lnt_conn *c)
{
    if (c->state != LNT_CONN_HANDSHAKE)
        return LNT_GO_ON;
    /* It was let in just before the worker began to drain. */
    if (c->net->draining && c->session.endpoint->app)
        lnt_conn_ask_close(c, LNT_CLOSE_AWAY, "server is going away");
    return lnt_app_open(c);
}

/* ---- input ---- */

void
lnt_conn_keep(struct lnt_conn *c, const void *p, size_t n)
{
    struct lnt_piece *in = lnt_malloc(sizeof(*in) + n);
    in->n = (uint32_t)n;
    memcpy(in->data, p, n);
    c->in = in;
}

/* The same for the rest of an input, behind what the protocol has put back. */
static void
keep_rest(struct lnt_conn *c, const void *p, size_t n)
{
    struct lnt_strbuf *unread = &c->net->unread;
    if (unread->n == 0) {
        lnt_conn_keep(c, p, n);
        return;
    }
    lnt_strbuf_add(unread, p, n);
    lnt_conn_keep(c, unread->p, unread->n);
    lnt_strbuf_release(unread);
}

/* Gives the bytes to the protocol, and after a change of protocols the rest to
   the next. */
static lnt_verdict
feed(struct lnt_conn *c, uint8_t *p, size_t n, bool eof, size_t *used)
{
    *used = 0;
    for (;;) {
        const struct lnt_endpoint *e = c->session.endpoint;
        struct lnt_input in = {.p = p + *used, .n = n - *used, .eof = eof};
        lnt_verdict v = e->protocol->protocol->data(&c->session, &in);
        lnt_assert(in.used <= in.n);
        *used += in.used;
        if (v || c->session.endpoint == e || c->state > LNT_CONN_GOODBYE)
            return v;
        if ((*used == n && !eof) || (c->flags & LNT_F_WAITS))
            return v;
    }
}

/* It sends something each time and hands the same input over again, which would
   go on for ever. */
static lnt_verdict
refuse_again(struct lnt_conn *c)
{
    lnt_log_error("module %s hands over what was not handed over before; the "
                  "connection is closed",
                  c->session.endpoint->protocol->name);
    c->handover = LNT_HANDOVER_NONE;
    return LNT_CLOSE_ERROR;
}

static void
handle_input(struct lnt_conn *c, uint8_t *p, size_t n, bool eof)
{
    struct lnt_net *net = c->net;
    size_t used;
    net->current = c;
    lnt_verdict v = feed(c, p, n, eof, &used);
    lnt_output_echo(net);
    net->current = NULL;
    bool held = c->flags & (LNT_F_HELD | LNT_F_PARKED);
    bool waits = c->handover == LNT_HANDOVER_WAITS;
    if (c->stayed && (n == 0 || net->unread.n + n - used < n))
        c->stayed = 0;
    else if (c->stayed && waits && !v)
        v = refuse_again(c);
    if (v)
        lnt_conn_goodbye(c, v, NULL);
    else if (eof && !held && !waits)
        lnt_conn_finish(c);
    if ((used < n || net->unread.n) && c->state < LNT_CONN_FINISHING) {
        /* What is held, or comes before a goodbye, is bounded by what one read
           brings. */
        if (!held && !waits && !v &&
            n - used > c->session.endpoint->limits->message_size + UNREAD_MAX) {
            lnt_count(net->stats, LNT_C_TOO_BIG);
            lnt_conn_goodbye(c, LNT_CLOSE_TOO_BIG, NULL);
        } else {
            keep_rest(c, p + used, n - used);
        }
    }
    lnt_strbuf_release(&net->unread);
    if (held && c->state < LNT_CONN_FINISHING) {
        lnt_output_touch(c); /* there may be nothing to wait for */
        if (lnt_output_watch(c) < 0)
            c->flags |= LNT_F_DOOMED;
    }
}

static uint8_t *
input_space(struct lnt_net *n, size_t have)
{
    if (n->rbuf_cap < have + READ_MIN) {
        n->rbuf_cap = have + 2 * READ_MIN;
        n->rbuf = lnt_realloc(n->rbuf, LNT_INPUT_ROOM * 4 + n->rbuf_cap);
    }
    return n->rbuf + LNT_INPUT_ROOM;
}

/* What waits in front of the next read, moved to where it is read to. */
static uint8_t *
take_rest(struct lnt_conn *c, size_t *have)
{
    *have = c->in ? c->in->n : 0;
    uint8_t *p = input_space(c->net, *have);
    if (*have) {
        memcpy(p, c->in->data, *have);
        free(c->in);
        c->in = NULL;
    }
    return p;
}

static void
on_eof(struct lnt_conn *c, uint8_t *p, size_t have)
{
    c->flags |= LNT_F_EOF;
    if (c->state >= LNT_CONN_FINISHING) {
        if (c->state == LNT_CONN_LINGER || !c->out)
            lnt_conn_kill(c);
        else if (lnt_output_watch(c) < 0)
            lnt_conn_kill(c);
        return;
    }
    /* End of file stays readable: look for room to write only. */
    if (lnt_output_watch(c) < 0) {
        lnt_conn_kill(c);
        return;
    }
    handle_input(c, p, have, true);
}

/* Nothing more comes from the peer of one that is parked. */
static void
end_parked(struct lnt_conn *c)
{
    size_t have;
    uint8_t *p = take_rest(c, &have);
    lnt_conn_unpark(c);
    handle_input(c, p, have, true);
}

/* What comes is no good, as its filter sees it. */
static void
end_filter(struct lnt_conn *c)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    if (c->state >= LNT_CONN_FINISHING)
        return;
    lnt_count(c->net->stats, LNT_C_PROTOCOL_ERRORS);
    lnt_log_info("the bytes that come are no good for %s", f->ops->name);
    if (c->flags & LNT_F_PARKED)
        end_parked(c);
    f->failed = f->finished = true;
    lnt_output_drop(c);
    lnt_conn_finish(c);
}

/* have plain bytes, and behind them got raw ones in front of which the filter
   has its rest. */
static void
on_raw(struct lnt_conn *c, uint8_t *p, size_t have, size_t got)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    size_t raw = f->raw ? f->raw->n : 0, plain;
    if (raw)
        memcpy(p + have, f->raw->data, raw);
    enum lnt_filter_verdict v =
        lnt_filter_pull(c, p + have, raw + got, got == 0, &plain);
    if (f->own || c->out)
        lnt_output_touch(c);
    if (v == LNT_FILTER_FAIL && got == 0) {
        lnt_conn_kill(c);
        return;
    }
    have += plain;
    if (v == LNT_FILTER_END || (got == 0 && v == LNT_FILTER_GO_ON))
        on_eof(c, p, have);
    else if (plain)
        handle_input(c, p, have, false);
    else if (have)
        lnt_conn_keep(c, p, have);
    if (c->state == LNT_CONN_DEAD)
        return;
    if (v == LNT_FILTER_FAIL)
        end_filter(c);
    lnt_deadline_set(c);
}

static void
on_readable(struct lnt_conn *c)
{
    struct lnt_net *n = c->net;
    size_t have = c->in ? c->in->n : 0;
    if ((c->flags & LNT_F_FILTERED) && lnt_conn_filter(c)->raw)
        have += lnt_conn_filter(c)->raw->n;
    uint8_t *p = input_space(n, have);
    __builtin_prefetch(c->session.state); /* while we are in the kernel */
    ssize_t got = recv(c->watch.fd, p + have, n->rbuf_cap - have, 0);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        lnt_log_debug("recv: %s", strerror(errno));
        lnt_conn_kill(c);
        return;
    }
    lnt_count_add(n->stats, LNT_C_BYTES_IN, (uint64_t)got);
    c->active = lnt_net_time(n);
    if (c->flags & LNT_F_PINGED) {
        /* The timer waits for what comes of silence; the next ping is
           before. */
        c->flags &= (uint16_t) ~(LNT_F_PINGED | LNT_F_BEHIND);
        lnt_deadline_set(c);
    }
    if (c->state >= LNT_CONN_FINISHING) {
        if (got == 0)
            on_eof(c, p, 0);
        return;
    }
    (void)take_rest(c, &have);
    if (c->flags & LNT_F_FILTERED)
        on_raw(c, p, have, (size_t)got);
    else if (got == 0)
        on_eof(c, p, have);
    else
        handle_input(c, p, have + (size_t)got, false);
}

/* ---- the end of a turn ---- */

/* The output is out: what was held back may come. */
static void
release_input(struct lnt_conn *c)
{
    size_t have;
    bool eof = c->flags & LNT_F_EOF;
    c->active = lnt_net_time(c->net);
    c->flags &= (uint16_t)~LNT_F_BLOCKED;
    uint8_t *p = take_rest(c, &have);
    if (have || eof)
        handle_input(c, p, have, eof);
    else
        c->stayed = 0;
    if (c->state < LNT_CONN_FINISHING && lnt_output_watch(c) < 0)
        lnt_conn_kill(c);
}

static void
settle_empty(struct lnt_conn *c)
{
    const struct lnt_protocol *p = protocol_of(c);
    bool again = c->handover == LNT_HANDOVER_AGAIN;
    bool held = again || (c->flags & LNT_F_HELD);
    if (c->flags & LNT_F_WAITS)
        return;
    c->flags &= (uint16_t)~LNT_F_HELD;
    if (again)
        c->handover = LNT_HANDOVER_NONE;
    if (p->drained)
        p->drained(&c->session);
    /* Held again: it has queued more, which brings us here once that is out. */
    if (held && !(c->flags & (LNT_F_HELD | LNT_F_PARKED)) &&
        c->handover != LNT_HANDOVER_WAITS && c->state < LNT_CONN_FINISHING)
        release_input(c);
}

static void
settle_finish(struct lnt_conn *c)
{
    /* Who has said its last word need not be waited for, unless it has yet to
       take ours: anything it sends too much would cut that off. */
    if ((c->flags & LNT_F_EOF) ||
        ((c->flags & LNT_F_END) && !lnt_socket_has_unsent(c->watch.fd))) {
        lnt_conn_kill(c);
        return;
    }
    c->flags &= (uint16_t) ~(LNT_F_HELD | LNT_F_BLOCKED);
    if (shutdown(c->watch.fd, SHUT_WR) < 0 || lnt_output_watch(c) < 0) {
        lnt_conn_kill(c);
        return;
    }
    c->state = LNT_CONN_LINGER;
    bound_state(c, LINGER_TIME);
}

static void
settle_detached(struct lnt_conn *c)
{
    const struct lnt_protocol *p = protocol_of(c);
    /* There is no input to be held, nor to come again. */
    if (!(c->flags & LNT_F_WAITS))
        c->flags &= (uint16_t)~LNT_F_HELD;
    if (c->handover == LNT_HANDOVER_AGAIN)
        c->handover = LNT_HANDOVER_NONE;
    c->stayed = 0;
    if ((c->flags & LNT_F_DOOMED) || c->state >= LNT_CONN_FINISHING)
        lnt_conn_kill(c);
    else if (c->out && p->queued && lnt_conn_detached(c)->transport)
        p->queued(&c->session);
}

void
lnt_conn_settle(struct lnt_conn *c)
{
    if (c->state == LNT_CONN_DEAD)
        return;
    if (lnt_conn_is_detached(c)) {
        settle_detached(c);
        return;
    }
    bool had = c->out != NULL;
    /* Nothing goes out before the giver knows, and nothing ends. */
    if ((c->flags & (LNT_F_COMING | LNT_F_DOOMED)) == LNT_F_COMING)
        return;
    if ((c->flags & LNT_F_DOOMED) || lnt_output_flush(c) < 0) {
        lnt_conn_kill(c);
        return;
    }
    if (c->out)
        return;
    if (c->state == LNT_CONN_FINISHING) {
        settle_finish(c);
    } else if (had && (c->flags & LNT_F_HELD) && !(c->flags & LNT_F_WAITS)) {
        /* What is held goes on in the next turn: others want their share of
           this one, however fast the peer takes a large answer. */
        c->active = lnt_net_time(c->net);
        if (lnt_output_block(c) < 0)
            lnt_conn_kill(c);
    } else if (c->state <= LNT_CONN_GOODBYE) {
        settle_empty(c);
    }
}

void
lnt_conn_poll(struct lnt_conn *c)
{
    enum { NO = LNT_F_EOF | LNT_F_HELD | LNT_F_PARKED | LNT_F_COMING };
    if (!(c->flags & NO) && c->handover != LNT_HANDOVER_WAITS &&
        !lnt_conn_is_detached(c))
        on_readable(c);
}

void
lnt_conn_stays(struct lnt_conn *c, const char *why)
{
    const struct lnt_protocol *p = protocol_of(c);
    c->handover = LNT_HANDOVER_AGAIN;
    c->stayed = 1;
    if (p->stays)
        p->stays(&c->session, why);
    lnt_output_touch(c);
}

void
lnt_conn_again(struct lnt_conn *c)
{
    if (c->handover == LNT_HANDOVER_WAITS)
        lnt_conn_stays(c, "this worker ends");
    if (c->handover == LNT_HANDOVER_NONE || lnt_conn_is_detached(c))
        return;
    c->handover = LNT_HANDOVER_NONE;
    release_input(c);
}

/* The peer of one that is parked has shut its side. */
static void
on_hangup(struct lnt_conn *c)
{
    size_t have;
    uint8_t *p = take_rest(c, &have);
    lnt_conn_unpark(c);
    on_eof(c, p, have);
}

/* The peer of one that waits for another worker has shut its side. */
static void
on_shut(struct lnt_conn *c)
{
    c->shut = 1;
    lnt_count(c->net->stats, LNT_C_STAYED);
    lnt_conn_stays(c, "its client has shut its side");
    if (lnt_output_watch(c) < 0)
        lnt_conn_kill(c);
}

static void
on_event(struct lnt_watch *w, uint32_t events)
{
    struct lnt_conn *c = LNT_OWNER(w, struct lnt_conn, watch);
    if (c->flags & LNT_F_COMING)
        return;
    lnt_log_conn(lnt_table_id(c));
    if (events & EPOLLIN && c->handover != LNT_HANDOVER_WAITS)
        on_readable(c);
    else if (events & (EPOLLERR | EPOLLHUP))
        lnt_conn_kill(c);
    else if ((events & EPOLLRDHUP) && (c->flags & LNT_F_PARKED))
        on_hangup(c);
    else if ((events & EPOLLRDHUP) && c->handover == LNT_HANDOVER_WAITS)
        on_shut(c);
    if ((events & EPOLLOUT) && c->state != LNT_CONN_DEAD)
        lnt_output_touch(c);
    lnt_log_conn(0);
}

/* ---- deadlines ---- */

static void
time_out(struct lnt_conn *c, enum lnt_timeout which, enum lnt_counter counter)
{
    const struct lnt_protocol *p = protocol_of(c);
    lnt_count(c->net->stats, counter);
    if (p->timeout)
        (void)p->timeout(&c->session, which);
    lnt_conn_goodbye(c, LNT_CLOSE_AWAY, "timeout");
}

/* Its handshake, or what it has begun, is not whole in time. */
static bool
filter_is_late(struct lnt_conn *c, uint32_t now)
{
    if (!(c->flags & LNT_F_FILTERED) || !lnt_filter_is_due(c, now))
        return false;
    /* We may have been kept from reading it, or did not want to. */
    lnt_conn_poll(c);
    if (c->state == LNT_CONN_DEAD)
        return true;
    if (!lnt_conn_is_shaking(c) && !(c->watch.events & EPOLLIN))
        lnt_filter_later(c);
    if (!lnt_filter_is_due(c, now))
        return false;
    lnt_count(c->net->stats, LNT_C_TIMEOUTS_HANDSHAKE);
    lnt_conn_kill(c);
    return true;
}

/* Nobody seems to be there: goodbye is said, but not waited for. */
static void
reap(struct lnt_conn *c)
{
    const struct lnt_protocol *p = protocol_of(c);
    lnt_count(c->net->stats, LNT_C_TIMEOUTS_PING);
    lnt_log_info("no answer to a ping");
    lnt_app_close(c);
    c->state = LNT_CONN_GOODBYE;
    if (p->goodbye)
        (void)p->goodbye(&c->session, LNT_CLOSE_AWAY, "no answer to a ping");
    (void)lnt_output_flush(c);
    lnt_conn_kill(c);
}

static void
ping(struct lnt_conn *c, uint32_t now)
{
    /* ping_timeout begins now, also if we are late. */
    c->active = now - lnt_deadline_ping(c);
    c->flags |= LNT_F_PINGED;
    protocol_of(c)->ping(&c->session);
}

static void
check_ready(struct lnt_conn *c, uint32_t now)
{
    const struct lnt_limits *l = c->session.endpoint->limits;
    uint32_t at;
    if (!lnt_deadline_silence(c, &at) || !lnt_net_due(now, at))
        return;
    if (lnt_deadline_pings(c) && !(c->flags & LNT_F_PINGED) &&
        lnt_net_due(now, c->active + lnt_deadline_ping(c)) &&
        (!l->idle_timeout ||
         !lnt_net_due(c->active + lnt_deadline_ping(c),
                      c->active + (uint32_t)l->idle_timeout))) {
        ping(c, now);
        return;
    }
    /* We may have been kept from reading what it said in time. */
    lnt_conn_poll(c);
    if (c->state != LNT_CONN_READY || !lnt_deadline_silence(c, &at) ||
        !lnt_net_due(now, at))
        return;
    if (l->idle_timeout &&
        lnt_net_due(now, c->active + (uint32_t)l->idle_timeout))
        time_out(c, LNT_TIMEOUT_IDLE, LNT_C_TIMEOUTS_IDLE);
    else if (c->out_bytes + lnt_socket_unacked(c->watch.fd) > BEHIND_MIN)
        /* A slow reader may not have got to the ping: it has idle_timeout, and
           one that is gone the kernel's time for what is not acknowledged. */
        c->flags |= LNT_F_BEHIND;
    else
        reap(c);
}

static void
check_own(struct lnt_conn *c)
{
    const struct lnt_protocol *p = protocol_of(c);
    c->deadline = 0;
    lnt_verdict v =
        p->timeout ? p->timeout(&c->session, LNT_TIMEOUT_OWN) : LNT_CLOSE_AWAY;
    if (v)
        lnt_conn_goodbye(c, v, "timeout");
}

/* It has had no transport for too long. */
static void
check_absence(struct lnt_conn *c, uint32_t now)
{
    struct lnt_detached *d = lnt_conn_detached(c);
    if (!d->until || !lnt_net_due(now, d->until))
        return;
    if (d->transport == 0) {
        time_out(c, LNT_TIMEOUT_IDLE, LNT_C_DETACHED_EXPIRED);
        return;
    }
    /* Its transport may have ended without a word. */
    if (!lnt_table_find(c->net, d->transport))
        lnt_names_transport(d, 0);
    d->until = now + (uint32_t)c->session.endpoint->limits->detached_timeout;
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_conn *c = LNT_OWNER(t, struct lnt_conn, timer);
    uint32_t now = lnt_net_time(c->net), at;
    const struct lnt_limits *l = c->session.endpoint->limits;
    lnt_log_conn(lnt_table_id(c));
    if (filter_is_late(c, now)) {
        lnt_log_conn(0);
        return;
    }
    switch ((enum lnt_conn_state)c->state) {
    case LNT_CONN_HANDSHAKE:
        if (lnt_deadline_handshake(c, &at) && lnt_net_due(now, at)) {
            if (l->handshake_timeout)
                time_out(c, LNT_TIMEOUT_HANDSHAKE, LNT_C_TIMEOUTS_HANDSHAKE);
            else
                time_out(c, LNT_TIMEOUT_IDLE, LNT_C_TIMEOUTS_IDLE);
            break;
        }
        if (c->deadline && lnt_net_due(now, c->deadline))
            check_own(c);
        break;
    case LNT_CONN_READY:
        if (c->deadline && lnt_net_due(now, c->deadline))
            check_own(c);
        if (c->state == LNT_CONN_READY && lnt_conn_is_detached(c))
            check_absence(c, now);
        else if (c->state == LNT_CONN_READY)
            check_ready(c, now);
        break;
    case LNT_CONN_GOODBYE:
    case LNT_CONN_FINISHING:
    case LNT_CONN_LINGER:
        if (lnt_net_due(now, c->deadline))
            lnt_conn_kill(c);
        break;
    case LNT_CONN_DEAD:
        break;
    }
    if (c->state != LNT_CONN_DEAD)
        lnt_deadline_set(c);
    lnt_log_conn(0);
}
