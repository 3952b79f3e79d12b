/*
 * The store's process: one at a time (a lock beside the file sees to that),
 * never in anybody's way.  What is written and how is left to store/mirror.c;
 * who starts it and when it ends, to master/helpers.c.
 *
 * It looks at the log once a sync interval and sleeps when that has not grown;
 * only then publishers ring its doorbell, once.
 */
#include "store/process.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/privileges.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "ipc/forked.h"
#include "ipc/requests.h"
#include "os/clock.h"
#include "os/process.h"
#include "store/mirror.h"
#include "zone/zone.h"

enum {
    GATHER = 20,          /* ms that a first message waits for company */
    LOOK_EVERY = 30000,   /* ms from one look at all rooms to the next */
    LOCK_EVERY = 50,      /* ms between tries to get the lock */
    LOCK_TIME = 5000,     /* ms until a start gives up */
    RETRY_FIRST = 500,    /* ms after an error, doubled up to */
    RETRY_MAX = 10000,    /* this */
    COMPLAIN = 60000,     /* ms between errors in the log */
    END_EVERY = 100,      /* ms between looks for workers, or for the lock */
    END_TIME = 2000,      /* ms that workers without a master are heard */
    PRIVATE_FILES = 0027, /* umask */
};

/* A worker that outlives the master; fd becomes readable when it has ended. */
struct orphan {
    struct process *p;
    struct lnt_watch watch;
};

enum end { NOT_ENDING, END_SERVER, END_OURS, END_ORPHAN };

struct process {
    const struct lnt_start *start;
    struct lnt_forked forked;
    struct lnt_timer timer;      /* the next sync */
    struct lnt_timer lock_timer; /* the next try to get the lock */
    struct lnt_timer end_timer;
    struct orphan *orphans; /* LNT_CELLS, once the master is gone */
    struct lnt_store_state *state;
    struct lnt_mirror *mirror;
    char *lock_path;
    int lock; /* -1: we must not write */
    bool ready, serving;
    bool idle; /* nothing is to be written: who publishes has to ring */
    bool finished;
    enum end end;
    uint64_t began;        /* to wait for the lock, to be an orphan */
    uint64_t synced;       /* when the last sync began */
    uint64_t looked;       /* at all rooms */
    uint64_t retry;        /* ms to the next try, 0: there was no error */
    uint64_t complain_at;  /* not before */
    bool complained;       /* about what is still wrong */
    struct lnt_strbuf why; /* of the last error */
};

static void on_frame(struct lnt_channel *c, const struct lnt_frame *f);
static void on_master_gone(struct lnt_channel *c, bool broken, const char *why);

static const struct lnt_channel_handler channel_handler = {
    .frame = on_frame, .closed = on_master_gone};

static uint64_t
interval(const struct process *p)
{
    return p->start->config->history->sync;
}

/* ---- errors ---- */

static void
note_error(struct process *p)
{
    struct lnt_store_state *s = p->state;
    uint64_t now = lnt_loop_now(p->forked.loop);
    __atomic_store_n(&s->errors, s->errors + 1, __ATOMIC_RELAXED);
    if (s->broken_us == 0)
        __atomic_store_n(&s->broken_us, lnt_clock_wall_us(), __ATOMIC_RELAXED);
    p->retry = p->retry ? p->retry * 2 : RETRY_FIRST;
    if (p->retry > RETRY_MAX)
        p->retry = RETRY_MAX;
    if (now >= p->complain_at) {
        lnt_log_error("%s; the history of rooms is not saved until that is "
                      "over",
                      p->why.p);
        p->complain_at = now + COMPLAIN;
        p->complained = true;
    }
    lnt_strbuf_clear(&p->why);
}

static void
note_success(struct process *p)
{
    struct lnt_store_state *s = p->state;
    __atomic_store_n(&s->broken_us, 0, __ATOMIC_RELAXED);
    if (p->complained)
        lnt_log_notice("the store is written again, nothing is missing");
    p->complained = false;
    p->retry = 0;
}

/* Cannot start at all. */
static void
fail(struct process *p)
{
    lnt_forked_fail(&p->forked, &p->why);
}

static void
say_ready(struct process *p)
{
    if (p->ready)
        return;
    p->ready = true;
    (void)lnt_forked_ready(&p->forked);
}

/* ---- writing ---- */

static void
set_timer(struct process *p)
{
    uint64_t now = lnt_loop_now(p->forked.loop), at = p->synced + interval(p);
    p->idle = false;
    if (p->retry)
        at = now + p->retry;
    else if (at < now + GATHER)
        at = now + GATHER;
    lnt_timer_at(p->forked.loop, &p->timer, at);
}

static void
sync_now(struct process *p)
{
    uint64_t now = lnt_loop_now(p->forked.loop);
    bool behind = lnt_mirror_behind(p->mirror) || p->retry;
    bool all = now - p->looked >= LOOK_EVERY;
    if (p->finished)
        return;
    p->synced = now;
    if (lnt_mirror_sync(p->mirror, all, &p->why) < 0) {
        note_error(p);
        set_timer(p);
        return;
    }
    if (all)
        p->looked = now;
    note_success(p);
    /* As long as somebody talks nobody has to ring. */
    if (behind) {
        set_timer(p);
    } else {
        p->idle = true;
        lnt_timer_at(p->forked.loop, &p->timer, p->looked + LOOK_EVERY);
    }
}

static void
on_timer(struct lnt_timer *t)
{
    sync_now(LNT_OWNER(t, struct process, timer));
}

/* NULL, or why not. */
static const char *
write_at_once(struct process *p)
{
    if (!p->serving || p->lock < 0)
        return "it does not have the store yet";
    sync_now(p);
    return p->retry ? "it cannot write" : NULL;
}

/* ---- the end ---- */

/* Workers that may still publish. */
static bool
others_alive(const struct process *p)
{
    for (unsigned i = 0; i < lnt_zone_cells(p->start->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(p->start->zone, i);
        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c))
            continue;
        /* One that is not reaped, as its parent is gone, has ended, too. */
        if (c->pid <= 0 || lnt_process_alive(c->pid))
            return true;
    }
    return false;
}

static void
finish(struct process *p)
{
    bool ended = p->end != END_OURS && !others_alive(p);
    if (p->finished)
        return;
    /* Nothing may open the store again in what is left of this turn. */
    p->finished = true;
    lnt_timer_stop(p->forked.loop, &p->timer);
    lnt_timer_stop(p->forked.loop, &p->lock_timer);
    if (p->end != END_SERVER && !p->serving && !ended) {
        /* Its generation was given up, maybe with its master: this is not the
           server's store. */
    } else if (p->lock >= 0 &&
               lnt_mirror_finish(p->mirror, ended, &p->why) < 0) {
        lnt_log_error("%s; what was said last is not in the store", p->why.p);
        p->forked.status = 1;
    } else if (p->lock < 0 && p->end == END_SERVER) {
        lnt_log_error("store %s: another process has kept it to the end; what "
                      "was said last is not in it",
                      p->start->config->history->store);
        p->forked.status = 1;
    }
    lnt_loop_stop(p->forked.loop);
}

static void
set_end_timer(struct process *p)
{
    lnt_timer_at(p->forked.loop, &p->end_timer,
                 lnt_loop_now(p->forked.loop) + END_EVERY);
}

/* For workers that outlive the master, or for the lock. */
static void
on_end_timer(struct lnt_timer *t)
{
    struct process *p = LNT_OWNER(t, struct process, end_timer);
    bool wait = p->end == END_ORPHAN ? others_alive(p) : p->lock < 0;
    if (wait && lnt_loop_now(p->forked.loop) - p->began < END_TIME)
        set_end_timer(p);
    else
        finish(p);
}

static void
on_orphan(struct lnt_watch *w, uint32_t events)
{
    struct orphan *o = LNT_OWNER(w, struct orphan, watch);
    (void)events;
    close(lnt_watch_del(o->p->forked.loop, w));
    if (!others_alive(o->p))
        finish(o->p);
}

/* The last of them to end ends us.  One that cannot be watched is looked for
   by the timer. */
static void
watch_orphans(struct process *p)
{
    p->orphans = lnt_calloc(LNT_CELLS, sizeof(p->orphans[0]));
    for (unsigned i = 0; i < lnt_zone_cells(p->start->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(p->start->zone, i);
        struct orphan *o = &p->orphans[i];
        o->p = p;
        o->watch.fn = on_orphan;
        o->watch.fd = -1;
        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c) ||
            c->pid <= 0)
            continue;
        o->watch.fd = lnt_process_watch(c->pid);
        if (o->watch.fd >= 0 &&
            lnt_watch_add(p->forked.loop, &o->watch, EPOLLIN) < 0)
            close(lnt_watch_forget(&o->watch));
    }
}

static void
forget_orphans(struct process *p)
{
    for (unsigned i = 0; p->orphans && i < lnt_zone_cells(p->start->zone); i++)
        if (p->orphans[i].watch.fd >= 0)
            close(lnt_watch_forget(&p->orphans[i].watch));
    free(p->orphans);
}

static void
begin_end(struct process *p, enum end how)
{
    if (p->end != NOT_ENDING)
        return;
    p->end = how;
    p->began = lnt_loop_now(p->forked.loop);
    /* Who never had the store has nothing to write to it, unless it is the
       last one. */
    if (how == END_ORPHAN && p->lock >= 0 && others_alive(p)) {
        watch_orphans(p);
        set_end_timer(p);
    } else if (how == END_SERVER && p->lock < 0) {
        set_end_timer(p);
    } else {
        finish(p);
    }
}

static void
on_master_gone(struct lnt_channel *c, bool broken, const char *why)
{
    struct process *p = LNT_OWNER(c, struct process, forked.channel);
    lnt_log_warn("the master is %s (%s)", broken ? "not understood" : "gone",
                 why);
    lnt_channel_close(c);
    begin_end(p, END_ORPHAN);
}

/* ---- the beginning ---- */

/* We alone have the store. */
static int
open_store(struct process *p)
{
    if (p->start->load && !p->ready && lnt_mirror_load(p->mirror, &p->why) < 0)
        return -1;
    return lnt_mirror_open(p->mirror, &p->why);
}

static void
take_store(struct process *p)
{
    if (open_store(p) < 0) {
        if (p->start->strict && !p->ready) {
            fail(p);
            return;
        }
        note_error(p);
    }
    say_ready(p);
    lnt_log_debug("has the store");
    if (p->serving)
        set_timer(p);
    if (p->end != NOT_ENDING)
        finish(p);
}

/* Another process of this server has it: it goes on until it is told to end,
   and we from there. */
static void
stand_by(struct process *p)
{
    if (p->ready)
        return;
    if (p->start->load) {
        if (lnt_mirror_load(p->mirror, &p->why) < 0) {
            fail(p);
            return;
        }
        lnt_mirror_let_go(p->mirror);
    }
    say_ready(p);
}

static void
try_lock(struct process *p)
{
    const char *path = p->start->config->history->store;
    pid_t other = 0;
    p->lock = lnt_pidfile_open(p->lock_path, &other);
    if (p->lock >= 0) {
        take_store(p);
        return;
    }
    if (errno != EWOULDBLOCK) {
        lnt_strbuf_addf(&p->why, "store %s: cannot write %s: %s", path,
                        p->lock_path, strerror(errno));
        lnt_privileges_explain(p->lock_path, W_OK, &p->why);
        if (p->start->strict && !p->ready) {
            fail(p);
            return;
        }
        note_error(p);
        say_ready(p);
    } else if (p->start->wait) {
        stand_by(p);
    } else if (lnt_loop_now(p->forked.loop) - p->began > LOCK_TIME) {
        lnt_strbuf_addf(&p->why,
                        "process %d also writes store %s; stop that process, "
                        "or name another file",
                        (int)other, path);
        fail(p);
        return;
    }
    lnt_timer_at(p->forked.loop, &p->lock_timer,
                 lnt_loop_now(p->forked.loop) +
                     (p->retry ? p->retry : LOCK_EVERY));
}

static void
on_lock_timer(struct lnt_timer *t)
{
    try_lock(LNT_OWNER(t, struct process, lock_timer));
}

/* The file may have been removed; then another server could write, too. */
static void
restore_lock(struct process *p)
{
    pid_t other = 0;
    if (p->lock < 0)
        return;
    int rc = lnt_pidfile_restore(&p->lock, p->lock_path, &other);
    if (rc > 0)
        lnt_log_notice("%s was gone and has been written again", p->lock_path);
    else if (rc < 0 && errno == EWOULDBLOCK)
        lnt_log_error("process %d also writes store %s; stop that process",
                      (int)other, p->start->config->history->store);
    else if (rc < 0)
        lnt_log_error("%s is gone and cannot be written again: %s",
                      p->lock_path, strerror(errno));
}

/* ---- what the master says ---- */

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct process *p = LNT_OWNER(c, struct process, forked.channel);
    if (f->type == LNT_FRAME_START) {
        p->serving = true;
        lnt_forked_started();
        lnt_cell_set_state(p->forked.cell, LNT_CELL_READY);
        if (p->lock >= 0)
            set_timer(p);
    } else if (f->type == LNT_FRAME_QUIT) {
        begin_end(p, END_SERVER);
    } else if (f->type == LNT_FRAME_STOP) {
        begin_end(p, END_OURS);
    } else if (f->type == LNT_FRAME_REOPEN) {
        bool wanted = f->payload.n > 0 && f->payload.p[0] == 'e';
        if (wanted && f->nfds > 0) {
            lnt_log_take(f->fds[0]);
            f->fds[0] = -1;
        }
        lnt_requests_reply(c, f, wanted && !f->nfds ? strerror(EMFILE) : NULL);
    } else if (f->type == LNT_FRAME_SYNC) {
        lnt_requests_reply(c, f, write_at_once(p));
    } else if (f->type == LNT_FRAME_LEVEL) {
        lnt_forked_level(f);
        restore_lock(p); /* it comes with a reload, too */
        lnt_requests_reply(c, f, NULL);
    } else {
        lnt_log_warn("the master sent %s, which is not for the store",
                     lnt_frame_names[f->type]);
    }
}

/* ---- signals, doorbell, sleep ---- */

/* Whoever ends the whole group must not end us before the workers: the master
   says when. */
static void
on_signal(struct lnt_forked *forked, int number)
{
    struct process *p = LNT_OWNER(forked, struct process, forked);
    if (number == SIGTERM && p->serving && p->lock >= 0)
        sync_now(p);
}

static bool
on_turn(void *arg)
{
    struct process *p = arg;
    if (p->idle && lnt_mirror_behind(p->mirror))
        set_timer(p);
    lnt_flusher_check(&p->forked.flusher);
    return false;
}

static bool
on_sleep(void *arg)
{
    struct process *p = arg;
    if (!p->idle)
        return true;
    __atomic_store_n(&p->forked.cell->asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!lnt_mirror_behind(p->mirror))
        return true;
    __atomic_store_n(&p->forked.cell->asleep, 0, __ATOMIC_RELEASE);
    return false;
}

static void
on_wake(void *arg)
{
    struct process *p = arg;
    __atomic_store_n(&p->forked.cell->asleep, 0, __ATOMIC_RELEASE);
}

static int
set_up(struct process *p)
{
    const char *path = p->start->config->history->store;
    struct lnt_strbuf lock = LNT_STRBUF_INIT;
    struct lnt_loop_hook hook = {on_turn, on_sleep, on_wake, p};
    lnt_loop_set_hook(p->forked.loop, &hook);
    if (lnt_forked_watch(&p->forked, &p->why) < 0 ||
        lnt_privileges_drop(p->start->config->server, &p->why) < 0)
        return -1;
    (void)umask(PRIVATE_FILES);
    lnt_strbuf_addf(&lock, "%s.lock", path);
    p->lock_path = lnt_strbuf_detach(&lock);
    p->state = lnt_zone_store(p->start->zone);
    p->mirror = lnt_mirror_new(p->start->zone, path);
    lnt_mirror_limit(p->mirror, (uint64_t)p->start->config->history->rooms);
    p->timer.fn = on_timer;
    p->lock_timer.fn = on_lock_timer;
    p->end_timer.fn = on_end_timer;
    p->began = p->looked = lnt_loop_now(p->forked.loop);
    return 0;
}

static void
tear_down(struct process *p)
{
    forget_orphans(p);
    if (p->mirror)
        lnt_mirror_free(p->mirror);
    lnt_pidfile_close(p->lock, p->lock_path);
    free(p->lock_path);
    lnt_strbuf_release(&p->why);
}

int
lnt_store_run(const struct lnt_start *start)
{
    struct process p = {.start = start, .lock = -1};
    lnt_title_set("linnet: store");
    if (!lnt_forked_open(&p.forked, start, &channel_handler, on_signal))
        return 1;
    if (set_up(&p) < 0)
        fail(&p);
    else
        try_lock(&p);
    lnt_forked_run(&p.forked);
    tear_down(&p);
    return lnt_forked_close(&p.forked);
}
