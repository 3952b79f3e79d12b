/*
 * Waiting for an outlet.  Nothing is watched while nothing is held.
 */
#include "event/flusher.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "core/log.h"
#include "core/owner.h"

enum { RETRY_EVERY = 100 }; /* ms */

static void on_writable(struct lnt_watch *w, uint32_t events);
static void on_retry(struct lnt_timer *t);
static void retry_later(struct lnt_flusher *f);
static void watch(struct lnt_flusher *f);

void
lnt_flusher_init(struct lnt_flusher *f, struct lnt_loop *loop,
                 const struct lnt_outlet *out,
                 void (*fn)(struct lnt_flusher *f))
{
    *f = (struct lnt_flusher){.loop = loop,
                              .out = out,
                              .fn = fn,
                              .watch = {.fd = -1, .fn = on_writable},
                              .retry.fn = on_retry};
}

static void
flush_log(struct lnt_flusher *f)
{
    (void)f;
    lnt_log_flush();
}

void
lnt_flusher_init_log(struct lnt_flusher *f, struct lnt_loop *loop)
{
    lnt_flusher_init(f, loop, lnt_log_outlet(), flush_log);
}

void
lnt_flusher_change(struct lnt_flusher *f)
{
    if (f->waits && lnt_outlet_holds(f->out) && f->opened == f->out->opened)
        return;
    lnt_flusher_stop(f);
    if (!lnt_outlet_holds(f->out))
        return;
    f->waits = true;
    f->opened = f->out->opened;
    watch(f);
}

void
lnt_flusher_stop(struct lnt_flusher *f)
{
    int fd = lnt_watch_del(f->loop, &f->watch);

    if (fd >= 0)
        close(fd);
    lnt_timer_stop(f->loop, &f->retry);
    f->waits = false;
}

/* A duplicate: out's own may be closed at any time, by those who open a log
   again, and epoll would not forget it. */
static void
watch(struct lnt_flusher *f)
{
    f->watch.fd = fcntl(f->out->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (f->watch.fd >= 0 && lnt_watch_add(f->loop, &f->watch, EPOLLOUT) == 0)
        return;
    retry_later(f);
}

/* No descriptor left, or one that cannot be watched. */
static void
retry_later(struct lnt_flusher *f)
{
    int fd = lnt_watch_forget(&f->watch);

    if (fd >= 0)
        close(fd);
    lnt_timer_at(f->loop, &f->retry, lnt_loop_now(f->loop) + RETRY_EVERY);
}

static void
on_writable(struct lnt_watch *w, uint32_t events)
{
    struct lnt_flusher *f = LNT_OWNER(w, struct lnt_flusher, watch);
    uint64_t before = f->out->taken;

    (void)events;
    f->fn(f);
    lnt_flusher_check(f);
    /* Ready, and yet nothing went: no reason to turn in circles. */
    if (f->watch.fd >= 0 && f->out->taken == before) {
        int fd = lnt_watch_del(f->loop, &f->watch);

        close(fd);
        retry_later(f);
    }
}

static void
on_retry(struct lnt_timer *t)
{
    struct lnt_flusher *f = LNT_OWNER(t, struct lnt_flusher, retry);

    f->fn(f);
    lnt_flusher_check(f);
    if (f->waits && f->watch.fd < 0)
        retry_later(f);
}
