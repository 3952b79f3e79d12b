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
    if (c->flags & LNT_F_BLOCKED)
        events |= EPOLLOUT;
    if (!(c->flags & (LNT_F_EOF | LNT_F_HELD)) &&
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

void
lnt_output_echo(struct lnt_net *net)
{
    struct lnt_conn *c = net->current;
    size_t n = net->echo_n;
    if (n == 0)
        return;
    net->echo_n = 0;
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
lnt_output_release(struct lnt_conn *c)
{
    while (c->out)
        pop(c);
    c->net->stats->send_queue -= c->out_bytes;
    c->out_bytes = 0;
}
