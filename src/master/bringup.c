/*
 * Generations.  A new one is complete before the old one is touched: the
 * configuration checked, the sockets open, the logs open, every worker set up
 * but none accepting.  Then, in one step, the new ones are let loose and the
 * old ones told to drain.
 */
#include "master/bringup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/access.h"
#include "config/place.h"
#include "core/conf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/askers.h"
#include "master/child.h"
#include "master/doorbells.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/moves.h"
#include "master/run_files.h"
#include "master/slots.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"

struct lnt_bringup {
    struct lnt_generation next;
    size_t ready;
    struct lnt_asker *askers;
};

static void start_reload(struct lnt_master *m, struct lnt_asker *askers);

static void
make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return;
    char *dir = lnt_strndup(path, (size_t)(slash - path));
    (void)lnt_file_mkdirs(dir, 0755); /* the open that follows says why */
    free(dir);
}

/* The access log's descriptor; -1 for off, -2 after an error. */
static int
open_access(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    if (strcmp(c->log->access, "off") == 0)
        return -1;
    if (c->log->access[0] == '/')
        make_parent(c->log->access);
    int fd = lnt_access_open(c->log->access);
    if (fd >= 0)
        return fd;
    int error = errno;
    lnt_place_add(c, "log", "access", errors);
    lnt_strbuf_addf(errors, "cannot open access log %s: %s\n", c->log->access,
                    strerror(error));
    return -2;
}

static int
cannot_open_log(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    int error = errno;
    lnt_place_add(c, "log", "error", errors);
    lnt_strbuf_addf(errors, "cannot open log %s: %s\n", c->log->error,
                    strerror(error));
    return -1;
}

static int
open_log(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    if (c->log->error[0] == '/')
        make_parent(c->log->error);
    if (lnt_log_open(c->log->error, c->log->format == 1) == 0) {
        lnt_log_level((enum lnt_level)c->log->level);
        return 0;
    }
    return cannot_open_log(c, errors);
}

/* Whether the log of a new generation could be opened; it is only switched to
   when that one takes over. */
static int
try_log(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    if (c->log->error[0] != '/')
        return 0;
    make_parent(c->log->error);
    int fd = lnt_file_append(c->log->error);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    return cannot_open_log(c, errors);
}

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
    if (open_log(config, errors) < 0)
        return -1;
    lnt_config_log_warnings(config);
    if (lnt_sockets_open(&g->sockets, config, &m->inherited, errors) < 0)
        return -1;
    g->access_fd = open_access(config, errors);
    if (g->access_fd == -2)
        return -1;
    m->info->generation = number;
    /* The history comes before those who would add to it. */
    int store = lnt_keepers_first(m, m->zone_is_new, errors);
    return store == 0 ? lnt_bringup_workers(m, errors) : store < 0 ? -1 : 0;
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
    struct lnt_bringup *b = m->bringup;
    struct lnt_asker *askers = b->askers;
    m->bringup = NULL;
    free(b);
    note_result(m, ok, text);
    lnt_sd_notify("READY=1");
    lnt_askers_tell(&askers, ok, text);
    m->commands->settled(m);
}

void
lnt_bringup_next(struct lnt_master *m)
{
    struct lnt_asker *waiting = m->reload_askers;
    if (!m->reload_again || m->bringup || m->upgrade ||
        m->state > LNT_MASTER_IDLE || lnt_moves_going(m) || !lnt_lock_ready(m))
        return;
    m->reload_again = false;
    m->reload_askers = NULL;
    start_reload(m, waiting);
}

static void
abandon(struct lnt_master *m, const char *text)
{
    struct lnt_bringup *b = m->bringup;
    for (struct lnt_child *c = m->children; c; c = c->next)
        if (lnt_slots_find(&b->next, c))
            lnt_child_end(c, true);
    lnt_keepers_abandon(m);
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
    for (struct lnt_child *c = m->children; c; c = c->next) {
        if (lnt_slots_find(&m->now, c))
            lnt_child_start(c);
        else if (c->state != LNT_CHILD_DRAINING)
            lnt_child_end(c, false);
    }
    struct lnt_strbuf problem = LNT_STRBUF_INIT;
    if (open_log(m->now.config, &problem) < 0)
        lnt_log_error("%s", problem.p);
    lnt_strbuf_release(&problem);
    lnt_config_log_warnings(m->now.config);
    lnt_keepers_swap(m, old.config);
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
load_config(struct lnt_master *m, struct lnt_strbuf *errors)
{
    struct lnt_config_source source = *m->source;
    struct lnt_strbuf workers = LNT_STRBUF_INIT;
    const char **overrides =
        lnt_calloc(source.noverrides + 1, sizeof(overrides[0]));
    for (size_t i = 0; i < source.noverrides; i++)
        overrides[i] = source.overrides[i];
    if (m->workers) {
        lnt_strbuf_addf(&workers, "server.workers=%lld", (long long)m->workers);
        overrides[source.noverrides++] = workers.p;
    }
    source.overrides = overrides;
    m->workers = 0;
    struct lnt_config *c = lnt_config_load(&source, errors);
    free(overrides);
    lnt_strbuf_release(&workers);
    return c;
}

static int
prepare(struct lnt_master *m, struct lnt_generation *g,
        struct lnt_strbuf *errors)
{
    g->access_fd = -1;
    g->config = load_config(m, errors);
    if (!g->config || check_fixed(m->now.config, g->config, errors) < 0)
        return -1;
    if (lnt_sockets_open(&g->sockets, g->config, &m->now.sockets, errors) < 0)
        return -1;
    if (try_log(g->config, errors) < 0)
        return -1;
    g->access_fd = open_access(g->config, errors);
    if (g->access_fd == -2)
        return -1;
    if (lnt_keepers_prepare(m, g, errors) < 0)
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

static void
start_reload(struct lnt_master *m, struct lnt_asker *askers)
{
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    struct lnt_bringup *b = lnt_calloc(1, sizeof(*b));
    b->askers = askers;
    /* Children of a failed try may still be ending, and are told apart from
       ours by their slot's child, not by the number. */
    b->next.number = m->now.number + 1;
    m->bringup = b;
    lnt_log_notice("reloading the configuration");
    lnt_sd_notify("RELOADING=1");
    lnt_run_files_restore(m);
    if (prepare(m, &b->next, &errors) < 0) {
        trim_newlines(&errors);
        abandon(m, errors.p);
    }
    lnt_strbuf_release(&errors);
}

void
lnt_bringup_reload(struct lnt_master *m, struct lnt_asker *a)
{
    if (m->bringup || lnt_moves_going(m) || !lnt_lock_ready(m)) {
        m->reload_again = true;
        lnt_askers_add(&m->reload_askers, a);
        return;
    }
    struct lnt_asker *askers = NULL;
    lnt_askers_add(&askers, a);
    start_reload(m, askers);
}

static void
swap_when_complete(struct lnt_master *m)
{
    struct lnt_bringup *b = m->bringup;
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    if (b->ready != b->next.nslots || !lnt_keepers_prepared(m))
        return;
    if (lnt_sockets_listen(&b->next.sockets, &errors) == 0) {
        swap(m);
    } else {
        trim_newlines(&errors);
        abandon(m, errors.p);
    }
    lnt_strbuf_release(&errors);
}

bool
lnt_bringup_ready(struct lnt_master *m, struct lnt_child *c)
{
    struct lnt_bringup *b = m->bringup;
    if (!b || !lnt_slots_find(&b->next, c))
        return false;
    b->ready++;
    swap_when_complete(m);
    return true;
}

void
lnt_bringup_store_ready(struct lnt_master *m)
{
    if (m->bringup)
        swap_when_complete(m);
}

void
lnt_bringup_cancel_for(struct lnt_master *m, const char *why)
{
    if (m->bringup)
        abandon(m, why);
}

bool
lnt_bringup_failed(struct lnt_master *m, struct lnt_child *c, const char *why)
{
    struct lnt_bringup *b = m->bringup;
    if (!b || !lnt_slots_find(&b->next, c))
        return false;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&text, "new worker %u: %s", c->slot, why);
    abandon(m, text.p);
    lnt_strbuf_release(&text);
    return true;
}

bool
lnt_bringup_ended(struct lnt_master *m, struct lnt_child *c, int status)
{
    struct lnt_bringup *b = m->bringup;
    if (!b || !lnt_slots_find(&b->next, c))
        return false;
    char how[96];
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&text, "new worker %u %s%s", c->slot,
                    lnt_child_how(status, how, sizeof(how)),
                    c->late ? ": it did not get ready within start_timeout"
                            : " before it was ready");
    abandon(m, text.p);
    lnt_strbuf_release(&text);
    return true;
}

void
lnt_bringup_cancel(struct lnt_master *m, const char *why)
{
    m->reload_again = false;
    lnt_askers_tell(&m->reload_askers, false, why);
    if (m->bringup)
        abandon(m, why);
}
