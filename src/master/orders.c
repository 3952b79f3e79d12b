/*
 * An order is a request without an answer's text: the frames of a channel come
 * in order and each process replies when it has carried the order out, so that
 * "done" means done everywhere.
 */
#include "master/orders.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"
#include "master/child.h"
#include "master/keepers.h"
#include "master/master.h"

enum { OBEY_TIME = 10000 }; /* ms */

/* One order, until all have replied. */
struct given {
    const char *name;
    const char *done;
    struct lnt_asker *asker;
    size_t waiting;
    struct lnt_strbuf problems;
};

/* One of those who are to reply. */
struct obeying {
    struct given *given;
    const struct lnt_channel *channel;
    int slot; /* -1: the store's process */
};

static void
settle(struct given *g)
{
    if (--g->waiting)
        return;
    bool ok = g->problems.n == 0;
    if (g->asker)
        g->asker->done(g->asker, ok, ok ? g->done : g->problems.p);
    else if (!ok)
        lnt_log_error("%s: %s", g->name, g->problems.p);
    lnt_strbuf_release(&g->problems);
    free(g);
}

static void
complain(struct given *g, int slot, struct lnt_str why)
{
    lnt_strbuf_adds(&g->problems, g->problems.n ? "; " : "");
    if (slot < 0)
        lnt_strbuf_adds(&g->problems, "the store's process");
    else
        lnt_strbuf_addf(&g->problems, "worker %d", slot);
    lnt_strbuf_addf(&g->problems, ": %.*s", LNT_STR_ARG(why));
}

static void
on_reply(void *arg, bool ok, struct lnt_str data)
{
    struct obeying *o = arg;
    /* A closed channel: it has ended, and has no files any more. */
    if (!ok && lnt_channel_is_open(o->channel))
        complain(o->given, o->slot, data);
    settle(o->given);
    free(o);
}

static void
send_one(struct lnt_master *m, struct given *g, const struct lnt_order *o,
         struct lnt_channel *to, int slot)
{
    if (!lnt_channel_is_open(to))
        return;
    struct obeying *one = lnt_malloc(sizeof(*one));
    *one = (struct obeying){g, to, slot};
    if (lnt_requests_send_fds(m->requests, to, o->type, o->payload, o->fds,
                              o->nfds, OBEY_TIME, on_reply, one) == 0) {
        g->waiting++;
        return;
    }
    if (!lnt_reason_is_gone(errno))
        complain(g, slot, lnt_str_c(lnt_reason_of_send(errno)));
    free(one);
}

void
lnt_orders_give(struct lnt_master *m, const struct lnt_order *o,
                struct lnt_asker *a)
{
    struct given *g = lnt_calloc(1, sizeof(*g));
    g->name = lnt_frame_names[o->type];
    g->done = o->done;
    g->asker = a;
    g->waiting = 1; /* ourselves, until all are told */
    /* Those of a generation to come have their own files and level. */
    for (struct lnt_child *c = m->children; c; c = c->next)
        if (c->generation <= m->now.number)
            send_one(m, g, o, &c->channel, (int)c->slot);
    for (struct lnt_keeper *k = m->keepers.all; k; k = k->next)
        if (k != m->keepers.coming)
            send_one(m, g, o, &k->channel, -1);
    settle(g);
}
