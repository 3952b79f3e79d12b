/*
 * Generations.  A new one is complete before the old one is touched: the
 * configuration checked, the sockets open, the logs open, every worker set up
 * but none accepting.  Then, in one step, the new ones are let loose and the
 * old ones told to drain.
 */
#include "master/bringup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/doorbells.h"
#include "master/lock_watch.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/moves.h"
#include "master/run_files.h"
#include "master/slots.h"
#include "os/clock.h"
#include "os/process.h"

struct lnt_bringup {
    struct lnt_generation next;
};

static void
free_generation(struct lnt_master *m, struct lnt_generation *g,
                const struct lnt_generation *keep)
{
    lnt_slots_free(m, g);
    lnt_sockets_close(&g->sockets, keep ? &keep->sockets : NULL, true);
    if (g->access_fd >= 0)
        close(g->access_fd);
    lnt_config_free(g->config);
    *g = (struct lnt_generation){.access_fd = -1};
}

int
lnt_bringup_first(struct lnt_master *m, struct lnt_config *config,
                  struct lnt_strbuf *errors)
{
    struct lnt_generation *g = &m->now;
    uint32_t number = g->number + 1; /* an older binary may have had some */
    *g = (struct lnt_generation){
        .config = config, .number = number, .access_fd = -1};
    if (lnt_logs_open(config, errors) < 0)
        return -1;
    lnt_config_log_warnings(config);
    if (lnt_sockets_open(&g->sockets, config, &m->inherited, errors) < 0 ||
        lnt_logs_open_access(g, errors) < 0)
        return -1;
    m->info->generation = number;
    /* The history comes before those who would add to it. */
    if (lnt_helpers_first(m, m->zone_is_new, errors) < 0)
        return -1;
    return lnt_helpers_are_ready(m) ? lnt_bringup_workers(m, errors) : 0;
}

/* errno says why a worker could not be started. */
static void
tell_why_not(const struct lnt_master *m, struct lnt_strbuf *errors)
{
    int error = errno;
    if (error != EUSERS) {
        lnt_strbuf_adds(errors, "cannot start a worker: ");
        lnt_lock_why_not(m, error, errors);
        lnt_strbuf_addc(errors, '\n');
        return;
    }
    lnt_strbuf_addf(errors,
                    "cannot start a worker: there is room for %u processes, "
                    "those that a reload replaces among them\n",
                    lnt_doorbells_count(m->doorbells));
}

int
lnt_bringup_workers(struct lnt_master *m, struct lnt_strbuf *errors)
{
    lnt_slots_make(m, &m->now);
    if (lnt_slots_fill(m, &m->now) == 0)
        return 0;
    tell_why_not(m, errors);
    return -1;
}

/* ---- reload ---- */

static void
note_result(struct lnt_master *m, bool ok, const char *text)
{
    free(m->last_reload.error);
    m->last_reload = (struct lnt_last_reload){
        .any = true,
        .ok = ok,
        .time_us = lnt_clock_wall_us(),
        .error = ok ? NULL : lnt_strdup(text),
    };
    if (ok) {
        lnt_log_notice("%s", text);
        return;
    }
    char head[64];
    snprintf(head, sizeof(head), "reload failed, generation %u goes on",
             m->now.number);
    lnt_reason_log(head, text);
}

static void
finish(struct lnt_master *m, bool ok, const char *text)
{
    free(m->bringup);
    m->bringup = NULL;
    note_result(m, ok, text);
    lnt_sd_notify("READY=1");
    lnt_changes_done(m, ok, text);
}

static void
abandon(struct lnt_master *m, const char *text)
{
    struct lnt_bringup *b = m->bringup;
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        if (lnt_slots_find(&b->next, c))
            lnt_child_end(c, true);
    lnt_helpers_abandon(m);
    free_generation(m, &b->next, &m->now);
    finish(m, false, text);
}

static void
swap(struct lnt_master *m)
{
    struct lnt_bringup *b = m->bringup;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    struct lnt_generation old = m->now;
    m->now = b->next;
    m->info->generation = m->now.number;
    lnt_sockets_settle(&m->now.sockets);
    lnt_moves_link(m);
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c))) {
        if (lnt_slots_find(&m->now, c))
            lnt_child_begin(c);
        else if (c->state != LNT_CHILD_DRAINING)
            lnt_child_end(c, false);
    }
    struct lnt_strbuf problem = LNT_STRBUF_INIT;
    if (lnt_logs_open(m->now.config, &problem) < 0)
        lnt_log_error("%s", problem.p);
    lnt_strbuf_release(&problem);
    lnt_config_log_warnings(m->now.config);
    lnt_helpers_swap(m, old.config);
    free_generation(m, &old, &m->now);
    if (m->state == LNT_MASTER_IDLE)
        m->state = LNT_MASTER_RUNNING;
    lnt_strbuf_addf(&text, "reloaded, generation %u", m->now.number);
    finish(m, true, text.p);
    lnt_strbuf_release(&text);
}

/* What can only be set when the server starts. */
static int
check_fixed(const struct lnt_config *now, const struct lnt_config *next,
            struct lnt_strbuf *errors)
{
    if (strcmp(now->server->run_dir, next->server->run_dir) != 0)
        lnt_strbuf_addf(errors,
                        "[server] run_dir cannot change in a reload (it is "
                        "%s); restart for that\n",
                        now->server->run_dir);
    if (now->server->zone_size != next->server->zone_size)
        lnt_strbuf_adds(errors, "[server] zone_size cannot change in a "
                                "reload; restart for that\n");
    return errors->n ? -1 : 0;
}

/* With the number of workers that an operator has asked for, if one has. */
static struct lnt_config *
load_config(struct lnt_master *m, int64_t number, struct lnt_strbuf *errors)
{
    struct lnt_config_source source = *m->source;
    struct lnt_strbuf workers = LNT_STRBUF_INIT;
    const char **overrides =
        lnt_calloc(source.noverrides + 1, sizeof(overrides[0]));
    for (size_t i = 0; i < source.noverrides; i++)
        overrides[i] = source.overrides[i];
    if (number) {
        lnt_strbuf_addf(&workers, "server.workers=%lld", (long long)number);
        overrides[source.noverrides++] = workers.p;
    }
    source.overrides = overrides;
    struct lnt_config *c = lnt_config_load(&source, errors);
    free(overrides);
    lnt_strbuf_release(&workers);
    return c;
}

static int
prepare(struct lnt_master *m, struct lnt_generation *g, int64_t workers,
        struct lnt_strbuf *errors)
{
    g->access_fd = -1;
    g->config = load_config(m, workers, errors);
    if (!g->config || check_fixed(m->now.config, g->config, errors) < 0 ||
        lnt_sockets_open(&g->sockets, g->config, &m->now.sockets, errors) < 0 ||
        lnt_logs_try(g->config, errors) < 0 ||
        lnt_logs_open_access(g, errors) < 0 ||
        lnt_helpers_prepare(m, g, errors) < 0)
        return -1;
    lnt_slots_make(m, g);
    if (lnt_slots_fill(m, g) == 0)
        return 0;
    tell_why_not(m, errors);
    return -1;
}

static void
trim_newlines(struct lnt_strbuf *b)
{
    while (b->n && b->p[b->n - 1] == '\n')
        b->p[--b->n] = '\0';
}

void
lnt_bringup_begin(struct lnt_master *m, int64_t workers)
{
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    struct lnt_bringup *b = lnt_calloc(1, sizeof(*b));
    /* Children of a failed try may still be ending, and are told apart from
       ours by their slot's child, not by the number. */
    b->next.number = m->now.number + 1;
    m->bringup = b;
    lnt_log_notice("reloading the configuration");
    lnt_sd_notify("RELOADING=1");
    lnt_run_files_restore(m);
    if (prepare(m, &b->next, workers, &errors) < 0) {
        trim_newlines(&errors);
        abandon(m, errors.p);
    }
    lnt_strbuf_release(&errors);
}

/* Why the reload fails, if this one has failed or ended. */
static void
add_failure(const struct lnt_child *c, struct lnt_strbuf *why)
{
    char how[96];
    if (!c->failed && c->state != LNT_CHILD_ENDED)
        return;
    if (c->kind == LNT_KIND_WORKER)
        lnt_strbuf_adds(why, "new ");
    if (!c->failed)
        lnt_strbuf_addf(why, "%s %s%s", c->name,
                        lnt_child_how(c->status, how, sizeof(how)),
                        c->late ? ": it did not get ready within start_timeout"
                                : " before it was ready");
    else if (c->kind == LNT_KIND_WORKER)
        lnt_strbuf_addf(why, "%s: %s", c->name, c->failed);
    else
        lnt_strbuf_adds(why, c->failed);
}

static bool
is_of(struct lnt_bringup *b, struct lnt_master *m, const struct lnt_child *c)
{
    const struct lnt_helper *h = lnt_helpers_find(m, c);
    return h ? h->coming == c : lnt_slots_find(&b->next, c) != NULL;
}

static void
swap_when_complete(struct lnt_master *m)
{
    struct lnt_bringup *b = m->bringup;
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    for (size_t i = 0; i < b->next.nslots; i++)
        if (b->next.slots[i].child->state != LNT_CHILD_READY)
            return;
    if (!lnt_helpers_prepared(m))
        return;
    if (lnt_sockets_listen(&b->next.sockets, &errors) == 0) {
        swap(m);
    } else {
        trim_newlines(&errors);
        abandon(m, errors.p);
    }
    lnt_strbuf_release(&errors);
}

void
lnt_bringup_step(struct lnt_master *m)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (!m->bringup)
        return;
    LNT_LIST_EACH(&m->children, struct lnt_child, c, node)
        if (why.n == 0 && is_of(m->bringup, m, c))
            add_failure(c, &why);
    if (why.n)
        abandon(m, why.p);
    else
        swap_when_complete(m);
    lnt_strbuf_release(&why);
}

void
lnt_bringup_cancel(struct lnt_master *m, const char *why)
{
    if (m->bringup)
        abandon(m, why);
}
