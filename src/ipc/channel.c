/*
 * Frames over a seqpacket socket.
 */
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "os/socket.h"

enum {
    MAGIC = 0x6c6e7431, /* "lnt1" */
    VERSION = 1,
    FRAMES_A_TURN = 32,
    SEND_TIME = 1000, /* ms, where there is no queue */
};

struct head {
    uint32_t magic;
    uint16_t version, type;
    uint32_t incarnation, request, length, reserved;
};

struct queued {
    struct lnt_list_node node;
    struct head head;
    int *fds;
    size_t nfds;
    char payload[];
};

const char *const lnt_frame_names[LNT_FRAME_TYPES] = {
    [LNT_FRAME_READY] = "READY",       [LNT_FRAME_FAILED] = "FAILED",
    [LNT_FRAME_START] = "START",       [LNT_FRAME_RELOAD] = "RELOAD",
    [LNT_FRAME_REOPEN] = "REOPEN",     [LNT_FRAME_QUIT] = "QUIT",
    [LNT_FRAME_STOP] = "STOP",         [LNT_FRAME_BROADCAST] = "BROADCAST",
    [LNT_FRAME_REQUEST] = "REQUEST",   [LNT_FRAME_REPLY] = "REPLY",
    [LNT_FRAME_SET] = "SET",           [LNT_FRAME_VALUE] = "VALUE",
    [LNT_FRAME_SNAPSHOT] = "SNAPSHOT", [LNT_FRAME_RESTARTED] = "RESTARTED",
    [LNT_FRAME_LEVEL] = "LEVEL",       [LNT_FRAME_HAND] = "HAND",
    [LNT_FRAME_TAKEN] = "TAKEN",       [LNT_FRAME_LINK] = "LINK",
    [LNT_FRAME_MOVE] = "MOVE",         [LNT_FRAME_MOVED] = "MOVED",
    [LNT_FRAME_GIVE] = "GIVE",         [LNT_FRAME_GIVEN] = "GIVEN",
    [LNT_FRAME_SYNC] = "SYNC",         [LNT_FRAME_OFFER] = "OFFER",
    [LNT_FRAME_OFFERED] = "OFFERED",
};

static void on_event(struct lnt_watch *w, uint32_t events);

int
lnt_channel_open(struct lnt_channel *c, struct lnt_loop *loop, int fd,
                 uint32_t incarnation,
                 const struct lnt_channel_handler *handler)
{
    c->watch.fd = fd;
    c->watch.fn = on_event;
    c->loop = loop;
    c->incarnation = incarnation;
    c->handler = handler;
    c->queue = (struct lnt_list){0};
    c->queued = 0;
    c->queued_fds = 0;
    if (lnt_watch_add(loop, &c->watch, EPOLLIN) == 0)
        return 0;
    int error = errno;
    close(fd);
    c->watch.fd = -1;
    errno = error;
    return -1;
}

static void
free_queued(struct queued *q)
{
    for (size_t i = 0; i < q->nfds; i++)
        close(q->fds[i]);
    free(q->fds);
    free(q);
}

static struct queued *
first(const struct lnt_channel *c)
{
    return LNT_LIST_FIRST(&c->queue, struct queued, node);
}

static void
pop(struct lnt_channel *c)
{
    struct queued *q = first(c);
    lnt_list_remove(&c->queue, &q->node);
    c->queued -= sizeof(*q) + q->head.length;
    c->queued_fds -= q->nfds;
    free_queued(q);
}

static void
drop_all(struct lnt_channel *c)
{
    while (first(c))
        pop(c);
}

void
lnt_channel_close(struct lnt_channel *c)
{
    if (!lnt_channel_is_open(c))
        return;
    drop_all(c);
    close(lnt_watch_del(c->loop, &c->watch));
}

static void
tell_closed(struct lnt_channel *c, bool broken, const char *why)
{
    if (c->handler->closed)
        c->handler->closed(c, broken, why);
    else
        lnt_channel_close(c);
}

/* ---- sending ---- */

static ssize_t
send_to(int fd, const struct head *h, const void *payload, const int *fds,
        size_t nfds)
{
    struct iovec iov[2] = {
        {.iov_base = (void *)(uintptr_t)h, .iov_len = sizeof(*h)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = h->length},
    };
    ssize_t n;
    do {
        n = lnt_socket_send_fds(fd, iov, h->length ? 2 : 1, fds, nfds);
    } while (n < 0 && errno == EINTR);
    return n;
}

static bool
would_block(int error)
{
    /* ETOOMANYREFS: too many descriptors in flight; they will be taken. */
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM ||
           error == ETOOMANYREFS;
}

/* What may wait altogether when one of that type has joined the queue. */
static size_t
queue_limit(unsigned type)
{
    if (type == LNT_FRAME_QUIT || type == LNT_FRAME_STOP)
        return SIZE_MAX;
    if (type == LNT_FRAME_REPLY)
        return LNT_CHANNEL_ANSWERS_MAX;
    if (type == LNT_FRAME_BROADCAST || type == LNT_FRAME_REQUEST ||
        type == LNT_FRAME_SET)
        return LNT_CHANNEL_QUEUE_MAX;
    return LNT_CHANNEL_COMMANDS_MAX;
}

/* STOP goes before everything, QUIT before everything but the links over which
   a worker is to give its connections away first. */
static struct lnt_list_node *
before_urgent(const struct lnt_channel *c, unsigned type)
{
    struct lnt_list_node *before = NULL;
    LNT_LIST_EACH(&c->queue, struct queued, q, node) {
        if (type == LNT_FRAME_QUIT && q->head.type == LNT_FRAME_LINK)
            before = &q->node;
    }
    return before;
}

static size_t
fds_limit(unsigned type, size_t nfds)
{
    return nfds && type != LNT_FRAME_HAND ? LNT_CHANNEL_FDS_MAX : SIZE_MAX;
}

static int
enqueue(struct lnt_channel *c, const struct head *h, const void *payload,
        const int *fds, size_t nfds)
{
    size_t size = sizeof(struct queued) + h->length;
    bool urgent = h->type == LNT_FRAME_QUIT || h->type == LNT_FRAME_STOP;
    if (c->queued + size > queue_limit(h->type) ||
        c->queued_fds + nfds > fds_limit(h->type, nfds)) {
        errno = ENOBUFS;
        return -1;
    }
    struct queued *q = lnt_calloc(1, size);
    q->head = *h;
    if (h->length)
        memcpy(q->payload, payload, h->length);
    if (nfds) {
        q->fds = lnt_calloc(nfds, sizeof(int));
        for (; q->nfds < nfds; q->nfds++) {
            q->fds[q->nfds] = fcntl(fds[q->nfds], F_DUPFD_CLOEXEC, 3);
            if (q->fds[q->nfds] < 0) {
                int error = errno;
                free_queued(q);
                errno = error;
                return -1;
            }
        }
    }
    lnt_list_add_behind(&c->queue,
                        urgent ? before_urgent(c, h->type) : c->queue.last,
                        &q->node);
    c->queued += size;
    c->queued_fds += nfds;
    return lnt_watch_set(c->loop, &c->watch, EPOLLIN | EPOLLOUT);
}

int
lnt_channel_send(struct lnt_channel *c, enum lnt_frame_type type,
                 uint32_t request, struct lnt_str payload, const int *fds,
                 size_t nfds)
{
    c->told_to_end |= type == LNT_FRAME_QUIT || type == LNT_FRAME_STOP;
    if (!lnt_channel_is_open(c)) {
        errno = ENOTCONN;
        return -1;
    }
    if (payload.n > LNT_FRAME_PAYLOAD_MAX || nfds > LNT_FDS_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    struct head h = {
        .magic = MAGIC,
        .version = VERSION,
        .type = (uint16_t)type,
        .incarnation = c->incarnation,
        .request = request,
        .length = (uint32_t)payload.n,
    };
    if (!c->queue.first) {
        if (send_to(c->watch.fd, &h, payload.p, fds, nfds) >= 0)
            return 0;
        if (!would_block(errno))
            return -1; /* the end of file will be read */
    }
    return enqueue(c, &h, payload.p, fds, nfds);
}

int
lnt_frame_send(int fd, enum lnt_frame_type type, struct lnt_str payload)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};
    struct head h = {
        .magic = MAGIC,
        .version = VERSION,
        .type = (uint16_t)type,
        .length = (uint32_t)payload.n,
    };
    if (payload.n > LNT_FRAME_PAYLOAD_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (send_to(fd, &h, payload.p, NULL, 0) >= 0)
        return 0;
    if (!would_block(errno))
        return -1;
    int ready = poll(&room, 1, SEND_TIME);
    if (ready == 0)
        errno = EAGAIN;
    if (ready <= 0)
        return -1;
    return send_to(fd, &h, payload.p, NULL, 0) < 0 ? -1 : 0;
}

static void
flush(struct lnt_channel *c)
{
    for (struct queued *q; (q = first(c)); pop(c)) {
        if (send_to(c->watch.fd, &q->head, q->payload, q->fds, q->nfds) < 0) {
            if (would_block(errno))
                return;
            drop_all(c); /* the end of file will be read */
            break;
        }
    }
    (void)lnt_watch_set(c->loop, &c->watch, EPOLLIN);
}

/* ---- receiving ---- */

int
lnt_frame_decode(const void *p, size_t n, uint32_t incarnation,
                 struct lnt_frame *f, const char **why)
{
    struct head h;
    if (n < sizeof(h)) {
        *why = "a frame is shorter than its head";
        return -1;
    }
    memcpy(&h, p, sizeof(h));
    if (h.magic != MAGIC || h.version != VERSION) {
        *why = "a frame has another magic number or version";
        return -1;
    }
    if (h.length != n - sizeof(h)) {
        *why = "a frame is longer or shorter than it says";
        return -1;
    }
    if (h.type == 0) {
        *why = "a frame has no type";
        return -1;
    }
    if (h.incarnation != incarnation) {
        *why = "a frame is of another incarnation";
        return -1;
    }
    if (h.type >= LNT_FRAME_TYPES && incarnation == 0) {
        lnt_log_info("a frame of type %u is of another release and is skipped",
                     h.type);
        return 0;
    }
    if (h.type >= LNT_FRAME_TYPES) {
        *why = "a frame is of unknown type";
        return -1;
    }
    f->type = (enum lnt_frame_type)h.type;
    f->request = h.request;
    f->payload = lnt_str((const char *)p + sizeof(h), h.length);
    return 1;
}

static void
close_fds(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* true: there may be more. */
static bool
receive(struct lnt_channel *c)
{
    char buf[sizeof(struct head) + LNT_FRAME_PAYLOAD_MAX];
    int fds[LNT_FDS_MAX];
    struct lnt_frame f = {.fds = fds, .nfds = LNT_FDS_MAX};
    const char *why;
    ssize_t n =
        lnt_socket_recv_fds(c->watch.fd, buf, sizeof(buf), fds, &f.nfds);
    if (n < 0) {
        if (errno == EAGAIN)
            return false;
        /* A peer that ended with frames of ours unread: the reset is told
           once and before its last words, which still wait. */
        if (errno == EINTR || errno == ECONNRESET)
            return true;
        bool broken = errno == EMSGSIZE;
        tell_closed(c, broken,
                    broken ? "a frame is too large" : strerror(errno));
        return false;
    }
    if (n == 0) {
        tell_closed(c, false, "end of file");
        return false;
    }
    int rc = lnt_frame_decode(buf, (size_t)n, c->incarnation, &f, &why);
    if (rc < 0) {
        close_fds(fds, f.nfds);
        tell_closed(c, true, why);
        return false;
    }
    if (rc > 0)
        c->handler->frame(c, &f);
    close_fds(fds, f.nfds);
    return c->watch.fd >= 0;
}

static void
on_event(struct lnt_watch *w, uint32_t events)
{
    struct lnt_channel *c = LNT_OWNER(w, struct lnt_channel, watch);
    if (events & EPOLLOUT)
        flush(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        for (int i = 0; i < FRAMES_A_TURN; i++)
            if (!receive(c))
                break;
    }
}

void
lnt_channel_poll(struct lnt_channel *c)
{
    while (lnt_channel_is_open(c) && receive(c))
        ;
}
