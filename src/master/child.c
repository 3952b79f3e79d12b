/*
 * Spawning, telling, hearing and reaping the master's children.
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
#include "master/broadcast.h"
#include "master/changes.h"
#include "master/links.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/requests.h"
#include "master/start.h"
#include "master/values.h"
#include "os/process.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    STOP_TIME = 2000,   /* ms for a worker to end at once */
    WRITE_TIME = 20000, /* ms for a helper to write the last word */
    DRAIN_SLACK = 2000, /* ms beyond shutdown_timeout */
    LOOK_TIME = 500,    /* ms between two looks whether it is stopped */
    STOPPED_MAX = 4,    /* looks that find it stopped, before it is killed */
};

static const struct {
    const char *name; /* for people; a worker's has its number, too */
    uint64_t end_time;
    bool writes; /* what it has is lost unless it ends by itself */
} kinds[LNT_KINDS] = {
    [LNT_KIND_WORKER] = {"worker", STOP_TIME, false},
    [LNT_KIND_STORE] = {"the store's process", WRITE_TIME, true},
    [LNT_KIND_BINARY] = {"the new binary", 0, false},
    [LNT_KIND_TEST] = {"the test of the new binary", 0, false},
};

static void on_frame(struct lnt_channel *ch, const struct lnt_frame *f);
static void on_closed(struct lnt_channel *ch, bool broken, const char *why);
static void on_timer(struct lnt_timer *t);

static const struct lnt_channel_handler channel_handler = {.frame = on_frame,
                                                           .closed = on_closed};

/* ---- the list ---- */

void
lnt_child_name(enum lnt_child_kind kind, unsigned number, char *out,
               size_t size)
{
    if (kind == LNT_KIND_WORKER)
        snprintf(out, size, "%s %u", kinds[kind].name, number);
    else
        snprintf(out, size, "%s", kinds[kind].name);
}

static struct lnt_child *
new_child(struct lnt_master *m, enum lnt_child_kind kind, unsigned slot)
{
    struct lnt_child *c = lnt_calloc(1, sizeof(*c));
    c->m = m;
    c->kind = kind;
    c->slot = slot;
    lnt_child_name(kind, slot, c->name, sizeof(c->name));
    c->started = lnt_loop_now(m->loop);
    c->timer.fn = on_timer;
    c->channel.watch.fd = -1;
    return c;
}

struct lnt_child *
lnt_child_add(struct lnt_master *m, enum lnt_child_kind kind, pid_t pid)
{
    struct lnt_child *c = new_child(m, kind, 0);
    c->pid = pid;
    lnt_list_add_first(&m->children, &c->node);
    return c;
}

void
lnt_child_free(struct lnt_child *c)
{
    lnt_list_remove(&c->m->children, &c->node);
    free(c->failed);
    lnt_loop_free(c->m->loop, c);
}

/* ---- beginning ---- */

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

/* If need be one of a process whose master died before it could release it. */
static int
take_cell(struct lnt_master *m, const struct lnt_generation *g,
          const struct lnt_slot *s)
{
    bool worker = s->kind == LNT_KIND_WORKER;
    unsigned slot = worker ? s->number : LNT_SLOT_STORE;
    uint32_t generation = worker ? g->number : 0;
    int cell = try_cell(m, slot, generation);
    if (cell >= 0 || errno == EBUSY)
        return cell;
    lnt_child_release_dead(m);
    return try_cell(m, slot, generation);
}

/* 0, or -1 with errno. */
static int
launch(struct lnt_child *c, const struct lnt_generation *g,
       const struct lnt_slot *s, unsigned how)
{
    struct lnt_master *m = c->m;
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        return -1;
    c->pid = fork();
    if (c->pid == 0)
        lnt_start(m, g, s, c, fds[1], how);
    int error = errno;
    close(fds[1]);
    if (c->pid < 0) {
        close(fds[0]);
        errno = error;
        return -1;
    }
    lnt_zone_cell(m->zone, c->cell)->pid = c->pid;
    if (lnt_channel_open(&c->channel, m->loop, fds[0], c->incarnation,
                         &channel_handler) < 0) {
        lnt_log_alert("cannot watch the channel of %s: %s", c->name,
                      strerror(errno));
        (void)kill(c->pid, SIGKILL); /* reaped like any other */
    }
    return 0;
}

struct lnt_child *
lnt_child_spawn(struct lnt_master *m, const struct lnt_generation *g,
                const struct lnt_slot *s, unsigned how)
{
    int cell = take_cell(m, g, s);
    if (cell < 0)
        return NULL;
    struct lnt_child *c = new_child(m, s->kind, s->number);
    c->cell = (unsigned)cell;
    c->incarnation = lnt_zone_cell(m->zone, c->cell)->incarnation;
    c->restarts = s->restarts;
    c->generation = g->number;
    c->grace = g->config->server->shutdown_timeout + DRAIN_SLACK;
    if (launch(c, g, s, how) < 0) {
        int error = errno;
        lnt_lock_release(m, c->cell, c->incarnation);
        free(c);
        errno = error;
        return NULL;
    }
    lnt_list_add_first(&m->children, &c->node);
    lnt_timer_at(m->loop, &c->timer,
                 c->started + g->config->server->start_timeout);
    if (c->kind == LNT_KIND_WORKER)
        lnt_values_snapshot(m, c);
    lnt_log_info("%s started, pid %d", c->name, (int)c->pid);
    return c;
}

static void
tell(struct lnt_child *c, enum lnt_frame_type type)
{
    if (lnt_channel_send(&c->channel, type, 0, lnt_str("", 0), NULL, 0) == 0)
        return;
    if (lnt_channel_is_open(&c->channel) && !lnt_reason_is_gone(errno))
        lnt_log_error("cannot send %s to %s: %s", lnt_frame_names[type],
                      c->name, strerror(errno));
}

void
lnt_child_begin(struct lnt_child *c)
{
    if (c->state != LNT_CHILD_READY)
        return;
    c->state = LNT_CHILD_SERVING;
    tell(c, LNT_FRAME_START);
}

/* ---- ending ---- */

static void
kill_late(struct lnt_child *c)
{
    c->late = true;
    (void)kill(c->pid, SIGKILL);
}

static void
set_timer(struct lnt_child *c, uint64_t ms)
{
    lnt_timer_at(c->m->loop, &c->timer, lnt_loop_now(c->m->loop) + ms);
}

/* Until it is set up a worker does not read the channel. */
static void
end_worker(struct lnt_child *c, bool at_once)
{
    uint64_t grace = at_once ? kinds[c->kind].end_time : c->grace;
    uint64_t at = lnt_loop_now(c->m->loop) + grace;
    tell(c, at_once ? LNT_FRAME_STOP : LNT_FRAME_QUIT);
    if (c->state == LNT_CHILD_STARTING && !c->failed)
        kill_late(c);
    if (c->state != LNT_CHILD_DRAINING || !lnt_timer_active(&c->timer) ||
        lnt_timer_due(c->m->loop, &c->timer) > at)
        set_timer(c, grace);
}

/* Looked at now and then: one that is stopped writes nothing. */
static void
end_writer(struct lnt_child *c, bool at_once)
{
    if (c->state == LNT_CHILD_DRAINING)
        return;
    c->end_by = lnt_loop_now(c->m->loop) + kinds[c->kind].end_time;
    c->stopped = 0;
    tell(c, at_once ? LNT_FRAME_STOP : LNT_FRAME_QUIT);
    set_timer(c, LOOK_TIME);
}

void
lnt_child_end(struct lnt_child *c, bool at_once)
{
    if (c->state == LNT_CHILD_ENDED)
        return;
    if (kinds[c->kind].writes)
        end_writer(c, at_once);
    else
        end_worker(c, at_once);
    c->state = LNT_CHILD_DRAINING;
}

/* Whether it may have some more time to end. */
static bool
may_still_end(struct lnt_child *c)
{
    char state = lnt_process_state(c->pid);
    c->stopped = state == 'T' || state == 't' ? c->stopped + 1 : 0;
    return c->stopped < STOPPED_MAX && lnt_loop_now(c->m->loop) < c->end_by;
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_child *c = LNT_OWNER(t, struct lnt_child, timer);
    if (c->state == LNT_CHILD_DRAINING && c->end_by && may_still_end(c)) {
        set_timer(c, LOOK_TIME);
        return;
    }
    c->stuck = c->stopped >= STOPPED_MAX;
    lnt_log_at(kinds[c->kind].writes ? LNT_ERROR : LNT_WARN,
               "%s (pid %d) %s and is killed", c->name, (int)c->pid,
               c->stuck                         ? "is stopped"
               : c->state == LNT_CHILD_DRAINING ? "did not end in time"
                                                : "did not get ready in time");
    kill_late(c);
}

/* ---- what it says ---- */

static void
take_ready(struct lnt_child *c)
{
    if (c->state != LNT_CHILD_STARTING)
        return;
    c->state = LNT_CHILD_READY;
    c->was_ready = true;
    lnt_timer_stop(c->m->loop, &c->timer);
}

/* What could move has moved; what cannot has its time from here on. */
static void
take_given(struct lnt_child *c)
{
    c->giving = false;
    if (c->state == LNT_CHILD_DRAINING)
        set_timer(c, c->grace);
}

/* What only workers say. */
static bool
take_of_worker(struct lnt_child *c, const struct lnt_frame *f)
{
    if (c->kind != LNT_KIND_WORKER)
        return false;
    if (f->type == LNT_FRAME_GIVEN)
        take_given(c);
    else if (f->type == LNT_FRAME_LINK)
        lnt_links_ask(c->m, c, f);
    else if (f->type == LNT_FRAME_BROADCAST)
        lnt_broadcast_pass_on(c->m, c, f->payload);
    else if (f->type == LNT_FRAME_RELOAD)
        lnt_changes_ask(c->m, &(struct lnt_change){.kind = LNT_CHANGE_RELOAD},
                        NULL);
    else
        return lnt_master_requests_frame(c->m, c, f);
    return true;
}

static void
on_frame(struct lnt_channel *ch, const struct lnt_frame *f)
{
    struct lnt_child *c = LNT_OWNER(ch, struct lnt_child, channel);
    if (f->type == LNT_FRAME_READY) {
        take_ready(c);
    } else if (f->type == LNT_FRAME_FAILED) {
        free(c->failed);
        c->failed = lnt_strndup(f->payload.p, f->payload.n);
    } else if (f->type == LNT_FRAME_REPLY) {
        lnt_requests_take(c->m->requests, ch, f->request, f->payload);
    } else if (!take_of_worker(c, f)) {
        lnt_log_warn("%s sent %s, which is not for the master", c->name,
                     lnt_frame_names[f->type]);
    }
}

static void
on_closed(struct lnt_channel *ch, bool broken, const char *why)
{
    struct lnt_child *c = LNT_OWNER(ch, struct lnt_child, channel);
    lnt_channel_close(ch);
    /* Most of all it has ended, and SIGCHLD says how.  One that only closed
       its end must not live on unheard. */
    if (broken) {
        lnt_log_error("channel of %s: %s; it is killed", c->name, why);
        kill_late(c);
    } else if (!lnt_timer_active(&c->timer)) {
        set_timer(c, kinds[c->kind].end_time);
    }
}

/* ---- the end ---- */

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
log_end(const struct lnt_child *c, int status)
{
    char how[96];
    bool fine = status == 0 || (c->late && !kinds[c->kind].writes);
    enum lnt_level level = LNT_ERROR;
    if (c->state == LNT_CHILD_DRAINING && fine)
        level = LNT_INFO;
    else if (WIFSIGNALED(status) && !c->late)
        level = LNT_ALERT;
    lnt_log_at(level, "%s (pid %d) %s", c->name, (int)c->pid,
               lnt_child_how(status, how, sizeof(how)));
}

static void
reap_one(struct lnt_child *c, int status)
{
    struct lnt_master *m = c->m;
    bool ours = c->kind < LNT_KIND_BINARY; /* has a channel and a cell */
    if (ours) {
        lnt_channel_poll(&c->channel); /* its last words may still be there */
        lnt_channel_close(&c->channel);
        log_end(c, status);
    }
    /* From here on nobody finds it, above all not those who hear of it next. */
    c->status = status;
    c->state = LNT_CHILD_ENDED;
    if (!ours)
        return;
    lnt_timer_stop(m->loop, &c->timer);
    lnt_requests_drop(m->requests, &c->channel,
                      c->kind == LNT_KIND_WORKER ? "the worker has ended"
                                                 : "the process has ended");
    lnt_lock_release(m, c->cell, c->incarnation);
}

void
lnt_children_reap(struct lnt_master *m)
{
    int status;
    pid_t pid;
    char how[96];
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct lnt_child *c = lnt_child_next(m, NULL);
        while (c && c->pid != pid)
            c = lnt_child_next(m, c);
        if (c)
            reap_one(c, status);
        else
            lnt_log_debug("process %d %s", (int)pid,
                          lnt_child_how(status, how, sizeof(how)));
    }
}
