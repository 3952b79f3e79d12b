/*
 * Output of a connection: a queue of references to buffers, written once a
 * loop turn.  Nothing here calls back: a connection that cannot go on is
 * marked, and ended by its owner at the end of the turn.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/stats.h"

enum {
    IOV_MAX_HERE = 64,
    READ_PAUSE = 64 * 1024, /* queued bytes above which we stop reading */
    COPY_MIN = 256,         /* smallest buffer made for copies */
    FILE_TURN = 256 * 1024, /* of a file, in one turn */
    SEAL_BATCH = 64 * 1024, /* after which no further buffer is filtered */
    OVERRUN = 64 * 1024,    /* for the protocol's own words over the cap */
};

static struct lnt_buf *
last_buf(const struct lnt_conn *c)
{
    const struct lnt_outq *q = c->more;
    if (q && q->n)
        return q->bufs[(q->head + q->n - 1) & (q->cap - 1)];
    return c->out;
}

static struct lnt_outq *
grow_queue(struct lnt_outq *q)
{
    uint32_t cap = q ? q->cap * 2 : 4;
    struct lnt_outq *g =
        lnt_malloc(sizeof(*g) + cap * sizeof(struct lnt_buf *));
    g->head = 0;
    g->cap = cap;
    g->n = q ? q->n : 0;
    for (uint32_t i = 0; i < g->n; i++)
        g->bufs[i] = q->bufs[(q->head + i) & (q->cap - 1)];
    free(q);
    return g;
}

/* Takes over one reference. */
static void
push(struct lnt_conn *c, struct lnt_buf *b)
{
    if (!c->out) {
        c->out = b;
        c->out_off = 0;
        return;
    }
    if (!c->more || c->more->n == c->more->cap)
        c->more = grow_queue(c->more);
    struct lnt_outq *q = c->more;
    q->bufs[(q->head + q->n++) & (q->cap - 1)] = b;
}

static void
pop(struct lnt_conn *c)
{
    lnt_buf_unref(c->out);
    c->out = NULL;
    c->out_off = 0;
    struct lnt_outq *q = c->more;
    if (!q)
        return;
    if (q->n) {
        c->out = q->bufs[q->head];
        q->head = (q->head + 1) & (q->cap - 1);
        q->n--;
    }
    if (q->n == 0) {
        free(q);
        c->more = NULL;
    }
}

static void
count_queued(struct lnt_conn *c, size_t n)
{
    c->out_bytes += (uint32_t)n;
    c->net->stats->send_queue += n;
}

static void
count_sent(struct lnt_conn *c, size_t n)
{
    c->out_bytes -= (uint32_t)n;
    c->net->stats->send_queue -= n;
    lnt_net_count_sent(c, n);
}

/* They are queued no more, but for other reasons. */
static void
uncount_queued(struct lnt_conn *c, size_t n)
{
    c->out_bytes -= (uint32_t)n;
    c->net->stats->send_queue -= n;
}

/* Whether n more bytes still fit; dooms the connection when not. */
static bool
has_room(struct lnt_conn *c, size_t n)
{
    if (c->state == LNT_CONN_DEAD || (c->flags & LNT_F_DOOMED))
        return false;
    uint64_t cap = c->session.endpoint->limits->send_queue;
    /* A single message may be as large as message_size allows; there may be
       words behind it, too. */
    if (c->out_bytes > cap && c->out->len > cap)
        cap = c->out->len;
    if (lnt_output_fits(c, n, cap + OVERRUN))
        return true;
    if (c->flags & LNT_F_DOOMED)
        return false;
    lnt_count(c->net->stats, LNT_C_SLOW_CLOSED);
    c->flags |= LNT_F_DOOMED;
    lnt_output_touch(c);
    return false;
}

void
lnt_output_touch(struct lnt_conn *c)
{
    if (c->flags & LNT_F_QUEUED)
        return;
    c->flags |= LNT_F_QUEUED;
    c->flush_next = c->net->flush;
    c->net->flush = c;
}

static void
append_copy(struct lnt_conn *c, const void *p, size_t n)
{
    struct lnt_buf *b = last_buf(c);
    /* The only reference is ours: nobody else can see the bytes behind len. */
    if (!b || b->refs != 1 || b->cap - b->len < n) {
        b = lnt_buf_new(n > COPY_MIN ? n : COPY_MIN);
        push(c, b);
    }
    memcpy(b->data + b->len, p, n);
    b->len += (uint32_t)n;
    count_queued(c, n);
    lnt_output_touch(c);
}

/* Input bytes waiting to go out come first: keep the order. */
static void
settle_echo(struct lnt_conn *c)
{
    struct lnt_net *n = c->net;
    if (n->current != c || n->echo_n == 0)
        return;
    const uint8_t *p = n->echo;
    size_t len = n->echo_n;
    n->echo_n = 0;
    append_copy(c, p, len);
}

void
lnt_output_copy(struct lnt_conn *c, const void *p, size_t n)
{
    if (n == 0 || !has_room(c, n))
        return;
    settle_echo(c);
    append_copy(c, p, n);
}

void
lnt_output_ref(struct lnt_conn *c, struct lnt_buf *b)
{
    if (b->len == 0 || !has_room(c, b->len))
        return;
    settle_echo(c);
    push(c, lnt_buf_ref(b));
    count_queued(c, b->len);
    lnt_output_touch(c);
}

void
lnt_output_input(struct lnt_conn *c, const uint8_t *p, size_t n)
{
    struct lnt_net *net = c->net;
    if (n == 0)
        return;
    if (net->current == c && !c->out && c->state <= LNT_CONN_GOODBYE) {
        if (net->echo_n == 0)
            net->echo = p;
        if (net->echo + net->echo_n == p) {
            net->echo_n += n;
            return;
        }
    }
    lnt_output_copy(c, p, n);
}

static int
send_result(struct lnt_conn *c, ssize_t sent)
{
    if (sent >= 0)
        return 0;
    if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
        return 0;
    lnt_log_debug("send: %s", strerror(errno));
    c->flags |= LNT_F_DOOMED;
    return -1;
}

/* Room to write when blocked; input unless there is a reason not to read. */
int
lnt_output_watch(struct lnt_conn *c)
{
    uint32_t events = 0;
    if (lnt_conn_is_detached(c))
        return 0;
    if (c->flags & LNT_F_BLOCKED)
        events |= EPOLLOUT;
    if (!(c->flags & LNT_F_EOF) &&
        ((c->flags & LNT_F_PARKED) || c->handover == LNT_HANDOVER_WAITS))
        events |= EPOLLRDHUP;
    if (!(c->flags & (LNT_F_EOF | LNT_F_HELD | LNT_F_PARKED)) && !c->handover &&
        (!(c->flags & LNT_F_BLOCKED) || c->out_bytes < READ_PAUSE))
        events |= EPOLLIN;
    return lnt_watch_set(c->net->loop, &c->watch, events);
}

int
lnt_output_block(struct lnt_conn *c)
{
    c->flags |= LNT_F_BLOCKED;
    return lnt_output_watch(c);
}

static int
unblock(struct lnt_conn *c)
{
    /* One that is held has more to write, most likely. */
    if (!(c->flags & LNT_F_BLOCKED) || (c->flags & LNT_F_HELD))
        return 0;
    c->flags &= (uint16_t)~LNT_F_BLOCKED;
    return lnt_output_watch(c);
}

/* ---- connections with a filter ---- */

/* In front of all; takes over one reference. */
static void
push_front(struct lnt_conn *c, struct lnt_buf *b, uint32_t offset)
{
    struct lnt_buf *next = c->out;
    c->out = b;
    c->out_off = offset;
    if (!next)
        return;
    if (!c->more || c->more->n == c->more->cap)
        c->more = grow_queue(c->more);
    struct lnt_outq *q = c->more;
    q->head = (q->head - 1) & (q->cap - 1);
    q->bufs[q->head] = next;
    q->n++;
}

/* Bytes that are filtered already, in front of what is not. */
static void
push_sealed(struct lnt_conn *c, struct lnt_str a, struct lnt_str b)
{
    struct lnt_buf *buf = lnt_buf_new(a.n + b.n);
    memcpy(buf->data, a.p, a.n);
    memcpy(buf->data + a.n, b.p, b.n);
    buf->len = (uint32_t)(a.n + b.n);
    push_front(c, buf, 0);
    lnt_conn_filter(c)->sealed = true;
    count_queued(c, a.n + b.n);
}

void
lnt_output_sealed(struct lnt_conn *c, struct lnt_str raw)
{
    push_sealed(c, raw, lnt_str("", 0));
    lnt_output_touch(c);
}

/*
 * Filters what is queued (or the echo, when nothing is) into net->raw: whole
 * buffers, which go, up to a batch.  What stays is what many connections may
 * share.
 */
static int
seal(struct lnt_conn *c, struct lnt_str echo)
{
    struct lnt_str pieces[IOV_MAX_HERE];
    size_t n = 0, bytes = 0;
    bool ready = lnt_conn_filter(c)->ready;
    const struct lnt_outq *q = c->more;
    if (c->out && ready) {
        pieces[n++] = lnt_str(c->out->data, c->out->len);
        bytes = c->out->len;
        for (uint32_t i = 0; q && i < q->n && n < IOV_MAX_HERE; i++) {
            const struct lnt_buf *b = q->bufs[(q->head + i) & (q->cap - 1)];
            if (bytes >= SEAL_BATCH)
                break;
            pieces[n++] = lnt_str(b->data, b->len);
            bytes += b->len;
        }
    } else if (echo.n) {
        pieces[n++] = echo;
    }
    bool all = !c->out || (ready && n == 1u + (q ? q->n : 0));
    if (lnt_filter_push(c, pieces, n, all && c->state == LNT_CONN_FINISHING,
                        &c->net->raw) < 0)
        return -1;
    while (bytes) {
        bytes -= c->out->len;
        uncount_queued(c, c->out->len);
        pop(c);
    }
    return 0;
}

static ssize_t
send_both(struct lnt_conn *c, struct lnt_str a, struct lnt_str b)
{
    if (a.n == 0)
        return send(c->watch.fd, b.p, b.n, MSG_NOSIGNAL);
    struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)a.p, .iov_len = a.n},
                           {.iov_base = (void *)(uintptr_t)b.p,
                            .iov_len = b.n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    return sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
}

/*
 * One write: what was filtered before and not taken, then what is filtered now.
 * When much of the former waits, no more is filtered.
 */
static int
flush_filtered(struct lnt_conn *c, struct lnt_str echo)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    struct lnt_strbuf *raw = &c->net->raw;
    struct lnt_buf *front = NULL;
    struct lnt_str rest = lnt_str("", 0);
    if (c->flags & LNT_F_COMING)
        return 0;
    if (f->sealed) {
        front = lnt_buf_ref(c->out);
        rest = lnt_str(front->data + c->out_off, front->len - c->out_off);
        uncount_queued(c, rest.n);
        pop(c);
        f->sealed = false;
    }
    lnt_strbuf_clear(raw);
    int rc = rest.n < SEAL_BATCH ? seal(c, echo) : 0;
    size_t total = rest.n + raw->n, done = 0;
    if (rc == 0 && total) {
        ssize_t sent = send_both(c, rest, lnt_strbuf_str(raw));
        rc = send_result(c, sent);
        done = sent > 0 ? (size_t)sent : 0;
        lnt_net_count_sent(c, done);
    }
    if (rc == 0 && front && raw->n == 0 && done < rest.n) {
        uint32_t offset = front->len - (uint32_t)(rest.n - done);
        push_front(c, lnt_buf_ref(front), offset);
        count_queued(c, rest.n - done);
        f->sealed = true;
    } else if (rc == 0 && done < total) {
        size_t of_rest = done < rest.n ? done : rest.n;
        size_t of_raw = done - of_rest;
        push_sealed(c, lnt_str(rest.p + of_rest, rest.n - of_rest),
                    lnt_str(raw->p + of_raw, raw->n - of_raw));
    }
    if (front)
        lnt_buf_unref(front);
    if (rc < 0) {
        c->flags |= LNT_F_DOOMED;
        return -1;
    }
    /* More in the next turn; or when the handshake is over. */
    return c->out && (f->sealed || f->ready) ? lnt_output_block(c) : unblock(c);
}

static void
echo_filtered(struct lnt_conn *c, struct lnt_str echo)
{
    if (lnt_conn_is_shaking(c) || (c->flags & LNT_F_COMING))
        append_copy(c, echo.p, echo.n);
    else if (flush_filtered(c, echo) < 0)
        lnt_output_touch(c);
}

void
lnt_output_echo(struct lnt_net *net)
{
    struct lnt_conn *c = net->current;
    size_t n = net->echo_n;
    if (n == 0)
        return;
    net->echo_n = 0;
    if (c->flags & LNT_F_FILTERED) {
        echo_filtered(c, lnt_str(net->echo, n));
        return;
    }
    ssize_t sent = send(c->watch.fd, net->echo, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n) {
        lnt_net_count_sent(c, n);
        return;
    }
    if (send_result(c, sent) < 0) {
        lnt_output_touch(c);
        return;
    }
    size_t done = sent > 0 ? (size_t)sent : 0;
    lnt_net_count_sent(c, done);
    append_copy(c, net->echo + done, n - done);
    if (lnt_output_block(c) < 0) {
        c->flags |= LNT_F_DOOMED;
        lnt_output_touch(c);
    }
}

static ssize_t
send_queue(struct lnt_conn *c)
{
    if (!c->more)
        return send(c->watch.fd, c->out->data + c->out_off,
                    c->out->len - c->out_off, MSG_NOSIGNAL);
    struct iovec iov[IOV_MAX_HERE];
    size_t n = 1;
    iov[0].iov_base = c->out->data + c->out_off;
    iov[0].iov_len = c->out->len - c->out_off;
    for (uint32_t i = 0; i < c->more->n && n < IOV_MAX_HERE; i++, n++) {
        struct lnt_buf *b =
            c->more->bufs[(c->more->head + i) & (c->more->cap - 1)];
        iov[n].iov_base = b->data;
        iov[n].iov_len = b->len;
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    return sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
}

/* What sendfile says of the file, not of the socket. */
static bool
is_file_error(int error)
{
    return error == EINVAL || error == EIO || error == ENOSYS ||
           error == EOPNOTSUPP || error == EOVERFLOW || error == EBADF ||
           error == EISDIR || error == ESTALE;
}

int
lnt_output_flush(struct lnt_conn *c)
{
    if (lnt_conn_is_detached(c))
        return 0; /* its protocol takes it out */
    if (c->flags & LNT_F_FILTERED)
        return flush_filtered(c, lnt_str("", 0));
    if (!c->out)
        return unblock(c);
    ssize_t sent = send_queue(c);
    if (send_result(c, sent) < 0)
        return -1;
    size_t left = sent > 0 ? (size_t)sent : 0;
    count_sent(c, left);
    while (c->out && left >= c->out->len - c->out_off) {
        left -= c->out->len - c->out_off;
        pop(c);
    }
    if (c->out) {
        c->out_off += (uint32_t)left;
        return lnt_output_block(c);
    }
    return unblock(c);
}

/*
 * Nobody is a slow reader before the kernel was asked to take what was queued
 * in this turn.  When it has refused some before, it is asked again only where
 * that decides about the end: messages that are dropped may be many.
 */
bool
lnt_output_ask(struct lnt_conn *c, size_t n, uint64_t cap)
{
    bool drops =
        c->session.endpoint->limits->send_queue_policy == LNT_SLOW_DROP;
    uint32_t before;
    if ((c->flags & (LNT_F_DOOMED | LNT_F_COMING)) ||
        (drops && (c->flags & LNT_F_BLOCKED)))
        return false;
    do {
        before = c->out_bytes;
        if (lnt_output_flush(c) < 0) {
            c->flags |= LNT_F_DOOMED;
            lnt_output_touch(c);
            return false;
        }
    } while (c->out && c->out_bytes < before);
    return c->out_bytes == 0 || c->out_bytes + n <= cap;
}

/*
 * What a peer takes of a file in one turn is bounded: others want their share,
 * however fast it reads.
 */
ssize_t
lnt_output_file(struct lnt_conn *c, int fd, uint64_t offset, uint64_t n)
{
    off_t at = (off_t)offset;
    if (c->flags & LNT_F_FILTERED) {
        errno = EINVAL; /* its bytes have to be seen */
        return -1;
    }
    if (c->out || (c->flags & LNT_F_DOOMED) || c->state > LNT_CONN_GOODBYE)
        return 0;
    ssize_t sent =
        sendfile(c->watch.fd, fd, &at, n < FILE_TURN ? (size_t)n : FILE_TURN);
    if (sent == 0)
        errno = EIO;
    if (sent == 0 || (sent < 0 && is_file_error(errno)))
        return -1;
    if (send_result(c, sent) < 0) {
        lnt_output_touch(c);
        return 0;
    }
    if (sent < 0)
        return 0;
    lnt_net_count_sent(c, (size_t)sent);
    c->active = lnt_net_time(c->net);
    return sent;
}

void
lnt_output_drop(struct lnt_conn *c)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    struct lnt_buf *front = f->sealed ? lnt_buf_ref(c->out) : NULL;
    uint32_t offset = c->out_off;
    lnt_output_release(c);
    if (!front)
        return;
    push_front(c, front, offset);
    count_queued(c, front->len - offset);
}

void
lnt_output_release(struct lnt_conn *c)
{
    while (c->out)
        pop(c);
    c->net->stats->send_queue -= c->out_bytes;
    c->out_bytes = 0;
}

void
lnt_output_take(struct lnt_conn *c, size_t n)
{
    c->out_bytes -= (uint32_t)n;
    c->net->stats->send_queue -= n;
    while (c->out && n >= c->out->len - c->out_off) {
        n -= c->out->len - c->out_off;
        pop(c);
    }
    if (c->out)
        c->out_off += (uint32_t)n;
}
