/*
 * An order is a request without an answer's text: the frames of a channel come
 * in order and each process replies when it has carried the order out, so that
 * "done" means done everywhere.
 */
#include "master/orders.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "ipc/gather.h"
#include "master/master.h"
#include "master/waiters.h"

enum { OBEY_TIME = 10000 }; /* ms */

/* One order, until all have replied. */
struct given {
    const char *name;
    const char *done;
    struct lnt_waiter *waiter;
};

static void
on_all(void *arg, const struct lnt_strbuf *answers,
       const struct lnt_strbuf *problems)
{
    struct given *g = arg;
    bool ok = problems->n == 0;
    (void)answers;
    if (g->waiter)
        g->waiter->done(g->waiter, ok, ok ? g->done : problems->p);
    else if (!ok)
        lnt_log_error("%s: %s", g->name, problems->p);
    free(g);
}

/* Those of a generation to come have their own files and level. */
static bool
is_meant(const struct lnt_master *m, const struct lnt_child *c)
{
    return lnt_channel_is_open(&c->channel) && c->generation <= m->now.number;
}

void
lnt_orders_give(struct lnt_master *m, const struct lnt_frame *f,
                const char *done, struct lnt_waiter *w)
{
    struct given *given = lnt_malloc(sizeof(*given));
    *given = (struct given){lnt_frame_names[f->type], done, w};
    struct lnt_gather *g =
        lnt_gather_new(m->requests, "; ", true, on_all, given);
    struct lnt_child *c = NULL;
    while ((c = lnt_child_next(m, c)))
        if (is_meant(m, c))
            lnt_gather_ask(g, &c->channel, c->name, f, OBEY_TIME);
    lnt_gather_wait(g);
}
