/*
 * The same request to many processes.
 */
#include "ipc/gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"

struct lnt_gather {
    struct lnt_requests *requests;
    const char *separator;
    bool forgive;
    lnt_gather_fn *done;
    void *arg;
    size_t waiting;
    struct lnt_strbuf answers, problems;
};

/* One of those who are to answer. */
struct asked {
    struct lnt_gather *gather;
    const struct lnt_channel *to;
    char name[32];
};

struct lnt_gather *
lnt_gather_new(struct lnt_requests *r, const char *separator, bool forgive,
               lnt_gather_fn *done, void *arg)
{
    struct lnt_gather *g = lnt_calloc(1, sizeof(*g));
    g->requests = r;
    g->separator = separator;
    g->forgive = forgive;
    g->done = done;
    g->arg = arg;
    g->waiting = 1; /* the caller, until all are asked */
    return g;
}

void
lnt_gather_wait(struct lnt_gather *g)
{
    if (--g->waiting)
        return;
    g->done(g->arg, &g->answers, &g->problems);
    lnt_strbuf_release(&g->answers);
    lnt_strbuf_release(&g->problems);
    free(g);
}

/* gone: it has ended. */
static void
add_problem(const struct asked *a, bool gone, struct lnt_str why)
{
    struct lnt_gather *g = a->gather;
    if (gone && (g->forgive || a->to->told_to_end))
        return;
    if (g->problems.n)
        lnt_strbuf_adds(&g->problems, g->separator);
    lnt_strbuf_addf(&g->problems, "%s: %.*s", a->name, LNT_STR_ARG(why));
}

static void
on_reply(void *arg, bool ok, struct lnt_str data)
{
    struct asked *a = arg;
    struct lnt_gather *g = a->gather;
    if (ok)
        lnt_strbuf_add_str(&g->answers, data);
    else
        add_problem(a, !lnt_channel_is_open(a->to), data);
    free(a);
    lnt_gather_wait(g);
}

void
lnt_gather_ask(struct lnt_gather *g, struct lnt_channel *to, const char *name,
               const struct lnt_frame *f, uint64_t timeout_ms)
{
    struct asked *a = lnt_malloc(sizeof(*a));
    *a = (struct asked){.gather = g, .to = to};
    snprintf(a->name, sizeof(a->name), "%s", name);
    if (lnt_requests_send_fds(g->requests, to, f->type, f->payload, f->fds,
                              f->nfds, timeout_ms, on_reply, a) == 0) {
        g->waiting++;
        return;
    }
    int error = errno;
    add_problem(a, lnt_reason_is_gone(error),
                lnt_str_c(lnt_reason_of_send(error)));
    free(a);
}
