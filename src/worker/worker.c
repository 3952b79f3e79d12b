/*
 * A worker: everything that touches a client.  Sets up, waits for the shared
 * values, starts its modules and says READY; accepts
 * when told START, and ends when told QUIT or STOP or when the channel says
 * that the master is gone.
 */
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/privileges.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "hub/hub.h"
#include "ipc/forked.h"
#include "ipc/requests.h"
#include "net/accept_share.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/listener.h"
#include "net/module.h"
#include "net/net.h"
#include "os/fds.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/links.h"
#include "worker/mover.h"
#include "worker/requests.h"
#include "zone/zone.h"

struct worker {
    const struct lnt_start *start;
    struct lnt_server_info info;
    struct lnt_forked forked;
    struct lnt_worker_requests requests;
    struct lnt_net *net;
    struct lnt_hub *hub;
    struct lnt_module_ctx *ctx; /* one a module */
    size_t started;             /* modules whose worker_start has run */
    struct lnt_listener **listeners;
    size_t nlisteners;
    struct lnt_accept_share share;
    struct lnt_mover *mover; /* when there was a link */
    struct lnt_links *links; /* on demand */
    bool draining;
};

static void become_ready(struct worker *w);
static void on_frame(struct lnt_channel *c, const struct lnt_frame *f);
static void on_master_gone(struct lnt_channel *c, bool broken, const char *why);

static const struct lnt_channel_handler channel_handler = {
    .frame = on_frame, .closed = on_master_gone};

/* ---- the end ---- */

static void
on_idle(void *arg)
{
    struct worker *w = arg;
    lnt_loop_stop(w->forked.loop);
}

/* What the last of them have said may still be on its way. */
static void
on_drained(void *arg)
{
    struct worker *w = arg;
    lnt_hub_when_idle(w->hub, on_idle, w);
}

static void
close_listeners(struct worker *w)
{
    for (size_t i = 0; i < w->nlisteners; i++)
        lnt_listener_close(w->listeners[i]);
    w->nlisteners = 0;
}

static void
on_given(void *arg)
{
    struct worker *w = arg;
    /* A master that is gone does not hear it. */
    (void)lnt_channel_send(&w->forked.channel, LNT_FRAME_GIVEN, 0,
                           lnt_str("", 0), NULL, 0);
    if (lnt_net_count(w->net))
        lnt_log_info("draining %u connections that cannot move",
                     lnt_net_count(w->net));
    lnt_net_drain(w->net, w->start->config->server->shutdown_timeout,
                  on_drained, w);
}

/* What can move, moves to those who follow us; the rest ends. */
static void
drain(struct worker *w, const char *why)
{
    if (w->draining)
        return;
    w->draining = true;
    lnt_log_info("draining %u connections: %s", lnt_net_count(w->net), why);
    lnt_cell_set_state(w->forked.cell, LNT_CELL_DRAINING);
    lnt_hub_retire(w->hub);
    close_listeners(w);
    lnt_links_drain(w->links);
    if (lnt_mover_can_give(w->mover))
        lnt_mover_give_all(w->mover);
    else
        on_given(w);
}

/* true: it is one on demand. */
static bool
take_demanded(struct worker *w, const struct lnt_frame *f)
{
    int fd = f->nfds == 1 ? f->fds[0] : -1;
    bool answer = f->request != 0;
    if (answer)
        lnt_links_answer(w->links, f->request, fd, f->payload);
    else if (lnt_str_eq(f->payload, LNT_STR("take on demand")) && fd >= 0)
        lnt_links_take(w->links, fd);
    else
        return false;
    if (fd >= 0)
        f->fds[0] = -1;
    return true;
}

static void
take_link(struct worker *w, const struct lnt_frame *f)
{
    if (take_demanded(w, f))
        return;
    if (f->nfds != 1) {
        lnt_log_error("link to another worker: %s", strerror(EMFILE));
        return;
    }
    if (!w->mover)
        w->mover = lnt_mover_new(&(struct lnt_mover_params){
            .loop = w->forked.loop,
            .net = w->net,
            .hub = w->hub,
            .endpoints = w->start->config->endpoints,
            .patience = w->start->config->server->shutdown_timeout,
            .done = on_given,
            .arg = w,
        });
    if (lnt_str_eq(f->payload, LNT_STR("give some")))
        lnt_mover_link_some(w->mover, f->fds[0]);
    else if (lnt_str_eq(f->payload, LNT_STR("take foreign")))
        lnt_mover_link_foreign(w->mover, f->fds[0]);
    else
        lnt_mover_link(w->mover, f->fds[0],
                       lnt_str_eq(f->payload, LNT_STR("give")));
    f->fds[0] = -1;
}

static void
on_master_gone(struct lnt_channel *c, bool broken, const char *why)
{
    struct worker *w = LNT_OWNER(c, struct worker, forked.channel);
    lnt_log_warn("the master is %s (%s)", broken ? "not understood" : "gone",
                 why);
    lnt_channel_close(c);
    lnt_worker_requests_drop(&w->requests, "the master has ended");
    lnt_mover_alone(w->mover);
    drain(w, "the master is gone");
}

static void
give_some(struct worker *w, struct lnt_str payload)
{
    uint32_t n;
    if (w->draining || !lnt_mover_can_give(w->mover) ||
        !lnt_unpack_u32(&payload, &n))
        return;
    lnt_mover_give(w->mover, n);
}

/* ---- what the master says ---- */

static void
start_accepting(struct worker *w)
{
    if (w->draining || w->nlisteners)
        return;
    lnt_hub_serve(w->hub);
    /* First, so that siblings count with this one. */
    lnt_cell_set_state(w->forked.cell, LNT_CELL_READY);
    for (size_t i = 0; i < w->start->nsockets; i++) {
        struct lnt_listener *l =
            lnt_listener_open(w->net, w->start->sockets[i].fd,
                              w->start->sockets[i].endpoint, &w->share);
        if (l)
            w->listeners[w->nlisteners++] = l;
        else
            lnt_log_alert("%s: cannot listen: %s", "worker", strerror(errno));
    }
}

/* In place of the old one: modules remember the number, and a closed one would
   soon stand for a client.  0, or -1 with errno. */
static int
replace_access(struct worker *w, int fd)
{
    /* This worker is of a configuration without an access log. */
    if (w->info.access_fd < 0)
        return 0;
    return lnt_fd_replace(w->info.access_fd, fd);
}

/* NULL, or why not. */
static const char *
reopen_logs(struct worker *w, const struct lnt_frame *f)
{
    if (f->payload.n < 2)
        return NULL;
    /* Which of the two came along: a log may be no file. */
    bool error = f->payload.p[0] == 'e', access = f->payload.p[1] == 'a';
    size_t next = 0;
    if (f->nfds < (size_t)error + (size_t)access)
        return strerror(EMFILE);
    if (error) {
        lnt_log_take(f->fds[next]);
        f->fds[next++] = -1;
    }
    if (access && replace_access(w, f->fds[next]) < 0)
        return strerror(errno);
    for (size_t i = 0; i < w->started; i++)
        if (w->ctx[i].module->on_reopen)
            w->ctx[i].module->on_reopen(&w->ctx[i]);
    lnt_log_info("log files reopened");
    return NULL;
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct worker *w = LNT_OWNER(c, struct worker, forked.channel);
    if (lnt_worker_requests_frame(&w->requests, f))
        return;
    switch (f->type) {
    case LNT_FRAME_SNAPSHOT:
        become_ready(w);
        return;
    case LNT_FRAME_START:
        lnt_forked_started();
        start_accepting(w);
        return;
    case LNT_FRAME_QUIT:
        drain(w, "the master says so");
        return;
    case LNT_FRAME_STOP:
        lnt_loop_stop(w->forked.loop);
        return;
    case LNT_FRAME_REOPEN:
        lnt_requests_reply(c, f, reopen_logs(w, f));
        return;
    case LNT_FRAME_LEVEL:
        lnt_forked_level(f);
        lnt_requests_reply(c, f, NULL);
        return;
    case LNT_FRAME_LINK:
        take_link(w, f);
        return;
    case LNT_FRAME_GIVE:
        give_some(w, f->payload);
        return;
    case LNT_FRAME_READY:
    case LNT_FRAME_FAILED:
    case LNT_FRAME_RELOAD:
    case LNT_FRAME_BROADCAST:
    case LNT_FRAME_MOVE:
    case LNT_FRAME_GIVEN:
    case LNT_FRAME_MOVED:
    case LNT_FRAME_REQUEST:
    case LNT_FRAME_REPLY:
    case LNT_FRAME_SET:
    case LNT_FRAME_VALUE:
    case LNT_FRAME_RESTARTED:
    case LNT_FRAME_HAND:
    case LNT_FRAME_TAKEN:
    case LNT_FRAME_SYNC:
    case LNT_FRAME_OFFER:
    case LNT_FRAME_OFFERED:
    case LNT_FRAME_TYPES:
        break;
    }
    lnt_log_warn("the master sent %s, which is not for workers",
                 lnt_frame_names[f->type]);
}

/* ---- signals and doorbell ---- */

/* The others are for the master, sent to the whole group by a terminal. */
static void
on_signal(struct lnt_forked *forked, int number)
{
    struct worker *w = LNT_OWNER(forked, struct worker, forked);
    if (number == SIGTERM)
        lnt_loop_stop(forked->loop);
    else if (number == SIGQUIT)
        drain(w, "SIGQUIT");
}

static bool
has_hint(const struct worker *w)
{
    return __atomic_load_n(&w->forked.cell->hint, __ATOMIC_SEQ_CST) != 0;
}

static bool
on_turn(void *arg)
{
    struct worker *w = arg;
    lnt_count(&w->forked.cell->stats, LNT_C_TURNS);
    if (has_hint(w)) {
        __atomic_store_n(&w->forked.cell->hint, 0, __ATOMIC_SEQ_CST);
        for (size_t i = 0; i < w->nlisteners; i++)
            lnt_listener_poll(w->listeners[i]);
    }
    bool more = lnt_hub_turn(w->hub);
    more = lnt_net_flush(w->net) || more;
    more = lnt_links_turn(w->links) || more;
    lnt_flusher_check(&w->forked.flusher);
    return more;
}

static bool
on_sleep(void *arg)
{
    struct worker *w = arg;
    return lnt_hub_sleep(w->hub) && !has_hint(w);
}

static void
on_wake(void *arg)
{
    struct worker *w = arg;
    lnt_hub_wake(w->hub);
}

/* ---- the beginning ---- */

static void
limit_files(const struct lnt_server_conf *conf)
{
    uint64_t wanted = (uint64_t)conf->open_files;
    uint64_t got = lnt_process_nofile(wanted);
    if (got < wanted)
        lnt_log_warn("open_files = %llu: the system allows %llu",
                     (unsigned long long)wanted, (unsigned long long)got);
}

static int
start_modules(struct worker *w, struct lnt_strbuf *why)
{
    const struct lnt_config *c = w->start->config;
    for (size_t i = 0; i < c->nmodules; i++) {
        struct lnt_module_ctx *m = &w->ctx[i];
        *m = (struct lnt_module_ctx){
            .module = c->modules[i],
            .conf = c->module_confs[i],
            .net = w->net,
            .hub = w->hub,
            .server = &w->info,
        };
    }
    w->requests.ctx = w->ctx;
    for (; w->started < c->nmodules; w->requests.nctx = ++w->started) {
        struct lnt_module_ctx *m = &w->ctx[w->started];
        if (!m->module->worker_start || m->module->worker_start(m, why) == 0)
            continue;
        struct lnt_strbuf text = LNT_STRBUF_INIT;
        lnt_strbuf_addf(&text, "module %s does not start: %s", m->module->name,
                        why->n ? why->p : "no reason given");
        lnt_strbuf_release(why);
        *why = text;
        return -1;
    }
    return 0;
}

static bool
counts_peers(const struct lnt_config *config)
{
    for (const struct lnt_endpoint *e = config->endpoints; e; e = e->next)
        if (e->limits->connections_per_ip)
            return true;
    return false;
}

static int
set_up(struct worker *w, struct lnt_strbuf *why)
{
    const struct lnt_start *p = w->start;
    const struct lnt_server_conf *conf = p->config->server;
    if (lnt_forked_watch(&w->forked, why) < 0)
        return -1;
    if (conf->affinity && lnt_process_pin(p->slot) < 0)
        lnt_log_warn("cannot bind to CPU number %u: %s", p->slot,
                     strerror(errno));
    limit_files(conf);
    if (lnt_privileges_drop(conf, why) < 0)
        return -1;
    w->ctx = lnt_calloc(p->config->nmodules + 1, sizeof(*w->ctx));
    w->net = lnt_net_new(&(struct lnt_net_params){
        .loop = w->forked.loop,
        .cell = p->cell,
        .stats = &w->forked.cell->stats,
        .modules = p->config->modules,
        .ctx = w->ctx,
        .zone = p->zone,
        .counts_peers = counts_peers(p->config),
    });
    w->hub = lnt_hub_new(&(struct lnt_hub_params){
        .zone = p->zone,
        .cell = p->cell,
        .doorbells = p->doorbells,
        .net = w->net,
    });
    w->links = lnt_links_new(&(struct lnt_links_params){
        .loop = w->forked.loop,
        .net = w->net,
        .endpoints = p->config->endpoints,
        .master = &w->forked.channel,
        .zone = p->zone,
        .server = &w->info,
    });
    w->share = (struct lnt_accept_share){
        .zone = p->zone,
        .doorbells = p->doorbells,
        .cell = p->cell,
        .generation = p->generation,
        .siblings = p->siblings,
    };
    w->listeners = lnt_calloc(p->nsockets + 1, sizeof(w->listeners[0]));
    struct lnt_loop_hook hook = {on_turn, on_sleep, on_wake, w};
    lnt_loop_set_hook(w->forked.loop, &hook);
    w->requests.net = w->net;
    w->requests.slot = p->slot;
    return 0;
}

/* Whose place we have: what it owned goes, if the master has not seen to that
   already. */
static int
tell_restarted(struct worker *w)
{
    const struct lnt_start *p = w->start;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (p->before_incarnation == 0)
        return 0;
    lnt_pack_u32(&b, p->before_cell);
    lnt_pack_u32(&b, p->before_incarnation);
    int rc = lnt_channel_send(&w->forked.channel, LNT_FRAME_RESTARTED, 0,
                              lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
    return rc;
}

/* All shared values are here: modules can start. */
static void
become_ready(struct worker *w)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (start_modules(w, &why) < 0) {
        lnt_forked_fail(&w->forked, &why);
    } else if (tell_restarted(w) < 0 || lnt_forked_ready(&w->forked) < 0) {
        lnt_strbuf_addf(&why, "channel: %s", strerror(errno));
        lnt_forked_fail(&w->forked, &why);
    }
    lnt_strbuf_release(&why);
}

static void
tear_down(struct worker *w)
{
    close_listeners(w);
    lnt_mover_free(w->mover);
    lnt_links_free(w->links);
    if (w->net)
        lnt_net_abort(w->net);
    if (w->hub) {
        lnt_hub_cancel(w->hub);
        (void)lnt_hub_turn(w->hub); /* rings for the leaves just published */
    }
    /* What modules have asked is answered while they are still there. */
    lnt_channel_close(&w->forked.channel);
    lnt_worker_requests_drop(&w->requests, "the worker ends");
    while (w->started) {
        struct lnt_module_ctx *m = &w->ctx[--w->started];
        if (m->module->worker_stop)
            m->module->worker_stop(m);
    }
    lnt_worker_requests_release(&w->requests);
    if (w->hub)
        lnt_hub_free(w->hub);
    lnt_net_free(w->net);
    free(w->listeners);
    free(w->ctx);
}

int
lnt_worker_run(const struct lnt_start *start)
{
    struct worker w = {.start = start, .info = *start->info};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_log_slot((int)start->slot);
    lnt_title_set("linnet: worker %u", start->slot);
    w.info.slot = (int)start->slot;
    if (!lnt_forked_open(&w.forked, start, &channel_handler, on_signal))
        return 1;
    lnt_worker_requests_init(&w.requests, w.forked.loop, &w.forked.channel,
                             &w.info);
    if (set_up(&w, &why) < 0)
        lnt_forked_fail(&w.forked, &why);
    lnt_forked_run(&w.forked);
    lnt_strbuf_release(&why);
    tear_down(&w);
    return lnt_forked_close(&w.forked);
}
