/*
 * An application for tests that lets in whom it likes, and echoes.  It looks at
 * the first credentials there are, or without any at the endpoint's name:
 *
 *   good    is let in
 *   slow    is let in, a moment later
 *   wait    is refused, a moment later
 *   never   gets no answer
 *
 * and all others are refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "net/endpoint.h"
#include "net/module.h"
#include "net/net.h"

enum { MOMENT = 30, WAITING = 64 };

/* A worker's: those that are to be answered with the next timer. */
struct gate {
    struct lnt_timer timer;
    struct lnt_net *net;
    size_t n;
    struct {
        uint64_t id;
        bool yes;
    } waiting[WAITING];
};

struct guest {
    char name[32];
};

static void
answer(struct lnt_timer *t)
{
    struct gate *g = LNT_OWNER(t, struct gate, timer);
    size_t n = g->n;

    g->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct lnt_session *s = lnt_net_session(g->net, g->waiting[i].id);

        if (s)
            lnt_session_admitted(s, g->waiting[i].yes, "come back tomorrow");
    }
}

static enum lnt_admit
later(struct lnt_session *s, bool yes)
{
    struct gate *g = lnt_session_app(s)->data;

    if (g->n == WAITING)
        return LNT_REFUSE;
    g->waiting[g->n].id = lnt_session_id(s);
    g->waiting[g->n++].yes = yes;
    lnt_timer_at(lnt_net_loop(g->net), &g->timer, lnt_session_now(s) + MOMENT);
    return LNT_ADMIT_LATER;
}

static struct lnt_str
first_of(const struct lnt_session *s, const struct lnt_credentials *c)
{
    if (c->json.p)
        return c->json;
    if (c->authorization.p)
        return c->authorization;
    if (c->cookie.p)
        return c->cookie;
    return c->query.p ? c->query : lnt_str_c(lnt_session_endpoint(s)->name);
}

static enum lnt_admit
gate_admit(struct lnt_session *s, const struct lnt_credentials *c,
           struct lnt_strbuf *why)
{
    struct lnt_str said = first_of(s, c);
    struct guest *guest = lnt_session_app_state(s);

    snprintf(guest->name, sizeof(guest->name), "%.*s",
             (int)(said.n < 31 ? said.n : 31), said.p);
    if (strstr(guest->name, "good"))
        return LNT_ADMIT;
    if (strstr(guest->name, "never"))
        return LNT_ADMIT_LATER;
    if (strstr(guest->name, "slow") || strstr(guest->name, "wait"))
        return later(s, strstr(guest->name, "slow"));
    lnt_strbuf_adds(why, "not on the list");
    return LNT_REFUSE;
}

static lnt_verdict
gate_open(struct lnt_session *s)
{
    const struct guest *guest = lnt_session_app_state(s);
    char text[64];
    int n = snprintf(text, sizeof(text), "welcome %s", guest->name);

    lnt_session_send(s, LNT_TEXT, text, (size_t)n);
    return LNT_GO_ON;
}

static lnt_verdict
gate_message(struct lnt_session *s, const struct lnt_message *m)
{
    lnt_session_send(s, m->type, m->data.p, m->data.n);
    return LNT_GO_ON;
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    struct gate *g = lnt_calloc(1, sizeof(*g));

    (void)why;
    g->net = m->net;
    g->timer.fn = answer;
    m->data = g;
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct gate *g = m->data;

    if (g)
        lnt_timer_stop(lnt_net_loop(g->net), &g->timer);
    free(g);
    m->data = NULL;
}

static const struct lnt_app gate_app = {
    .state_size = sizeof(struct guest),
    .open = gate_open,
    .message = gate_message,
    .admit = gate_admit,
};

const struct lnt_module lnt_module_gate = {
    LNT_MODULE_HEAD,
    .name = "gate",
    .help = "admission, for tests",
    .app = &gate_app,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
