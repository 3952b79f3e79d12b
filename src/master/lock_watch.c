/*
 * Watching who holds the lock of the zone.
 *
 * A process holds it for microseconds.  One that is stopped or traced in between
 * holds it for as long as it likes, and everybody else waits for it.  So the
 * master looks at the lock now and then; that is a read of memory.  When the
 * same turn is there at two looks in a row, it looks often, and at the process's
 * state in /proc.  One that was stopped at each look for the whole of
 * lock_timeout is killed; the kernel then gives the lock to another process, and
 * tells it that there is something to repair.
 *
 * Only time in which this process ran counts: two looks that lie far apart mean
 * that the whole machine, or container, or process group stood still, and the
 * holder gets all of lock_timeout again.
 *
 * Two masters share a zone during an upgrade.  Each kills its own children; a
 * process of the zone whose master does not do so (it is gone, or stopped
 * itself) is killed by the other one after twice the time.  A master is only
 * killed by the one that started it, and only until it has taken over.
 */
#include "master/lock_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "master/doorbells.h"
#include "master/master.h"
#include "os/clock.h"
#include "os/process.h"
#include "zone/zone.h"

enum {
    PATIENCE = 200,    /* ms the master waits for the lock, at the most */
    LOOK_EVERY = 500,  /* ms while there is nothing to see */
    LOOKS = 40,        /* in lock_timeout, when there is */
    CLOSE_MIN = 5,     /* ms between these */
    CLOSE_MAX = 50,    /* and at most */
    CLOSE_IDLE = 250,  /* with lock_timeout 0, when nobody is killed */
    GAP_MIN = 500,     /* ms between two looks that say that we did not run */
    GAP_INTERVALS = 4, /* and as many intervals at least */
    TELL_AFTER = 500,  /* ms until the log is told that it is stopped */
    LONG = 2000,       /* and that it is not, but holds the lock */
    OTHERS_FACTOR = 2, /* of lock_timeout, for another master's */
    TRY_EVERY = 1000,  /* ms until a process that was not killed is tried */
    COMPLAIN_EVERY = 60000, /* ms between lines about that */
    LIMIT_FIRST = 2000,     /* lock_timeout before there is a configuration */
};

static uint64_t
limit_of(const struct lnt_master *m)
{
    return m->now.config ? m->now.config->server->lock_timeout : LIMIT_FIRST;
}

static uint64_t
close_interval(const struct lnt_master *m)
{
    uint64_t limit = limit_of(m), ms = limit / LOOKS;
    if (limit == 0)
        return CLOSE_IDLE;
    if (ms < CLOSE_MIN)
        return CLOSE_MIN;
    return ms < CLOSE_MAX ? ms : CLOSE_MAX;
}

static uint64_t
idle_interval(const struct lnt_master *m)
{
    uint64_t limit = limit_of(m);
    if (limit == 0 || limit > LOOK_EVERY)
        return LOOK_EVERY;
    return limit < CLOSE_MAX ? CLOSE_MAX : limit;
}

static bool
is_stopped(char state)
{
    return state == 'T' || state == 't';
}

/* ---- who it is ---- */

/* The cell of a process that lives in this zone, or NULL. */
static const struct lnt_cell *
cell_of(const struct lnt_master *m, pid_t pid)
{
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        if (c->pid == pid && lnt_cell_state(c) != LNT_CELL_FREE)
            return c;
    }
    return NULL;
}

/* Another master only until it has taken over. */
static bool
is_child(const struct lnt_master *m, pid_t pid)
{
    const struct lnt_child *c = NULL;
    while ((c = lnt_child_next(m, c)))
        if (c->pid == pid)
            return c->kind != LNT_KIND_BINARY || !m->handed_over;
    return false;
}

static void
add_name(const struct lnt_master *m, pid_t pid, struct lnt_strbuf *out)
{
    const struct lnt_cell *c = cell_of(m, pid);
    if (c && lnt_cell_is_worker(c))
        lnt_strbuf_addf(out, "worker %u (pid %d)", c->slot, (int)pid);
    else if (c)
        lnt_strbuf_addf(out, "the store's process (pid %d)", (int)pid);
    else if (pid == getppid() || is_child(m, pid))
        lnt_strbuf_addf(out, "the other master (pid %d)", (int)pid);
    else
        lnt_strbuf_addf(out, "process %d", (int)pid);
}

static void
add_state(char state, struct lnt_strbuf *out)
{
    if (state == 'T')
        lnt_strbuf_adds(out, "is stopped");
    else if (state == 't')
        lnt_strbuf_adds(out, "is stopped by a debugger");
    else if (state)
        lnt_strbuf_addf(out, "is not stopped (state %c)", state);
    else
        lnt_strbuf_adds(out, "shows no state in /proc");
}

/* ---- killing ---- */

/* What the zone says about a process that is no child of ours may be wrong:
   workers write to it.  Only one of the workers' own user is killed for it. */
static bool
is_of_workers(const struct lnt_master *m, pid_t pid)
{
    const struct lnt_config *c = m->now.config;
    uid_t uid;
    if (!c || !cell_of(m, pid) || lnt_process_owner(pid, &uid) < 0)
        return false;
    if (geteuid() != 0 || !c->server->user)
        return uid == geteuid();
    return c->identity && uid == c->identity->uid;
}

/* The pid of a process that is no child of ours may be another's by now, unless
   that one holds the lock, too.  0 also when it does not any more. */
static int
kill_other(const struct lnt_master *m, pid_t pid, uint64_t turn)
{
    uint64_t now;
    int fd = lnt_process_watch(pid);
    if (fd < 0 && errno != ENOSYS) /* before Linux 5.3 there is only the pid */
        return errno == ESRCH ? 1 : -1;
    int rc = 1, error = 0;
    if (!is_of_workers(m, pid)) {
        rc = -1;
        error = EPERM;
    } else if (lnt_zone_holder(m->zone, &now) == pid && now == turn) {
        rc = fd < 0 ? kill(pid, SIGKILL) : lnt_process_signal(fd, SIGKILL);
        error = errno;
    }
    if (fd >= 0)
        close(fd);
    errno = error;
    return rc;
}

/* It is tried again; the log is not told each time. */
static void
cannot_kill(struct lnt_lock_watch *w, const char *text, int error)
{
    uint64_t now = lnt_clock_ms();
    w->again = now + TRY_EVERY;
    if (now < w->complain)
        return;
    w->complain = now + COMPLAIN_EVERY;
    lnt_log_alert("%s, and cannot be killed: %s", text, strerror(error));
}

static void
kill_holder(struct lnt_master *m, bool child)
{
    struct lnt_lock_watch *w = &m->lock;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    add_name(m, w->holder, &b);
    lnt_strbuf_addf(&b, " was %s while it held the lock of the zone for ",
                    w->state == 't' ? "stopped by a debugger" : "stopped");
    lnt_format_duration(&b, w->stood);
    int rc =
        child ? kill(w->holder, SIGKILL) : kill_other(m, w->holder, w->turn);
    w->killed = rc == 0;
    if (w->killed)
        lnt_log_alert("%s: killed, the zone is repaired", b.p);
    else if (rc < 0)
        cannot_kill(w, b.p, errno);
    lnt_strbuf_release(&b);
}

static void
tell(struct lnt_master *m, uint64_t limit)
{
    struct lnt_lock_watch *w = &m->lock;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    bool stopped = is_stopped(w->state);
    w->told = true;
    add_name(m, w->holder, &b);
    lnt_strbuf_adds(&b, " holds the lock of the zone for ");
    lnt_format_duration(&b, stopped ? w->stood : w->held);
    lnt_strbuf_adds(&b, " and ");
    add_state(w->state, &b);
    lnt_strbuf_adds(&b, "; all others wait");
    if (stopped && limit == UINT64_MAX)
        lnt_strbuf_adds(&b, " until it goes on (SIGCONT) or is killed");
    else if (stopped) {
        lnt_strbuf_adds(&b, "; it is killed in ");
        lnt_format_duration(&b, limit > w->stood ? limit - w->stood : 0);
        lnt_strbuf_adds(&b, " unless it goes on");
    }
    lnt_log_warn("%s", b.p);
    lnt_strbuf_release(&b);
}

/* After a close look: how long may it stand?  UINT64_MAX for ever. */
static uint64_t
its_limit(const struct lnt_master *m, bool *child)
{
    uint64_t limit = limit_of(m);
    *child = is_child(m, m->lock.holder);
    if (limit == 0 || (!*child && !cell_of(m, m->lock.holder)))
        return UINT64_MAX;
    return *child ? limit : limit * OTHERS_FACTOR;
}

static void
judge(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    bool child;
    uint64_t limit = its_limit(m, &child);
    if (w->killed)
        return;
    if (w->stood >= limit) {
        if (lnt_clock_ms() >= w->again)
            kill_holder(m, child);
    } else if (!w->told &&
               (w->stood >= (limit / 2 < TELL_AFTER ? limit / 2 : TELL_AFTER) ||
                (!is_stopped(w->state) && w->held >= LONG))) {
        tell(m, limit);
    }
}

/* ---- looking ---- */

static void
begin(struct lnt_lock_watch *w, pid_t holder, uint64_t turn)
{
    w->holder = holder;
    w->turn = turn;
    w->close = w->told = w->killed = false;
    w->state = 0;
    w->held = w->stood = 0;
    w->again = w->complain = 0;
}

/* What a look adds is never more than two intervals: one that comes late does
   not make the time short. */
static void
look_close(struct lnt_master *m, uint64_t since)
{
    struct lnt_lock_watch *w = &m->lock;
    uint64_t interval = close_interval(m), most = 2 * interval;
    uint64_t gap = GAP_INTERVALS * interval, add = since < most ? since : most;
    bool stopped = is_stopped(w->state);
    if (gap < GAP_MIN)
        gap = GAP_MIN;
    uint64_t before = w->looked;
    w->state = lnt_process_state(w->holder);
    bool ran = since < gap && lnt_clock_ms() - before < gap;
    w->held = ran && w->close ? w->held + add : 0;
    w->stood = ran && stopped && is_stopped(w->state) ? w->stood + add : 0;
    w->close = true;
    judge(m);
}

static void
look(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    uint64_t turn, now = lnt_clock_ms(), since = now - w->looked;
    pid_t holder = lnt_zone_holder(m->zone, &turn);
    w->looked = now;
    if (holder && holder == w->holder && turn == w->turn)
        look_close(m, since);
    else
        begin(w, holder, turn);
}

/* ---- what was left for later ---- */

static void
pay(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    for (unsigned i = 0; w->nowed && i < lnt_zone_cells(m->zone); i++) {
        if (!w->owed[i])
            continue;
        if (lnt_zone_cell_release(m->zone, i, w->owed[i]) < 0)
            break;
        w->owed[i] = 0;
        w->nowed--;
    }
    lnt_doorbells_ring(m->doorbells, m->zone);
}

/* What else waits is seen at the end of this turn. */
static void
work_off(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    if (w->nowed)
        pay(m);
    if (w->nowed == 0 && w->wanted)
        w->wanted = lnt_zone_probe(m->zone) < 0;
}

/* ---- who was not woken ---- */

static void
wake_late(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    uint64_t now = lnt_loop_now(m->loop);
    if (now < w->rung + LOOK_EVERY)
        return;
    w->rung = now;
    lnt_doorbells_ring_late(m->doorbells, m->zone, &w->late);
}

static void
set_timer(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    bool close = w->close || w->nowed || w->wanted;
    lnt_timer_at(m->loop, &w->timer,
                 lnt_loop_now(m->loop) +
                     (close ? close_interval(m) : idle_interval(m)));
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_master *m = LNT_OWNER(t, struct lnt_master, lock.timer);
    look(m);
    work_off(m);
    wake_late(m);
    set_timer(m);
}

/* ---- for the others ---- */

void
lnt_lock_watch_start(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    w->owed = lnt_calloc(LNT_CELLS, sizeof(w->owed[0]));
    w->late.position = lnt_calloc(LNT_CELLS, sizeof(w->late.position[0]));
    w->timer.fn = on_timer;
    w->looked = lnt_clock_ms();
    lnt_zone_set_patience(m->zone, PATIENCE);
    set_timer(m);
}

void
lnt_lock_watch_stop(struct lnt_master *m)
{
    lnt_timer_stop(m->loop, &m->lock.timer);
    free(m->lock.owed);
    free(m->lock.late.position);
    m->lock.owed = NULL;
    m->lock.late.position = NULL;
}

void
lnt_lock_watch_forked(const struct lnt_master *m)
{
    lnt_zone_set_patience(m->zone, 0);
}

bool
lnt_lock_ready(struct lnt_master *m)
{
    struct lnt_lock_watch *w = &m->lock;
    if (lnt_zone_probe(m->zone) == 0)
        return true;
    w->wanted = true;
    set_timer(m);
    return false;
}

void
lnt_lock_release(struct lnt_master *m, unsigned cell, uint32_t incarnation)
{
    struct lnt_lock_watch *w = &m->lock;
    if (lnt_zone_cell_release(m->zone, cell, incarnation) == 0) {
        if (w->owed[cell] == incarnation) {
            w->owed[cell] = 0;
            w->nowed--;
        }
    } else {
        /* One that had the cell before must have been released. */
        w->nowed += w->owed[cell] == 0;
        w->owed[cell] = incarnation;
        set_timer(m);
    }
    lnt_doorbells_ring(m->doorbells, m->zone);
    lnt_doorbells_ring_all(m->doorbells, m->zone);
}

bool
lnt_lock_owes(const struct lnt_master *m)
{
    return m->lock.nowed > 0;
}

void
lnt_lock_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    uint64_t turn;
    pid_t holder = lnt_zone_holder(m->zone, &turn);
    if (!holder) {
        lnt_strbuf_adds(out, "the zone was locked all the time");
        return;
    }
    lnt_strbuf_adds(out, "the zone is locked by ");
    add_name(m, holder, out);
    lnt_strbuf_adds(out, ", which ");
    add_state(lnt_process_state(holder), out);
}

void
lnt_lock_why_not(const struct lnt_master *m, int error, struct lnt_strbuf *out)
{
    if (error == EBUSY)
        lnt_lock_text(m, out);
    else
        lnt_strbuf_adds(out, strerror(error));
}

void
lnt_lock_status_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_lock_watch *w = &m->lock;
    if (!w->close)
        return;
    lnt_strbuf_adds(out, "the zone is locked by ");
    add_name(m, w->holder, out);
    lnt_strbuf_adds(out, " for ");
    lnt_format_duration(out, w->held);
    lnt_strbuf_adds(out, ", which ");
    add_state(w->state, out);
    lnt_strbuf_adds(out, "; all others wait\n");
}

void
lnt_lock_status_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_lock_watch *w = &m->lock;
    if (!w->close) {
        lnt_strbuf_adds(out, "null");
        return;
    }
    lnt_strbuf_addf(out,
                    "{\"pid\":%d,\"stopped\":%s,\"held\":%" PRIu64 ".%03u}",
                    (int)w->holder, is_stopped(w->state) ? "true" : "false",
                    w->held / 1000, (unsigned)(w->held % 1000));
}
