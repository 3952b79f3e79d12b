/*
 * The store's process: one at a time (a lock beside the file sees to that),
 * never in anybody's way.  What is written and how is left to store/mirror.c;
 * who starts it and when it ends, to keepers.c.
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
#include "event/flusher.h"
#include "event/loop.h"
#include "ipc/channel.h"
#include "ipc/requests.h"
#include "os/clock.h"
#include "os/memory.h"
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
    struct keeper *k;
    struct lnt_watch watch;
};

enum end { NOT_ENDING, END_SERVER, END_OURS, END_ORPHAN };

struct keeper {
    const struct lnt_keeper_params *p;
    struct lnt_loop *loop;
    struct lnt_channel channel;
    struct lnt_watch signals, doorbell;
    struct lnt_timer timer;      /* the next sync */
    struct lnt_timer lock_timer; /* the next try to get the lock */
    struct lnt_timer end_timer;
    struct lnt_flusher flusher; /* of the log */
    struct orphan *orphans;     /* LNT_CELLS, once the master is gone */
    struct lnt_cell *cell;
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
    int status;            /* to exit with */
};

static void on_frame(struct lnt_channel *c, const struct lnt_frame *f);
static void on_master_gone(struct lnt_channel *c, bool broken, const char *why);

static const struct lnt_channel_handler channel_handler = {
    .frame = on_frame, .closed = on_master_gone};

static uint64_t
interval(const struct keeper *k)
{
    return k->p->config->history->sync;
}

/* ---- errors ---- */

static void
note_error(struct keeper *k)
{
    struct lnt_store_state *s = k->state;
    uint64_t now = lnt_loop_now(k->loop);
    __atomic_store_n(&s->errors, s->errors + 1, __ATOMIC_RELAXED);
    if (s->broken_us == 0)
        __atomic_store_n(&s->broken_us, lnt_clock_wall_us(), __ATOMIC_RELAXED);
    k->retry = k->retry ? k->retry * 2 : RETRY_FIRST;
    if (k->retry > RETRY_MAX)
        k->retry = RETRY_MAX;
    if (now >= k->complain_at) {
        lnt_log_error("%s; the history of rooms is not saved until that is "
                      "over",
                      k->why.p);
        k->complain_at = now + COMPLAIN;
        k->complained = true;
    }
    lnt_strbuf_clear(&k->why);
}

static void
note_success(struct keeper *k)
{
    struct lnt_store_state *s = k->state;
    __atomic_store_n(&s->broken_us, 0, __ATOMIC_RELAXED);
    if (k->complained)
        lnt_log_notice("the store is written again, nothing is missing");
    k->complained = false;
    k->retry = 0;
}

/* Cannot start at all. */
static void
fail(struct keeper *k)
{
    (void)lnt_channel_send(&k->channel, LNT_FRAME_FAILED, 0,
                           lnt_strbuf_str(&k->why), NULL, 0);
    k->status = 1;
    lnt_loop_stop(k->loop);
}

static void
say_ready(struct keeper *k)
{
    if (k->ready)
        return;
    k->ready = true;
    (void)lnt_channel_send(&k->channel, LNT_FRAME_READY, 0, lnt_str("", 0),
                           NULL, 0);
}

/* ---- writing ---- */

static void
set_timer(struct keeper *k)
{
    uint64_t now = lnt_loop_now(k->loop), at = k->synced + interval(k);
    k->idle = false;
    if (k->retry)
        at = now + k->retry;
    else if (at < now + GATHER)
        at = now + GATHER;
    lnt_timer_at(k->loop, &k->timer, at);
}

static void
sync_now(struct keeper *k)
{
    uint64_t now = lnt_loop_now(k->loop);
    bool behind = lnt_mirror_behind(k->mirror) || k->retry;
    bool all = now - k->looked >= LOOK_EVERY;
    if (k->finished)
        return;
    k->synced = now;
    if (lnt_mirror_sync(k->mirror, all, &k->why) < 0) {
        note_error(k);
        set_timer(k);
        return;
    }
    if (all)
        k->looked = now;
    note_success(k);
    /* As long as somebody talks nobody has to ring. */
    if (behind) {
        set_timer(k);
    } else {
        k->idle = true;
        lnt_timer_at(k->loop, &k->timer, k->looked + LOOK_EVERY);
    }
}

static void
on_timer(struct lnt_timer *t)
{
    sync_now(LNT_OWNER(t, struct keeper, timer));
}

/* NULL, or why not. */
static const char *
write_at_once(struct keeper *k)
{
    if (!k->serving || k->lock < 0)
        return "it does not have the store yet";
    sync_now(k);
    return k->retry ? "it cannot write" : NULL;
}

/* ---- the end ---- */

/* Workers that may still publish. */
static bool
others_alive(const struct keeper *k)
{
    for (unsigned i = 0; i < lnt_zone_cells(k->p->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(k->p->zone, i);
        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c))
            continue;
        /* One that is not reaped, as its parent is gone, has ended, too. */
        if (c->pid <= 0 || lnt_process_alive(c->pid))
            return true;
    }
    return false;
}

static void
finish(struct keeper *k)
{
    bool ended = k->end != END_OURS && !others_alive(k);
    if (k->finished)
        return;
    /* Nothing may open the store again in what is left of this turn. */
    k->finished = true;
    lnt_timer_stop(k->loop, &k->timer);
    lnt_timer_stop(k->loop, &k->lock_timer);
    if (k->end != END_SERVER && !k->serving && !ended) {
        /* Its generation was given up, maybe with its master: this is not the
           server's store. */
    } else if (k->lock >= 0 &&
               lnt_mirror_finish(k->mirror, ended, &k->why) < 0) {
        lnt_log_error("%s; what was said last is not in the store", k->why.p);
        k->status = 1;
    } else if (k->lock < 0 && k->end == END_SERVER) {
        lnt_log_error("store %s: another process has kept it to the end; what "
                      "was said last is not in it",
                      k->p->config->history->store);
        k->status = 1;
    }
    lnt_loop_stop(k->loop);
}

static void
set_end_timer(struct keeper *k)
{
    lnt_timer_at(k->loop, &k->end_timer, lnt_loop_now(k->loop) + END_EVERY);
}

/* For workers that outlive the master, or for the lock. */
static void
on_end_timer(struct lnt_timer *t)
{
    struct keeper *k = LNT_OWNER(t, struct keeper, end_timer);
    bool wait = k->end == END_ORPHAN ? others_alive(k) : k->lock < 0;
    if (wait && lnt_loop_now(k->loop) - k->began < END_TIME)
        set_end_timer(k);
    else
        finish(k);
}

static void
on_orphan(struct lnt_watch *w, uint32_t events)
{
    struct orphan *o = LNT_OWNER(w, struct orphan, watch);
    (void)events;
    close(lnt_watch_del(o->k->loop, w));
    if (!others_alive(o->k))
        finish(o->k);
}

/* The last of them to end ends us.  One that cannot be watched is looked for
   by the timer. */
static void
watch_orphans(struct keeper *k)
{
    k->orphans = lnt_calloc(LNT_CELLS, sizeof(k->orphans[0]));
    for (unsigned i = 0; i < lnt_zone_cells(k->p->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(k->p->zone, i);
        struct orphan *o = &k->orphans[i];
        o->k = k;
        o->watch.fn = on_orphan;
        o->watch.fd = -1;
        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c) ||
            c->pid <= 0)
            continue;
        o->watch.fd = lnt_process_watch(c->pid);
        if (o->watch.fd >= 0 && lnt_watch_add(k->loop, &o->watch, EPOLLIN) < 0)
            close(lnt_watch_forget(&o->watch));
    }
}

static void
forget_orphans(struct keeper *k)
{
    for (unsigned i = 0; k->orphans && i < lnt_zone_cells(k->p->zone); i++)
        if (k->orphans[i].watch.fd >= 0)
            close(lnt_watch_forget(&k->orphans[i].watch));
    free(k->orphans);
}

static void
begin_end(struct keeper *k, enum end how)
{
    if (k->end != NOT_ENDING)
        return;
    k->end = how;
    k->began = lnt_loop_now(k->loop);
    /* Who never had the store has nothing to write to it, unless it is the
       last one. */
    if (how == END_ORPHAN && k->lock >= 0 && others_alive(k)) {
        watch_orphans(k);
        set_end_timer(k);
    } else if (how == END_SERVER && k->lock < 0) {
        set_end_timer(k);
    } else {
        finish(k);
    }
}

static void
on_master_gone(struct lnt_channel *c, bool broken, const char *why)
{
    struct keeper *k = LNT_OWNER(c, struct keeper, channel);
    lnt_log_warn("the master is %s (%s)", broken ? "not understood" : "gone",
                 why);
    lnt_channel_close(c);
    begin_end(k, END_ORPHAN);
}

/* ---- the beginning ---- */

/* We alone have the store. */
static int
open_store(struct keeper *k)
{
    if (k->p->load && !k->ready && lnt_mirror_load(k->mirror, &k->why) < 0)
        return -1;
    return lnt_mirror_open(k->mirror, &k->why);
}

static void
take_store(struct keeper *k)
{
    if (open_store(k) < 0) {
        if (k->p->strict && !k->ready) {
            fail(k);
            return;
        }
        note_error(k);
    }
    say_ready(k);
    lnt_log_debug("has the store");
    if (k->serving)
        set_timer(k);
    if (k->end != NOT_ENDING)
        finish(k);
}

/* Another process of this server has it: it goes on until it is told to end,
   and we from there. */
static void
stand_by(struct keeper *k)
{
    if (k->ready)
        return;
    if (k->p->load) {
        if (lnt_mirror_load(k->mirror, &k->why) < 0) {
            fail(k);
            return;
        }
        lnt_mirror_let_go(k->mirror);
    }
    say_ready(k);
}

static void
try_lock(struct keeper *k)
{
    const char *path = k->p->config->history->store;
    pid_t other = 0;
    k->lock = lnt_pidfile_open(k->lock_path, &other);
    if (k->lock >= 0) {
        take_store(k);
        return;
    }
    if (errno != EWOULDBLOCK) {
        lnt_strbuf_addf(&k->why, "store %s: cannot write %s: %s", path,
                        k->lock_path, strerror(errno));
        lnt_privileges_explain(k->lock_path, W_OK, &k->why);
        if (k->p->strict && !k->ready) {
            fail(k);
            return;
        }
        note_error(k);
        say_ready(k);
    } else if (k->p->wait) {
        stand_by(k);
    } else if (lnt_loop_now(k->loop) - k->began > LOCK_TIME) {
        lnt_strbuf_addf(&k->why,
                        "process %d also writes store %s; stop that process, "
                        "or name another file",
                        (int)other, path);
        fail(k);
        return;
    }
    lnt_timer_at(k->loop, &k->lock_timer,
                 lnt_loop_now(k->loop) + (k->retry ? k->retry : LOCK_EVERY));
}

static void
on_lock_timer(struct lnt_timer *t)
{
    try_lock(LNT_OWNER(t, struct keeper, lock_timer));
}

/* The file may have been removed; then another server could write, too. */
static void
restore_lock(struct keeper *k)
{
    pid_t other = 0;
    if (k->lock < 0)
        return;
    int rc = lnt_pidfile_restore(&k->lock, k->lock_path, &other);
    if (rc > 0)
        lnt_log_notice("%s was gone and has been written again", k->lock_path);
    else if (rc < 0 && errno == EWOULDBLOCK)
        lnt_log_error("process %d also writes store %s; stop that process",
                      (int)other, k->p->config->history->store);
    else if (rc < 0)
        lnt_log_error("%s is gone and cannot be written again: %s",
                      k->lock_path, strerror(errno));
}

/* ---- what the master says ---- */

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct keeper *k = LNT_OWNER(c, struct keeper, channel);
    if (f->type == LNT_FRAME_START) {
        k->serving = true;
        lnt_daemon_let_go();
        lnt_log_stderr_too(false);
        lnt_cell_set_state(k->cell, LNT_CELL_READY);
        if (k->lock >= 0)
            set_timer(k);
    } else if (f->type == LNT_FRAME_QUIT) {
        begin_end(k, END_SERVER);
    } else if (f->type == LNT_FRAME_STOP) {
        begin_end(k, END_OURS);
    } else if (f->type == LNT_FRAME_REOPEN) {
        bool wanted = f->payload.n > 0 && f->payload.p[0] == 'e';
        if (wanted && f->nfds > 0) {
            lnt_log_take(f->fds[0]);
            f->fds[0] = -1;
        }
        lnt_requests_obeyed(c, f, wanted && !f->nfds ? strerror(EMFILE) : NULL);
    } else if (f->type == LNT_FRAME_SYNC) {
        lnt_requests_obeyed(c, f, write_at_once(k));
    } else if (f->type == LNT_FRAME_LEVEL) {
        if (f->payload.n == 1 && (unsigned char)f->payload.p[0] <= LNT_ALERT)
            lnt_log_level((enum lnt_level)f->payload.p[0]);
        restore_lock(k); /* it comes with a reload, too */
        lnt_requests_obeyed(c, f, NULL);
    } else {
        lnt_log_warn("the master sent %s, which is not for the store",
                     lnt_frame_names[f->type]);
    }
}

/* ---- signals, doorbell, sleep ---- */

static void
on_signal(struct lnt_watch *w, uint32_t events)
{
    struct keeper *k = LNT_OWNER(w, struct keeper, signals);
    int n;
    (void)events;
    while ((n = lnt_signals_read(w->fd, NULL)) > 0) {
        /* Whoever ends the whole group must not end us before the workers:
           the master says when. */
        if (n == SIGTERM && k->serving && k->lock >= 0)
            sync_now(k);
        else if (n == SIGUSR1 && lnt_log_reopen() < 0)
            lnt_log_error("cannot reopen the log: %s", strerror(errno));
    }
}

static void
on_doorbell(struct lnt_watch *w, uint32_t events)
{
    (void)events;
    lnt_eventfd_clear(w->fd);
}

static bool
on_turn(void *arg)
{
    struct keeper *k = arg;
    if (k->idle && lnt_mirror_behind(k->mirror))
        set_timer(k);
    lnt_flusher_check(&k->flusher);
    return false;
}

static bool
on_sleep(void *arg)
{
    struct keeper *k = arg;
    if (!k->idle)
        return true;
    __atomic_store_n(&k->cell->asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!lnt_mirror_behind(k->mirror))
        return true;
    __atomic_store_n(&k->cell->asleep, 0, __ATOMIC_RELEASE);
    return false;
}

static void
on_wake(void *arg)
{
    struct keeper *k = arg;
    __atomic_store_n(&k->cell->asleep, 0, __ATOMIC_RELEASE);
}

static int
watch(struct keeper *k)
{
    static const int signals[] = {SIGTERM, SIGQUIT, SIGINT,  SIGHUP,
                                  SIGUSR1, SIGUSR2, SIGWINCH};
    k->signals.fn = on_signal;
    k->signals.fd =
        lnt_signals_open(signals, sizeof(signals) / sizeof(signals[0]));
    k->doorbell.fn = on_doorbell;
    k->doorbell.fd = k->p->doorbells[k->p->cell];
    if (k->signals.fd < 0 || lnt_watch_add(k->loop, &k->signals, EPOLLIN) < 0 ||
        lnt_watch_add(k->loop, &k->doorbell, EPOLLIN) < 0) {
        lnt_strbuf_addf(&k->why, "signals, doorbell: %s", strerror(errno));
        return -1;
    }
    struct lnt_loop_hook hook = {on_turn, on_sleep, on_wake, k};
    lnt_loop_set_hook(k->loop, &hook);
    return 0;
}

static int
set_up(struct keeper *k)
{
    const char *path = k->p->config->history->store;
    struct lnt_strbuf lock = LNT_STRBUF_INIT;
    if (watch(k) < 0 || lnt_privileges_drop(k->p->config->server, &k->why) < 0)
        return -1;
    (void)umask(PRIVATE_FILES);
    lnt_strbuf_addf(&lock, "%s.lock", path);
    k->lock_path = lnt_strbuf_detach(&lock);
    k->cell = lnt_zone_cell(k->p->zone, k->p->cell);
    k->state = lnt_zone_store(k->p->zone);
    k->mirror = lnt_mirror_new(k->p->zone, path);
    lnt_mirror_limit(k->mirror, (uint64_t)k->p->config->history->rooms);
    k->timer.fn = on_timer;
    k->lock_timer.fn = on_lock_timer;
    k->end_timer.fn = on_end_timer;
    k->began = k->looked = lnt_loop_now(k->loop);
    return 0;
}

static void
tear_down(struct keeper *k)
{
    forget_orphans(k);
    if (k->mirror)
        lnt_mirror_free(k->mirror);
    lnt_pidfile_close(k->lock, k->lock_path);
    free(k->lock_path);
    lnt_strbuf_release(&k->why);
    lnt_channel_close(&k->channel);
    if (k->signals.fd >= 0)
        close(lnt_watch_forget(&k->signals));
    lnt_flusher_stop(&k->flusher);
    lnt_loop_destroy(k->loop);
}

int
lnt_keeper_run(const struct lnt_keeper_params *p)
{
    struct keeper k = {.p = p, .signals.fd = -1, .lock = -1};
    lnt_title_set("linnet: store");
    k.loop = lnt_loop_new();
    if (!k.loop || lnt_channel_open(&k.channel, k.loop, p->channel,
                                    p->incarnation, &channel_handler) < 0) {
        lnt_log_alert("the store's process cannot start: %s", strerror(errno));
        return 1;
    }
    lnt_flusher_init_log(&k.flusher, k.loop);
    if (set_up(&k) < 0)
        fail(&k);
    else
        try_lock(&k);
    if (lnt_loop_run(k.loop) < 0) {
        lnt_log_alert("the event loop failed: %s", strerror(errno));
        k.status = 1;
    }
    tear_down(&k);
    return k.status;
}
