/*
 * What all processes have that the master forks.
 */
#include "ipc/forked.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/log.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "os/process.h"
#include "zone/zone.h"

static void
on_signal(struct lnt_watch *w, uint32_t events)
{
    struct lnt_forked *p = LNT_OWNER(w, struct lnt_forked, signals);
    int n;
    (void)events;
    while ((n = lnt_signals_read(w->fd, NULL)) > 0) {
        if (n == SIGUSR1 && lnt_log_reopen() < 0)
            lnt_log_error("cannot reopen the log: %s", strerror(errno));
        p->signal(p, n);
    }
}

/* Edge-triggered, so that none has to be read: a message from another process
   costs a system call less. */
static void
on_doorbell(struct lnt_watch *w, uint32_t events)
{
    (void)w;
    (void)events;
}

bool
lnt_forked_open(struct lnt_forked *p, const struct lnt_start *s,
                const struct lnt_channel_handler *handler,
                void (*signal)(struct lnt_forked *p, int number))
{
    *p = (struct lnt_forked){
        .signals = {.fd = -1, .fn = on_signal},
        .doorbell = {.fd = s->doorbells[s->cell], .fn = on_doorbell},
        .signal = signal,
        .cell = lnt_zone_cell(s->zone, s->cell),
    };
    p->loop = lnt_loop_new();
    if (!p->loop || lnt_channel_open(&p->channel, p->loop, s->channel,
                                     s->incarnation, handler) < 0) {
        lnt_log_alert("the process cannot start: %s", strerror(errno));
        return false;
    }
    lnt_flusher_init_log(&p->flusher, p->loop);
    return true;
}

int
lnt_forked_watch(struct lnt_forked *p, struct lnt_strbuf *why)
{
    static const int signals[] = {SIGTERM, SIGQUIT, SIGINT,  SIGHUP,
                                  SIGUSR1, SIGUSR2, SIGWINCH};
    p->signals.fd =
        lnt_signals_open(signals, sizeof(signals) / sizeof(signals[0]));
    if (p->signals.fd >= 0 &&
        lnt_watch_add(p->loop, &p->signals, EPOLLIN) == 0 &&
        lnt_watch_add(p->loop, &p->doorbell, EPOLLIN | EPOLLET) == 0)
        return 0;
    lnt_strbuf_addf(why, "signals, doorbell: %s", strerror(errno));
    return -1;
}

int
lnt_forked_ready(struct lnt_forked *p)
{
    return lnt_channel_send(&p->channel, LNT_FRAME_READY, 0, lnt_str("", 0),
                            NULL, 0);
}

void
lnt_forked_fail(struct lnt_forked *p, const struct lnt_strbuf *why)
{
    (void)lnt_channel_send(&p->channel, LNT_FRAME_FAILED, 0,
                           lnt_strbuf_str(why), NULL, 0);
    p->status = 1;
    lnt_loop_stop(p->loop);
}

void
lnt_forked_started(void)
{
    lnt_daemon_let_go();
    lnt_log_stderr_too(false);
}

void
lnt_forked_level(const struct lnt_frame *f)
{
    if (f->payload.n == 1 && (unsigned char)f->payload.p[0] <= LNT_ALERT)
        lnt_log_level((enum lnt_level)f->payload.p[0]);
}

void
lnt_forked_run(struct lnt_forked *p)
{
    if (lnt_loop_run(p->loop) == 0)
        return;
    lnt_log_alert("the event loop failed: %s", strerror(errno));
    p->status = 1;
}

int
lnt_forked_close(struct lnt_forked *p)
{
    lnt_channel_close(&p->channel);
    if (p->signals.fd >= 0)
        close(lnt_watch_forget(&p->signals));
    lnt_flusher_stop(&p->flusher);
    lnt_loop_destroy(p->loop);
    return p->status;
}
