/*
 * The master: sets up what all workers share, brings up the first generation,
 * and then waits for signals, children and operators.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/access.h"
#include "config/place.h"
#include "core/log.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "ipc/requests.h"
#include "master/askers.h"
#include "master/bringup.h"
#include "master/broadcast.h"
#include "master/child.h"
#include "master/control.h"
#include "master/doorbells.h"
#include "master/ending.h"
#include "master/moves.h"
#include "master/orders.h"
#include "master/queries.h"
#include "master/run.h"
#include "master/slots.h"
#include "master/store_events.h"
#include "master/takeover.h"
#include "master/upgrade.h"
#include "master/values.h"
#include "os/memory.h"
#include "os/process.h"
#include "zone/zone.h"

enum { STARTED = 0, FAILED = LNT_ENDING_FAILED };

/* ---- commands ---- */

/* NULL: a reload can begin, or wait for another one. */
static const char *
why_no_reload(const struct lnt_master *m)
{
    if (m->state == LNT_MASTER_STARTING)
        return "the server is still starting";
    if (m->state > LNT_MASTER_IDLE)
        return m->handed_over ? "another process has taken over from this one"
                              : "the server ends";
    return m->upgrade ? "an upgrade is going on; try again after it" : NULL;
}

static void
reload(struct lnt_master *m, struct lnt_asker *a)
{
    struct lnt_asker *askers = NULL;
    const char *why = why_no_reload(m);
    if (!why) {
        lnt_bringup_reload(m, a);
        return;
    }
    lnt_log_error("reload refused: %s", why);
    lnt_askers_add(&askers, a);
    lnt_askers_tell(&askers, false, why);
}

static bool
reopen_access(struct lnt_master *m, struct lnt_strbuf *why)
{
    struct lnt_generation *g = &m->now;
    if (g->access_fd < 0)
        return true;
    int fd = lnt_access_open(g->config->log->access);
    if (fd < 0) {
        lnt_strbuf_addf(why, "cannot open %s: %s", g->config->log->access,
                        strerror(errno));
        return false;
    }
    close(g->access_fd);
    g->access_fd = fd;
    return true;
}

/* Whether the files here could be opened; for the others go along. */
static bool
reopen_files(struct lnt_master *m, struct lnt_strbuf *why)
{
    if (lnt_log_reopen() < 0) {
        lnt_strbuf_addf(why, "cannot open %s: %s", m->now.config->log->error,
                        strerror(errno));
        return false;
    }
    return reopen_access(m, why);
}

static void
reopen(struct lnt_master *m, struct lnt_asker *a)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    char which[2] = {'-', '-'};
    int fds[2];
    struct lnt_order o = {.type = LNT_FRAME_REOPEN,
                          .payload = lnt_str(which, 2),
                          .fds = fds,
                          .done = "reopened"};
    if (!reopen_files(m, &why)) {
        if (a)
            a->done(a, false, why.p);
        else
            lnt_log_error("reopen: %s", why.p);
        lnt_strbuf_release(&why);
        return;
    }
    if (lnt_log_fd() >= 0) {
        which[0] = 'e';
        fds[o.nfds++] = lnt_log_fd();
    }
    if (m->now.access_fd >= 0) {
        which[1] = 'a';
        fds[o.nfds++] = m->now.access_fd;
    }
    m->reopen_again = m->bringup || m->upgrade;
    lnt_log_notice("logs reopened");
    lnt_orders_give(m, &o, a);
}

static void
set_level(struct lnt_master *m, int level, struct lnt_asker *a)
{
    char byte = (char)level;
    struct lnt_order o = {.type = LNT_FRAME_LEVEL,
                          .payload = lnt_str(&byte, 1),
                          .done = "log level set until the next reload"};
    lnt_log_level((enum lnt_level)level);
    lnt_orders_give(m, &o, a);
}

static bool
set_value(struct lnt_master *m, struct lnt_str key, const struct lnt_str *value,
          struct lnt_strbuf *why)
{
    uint64_t version;
    return lnt_values_change(m, key, value, &version, why);
}

static void
change_workers(struct lnt_master *m, const char *number, struct lnt_asker *a)
{
    int64_t n;
    const char *why;
    if (lnt_parse_int(lnt_str_c(number), &n, &why) < 0 || n < 1) {
        a->done(a, false, "workers takes a number from 1");
        return;
    }
    if (m->workers && m->workers != n) {
        a->done(a, false,
                "another number of workers waits to take effect; try again "
                "after it");
        return;
    }
    if (!why_no_reload(m)) /* or the next reload would do what was refused */
        m->workers = n;
    reload(m, a);
}

static bool
drain_slot(struct lnt_master *m, const char *slot, struct lnt_strbuf *why)
{
    int64_t n;
    const char *text;
    struct lnt_child *c = NULL;
    if (lnt_parse_int(lnt_str_c(slot), &n, &text) == 0 && n >= 0 &&
        (size_t)n < m->now.nslots)
        c = m->now.slots[n].child;
    if (m->bringup || m->upgrade)
        lnt_strbuf_addf(why, "%s is going on; try again after it",
                        m->bringup ? "a reload" : "an upgrade");
    else if (!c || c->state != LNT_CHILD_SERVING)
        lnt_strbuf_addf(why, "no worker serves in slot %s", slot);
    else if (!lnt_moves_replace(m, c))
        lnt_strbuf_adds(why, "there is no other worker to take its "
                             "connections");
    return why->n == 0;
}

static void
settled(struct lnt_master *m)
{
    if (m->reopen_again && !m->bringup && !m->upgrade)
        reopen(m, NULL);
    lnt_bringup_next(m);
    lnt_upgrade_next(m);
    lnt_ending_check(m);
}

static const struct lnt_commands commands = {
    .settled = settled,
    .reload = reload,
    .upgrade = lnt_upgrade_start,
    .workers = change_workers,
    .drain = drain_slot,
    .end = lnt_ending_begin,
    .reopen = reopen,
    .broadcast = lnt_broadcast,
    .level = set_level,
    .set = set_value,
};

/* ---- children ---- */

static void
started(struct lnt_master *m)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (lnt_sockets_listen(&m->now.sockets, &why) < 0) {
        lnt_ending_give_up(m, why.p);
        lnt_strbuf_release(&why);
        return;
    }
    m->state = LNT_MASTER_RUNNING;
    m->files.ours = true;
    if (m->keepers.now)
        lnt_keeper_start(m->keepers.now);
    lnt_sockets_settle(&m->now.sockets);
    for (struct lnt_child *c = m->children; c; c = c->next)
        lnt_child_start(c);
    if (lnt_control_publish(m->control) < 0)
        lnt_log_alert("control socket: %s", strerror(errno));
    lnt_log_notice("linnet %s serves, generation %u, %zu workers",
                   m->info->version, m->now.number, m->now.nslots);
    if (m->zone_refused)
        lnt_log_warn("the zone of the old binary is not kept: %s; clients of "
                     "rooms are asked to come back, and history comes from the "
                     "store alone",
                     m->zone_refused);
    lnt_takeover_done(m);
    lnt_sockets_close(&m->inherited, &m->now.sockets, true);
    lnt_sd_notify("READY=1");
    lnt_daemon_ready(STARTED);
    lnt_log_stderr_too(false);
}

static void
on_ready(struct lnt_master *m, struct lnt_child *c)
{
    if (lnt_bringup_ready(m, c))
        return;
    if (m->state != LNT_MASTER_STARTING) {
        lnt_child_start(c); /* a worker that was spawned again */
        lnt_moves_link_new(m, c);
        return;
    }
    for (size_t i = 0; i < m->now.nslots; i++) {
        const struct lnt_child *other = m->now.slots[i].child;
        if (!other || other->state != LNT_CHILD_READY)
            return;
    }
    started(m);
}

static void
on_failed(struct lnt_master *m, struct lnt_child *c, const char *why)
{
    lnt_log_error("worker %u: %s", c->slot, why);
    if (lnt_bringup_failed(m, c, why) || m->state != LNT_MASTER_STARTING)
        return;
    lnt_ending_give_up(m, why);
}

static void
give_up_for(struct lnt_master *m, const struct lnt_child *c, int status)
{
    char how[96];
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&why, "worker %u %s%s", c->slot,
                    lnt_child_how(status, how, sizeof(how)),
                    c->late ? ": it did not get ready within start_timeout"
                            : " before it was ready");
    lnt_ending_give_up(m, why.p);
    lnt_strbuf_release(&why);
}

static void
on_ended(struct lnt_master *m, struct lnt_child *c, int status)
{
    if (lnt_bringup_ended(m, c, status))
        return;
    struct lnt_slot *s = lnt_slots_find(&m->now, c);
    if (s && m->state <= LNT_MASTER_RUNNING) {
        /* Nobody waits for a server that keeps crashing. */
        if (m->state == LNT_MASTER_STARTING && (m->detached || m->older)) {
            s->child = NULL;
            give_up_for(m, c, status);
        } else {
            lnt_slot_retry(s, c);
        }
    } else if (s) {
        s->child = NULL;
    }
    settled(m);
}

static void
on_frame(struct lnt_master *m, struct lnt_child *c, const struct lnt_frame *f)
{
    if (f->type == LNT_FRAME_GIVEN) {
        lnt_moves_given(c);
        settled(m);
        return;
    }
    if (lnt_queries_frame(m, c, f))
        return;
    if (f->type == LNT_FRAME_BROADCAST) {
        lnt_broadcast_pass_on(m, c, f->payload);
    } else if (f->type == LNT_FRAME_RELOAD) {
        reload(m, NULL);
    } else {
        lnt_log_warn("worker %u sent %s, which is not for the master", c->slot,
                     lnt_frame_names[f->type]);
    }
}

static const struct lnt_child_events child_events = {
    .ready = on_ready,
    .failed = on_failed,
    .ended = on_ended,
    .frame = on_frame,
};

/* ---- housekeeping ---- */

static bool
on_turn(void *arg)
{
    struct lnt_master *m = arg;
    lnt_flusher_check(&m->flusher);
    return false;
}

enum { SWEEP_EVERY = 10000, LEVEL_EVERY = 2000 };

static void
on_level(struct lnt_timer *t)
{
    struct lnt_master *m = LNT_OWNER(t, struct lnt_master, level_timer);
    if (m->state == LNT_MASTER_RUNNING && !m->bringup && !m->upgrade) {
        lnt_moves_trim(m);
        if (m->now.config->server->rebalance && !m->bringup)
            lnt_moves_level(m);
    }
    lnt_timer_at(m->loop, t, lnt_loop_now(m->loop) + LEVEL_EVERY);
}

static void
on_sweep(struct lnt_timer *t)
{
    struct lnt_master *m = LNT_OWNER(t, struct lnt_master, sweep_timer);
    /* Workers whose master was killed have nobody else who releases their
       cells. */
    if (!m->neighbour && !m->older && !m->upgrade && !m->upgraded)
        lnt_child_release_dead(m);
    lnt_zone_sweep(m->zone);
    lnt_zone_rebuild(m->zone);
    lnt_doorbells_ring(m->doorbells, m->zone);
    lnt_timer_at(m->loop, t, lnt_loop_now(m->loop) + SWEEP_EVERY);
}

/* ---- signals ---- */

static void
on_other_child(struct lnt_master *m, pid_t pid, int status)
{
    char how[96];
    if (!lnt_keepers_reap(m, pid, status) && !lnt_upgrade_reap(m, pid, status))
        lnt_log_debug("process %d %s", (int)pid,
                      lnt_child_how(status, how, sizeof(how)));
}

static void
drain_workers(struct lnt_master *m)
{
    /* At a reload or an upgrade, also one that waits, they end anyway, and their
       connections move. */
    if (m->state != LNT_MASTER_RUNNING || m->bringup || m->upgrade ||
        m->reload_again || m->upgrade_again)
        return;
    lnt_log_notice("draining all workers; a reload brings new ones");
    m->state = LNT_MASTER_IDLE;
    for (size_t i = 0; i < m->now.nslots; i++)
        lnt_timer_stop(m->loop, &m->now.slots[i].timer);
    for (struct lnt_child *c = m->children; c; c = c->next)
        lnt_child_end(c, false);
}

static void
take_signal(struct lnt_master *m, int n)
{
    switch (n) {
    case SIGCHLD:
        lnt_children_reap(m, on_other_child);
        break;
    case SIGHUP:
        reload(m, NULL);
        break;
    case SIGUSR1:
        reopen(m, NULL);
        break;
    case SIGUSR2:
        lnt_upgrade_start(m, false, NULL);
        break;
    case SIGWINCH:
        /* A terminal sends it for every change of its size. */
        if (!isatty(STDIN_FILENO))
            drain_workers(m);
        break;
    case SIGQUIT:
        lnt_ending_begin(m, false, NULL);
        break;
    case SIGTERM:
    case SIGINT:
        lnt_ending_begin(m, true, NULL);
        break;
    }
}

static void
on_signal(struct lnt_watch *w, uint32_t events)
{
    struct lnt_master *m = LNT_OWNER(w, struct lnt_master, signals);
    int n;
    (void)events;
    while ((n = lnt_signals_read(w->fd, NULL)) > 0)
        take_signal(m, n);
}

/* ---- the beginning ---- */

static int
watch_signals(struct lnt_master *m)
{
    static const int signals[] = {SIGCHLD,  SIGHUP,  SIGUSR1, SIGUSR2,
                                  SIGWINCH, SIGQUIT, SIGTERM, SIGINT};
    lnt_signals_ignore();
    m->signals.fn = on_signal;
    m->signals.fd =
        lnt_signals_open(signals, sizeof(signals) / sizeof(signals[0]));
    if (m->signals.fd < 0)
        return -1;
    return lnt_watch_add(m->loop, &m->signals, EPOLLIN);
}

static int
share_memory(struct lnt_master *m, const struct lnt_config *c,
             struct lnt_strbuf *why)
{
    m->zone_is_new = !m->zone;
    if (!m->zone) {
        struct lnt_strbuf text = LNT_STRBUF_INIT;
        m->zone = lnt_zone_create(c->server->zone_size, &text);
        if (!m->zone) {
            lnt_place_add(c, "server", "zone_size", why);
            lnt_strbuf_adds(why, text.p);
        }
        lnt_strbuf_release(&text);
    }
    if (!m->zone)
        return -1;
    if (lnt_doorbells_make(m->doorbells, c, m->zone) < 0) {
        lnt_strbuf_addf(why, "doorbells: %s", strerror(errno));
        return -1;
    }
    lnt_lock_watch_start(m);
    lnt_log_count(lnt_zone_log_lost(m->zone));
    lnt_timer_at(m->loop, &m->sweep_timer, lnt_loop_now(m->loop) + SWEEP_EVERY);
    on_level(&m->level_timer); /* sets itself */
    return 0;
}

static int
open_control(struct lnt_master *m, const struct lnt_config *c,
             struct lnt_strbuf *why)
{
    m->control = lnt_control_open(m, c->control_path);
    if (m->control && (m->older || lnt_control_publish(m->control) == 0))
        return 0;
    int error = errno;
    lnt_place_add(c, "server", "run_dir", why);
    lnt_strbuf_addf(why, "control socket %s: %s", c->control_path,
                    strerror(error));
    return -1;
}

static int
set_up(struct lnt_master *m, struct lnt_config *c, struct lnt_strbuf *why)
{
    int rc = -1;
    if (watch_signals(m) < 0)
        lnt_strbuf_addf(why, "signals: %s", strerror(errno));
    else if (lnt_takeover_receive(m, why) == 0 &&
             lnt_run_files_take(m, c, why) == 0 &&
             share_memory(m, c, why) == 0 && open_control(m, c, why) == 0) {
        rc = lnt_bringup_first(m, c, why);
        c = NULL; /* owned by the generation */
    }
    lnt_config_free(c);
    return rc;
}

static void
tear_down(struct lnt_master *m)
{
    if (m->control)
        lnt_control_close(m->control, !m->handed_over);
    lnt_slots_free(m, &m->now);
    /* The files of those that are still the older binary's stay. */
    lnt_sockets_close(&m->now.sockets, &m->inherited, !m->handed_over);
    lnt_sockets_close(&m->inherited, NULL, false);
    lnt_run_files_release(m);
    /* Nothing of ours is left: those who wait may know. */
    lnt_askers_tell(&m->end_askers, true, "ended");
    lnt_requests_free(m->requests);
    lnt_control_finish(m->control);
    lnt_control_free(m->control);
    lnt_dict_release(&m->dict);
    if (m->now.access_fd >= 0)
        close(m->now.access_fd);
    lnt_config_free(m->now.config);
    lnt_lock_watch_stop(m);
    lnt_log_end(); /* counts in the zone */
    lnt_zone_close(m->zone);
    lnt_doorbells_free(m->doorbells);
    free(m->last_reload.error);
    free(m->zone_refused);
    free(m->older_givers);
    if (m->older) {
        lnt_channel_close(m->older);
        free(m->older);
    }
    if (m->signals.fd >= 0)
        close(m->signals.fd);
    lnt_flusher_stop(&m->flusher);
    lnt_loop_destroy(m->loop);
}

int
lnt_server_run(const struct lnt_run_params *p)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_master m = {
        .source = p->source,
        .info = p->info,
        .binary = p->binary,
        .argv = p->argv,
        .bond = lnt_process_bond(),
        .signals.fd = -1,
        .sweep_timer.fn = on_sweep,
        .level_timer.fn = on_level,
        .now.access_fd = -1,
        .files = LNT_RUN_FILES_INIT,
        .events = &child_events,
        .keeper_events = &lnt_store_events,
        .commands = &commands,
    };
    m.doorbells = lnt_doorbells_new();
    m.detached = p->detach && m.bond != LNT_BOND_INIT;
    lnt_log_stderr_too(true);
    (void)lnt_process_nofile(UINT64_MAX); /* ours; workers set their own */
    if (m.detached) {
        if (lnt_daemon_detach() < 0) {
            lnt_log_error("cannot detach, for which /dev/null is needed: %s",
                          strerror(errno));
            return FAILED;
        }
        m.bond = LNT_BOND_NONE; /* whoever started us knows another process */
    }
    p->info->master_pid = (int32_t)getpid();
    lnt_title_set(LNT_MASTER_TITLE);
    m.loop = lnt_loop_new();
    if (!m.loop) {
        lnt_log_error("event loop: %s", strerror(errno));
        return FAILED;
    }
    lnt_flusher_init_log(&m.flusher, m.loop);
    lnt_loop_set_hook(m.loop,
                      &(struct lnt_loop_hook){.turn = on_turn, .arg = &m});
    m.requests = lnt_requests_new(m.loop);
    lnt_dict_init(&m.dict);
    if (set_up(&m, p->config, &why) < 0)
        lnt_ending_give_up(&m, why.n ? why.p : "no reason given");
    else if (p->detach && !m.detached)
        lnt_log_warn("process 1 does not detach (-d, daemon = on), as its "
                     "container would end: it runs in the foreground");
    lnt_strbuf_release(&why);
    lnt_flusher_check(&m.flusher);
    if (lnt_loop_run(m.loop) < 0) {
        lnt_log_alert("the event loop failed: %s", strerror(errno));
        m.exit_status = FAILED;
    }
    if (m.exit_status == STARTED)
        lnt_log_notice("ended");
    tear_down(&m);
    lnt_daemon_ready(m.exit_status);
    return m.exit_status;
}
