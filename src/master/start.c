/*
 * The beginning of a process that the master has forked: what it does not need
 * is closed, and its main function is called.
 */
#include "master/start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "ipc/forked.h"
#include "master/child.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "os/fds.h"
#include "os/process.h"
#include "store/process.h"
#include "worker/worker.h"
#include "zone/zone.h"

static int (*const mains[LNT_KINDS])(const struct lnt_start *) = {
    [LNT_KIND_WORKER] = lnt_worker_run,
    [LNT_KIND_STORE] = lnt_store_run,
};

static struct lnt_start_socket *
sockets_of(const struct lnt_generation *g)
{
    struct lnt_start_socket *v = lnt_calloc(g->sockets.n + 1, sizeof(v[0]));
    for (size_t i = 0; i < g->sockets.n; i++) {
        v[i].fd = g->sockets.v[i].fd;
        v[i].endpoint = g->sockets.v[i].listen->endpoint;
    }
    return v;
}

/* Only what it needs stays open; above all no end of anybody else's channel, and
   with a helper no listening socket. */
static void
keep_fds(const struct lnt_master *m, const struct lnt_generation *g,
         bool worker, int channel)
{
    size_t n = 0;
    int *keep = lnt_calloc(LNT_CELLS + g->sockets.n + 8, sizeof(int));
    for (size_t i = 0; i < LNT_CELLS; i++)
        keep[n++] = m->doorbells[i];
    for (size_t i = 0; worker && i < g->sockets.n; i++)
        keep[n++] = g->sockets.v[i].fd;
    keep[n++] = channel;
    keep[n++] = lnt_zone_fd(m->zone);
    keep[n++] = lnt_log_fd();
    keep[n++] = lnt_log_socket();
    if (worker)
        keep[n++] = g->access_fd;
    lnt_fds_keep(keep, n);
    free(keep);
}

/* One of a generation to come writes to that one's log from its first line. */
static void
open_log(const struct lnt_log_conf *conf)
{
    if (lnt_log_open(conf->error, conf->format == 1) < 0)
        lnt_log_error("cannot open log %s: %s", conf->error, strerror(errno));
    lnt_log_level((enum lnt_level)conf->level);
}

_Noreturn void
lnt_start(const struct lnt_master *m, const struct lnt_generation *g,
          const struct lnt_slot *s, const struct lnt_child *c, int channel,
          unsigned how)
{
    lnt_lock_watch_forked(m);
    lnt_log_forked();
    keep_fds(m, g, c->kind == LNT_KIND_WORKER, channel);
    lnt_signals_forked();
    if (g != &m->now)
        open_log(g->config->log);
    struct lnt_start_socket *sockets = sockets_of(g);
    struct lnt_server_info info = *m->info;
    info.generation = g->number;
    info.workers = (uint32_t)g->config->server->workers;
    info.access_fd = g->access_fd;
    info.access_syslog = strcmp(g->config->log->access, "syslog") == 0;
    info.access_json = g->config->log->format == 1;
    struct lnt_start start = {
        .config = g->config,
        .info = &info,
        .zone = m->zone,
        .doorbells = m->doorbells,
        .channel = channel,
        .slot = c->slot,
        .cell = c->cell,
        .incarnation = c->incarnation,
        .generation = g->number,
        .before_cell = s->last_cell,
        .before_incarnation = s->last_incarnation,
        .sockets = sockets,
        .nsockets = g->sockets.n,
        .siblings = info.workers,
        .load = how & LNT_START_LOAD,
        .wait = how & LNT_START_WAIT,
        .strict = how & LNT_START_STRICT,
    };
    int status = mains[c->kind](&start);
    lnt_log_end();
    free(sockets);
    exit(status);
}
