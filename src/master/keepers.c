/*
 * Spawning, replacing and ending the store's process.  What it does is in
 * keeper.c; when a generation comes and goes, in bringup.c and master.c.
 */
#include "master/keepers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/place.h"
#include "config/privileges.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"
#include "master/child.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/slots.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/process.h"
#include "os/socket.h"
#include "store/process.h"
#include "zone/zone.h"

enum {
    END_TIME = 20000,  /* ms to write the last word */
    SYNC_TIME = 10000, /* ms to write what was said so far */
    LOOK_TIME = 500,   /* ms between two looks whether it is stopped */
    STOPPED_MAX = 4,   /* looks that find it stopped, before it is killed */
};

/* How one is to begin; see struct lnt_keeper_params. */
enum { LOAD = 1, WAIT = 2, STRICT = 4 };

static void on_frame(struct lnt_channel *ch, const struct lnt_frame *f);
static void on_closed(struct lnt_channel *ch, bool broken, const char *why);
static void look_again(struct lnt_keeper *k);
static void on_timer(struct lnt_timer *t);
static void on_retry(struct lnt_timer *t);

static const struct lnt_channel_handler channel_handler = {.frame = on_frame,
                                                           .closed = on_closed};

static struct lnt_keeper *
keeper_of(struct lnt_channel *ch)
{
    return LNT_OWNER(ch, struct lnt_keeper, channel);
}

/* ---- the folder ---- */

/* Makes the folder; when its last part was made here, that becomes the user's.
   What is there stays whose it is, however its path is spelt. */
static int
make_for_user(const struct lnt_config *c, const char *path)
{
    bool as_root = geteuid() == 0 && c->server->user;
    const char *slash = strrchr(path, '/');
    if (as_root && !c->identity) {
        errno = ETIMEDOUT; /* the user was not found in time */
        return -1;
    }
    if (slash && slash != path) {
        char *above = lnt_strndup(path, (size_t)(slash - path));
        int rc = lnt_file_mkdirs(above, 0755);
        int error = errno;
        free(above);
        errno = error;
        if (rc < 0)
            return -1;
    }
    if (mkdir(path, 0755) < 0)
        return errno == EEXIST ? 0 : -1;
    if (!as_root)
        return 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fchown(fd, c->identity->uid, c->identity->gid);
    lnt_file_close(fd);
    return rc;
}

static int
make_folder(const struct lnt_config *c, struct lnt_strbuf *why)
{
    const char *path = c->history->store, *slash = strrchr(path, '/');
    struct stat st;
    if (!slash || slash == path)
        return 0;
    char *folder = lnt_strndup(path, (size_t)(slash - path));
    int rc = stat(folder, &st) < 0 ? make_for_user(c, folder) : 0;
    if (rc < 0) {
        int error = errno;
        lnt_place_add(c, "history", "store", why);
        lnt_strbuf_addf(why, "store %s: cannot make its folder: %s", path,
                        strerror(error));
        lnt_privileges_explain(folder, W_OK, why);
    }
    free(folder);
    return rc;
}

/* ---- in the new process ---- */

static void
keep_fds(const struct lnt_master *m, int channel)
{
    size_t n = 0;
    int *keep = lnt_calloc(LNT_CELLS + 4, sizeof(int));
    for (size_t i = 0; i < LNT_CELLS; i++)
        keep[n++] = m->doorbells[i];
    keep[n++] = channel;
    keep[n++] = lnt_zone_fd(m->zone);
    keep[n++] = lnt_log_fd();
    keep[n++] = lnt_log_socket();
    lnt_fds_keep(keep, n);
    free(keep);
}

_Noreturn static void
run(const struct lnt_master *m, const struct lnt_generation *g,
    const struct lnt_keeper *k, int channel, unsigned how)
{
    lnt_lock_watch_forked(m);
    lnt_log_forked();
    keep_fds(m, channel);
    lnt_signals_forked();
    if (g != &m->now)
        lnt_child_log(g->config->log);
    struct lnt_keeper_params p = {
        .config = g->config,
        .zone = m->zone,
        .doorbells = m->doorbells,
        .cell = k->cell,
        .incarnation = k->incarnation,
        .channel = channel,
        .load = how & LOAD,
        .wait = how & WAIT,
        .strict = how & STRICT,
    };
    int status = lnt_keeper_run(&p);
    lnt_log_end();
    exit(status);
}

/* ---- in the master ---- */

static int
launch(struct lnt_keeper *k, const struct lnt_generation *g, unsigned how)
{
    struct lnt_master *m = k->m;
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        return -1;
    k->pid = fork();
    if (k->pid == 0)
        run(m, g, k, fds[1], how);
    int error = errno;
    close(fds[1]);
    if (k->pid < 0) {
        close(fds[0]);
        errno = error;
        return -1;
    }
    lnt_zone_cell(m->zone, k->cell)->pid = k->pid;
    if (lnt_channel_open(&k->channel, m->loop, fds[0], k->incarnation,
                         &channel_handler) < 0) {
        lnt_log_alert("cannot watch the channel of the store's process: %s",
                      strerror(errno));
        (void)kill(k->pid, SIGKILL); /* reaped like any other */
    }
    return 0;
}

/* NULL with errno. */
static struct lnt_keeper *
spawn(struct lnt_master *m, const struct lnt_generation *g, unsigned how)
{
    int cell = lnt_child_take_cell(m, LNT_SLOT_STORE, 0);
    if (cell < 0)
        return NULL;
    struct lnt_keeper *k = lnt_calloc(1, sizeof(*k));
    k->m = m;
    k->cell = (unsigned)cell;
    k->incarnation = lnt_zone_cell(m->zone, k->cell)->incarnation;
    k->started = lnt_loop_now(m->loop);
    k->timer.fn = on_timer;
    k->channel.watch.fd = -1;
    if (launch(k, g, how) < 0) {
        int error = errno;
        lnt_lock_release(m, k->cell, k->incarnation);
        free(k);
        errno = error;
        return NULL;
    }
    k->next = m->keepers.all;
    m->keepers.all = k;
    lnt_timer_at(m->loop, &k->timer,
                 k->started + g->config->server->start_timeout);
    lnt_log_info("the store's process started, pid %d", (int)k->pid);
    return k;
}

static void
tell(struct lnt_keeper *k, enum lnt_frame_type type)
{
    if (lnt_channel_send(&k->channel, type, 0, lnt_str("", 0), NULL, 0) == 0)
        return;
    if (lnt_channel_is_open(&k->channel) && !lnt_reason_is_gone(errno))
        lnt_log_error("cannot send %s to the store's process: %s",
                      lnt_frame_names[type], strerror(errno));
}

/* type: QUIT or STOP, see keeper.h. */
static void
end(struct lnt_keeper *k, enum lnt_frame_type type)
{
    if (k->state == LNT_KEEPER_ENDING)
        return;
    k->state = LNT_KEEPER_ENDING;
    k->end_by = lnt_loop_now(k->m->loop) + END_TIME;
    k->stopped = 0;
    tell(k, type);
    look_again(k);
}

void
lnt_keeper_start(struct lnt_keeper *k)
{
    if (k->state != LNT_KEEPER_READY)
        return;
    k->state = LNT_KEEPER_SERVING;
    tell(k, LNT_FRAME_START);
}

static void
look_again(struct lnt_keeper *k)
{
    lnt_timer_at(k->m->loop, &k->timer, lnt_loop_now(k->m->loop) + LOOK_TIME);
}

/* Whether it may have some more time to end. */
static bool
may_still_end(struct lnt_keeper *k)
{
    char state = lnt_process_state(k->pid);
    k->stopped = state == 'T' || state == 't' ? k->stopped + 1 : 0;
    return k->stopped < STOPPED_MAX && lnt_loop_now(k->m->loop) < k->end_by;
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_keeper *k = LNT_OWNER(t, struct lnt_keeper, timer);
    bool ending = k->state == LNT_KEEPER_ENDING && k->end_by;
    if (ending && may_still_end(k)) {
        look_again(k);
        return;
    }
    lnt_log_error("the store's process (pid %d) %s and is killed", (int)k->pid,
                  ending && k->stopped >= STOPPED_MAX ? "is stopped"
                  : k->state == LNT_KEEPER_ENDING
                      ? "did not end in time"
                      : "did not get ready in time");
    k->late = true;
    (void)kill(k->pid, SIGKILL);
}

static void
on_frame(struct lnt_channel *ch, const struct lnt_frame *f)
{
    struct lnt_keeper *k = keeper_of(ch);
    struct lnt_master *m = k->m;
    if (f->type == LNT_FRAME_READY) {
        if (k->state != LNT_KEEPER_STARTING)
            return;
        k->state = LNT_KEEPER_READY;
        lnt_timer_stop(m->loop, &k->timer);
        if (k == m->keepers.now)
            m->keepers.used = true;
        m->keeper_events->ready(m, k);
    } else if (f->type == LNT_FRAME_FAILED) {
        char *why = lnt_strndup(f->payload.p, f->payload.n);
        k->failed = true;
        m->keeper_events->failed(m, k, why);
        free(why);
    } else if (f->type == LNT_FRAME_REPLY) {
        lnt_requests_take(m->requests, ch, f->request, f->payload);
    } else {
        lnt_log_warn("the store's process sent %s, which is not for the master",
                     lnt_frame_names[f->type]);
    }
}

static void
on_closed(struct lnt_channel *ch, bool broken, const char *why)
{
    struct lnt_keeper *k = keeper_of(ch);
    lnt_channel_close(ch);
    /* It has ended, and SIGCHLD says how; if it has not, it must. */
    if (broken)
        lnt_log_error("channel of the store's process: %s; it is killed", why);
    if (!broken && lnt_timer_active(&k->timer))
        return;
    if (broken) {
        k->late = true;
        (void)kill(k->pid, SIGKILL);
    } else {
        lnt_timer_at(k->m->loop, &k->timer,
                     lnt_loop_now(k->m->loop) + END_TIME);
    }
}

static bool
has_store(const struct lnt_config *c)
{
    return c && c->history->store;
}

/* There is no store any more that could be well or not. */
static void
forget_state(struct lnt_master *m)
{
    struct lnt_store_state *s = lnt_zone_store(m->zone);
    __atomic_store_n(&s->synced_us, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->broken_us, 0, __ATOMIC_RELAXED);
}

/* Whether another process keeps it: one of a master that goes on with the
   zone. */
static bool
is_kept(struct lnt_master *m)
{
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        if (lnt_cell_state(c) != LNT_CELL_FREE && !lnt_cell_is_worker(c))
            return true;
    }
    return false;
}

/* Writes what one that died has not written. */
static void
spawn_last(struct lnt_master *m)
{
    m->keepers.now = spawn(m, &m->now, WAIT);
    if (m->keepers.now)
        return;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_lock_why_not(m, errno, &why);
    lnt_log_error("cannot start the store's process: %s; what was said last is "
                  "not in the store",
                  why.p);
    lnt_strbuf_release(&why);
}

/* It was killed over the last word: once more, unless another master's goes
   on. */
static void
end_again(struct lnt_master *m)
{
    struct lnt_keepers *s = &m->keepers;
    if (!s->ended || !s->used || s->again || m->handed_over)
        return;
    s->again = true;
    spawn_last(m);
    if (s->now)
        end(s->now, LNT_FRAME_QUIT);
}

bool
lnt_keepers_reap(struct lnt_master *m, pid_t pid, int status)
{
    struct lnt_keeper *k = m->keepers.all, **link = &m->keepers.all;
    char how[96];
    while (k && k->pid != pid)
        k = k->next;
    if (!k)
        return false;
    lnt_channel_poll(&k->channel); /* its last words */
    while (*link != k)
        link = &(*link)->next;
    *link = k->next;
    lnt_channel_close(&k->channel);
    lnt_requests_drop(m->requests, &k->channel, "the process has ended");
    lnt_timer_stop(m->loop, &k->timer);
    (void)lnt_child_how(status, how, sizeof(how));
    if (k->state == LNT_KEEPER_ENDING && status == 0)
        lnt_log_info("the store's process (pid %d) %s", (int)pid, how);
    else if (WIFSIGNALED(status) && !k->late)
        lnt_log_alert("the store's process (pid %d) %s", (int)pid, how);
    else
        lnt_log_error("the store's process (pid %d) %s", (int)pid, how);
    lnt_lock_release(m, k->cell, k->incarnation);
    enum lnt_keeper_role role = LNT_KEEPER_FORMER;
    if (m->keepers.now == k) {
        role = LNT_KEEPER_NOW;
        m->keepers.now = NULL;
    } else if (m->keepers.coming == k) {
        role = LNT_KEEPER_COMING;
        m->keepers.coming = NULL;
    }
    if (!has_store(m->now.config) || (m->handed_over && !is_kept(m)))
        forget_state(m);
    /* One that was stopped had no time to write: another one does it. */
    if (role == LNT_KEEPER_NOW && WIFSIGNALED(status) &&
        (!k->late || k->stopped >= STOPPED_MAX))
        end_again(m);
    m->keeper_events->ended(m, role, lnt_loop_now(m->loop) - k->started, how);
    lnt_loop_free(m->loop, k);
    return true;
}

/* Goes on with the current store, whoever may have it for a moment. */
static void
follow(struct lnt_master *m)
{
    m->keepers.now = spawn(m, &m->now, WAIT);
    if (m->keepers.now)
        return;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_lock_why_not(m, errno, &why);
    lnt_log_error("cannot start the store's process: %s", why.p);
    lnt_strbuf_release(&why);
    lnt_keepers_retry(m, 0);
}

static void
on_retry(struct lnt_timer *t)
{
    follow(LNT_OWNER(t, struct lnt_master, keepers.timer));
}

void
lnt_keepers_retry(struct lnt_master *m, uint64_t lived)
{
    struct lnt_keepers *s = &m->keepers;
    s->delay = lnt_slots_delay(lived, s->delay);
    s->restarts++;
    s->timer.fn = on_retry;
    lnt_timer_at(m->loop, &s->timer, lnt_loop_now(m->loop) + s->delay);
    lnt_log_notice("the store's process starts again in %u ms",
                   (unsigned)s->delay);
}

/* ---- generations ---- */

static int
cannot_spawn(const struct lnt_master *m, struct lnt_strbuf *why)
{
    int error = errno;
    lnt_strbuf_adds(why, "cannot start the store's process: ");
    lnt_lock_why_not(m, error, why);
    lnt_strbuf_addc(why, '\n');
    return -1;
}

int
lnt_keepers_first(struct lnt_master *m, bool load, struct lnt_strbuf *why)
{
    if (!has_store(m->now.config))
        return 0;
    if (make_folder(m->now.config, why) < 0)
        return -1;
    m->keepers.now =
        spawn(m, &m->now, STRICT | (load ? LOAD : 0) | (m->older ? WAIT : 0));
    return m->keepers.now ? 1 : cannot_spawn(m, why);
}

static bool
same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
same_file(const struct lnt_config *a, const struct lnt_config *b)
{
    return same_text(a->history->store, b->history->store);
}

/* Whether a process that knows a has nothing to learn from b. */
static bool
same_settings(const struct lnt_config *a, const struct lnt_config *b)
{
    return same_file(a, b) && a->history->sync == b->history->sync &&
           same_text(a->server->user, b->server->user) &&
           same_text(a->server->group, b->server->group) &&
           same_text(a->log->error, b->log->error) &&
           a->log->format == b->log->format;
}

int
lnt_keepers_prepare(struct lnt_master *m, const struct lnt_generation *g,
                    struct lnt_strbuf *why)
{
    if (!has_store(g->config) || same_file(m->now.config, g->config))
        return 0;
    if (make_folder(g->config, why) < 0)
        return -1;
    m->keepers.coming = spawn(m, g, STRICT);
    return m->keepers.coming ? 0 : cannot_spawn(m, why);
}

bool
lnt_keepers_prepared(const struct lnt_master *m)
{
    const struct lnt_keeper *k = m->keepers.coming;
    return !k || k->state == LNT_KEEPER_READY;
}

void
lnt_keepers_abandon(struct lnt_master *m)
{
    struct lnt_keeper *k = m->keepers.coming;
    m->keepers.coming = NULL;
    if (k)
        end(k, LNT_FRAME_STOP);
}

void
lnt_keepers_swap(struct lnt_master *m, const struct lnt_config *before)
{
    struct lnt_keepers *s = &m->keepers;
    const struct lnt_config *c = m->now.config;
    char level = (char)c->log->level;
    if (same_settings(before, c)) {
        /* What "ctl log-level" said holds until the next reload. */
        if (s->now)
            (void)lnt_channel_send(&s->now->channel, LNT_FRAME_LEVEL, 0,
                                   lnt_str(&level, 1), NULL, 0);
        return;
    }
    lnt_timer_stop(m->loop, &s->timer);
    if (s->now)
        end(s->now, LNT_FRAME_STOP);
    s->delay = 0;
    s->now = s->coming;
    s->coming = NULL;
    s->used = s->now != NULL || (has_store(c) && s->used);
    if (s->now)
        lnt_keeper_start(s->now);
    else if (has_store(c))
        follow(m);
}

bool
lnt_keepers_end(struct lnt_master *m)
{
    struct lnt_keepers *s = &m->keepers;
    if (s->ended)
        return !s->all;
    s->ended = true;
    lnt_timer_stop(m->loop, &s->timer);
    /* It died a moment ago. */
    if (!s->now && s->used && has_store(m->now.config))
        spawn_last(m);
    for (struct lnt_keeper *k = s->all; k; k = k->next)
        if (!k->failed)
            end(k, k == s->now ? LNT_FRAME_QUIT : LNT_FRAME_STOP);
    return !s->all;
}

bool
lnt_keepers_sync(struct lnt_master *m, lnt_reply_fn *fn, void *arg)
{
    struct lnt_keeper *k = m->keepers.now;
    if (!has_store(m->now.config))
        return false;
    if (k && k->state == LNT_KEEPER_SERVING &&
        lnt_requests_send(m->requests, &k->channel, LNT_FRAME_SYNC,
                          lnt_str("", 0), SYNC_TIME, fn, arg) == 0)
        return true;
    lnt_log_error("the store's process does not serve; what was said last may "
                  "not be in the store");
    return false;
}

void
lnt_keepers_let_go(struct lnt_master *m)
{
    m->keepers.ended = true;
    lnt_timer_stop(m->loop, &m->keepers.timer);
    for (struct lnt_keeper *k = m->keepers.all; k; k = k->next)
        end(k, LNT_FRAME_STOP);
}

/* ---- looking ---- */

static const char *
state_name(const struct lnt_master *m)
{
    const struct lnt_keeper *k = m->keepers.now;
    if (!k)
        return lnt_timer_active(&m->keepers.timer) ? "backoff" : "stopped";
    switch (k->state) {
    case LNT_KEEPER_STARTING:
    case LNT_KEEPER_READY:
        break;
    case LNT_KEEPER_SERVING:
        return lnt_zone_store(m->zone)->broken_us ? "failing" : "ready";
    case LNT_KEEPER_ENDING:
        return "ending";
    }
    return "starting";
}

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

void
lnt_keepers_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_store_state *s = lnt_zone_store(m->zone);
    const struct lnt_keeper *k = m->keepers.now;
    uint64_t now = lnt_clock_wall_us(), synced = load(&s->synced_us);
    if (!has_store(m->now.config))
        return;
    lnt_strbuf_addf(out, "store %s: %s", m->now.config->history->store,
                    state_name(m));
    if (k)
        lnt_strbuf_addf(out, ", pid %d", (int)k->pid);
    lnt_strbuf_addf(out, ", %" PRIu64 " messages in %" PRIu64 " rooms",
                    load(&s->messages), load(&s->rooms));
    if (synced) {
        lnt_strbuf_adds(out, ", last written ");
        lnt_format_duration(out, now > synced ? (now - synced) / 1000 : 0);
        lnt_strbuf_adds(out, " ago");
    }
    lnt_strbuf_addf(out, ", %" PRIu64 " errors, %u restarts\n",
                    load(&s->errors), m->keepers.restarts);
}

static void
add_time(struct lnt_strbuf *out, const char *name, uint64_t us)
{
    lnt_strbuf_addf(out, ",\"%s\":", name);
    if (us)
        lnt_strbuf_addf(out, "%" PRIu64 ".%03u", us / 1000000,
                        (unsigned)(us / 1000 % 1000));
    else
        lnt_strbuf_adds(out, "null");
}

void
lnt_keepers_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_store_state *s = lnt_zone_store(m->zone);
    const struct lnt_keeper *k = m->keepers.now;
    if (!has_store(m->now.config)) {
        lnt_strbuf_adds(out, "null");
        return;
    }
    lnt_strbuf_adds(out, "{\"path\":");
    lnt_strbuf_add_json(out, lnt_str_c(m->now.config->history->store));
    lnt_strbuf_addf(out,
                    ",\"state\":\"%s\",\"pid\":%d,\"restarts\":%u,\"rooms\":"
                    "%" PRIu64 ",\"messages\":%" PRIu64 ",\"written\":%" PRIu64
                    ",\"syncs\":%" PRIu64 ",\"errors\":%" PRIu64
                    ",\"seq\":%" PRIu64,
                    state_name(m), k ? (int)k->pid : 0, m->keepers.restarts,
                    load(&s->rooms), load(&s->messages), load(&s->written),
                    load(&s->syncs), load(&s->errors), load(&s->seq));
    add_time(out, "last_sync", load(&s->synced_us));
    add_time(out, "failing_since", load(&s->broken_us));
    lnt_strbuf_addc(out, '}');
}
