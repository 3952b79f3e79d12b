/*
 * The event loop.  What is ready is served in the order the kernel gives it;
 * who may be starved by whom is the business of the owners of the watches,
 * which take a bounded piece a turn.
 */
#include "event/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "event/timers.h"
#include "os/clock.h"

enum { EVENTS_MAX = 512, TIMERS_A_TURN = 1024 };

struct lnt_loop {
    int epoll;
    bool stop;
    uint64_t now;
    struct lnt_timers timers;
    struct lnt_loop_hook hook;
    void **graves; /* to free when the turn has ended */
    size_t ngraves, graves_cap;
    struct epoll_event events[EVENTS_MAX];
};

static void free_graves(struct lnt_loop *l);

struct lnt_loop *
lnt_loop_new(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct lnt_loop *l = lnt_calloc(1, sizeof(*l));
    l->epoll = fd;
    l->now = lnt_clock_ms();
    return l;
}

void
lnt_loop_destroy(struct lnt_loop *l)
{
    if (!l)
        return;
    free_graves(l);
    free(l->graves);
    lnt_timers_release(&l->timers);
    close(l->epoll);
    free(l);
}

/* How long to wait: 0 when there is work, -1 when nothing is due ever. */
static int
wait_time(const struct lnt_loop *l, bool more)
{
    if (more || l->stop)
        return 0;
    uint64_t next = lnt_timers_next(&l->timers);
    if (next == UINT64_MAX)
        return -1;
    uint64_t now = lnt_clock_ms();
    if (next <= now)
        return 0;
    return next - now > 3600000 ? 3600000 : (int)(next - now);
}

static int
wait_events(struct lnt_loop *l, bool more)
{
    int timeout = wait_time(l, more);
    bool slept = timeout != 0 && l->hook.sleep;
    if (slept && !l->hook.sleep(l->hook.arg))
        timeout = 0;
    int n = epoll_wait(l->epoll, l->events, EVENTS_MAX, timeout);
    int error = errno;
    if (slept && l->hook.wake)
        l->hook.wake(l->hook.arg);
    l->now = lnt_clock_ms();
    errno = error;
    return n;
}

/* Of many connections the next one is not in the cache: it comes, with what its
   owner has behind the watch, while the one before is in the kernel. */
static inline void
fetch(const char *w)
{
    __builtin_prefetch(w);
    __builtin_prefetch(w + 64);
    __builtin_prefetch(w + 127);
}

int
lnt_loop_run(struct lnt_loop *l)
{
    bool more = false;
    while (!l->stop) {
        int n = wait_events(l, more);
        if (n < 0 && errno != EINTR)
            return -1;
        for (int i = 0; i < n; i++) {
            struct lnt_watch *w = l->events[i].data.ptr;
            if (i + 1 < n)
                fetch(l->events[i + 1].data.ptr);
            /* Removed by a callback earlier in this turn. */
            if (w->fd >= 0)
                w->fn(w, l->events[i].events);
        }
        /* Bounded, so that timers that set themselves again for "now" cannot
           keep the loop from its descriptors. */
        for (int i = 0; i < TIMERS_A_TURN; i++) {
            struct lnt_timer *t = lnt_timers_due(&l->timers, l->now);
            if (!t)
                break;
            t->fn(t);
        }
        more = l->hook.turn && l->hook.turn(l->hook.arg);
        if (l->ngraves)
            free_graves(l);
    }
    l->stop = false; /* it may be run again */
    return 0;
}

void
lnt_loop_stop(struct lnt_loop *l)
{
    l->stop = true;
}

uint64_t
lnt_loop_now(const struct lnt_loop *l)
{
    return l->now;
}

int
lnt_watch_add(struct lnt_loop *l, struct lnt_watch *w, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = w};
    w->events = events;
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &ev);
}

int
lnt_watch_set(struct lnt_loop *l, struct lnt_watch *w, uint32_t events)
{
    if (w->events == events)
        return 0;
    struct epoll_event ev = {.events = events, .data.ptr = w};
    w->events = events;
    return epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev);
}

int
lnt_watch_del(struct lnt_loop *l, struct lnt_watch *w)
{
    int fd = w->fd;
    if (fd >= 0)
        (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
    w->fd = -1;
    return fd;
}

int
lnt_watch_forget(struct lnt_watch *w)
{
    int fd = w->fd;
    w->fd = -1;
    return fd;
}

void
lnt_timer_at(struct lnt_loop *l, struct lnt_timer *t, uint64_t ms)
{
    lnt_timers_set(&l->timers, t, ms);
}

void
lnt_timer_stop(struct lnt_loop *l, struct lnt_timer *t)
{
    lnt_timers_remove(&l->timers, t);
}

uint64_t
lnt_timer_due(const struct lnt_loop *l, const struct lnt_timer *t)
{
    lnt_assert(t->pos > 0 && t->pos <= l->timers.n);
    return l->timers.heap[t->pos - 1].at;
}

void
lnt_loop_free(struct lnt_loop *l, void *p)
{
    if (!p)
        return;
    if (l->ngraves == l->graves_cap) {
        l->graves_cap = l->graves_cap ? l->graves_cap * 2 : 64;
        l->graves = lnt_realloc(l->graves, l->graves_cap * sizeof(void *));
    }
    l->graves[l->ngraves++] = p;
}

void
lnt_loop_set_hook(struct lnt_loop *l, const struct lnt_loop_hook *hook)
{
    l->hook = *hook;
}

static void
free_graves(struct lnt_loop *l)
{
    for (size_t i = 0; i < l->ngraves; i++)
        free(l->graves[i]);
    l->ngraves = 0;
}
