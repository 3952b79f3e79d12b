/*
 * Accepting, fairly and whatever the kernel says.
 *
 * Fairness: the kernel wakes whichever worker it likes.  One that has more
 * than its share takes the listener out of its epoll for a moment, asks the
 * worker with the fewest connections to look (and to watch, if it had stopped
 * to do so itself), and comes back; if that worker did not look by then (it is
 * stopped, or stuck) or nobody has taken anything, it counts no more for a
 * moment, so nobody waits in the backlog for a process that does not come.
 *
 * Connections leave a few descriptors to what else needs some: log files that
 * are opened again, the links over which connections move.
 *
 * Out of descriptors: a reserve is given up to accept and close, so that peers
 * learn at once; then accepting pauses, so that the loop does not spin.
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "net/accept_share.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/stats.h"
#include "os/process.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    BUDGET = 64,       /* accepts a turn */
    PASS_PAUSE = 20,   /* ms for the others to take what waits */
    ERROR_PAUSE = 100, /* ms without descriptors */
    COMPLAIN_EVERY = 60000,
    FDS_LEFT = 8, /* descriptors that are not for connections */
};

struct lnt_listener {
    struct lnt_watch watch;
    struct lnt_timer timer;
    struct lnt_net *net;
    const struct lnt_endpoint *endpoint;
    struct lnt_accept_share *share;
    bool passed; /* asked another one before this pause: */
    struct lnt_accept_asked asked;
    uint64_t complain_at; /* loop time of the next line about errors */
};

static void on_event(struct lnt_watch *w, uint32_t events);
static void on_timer(struct lnt_timer *t);

/* The descriptor kept for the moment when there are no more. */
static bool
keep_reserve(struct lnt_net *n)
{
    if (n->reserve_fd < 0)
        n->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return n->reserve_fd >= 0;
}

static int
resume(struct lnt_listener *l)
{
    return lnt_watch_add(l->net->loop, &l->watch, EPOLLIN | EPOLLEXCLUSIVE);
}

struct lnt_listener *
lnt_listener_open(struct lnt_net *n, int fd, const struct lnt_endpoint *e,
                  struct lnt_accept_share *share)
{
    struct lnt_listener *l = lnt_calloc(1, sizeof(*l));
    if (!keep_reserve(n))
        lnt_log_warn("no descriptor to keep in reserve: %s", strerror(errno));
    l->net = n;
    l->endpoint = e;
    l->share = share;
    l->watch.fd = fd;
    l->watch.fn = on_event;
    l->timer.fn = on_timer;
    if (resume(l) == 0)
        return l;
    int error = errno;
    close(fd);
    free(l);
    errno = error;
    return NULL;
}

void
lnt_listener_close(struct lnt_listener *l)
{
    lnt_timer_stop(l->net->loop, &l->timer);
    /* The socket stays open in other processes: epoll must be told. */
    close(lnt_watch_del(l->net->loop, &l->watch));
    lnt_loop_free(l->net->loop, l);
}

static void
pause_for(struct lnt_listener *l, unsigned ms)
{
    struct lnt_loop *loop = l->net->loop;
    if (lnt_timer_active(&l->timer))
        return;
    int fd = lnt_watch_del(loop, &l->watch);
    l->watch.fd = fd;
    lnt_timer_at(loop, &l->timer, lnt_loop_now(loop) + ms);
}

static void
watch_again(struct lnt_listener *l)
{
    struct lnt_loop *loop = l->net->loop;
    if (resume(l) == 0)
        return;
    lnt_log_error("cannot watch a listener again: %s; trying on",
                  strerror(errno));
    lnt_timer_at(loop, &l->timer, lnt_loop_now(loop) + 1000);
}

static void
on_timer(struct lnt_timer *t)
{
    watch_again(LNT_OWNER(t, struct lnt_listener, timer));
}

static void
complain(struct lnt_listener *l, const char *what)
{
    uint64_t now = lnt_loop_now(l->net->loop);
    if (now < l->complain_at)
        return;
    l->complain_at = now + COMPLAIN_EVERY;
    lnt_log_error("%s: %s: %s", l->endpoint->name, what, strerror(errno));
}

static void
refuse(struct lnt_listener *l, int fd, enum lnt_counter cause)
{
    lnt_count(l->net->stats, LNT_C_REFUSED);
    lnt_count(l->net->stats, cause);
    close(fd);
}

/* No descriptor is left: tell the peer by closing, with the reserve. */
static bool
turn_away(struct lnt_listener *l)
{
    if (!keep_reserve(l->net)) /* it may not have come back */
        return false;
    close(l->net->reserve_fd);
    l->net->reserve_fd = -1;
    int fd = lnt_socket_accept(l->watch.fd, NULL);
    if (fd >= 0)
        refuse(l, fd, LNT_C_REFUSED_FILES);
    return keep_reserve(l->net) && fd >= 0;
}

/* true: go on accepting. */
static bool
survive(struct lnt_listener *l, int error)
{
    switch (error) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        lnt_count(l->net->stats, LNT_C_ACCEPT_ERRORS);
        errno = error;
        complain(l, "cannot accept connections");
        if (error == EMFILE && turn_away(l))
            return true;
        pause_for(l, ERROR_PAUSE);
        return false;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        errno = error;
        complain(l, "accept");
        pause_for(l, ERROR_PAUSE);
        return false;
    default:
        /* The connection was gone before we came (ECONNABORTED and what
           accept(2) passes on from the network). */
        lnt_count(l->net->stats, LNT_C_ACCEPT_ERRORS);
        return true;
    }
}

/* By which the connection is counted for its address, 0: it is not.  false:
   the address has too many. */
static bool
count_peer(struct lnt_listener *l, const struct lnt_addr *peer, uint32_t *visit)
{
    struct lnt_net *n = l->net;
    struct lnt_network net;
    uint64_t max = (uint64_t)l->endpoint->limits->connections_per_ip;
    *visit = 0;
    if (!n->counts_peers || !lnt_addr_network(peer, &net) ||
        lnt_zone_peer_enter(n->zone, &net, n->cell, max, visit) == 0)
        return true;
    if (errno == EUSERS)
        return false;
    lnt_count(n->stats, LNT_C_UNCOUNTED);
    if (lnt_loop_now(n->loop) >= n->uncounted_at) {
        n->uncounted_at = lnt_loop_now(n->loop) + COMPLAIN_EVERY;
        lnt_log_warn("connections_per_ip: the zone has no room to count more "
                     "connections, so some are let in uncounted; a larger "
                     "zone_size counts more");
    }
    return true;
}

static void
take(struct lnt_listener *l, int fd, const struct lnt_addr *peer)
{
    struct lnt_net *n = l->net;
    uint32_t visit;
    if (n->count - n->detached >= l->endpoint->limits->connections) {
        refuse(l, fd, LNT_C_REFUSED_FULL);
        return;
    }
    if (!count_peer(l, peer, &visit)) {
        refuse(l, fd, LNT_C_REFUSED_PEER);
        return;
    }
    (void)lnt_conn_open(n, fd, l->endpoint, visit);
}

/* Whether enough are left with that one; new ones get the lowest number. */
static bool
leaves_some(struct lnt_net *n, int fd)
{
    if (fd < n->fd_end)
        return true;
    /* The limit may have been changed from outside. */
    uint64_t limit = lnt_process_nofile(0);
    n->fd_end = limit < INT_MAX ? (int)limit - FDS_LEFT : INT_MAX;
    return fd < n->fd_end;
}

static unsigned
allowed(const struct lnt_listener *l)
{
    unsigned n = lnt_accept_allowed(l->share);
    return n < BUDGET ? n : BUDGET;
}

static void
accept_some(struct lnt_listener *l, unsigned n)
{
    bool want_peer = l->net->counts_peers;
    struct lnt_addr peer;
    for (unsigned i = 0; i < n; i++) {
        int fd = lnt_socket_accept(l->watch.fd, want_peer ? &peer : NULL);
        if (fd >= 0 && leaves_some(l->net, fd)) {
            take(l, fd, &peer);
        } else if (fd >= 0) {
            errno = EMFILE;
            complain(l, "cannot accept connections");
            refuse(l, fd, LNT_C_REFUSED_FILES);
        } else if (!survive(l, errno)) {
            return;
        }
    }
}

static void
on_event(struct lnt_watch *w, uint32_t events)
{
    struct lnt_listener *l = LNT_OWNER(w, struct lnt_listener, watch);
    (void)events;
    if (l->passed)
        lnt_accept_still_waits(l->share, l->asked);
    l->passed = false;
    unsigned n = allowed(l);
    if (n) {
        accept_some(l, n);
        return;
    }
    l->passed = true;
    l->asked = lnt_accept_pass(l->share);
    pause_for(l, PASS_PAUSE);
}

/* Who is asked has the fewest: it watches again, or nobody would. */
void
lnt_listener_poll(struct lnt_listener *l)
{
    if (l->passed && lnt_timer_active(&l->timer)) {
        lnt_timer_stop(l->net->loop, &l->timer);
        watch_again(l);
    }
    l->passed = false;
    unsigned n = allowed(l);
    if (n)
        accept_some(l, n);
}
