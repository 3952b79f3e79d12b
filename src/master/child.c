/*
 * Spawning and reaping workers.
 */
#include "master/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/values.h"
#include "os/fds.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/socket.h"
#include "worker/worker.h"
#include "zone/zone.h"

enum {
    STOP_TIME = 2000,   /* ms for a worker to end at once */
    DRAIN_SLACK = 2000, /* ms beyond shutdown_timeout */
};

static void on_frame(struct lnt_channel *ch, const struct lnt_frame *f);
static void on_closed(struct lnt_channel *ch, bool broken, const char *why);
static void on_timer(struct lnt_timer *t);

static const struct lnt_channel_handler channel_handler = {.frame = on_frame,
                                                           .closed = on_closed};

static struct lnt_child *
child_of(struct lnt_channel *ch)
{
    return LNT_OWNER(ch, struct lnt_child, channel);
}

/* ---- in the new process ---- */

static struct lnt_worker_socket *
worker_sockets(const struct lnt_generation *g)
{
    struct lnt_worker_socket *v = lnt_calloc(g->sockets.n + 1, sizeof(v[0]));
    for (size_t i = 0; i < g->sockets.n; i++) {
        v[i].fd = g->sockets.v[i].fd;
        v[i].endpoint = g->sockets.v[i].listen->endpoint;
    }
    return v;
}

/* Only what a worker needs stays open; above all no end of any other
   worker's channel. */
static void
keep_fds(const struct lnt_master *m, const struct lnt_generation *g,
         int channel)
{
    size_t n = 0;
    int *keep = lnt_calloc(LNT_CELLS + g->sockets.n + 8, sizeof(int));
    for (size_t i = 0; i < LNT_CELLS; i++)
        keep[n++] = m->doorbells[i];
    for (size_t i = 0; i < g->sockets.n; i++)
        keep[n++] = g->sockets.v[i].fd;
    keep[n++] = channel;
    keep[n++] = lnt_zone_fd(m->zone);
    keep[n++] = lnt_log_fd();
    keep[n++] = lnt_log_socket();
    keep[n++] = g->access_fd;
    lnt_fds_keep(keep, n);
    free(keep);
}

/* One of a generation to come writes to that one's log from its first line. */
void
lnt_child_log(const struct lnt_log_conf *conf)
{
    if (lnt_log_open(conf->error, conf->format == 1) < 0)
        lnt_log_error("cannot open log %s: %s", conf->error, strerror(errno));
    lnt_log_level((enum lnt_level)conf->level);
}

_Noreturn static void
run_worker(const struct lnt_master *m, const struct lnt_generation *g,
           const struct lnt_slot *s, unsigned cell, uint32_t incarnation,
           int channel)
{
    lnt_lock_watch_forked(m);
    lnt_log_forked();
    keep_fds(m, g, channel);
    lnt_signals_forked();
    if (g != &m->now)
        lnt_child_log(g->config->log);
    struct lnt_worker_socket *sockets = worker_sockets(g);
    struct lnt_worker_params p = {
        .config = g->config,
        .info = *m->info,
        .zone = m->zone,
        .doorbells = m->doorbells,
        .slot = s->number,
        .before_cell = s->last_cell,
        .before_incarnation = s->last_incarnation,
        .cell = cell,
        .incarnation = incarnation,
        .generation = g->number,
        .channel = channel,
        .sockets = sockets,
        .nsockets = g->sockets.n,
        .siblings = (uint32_t)g->config->server->workers,
    };
    p.info.generation = g->number;
    p.info.workers = (uint32_t)g->config->server->workers;
    p.info.access_fd = g->access_fd;
    p.info.access_syslog = strcmp(g->config->log->access, "syslog") == 0;
    p.info.access_json = g->config->log->format == 1;
    int status = lnt_worker_run(&p);
    lnt_log_end();
    free(sockets);
    exit(status);
}

/* ---- in the master ---- */

/* A free cell with a doorbell, or -1 with errno. */
static int
try_cell(struct lnt_master *m, unsigned slot, uint32_t generation)
{
    int cell = lnt_zone_cell_take(m->zone, slot, generation);
    if (cell < 0 || m->doorbells[cell] >= 0)
        return cell;
    lnt_lock_release(m, (unsigned)cell,
                     lnt_zone_cell(m->zone, (unsigned)cell)->incarnation);
    errno = EUSERS;
    return -1;
}

void
lnt_child_release_dead(struct lnt_master *m)
{
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        pid_t pid = c->pid;
        if (lnt_cell_state(c) != LNT_CELL_FREE && pid > 0 &&
            !lnt_process_alive(pid))
            lnt_lock_release(m, i, c->incarnation);
    }
}

/* If need be one of a worker whose master died before it could release it. */
int
lnt_child_take_cell(struct lnt_master *m, unsigned slot, uint32_t generation)
{
    int cell = try_cell(m, slot, generation);
    if (cell >= 0 || errno == EBUSY)
        return cell;
    lnt_child_release_dead(m);
    return try_cell(m, slot, generation);
}

struct lnt_child *
lnt_child_spawn(struct lnt_master *m, const struct lnt_generation *g,
                const struct lnt_slot *s)
{
    int fds[2];
    int cell = lnt_child_take_cell(m, s->number, g->number);
    if (cell < 0)
        return NULL;
    struct lnt_cell *cl = lnt_zone_cell(m->zone, (unsigned)cell);
    uint32_t incarnation = cl->incarnation;
    if (lnt_socket_pair(fds) < 0) {
        lnt_lock_release(m, (unsigned)cell, incarnation);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0)
        run_worker(m, g, s, (unsigned)cell, incarnation, fds[1]);
    int error = errno;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        lnt_lock_release(m, (unsigned)cell, incarnation);
        errno = error;
        return NULL;
    }
    cl->pid = pid;

    struct lnt_child *c = lnt_calloc(1, sizeof(*c));
    c->m = m;
    c->pid = pid;
    c->slot = s->number;
    c->cell = (unsigned)cell;
    c->restarts = s->restarts;
    c->incarnation = incarnation;
    c->generation = g->number;
    c->started = lnt_loop_now(m->loop);
    c->grace = g->config->server->shutdown_timeout + DRAIN_SLACK;
    c->timer.fn = on_timer;
    c->next = m->children;
    m->children = c;
    if (lnt_channel_open(&c->channel, m->loop, fds[0], incarnation,
                         &channel_handler) < 0) {
        lnt_log_alert("cannot watch the channel of a worker: %s",
                      strerror(errno));
        (void)kill(pid, SIGKILL); /* reaped like any other */
    }
    lnt_timer_at(m->loop, &c->timer,
                 c->started + g->config->server->start_timeout);
    lnt_values_snapshot(m, c);
    lnt_log_info("worker %u started, pid %d", s->number, (int)pid);
    return c;
}

static void
tell(struct lnt_child *c, enum lnt_frame_type type)
{
    if (lnt_channel_send(&c->channel, type, 0, lnt_str("", 0), NULL, 0) == 0)
        return;
    if (lnt_channel_is_open(&c->channel) && !lnt_reason_is_gone(errno))
        lnt_log_error("cannot send %s to worker %u: %s", lnt_frame_names[type],
                      c->slot, strerror(errno));
}

void
lnt_child_start(struct lnt_child *c)
{
    if (c->state != LNT_CHILD_READY)
        return;
    c->state = LNT_CHILD_SERVING;
    lnt_timer_stop(c->m->loop, &c->timer);
    tell(c, LNT_FRAME_START);
}

void
lnt_child_end(struct lnt_child *c, bool at_once)
{
    uint64_t grace = STOP_TIME;
    tell(c, at_once ? LNT_FRAME_STOP : LNT_FRAME_QUIT);
    /* Until it is set up it does not read the channel. */
    if (c->state == LNT_CHILD_STARTING && !c->failed) {
        c->late = true;
        (void)kill(c->pid, SIGKILL);
    }
    if (!at_once)
        grace = c->grace;
    uint64_t at = lnt_loop_now(c->m->loop) + grace;
    if (c->state != LNT_CHILD_DRAINING || !lnt_timer_active(&c->timer) ||
        lnt_timer_due(c->m->loop, &c->timer) > at)
        lnt_timer_at(c->m->loop, &c->timer, at);
    c->state = LNT_CHILD_DRAINING;
}

void
lnt_child_grant(struct lnt_child *c)
{
    lnt_timer_at(c->m->loop, &c->timer, lnt_loop_now(c->m->loop) + c->grace);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_child *c = LNT_OWNER(t, struct lnt_child, timer);
    lnt_log_warn(
        "worker %u (pid %d) %s in time and is killed", c->slot, (int)c->pid,
        c->state == LNT_CHILD_DRAINING ? "did not end" : "did not get ready");
    c->late = true;
    (void)kill(c->pid, SIGKILL);
}

static void
on_frame(struct lnt_channel *ch, const struct lnt_frame *f)
{
    struct lnt_child *c = child_of(ch);
    struct lnt_master *m = c->m;
    if (f->type == LNT_FRAME_READY) {
        if (c->state != LNT_CHILD_STARTING)
            return;
        c->state = LNT_CHILD_READY;
        lnt_timer_stop(m->loop, &c->timer);
        m->events->ready(m, c);
    } else if (f->type == LNT_FRAME_FAILED) {
        char *why = lnt_strndup(f->payload.p, f->payload.n);
        c->failed = true;
        m->events->failed(m, c, why);
        free(why);
    } else {
        m->events->frame(m, c, f);
    }
}

static void
on_closed(struct lnt_channel *ch, bool broken, const char *why)
{
    struct lnt_child *c = child_of(ch);
    lnt_channel_close(ch);
    /* Most of all it has ended, and SIGCHLD says how.  One that only closed
       its end must not live on unheard. */
    if (broken) {
        lnt_log_error("channel of worker %u: %s; it is killed", c->slot, why);
        c->late = true;
        (void)kill(c->pid, SIGKILL);
    } else if (!lnt_timer_active(&c->timer)) {
        lnt_timer_at(c->m->loop, &c->timer,
                     lnt_loop_now(c->m->loop) + STOP_TIME);
    }
}

const char *
lnt_child_how(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "was killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(out, size, "exited with status %d", WEXITSTATUS(status));
    return out;
}

static void
reap_one(struct lnt_master *m, struct lnt_child *c, int status)
{
    struct lnt_child **link = &m->children;
    char how[96];
    /* Its last words may still be in the socket; what they bring about may
       spawn others. */
    lnt_channel_poll(&c->channel);
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    lnt_channel_close(&c->channel);
    lnt_requests_drop(m->requests, &c->channel, "the worker has ended");
    lnt_timer_stop(m->loop, &c->timer);
    (void)lnt_child_how(status, how, sizeof(how));
    if (c->state == LNT_CHILD_DRAINING && (status == 0 || c->late))
        lnt_log_info("worker %u (pid %d) %s", c->slot, (int)c->pid, how);
    else if (WIFSIGNALED(status) && !c->late)
        lnt_log_alert("worker %u (pid %d) %s", c->slot, (int)c->pid, how);
    else
        lnt_log_error("worker %u (pid %d) %s", c->slot, (int)c->pid, how);
    lnt_lock_release(m, c->cell, c->incarnation);
    m->events->ended(m, c, status);
    lnt_loop_free(m->loop, c);
}

void
lnt_children_reap(struct lnt_master *m,
                  void (*other)(struct lnt_master *m, pid_t pid, int status))
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct lnt_child *c = m->children;
        while (c && c->pid != pid)
            c = c->next;
        if (c)
            reap_one(m, c, status);
        else
            other(m, pid, status);
    }
}
