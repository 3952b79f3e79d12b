/*
 * A worker's connections as a whole: the end of a turn, the drain, lookups.
 */
#include "net/net.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "net/app.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/handover.h"
#include "net/names.h"
#include "net/stats.h"
#include "net/table.h"

enum { RBUF_SIZE = 256 * 1024 };

static void on_drain_timer(struct lnt_timer *t);

struct lnt_net *
lnt_net_new(const struct lnt_net_params *p)
{
    struct lnt_net *n = lnt_calloc(1, sizeof(*n));
    n->loop = p->loop;
    n->cell = p->cell;
    n->stats = p->stats;
    n->modules = p->modules;
    n->ctx = p->ctx;
    n->zone = p->zone;
    n->counts_peers = p->zone && p->counts_peers;
    n->start = lnt_loop_now(p->loop) - 1;
    n->reserve_fd = -1;
    n->rbuf_cap = RBUF_SIZE;
    /* Room before, for what is written in front of input bytes; padding
       behind, for loops that read whole words. */
    n->rbuf = lnt_malloc(LNT_INPUT_ROOM * 4 + n->rbuf_cap);
    n->drain_timer.fn = on_drain_timer;
    lnt_random(&n->serial, sizeof(n->serial));
    lnt_random(&n->call_serial, sizeof(n->call_serial));
    return n;
}

void
lnt_net_free(struct lnt_net *n)
{
    if (!n)
        return;
    lnt_assert(n->count == 0);
    lnt_timer_stop(n->loop, &n->drain_timer);
    if (n->reserve_fd >= 0)
        close(n->reserve_fd);
    lnt_names_free(n);
    lnt_wishes_drop(n);
    free(n->table);
    free(n->free_list);
    free(n->sent);
    free(n->rbuf);
    lnt_strbuf_release(&n->raw);
    lnt_strbuf_release(&n->refusal);
    free(n);
}

struct lnt_loop *
lnt_net_loop(struct lnt_net *n)
{
    return n->loop;
}

struct lnt_stats *
lnt_net_stats(struct lnt_net *n)
{
    return n->stats;
}

struct lnt_module_ctx *
lnt_net_ctx(struct lnt_net *n, unsigned index)
{
    return &n->ctx[index];
}

struct lnt_module_ctx *
lnt_net_find(struct lnt_net *n, const char *module)
{
    for (unsigned i = 0; n->modules[i]; i++)
        if (strcmp(n->modules[i]->name, module) == 0)
            return &n->ctx[i];
    return NULL;
}

void
lnt_net_meter(struct lnt_net *n)
{
    if (!n->sent)
        n->sent = lnt_calloc(n->table_cap + 1, sizeof(n->sent[0]));
}

unsigned
lnt_net_count(const struct lnt_net *n)
{
    return n->count;
}

struct lnt_session *
lnt_net_session(struct lnt_net *n, uint64_t id)
{
    struct lnt_conn *c = lnt_table_find(n, id);
    return c ? &c->session : NULL;
}

struct lnt_session *
lnt_net_next(struct lnt_net *n, size_t *at)
{
    while (*at < n->table_cap) {
        struct lnt_conn *c = n->table[(*at)++];
        if (c)
            return &c->session;
    }
    return NULL;
}

static bool
run_closes(struct lnt_net *n)
{
    bool any = false;
    while (n->closes) {
        struct lnt_close *e = n->closes;
        n->closes = e->next;
        e->conn->flags &= (uint16_t)~LNT_F_CLOSE_ASKED;
        lnt_conn_goodbye(e->conn, e->code, e->reason[0] ? e->reason : NULL);
        free(e);
        any = true;
    }
    return any;
}

bool
lnt_net_flush(struct lnt_net *n)
{
    uint64_t closed = n->stats->counters[LNT_C_CLOSED];
    unsigned count = n->count;
    bool any = false;
    do {
        any |= run_closes(n);
        while (n->flush) {
            struct lnt_conn *c = n->flush;
            n->flush = c->flush_next;
            /* The next comes into the cache while this one is written. */
            if (n->flush)
                lnt_net_prefetch(&n->flush->session);
            c->flags &= (uint16_t)~LNT_F_QUEUED;
            lnt_conn_settle(c);
        }
    } while (n->closes);
    if (n->draining && n->count == 0 && n->drained) {
        void (*done)(void *) = n->drained;
        n->drained = NULL;
        lnt_timer_stop(n->loop, &n->drain_timer);
        done(n->drained_arg);
    }
    return any || closed != n->stats->counters[LNT_C_CLOSED] ||
           count != n->count;
}

/* ---- drain ---- */

static void
drain_one(struct lnt_conn *c)
{
    /* What the peer has sent already is still answered; that may make it a
       session of another protocol. */
    if (c->state < LNT_CONN_GOODBYE)
        lnt_conn_again(c);
    if (c->state < LNT_CONN_GOODBYE)
        lnt_conn_poll(c);
    if (c->state >= LNT_CONN_GOODBYE)
        return;
    const struct lnt_protocol *p = c->session.endpoint->protocol->protocol;
    bool idle = p->drain && p->drain(&c->session);
    /* A peer that we have let in but not yet heard may speak first; its time
       is bounded by handshake_timeout. */
    if (c->state == LNT_CONN_HANDSHAKE)
        return;
    if (idle) {
        lnt_conn_finish(c);
        return;
    }
    lnt_app_drain(&c->session);
    lnt_conn_goodbye(c, LNT_CLOSE_AWAY, "server is going away");
}

void
lnt_net_abort(struct lnt_net *n)
{
    for (uint32_t i = 0; i < n->table_cap; i++)
        if (n->table[i])
            lnt_conn_kill(n->table[i]);
    (void)lnt_net_flush(n);
}

static void
on_drain_timer(struct lnt_timer *t)
{
    struct lnt_net *n = LNT_OWNER(t, struct lnt_net, drain_timer);
    if (n->count)
        lnt_log_notice("%u connections did not end in time and are cut",
                       n->count);
    for (uint32_t i = 0; i < n->table_cap; i++)
        if (n->table[i])
            lnt_conn_kill(n->table[i]);
    /* The end of this turn sees that none is left. */
}

void
lnt_net_drain(struct lnt_net *n, uint64_t grace_ms, void (*done)(void *),
              void *arg)
{
    if (n->draining)
        return;
    n->draining = true;
    n->drained = done;
    n->drained_arg = arg;
    n->drain_until = lnt_loop_now(n->loop) + grace_ms;
    lnt_timer_at(n->loop, &n->drain_timer, n->drain_until);
    for (uint32_t i = 0; i < n->table_cap; i++)
        if (n->table[i])
            drain_one(n->table[i]);
}
