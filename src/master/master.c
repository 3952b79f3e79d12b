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

#include "config/place.h"
#include "core/log.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "ipc/requests.h"
#include "master/bringup.h"
#include "master/control.h"
#include "master/doorbells.h"
#include "master/ending.h"
#include "master/logs.h"
#include "master/moves.h"
#include "master/run.h"
#include "master/slots.h"
#include "master/takeover.h"
#include "master/upgrade.h"
#include "os/memory.h"
#include "os/process.h"
#include "zone/zone.h"

enum { STARTED = 0, FAILED = LNT_ENDING_FAILED };

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
    lnt_helpers_begin(m);
    lnt_sockets_settle(&m->now.sockets);
    for (size_t i = 0; i < m->now.nslots; i++)
        lnt_child_begin(m->now.slots[i].child);
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

/* The first generation: helpers, then workers, then it serves. */
static void
step_start(struct lnt_master *m)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool all = m->now.slots && lnt_helpers_are_ready(m);
    if (!m->now.slots && lnt_helpers_are_ready(m) &&
        lnt_bringup_workers(m, &why) < 0)
        lnt_ending_give_up(m, why.p);
    for (size_t i = 0; all && i < m->now.nslots; i++) {
        const struct lnt_child *c = m->now.slots[i].child;
        all = c && c->state == LNT_CHILD_READY;
    }
    if (all)
        started(m);
    lnt_strbuf_release(&why);
}

/* Processes that were spawned again begin as soon as they are ready. */
static void
begin_respawned(struct lnt_master *m)
{
    lnt_helpers_begin(m);
    for (size_t i = 0; m->state == LNT_MASTER_RUNNING && i < m->now.nslots;
         i++) {
        struct lnt_child *c = m->now.slots[i].child;
        if (!c || c->state != LNT_CHILD_READY)
            continue;
        lnt_child_begin(c);
        lnt_moves_link_new(m, c);
    }
}

/* One has said that it cannot start; it ends by itself. */
static void
judge_failure(struct lnt_master *m, struct lnt_child *c)
{
    const struct lnt_helper *h = lnt_helpers_find(m, c);
    bool first = m->state == LNT_MASTER_STARTING && !(h && h->used);
    c->judged = true;
    if (c->kind == LNT_KIND_WORKER)
        lnt_log_error("%s: %s", c->name, c->failed);
    if (first)
        lnt_ending_give_up(m, c->failed);
    else if (h && h->coming != c)
        lnt_log_error("%s", c->failed);
}

static void
give_up_for(struct lnt_master *m, const struct lnt_child *c)
{
    char how[96];
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&why, "%s %s%s", c->name,
                    lnt_child_how(c->status, how, sizeof(how)),
                    c->late ? ": it did not get ready within start_timeout"
                            : " before it was ready");
    lnt_ending_give_up(m, why.p);
    lnt_strbuf_release(&why);
}

static void
judge_end_of_worker(struct lnt_master *m, const struct lnt_child *c)
{
    struct lnt_slot *s = lnt_slots_find(&m->now, c);
    if (!s)
        return;
    s->child = NULL;
    if (m->state > LNT_MASTER_RUNNING)
        return;
    /* Nobody waits for a server that keeps crashing. */
    if (m->state == LNT_MASTER_STARTING && (m->detached || m->older))
        give_up_for(m, c);
    else
        lnt_slot_retry(s, c);
}

static void
judge_end(struct lnt_master *m, struct lnt_child *c)
{
    struct lnt_helper *h = lnt_helpers_find(m, c);
    if (c->kind == LNT_KIND_WORKER) {
        judge_end_of_worker(m, c);
    } else if (!h) {
        lnt_upgrade_ended(m, c);
    } else if (lnt_helpers_ended(m, c) && m->state < LNT_MASTER_QUITTING) {
        if (m->state == LNT_MASTER_STARTING && !h->used)
            give_up_for(m, c);
        else
            lnt_slot_retry(&h->slot, c);
    }
    lnt_child_free(c);
}

static void
judge_failures(struct lnt_master *m)
{
    LNT_LIST_EACH(&m->children, struct lnt_child, c, node)
        if (c->failed && !c->judged)
            judge_failure(m, c);
}

/* What is judged may bring others into the list, in front. */
static void
judge_ends(struct lnt_master *m)
{
    LNT_LIST_EACH(&m->children, struct lnt_child, c, node)
        if (c->state == LNT_CHILD_ENDED)
            judge_end(m, c);
}

/* ---- changes ---- */

/* The oldest one that waits, as long as none goes on, no connections move and
   the zone can be had. */
static void
begin_changes(struct lnt_master *m)
{
    struct lnt_change *c;
    while (!m->changes.now && m->changes.waiting) {
        if ((c = lnt_changes_take(m, LNT_CHANGE_REOPEN))) {
            free(c);
            lnt_logs_reopen(m, NULL);
            continue;
        }
        if (lnt_moves_going(m) || !lnt_lock_ready(m))
            return;
        c = lnt_changes_take(m, m->changes.waiting->kind);
        m->changes.now = c;
        if (c->kind == LNT_CHANGE_RELOAD)
            lnt_bringup_begin(m, c->workers);
        else
            lnt_upgrade_begin(m, c->new_zone);
    }
}

static void
begin_end(struct lnt_master *m)
{
    const struct lnt_change *c = m->changes.end;
    if (c && (m->state < LNT_MASTER_QUITTING ||
              (m->state == LNT_MASTER_QUITTING && c->at_once)))
        lnt_ending_begin(m, c->at_once);
}

/* What follows from all that has happened in this turn. */
static void
decide(struct lnt_master *m)
{
    judge_failures(m);
    lnt_bringup_step(m);
    judge_ends(m);
    if (m->state == LNT_MASTER_STARTING)
        step_start(m);
    else
        begin_respawned(m);
    begin_end(m);
    lnt_upgrade_step(m);
    if (m->state == LNT_MASTER_RUNNING || m->state == LNT_MASTER_IDLE)
        begin_changes(m);
    lnt_ending_step(m);
}

/* ---- housekeeping ---- */

static bool
on_turn(void *arg)
{
    struct lnt_master *m = arg;
    decide(m);
    lnt_flusher_check(&m->flusher);
    return false;
}

enum { SWEEP_EVERY = 10000, LEVEL_EVERY = 2000 };

static void
on_level(struct lnt_timer *t)
{
    struct lnt_master *m = LNT_OWNER(t, struct lnt_master, level_timer);
    if (m->state == LNT_MASTER_RUNNING && !m->changes.now && !m->handed_over) {
        lnt_moves_trim(m);
        if (m->now.config->server->rebalance)
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
drain_workers(struct lnt_master *m)
{
    /* At a reload or an upgrade, also one that waits, they end anyway, and their
       connections move. */
    struct lnt_child *c = NULL;
    if (m->state != LNT_MASTER_RUNNING || lnt_changes_any(m))
        return;
    lnt_log_notice("draining all workers; a reload brings new ones");
    m->state = LNT_MASTER_IDLE;
    lnt_slots_stop(m, &m->now);
    while ((c = lnt_worker_next(m, c)))
        lnt_child_end(c, false);
}

static void
ask(struct lnt_master *m, struct lnt_change c)
{
    lnt_changes_ask(m, &c, NULL);
}

static void
take_signal(struct lnt_master *m, int n)
{
    switch (n) {
    case SIGCHLD:
        lnt_children_reap(m);
        break;
    case SIGHUP:
        ask(m, (struct lnt_change){.kind = LNT_CHANGE_RELOAD});
        break;
    case SIGUSR1:
        lnt_logs_reopen(m, NULL);
        break;
    case SIGUSR2:
        ask(m, (struct lnt_change){.kind = LNT_CHANGE_UPGRADE});
        break;
    case SIGWINCH:
        /* A terminal sends it for every change of its size. */
        if (!isatty(STDIN_FILENO))
            drain_workers(m);
        break;
    case SIGQUIT:
        ask(m, (struct lnt_change){.kind = LNT_CHANGE_END});
        break;
    case SIGTERM:
    case SIGINT:
        ask(m, (struct lnt_change){.kind = LNT_CHANGE_END, .at_once = true});
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
    lnt_changes_release(m);
    lnt_requests_free(m->requests);
    /* A newer master, which lives on. */
    LNT_LIST_EACH(&m->children, struct lnt_child, c, node) {
        lnt_child_free(c);
    }
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
    lnt_helpers_init(&m);
    if (set_up(&m, p->config, &why) < 0)
        lnt_ending_give_up(&m, why.n ? why.p : "no reason given");
    else if (p->detach && !m.detached)
        lnt_log_warn("process 1 does not detach (-d, daemon = on), as its "
                     "container would end: it runs in the foreground");
    lnt_strbuf_release(&why);
    (void)on_turn(&m);
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
