/*
 * Rounds of questions, one for each session that is looked for.  A session that
 * is on its way from one worker to another is in neither: so there is a second
 * round, and while workers come or go there are more.
 */
#include "worker/seek.h"

#include <stdlib.h>

#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "event/loop.h"
#include "net/handover.h"
#include "net/net.h"
#include "net/server_info.h"
#include "zone/zone.h"

enum {
    ROUNDS_MAX = 64, /* under way at once */
    ROUNDS_MIN = 2,  /* until nobody has it */
    PAUSE = 100,     /* ms between two */
    ANSWER = 1000,   /* ms, then that worker has nothing */
};

struct lnt_round {
    struct lnt_list_node node;
    struct lnt_seek *seek; /* NULL: it has ended */
    struct lnt_wish *wish; /* NULL: forgotten */
    unsigned pending;
    uint64_t found;
    bool partial; /* somebody could not be asked */
};

struct lnt_seek {
    struct lnt_seek_params p;
    struct lnt_list wishes; /* at most as many as wait in the net */
    struct lnt_list done;
    struct lnt_list rounds;
    unsigned nrounds;
    struct lnt_timer timer;
};

static void on_timer(struct lnt_timer *t);

struct lnt_seek *
lnt_seek_new(const struct lnt_seek_params *p)
{
    struct lnt_seek *k = lnt_calloc(1, sizeof(*k));
    k->p = *p;
    k->timer.fn = on_timer;
    return k;
}

static void
wake(struct lnt_seek *k, uint64_t at)
{
    if (!lnt_timer_active(&k->timer) ||
        lnt_timer_due(k->p.loop, &k->timer) > at)
        lnt_timer_at(k->p.loop, &k->timer, at);
}

static void
unlink_wish(struct lnt_seek *k, struct lnt_wish *w)
{
    lnt_list_remove(&k->wishes, &w->node);
    if (w->round)
        w->round->wish = NULL;
    w->round = NULL;
}

static void
end(struct lnt_seek *k, struct lnt_wish *w, uint64_t worker)
{
    unlink_wish(k, w);
    w->worker = worker;
    lnt_list_add_last(&k->done, &w->node);
}

struct lnt_wish *
lnt_seek_next(struct lnt_seek *k)
{
    struct lnt_wish *w = LNT_LIST_FIRST(&k->done, struct lnt_wish, node);
    if (w)
        lnt_list_remove(&k->done, &w->node);
    return w;
}

/* Whether sessions may be on their way. */
static bool
is_changing(const struct lnt_seek *k)
{
    for (unsigned i = 0; i < lnt_zone_cells(k->p.zone); i++) {
        uint32_t state = lnt_cell_state(lnt_zone_cell(k->p.zone, i));
        if (state == LNT_CELL_STARTING || state == LNT_CELL_DRAINING)
            return true;
    }
    return false;
}

/* The answers are all here. */
static void
judge(struct lnt_seek *k, struct lnt_wish *w, const struct lnt_round *r)
{
    uint64_t now = lnt_loop_now(k->p.loop);
    w->round = NULL;
    if (r->found || now >= w->until ||
        (w->rounds >= ROUNDS_MIN && !r->partial && !is_changing(k))) {
        end(k, w, r->found);
        return;
    }
    w->at = now + PAUSE;
    wake(k, w->at);
}

static void
end_round(struct lnt_round *r)
{
    struct lnt_seek *k = r->seek;
    if (k) {
        lnt_list_remove(&k->rounds, &r->node);
        /* Somebody may wait for its place. */
        if (k->nrounds-- == ROUNDS_MAX)
            wake(k, lnt_loop_now(k->p.loop));
    }
    if (k && r->wish)
        judge(k, r->wish, r);
    free(r);
}

static void
on_reply(void *arg, bool ok, struct lnt_str answer)
{
    struct lnt_round *r = arg;
    uint64_t worker;
    if (ok && lnt_unpack_u64(&answer, &worker))
        r->found = worker;
    if (--r->pending == 0)
        end_round(r);
}

/* Asks every worker but this one. */
static void
begin_round(struct lnt_seek *k, struct lnt_wish *w)
{
    const struct lnt_server_info *info = k->p.server;
    unsigned own =
        (unsigned)lnt_net_worker(k->p.net) & ((1u << LNT_ID_CELL_BITS) - 1);
    struct lnt_round *r = lnt_calloc(1, sizeof(*r));
    r->seek = k;
    r->wish = w;
    w->round = r;
    w->rounds++;
    lnt_list_add_last(&k->rounds, &r->node);
    k->nrounds++;
    r->pending = 1;
    for (unsigned i = 0; i < lnt_zone_cells(k->p.zone); i++) {
        uint32_t state = lnt_cell_state(lnt_zone_cell(k->p.zone, i));
        if (i == own || (state != LNT_CELL_READY && state != LNT_CELL_DRAINING))
            continue;
        if (lnt_server_request(info, i, "", "has", lnt_str(w->name, w->name_n),
                               ANSWER, on_reply, r) == 0)
            r->pending++;
        else
            r->partial = true;
    }
    if (--r->pending == 0)
        end_round(r);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_seek *k = LNT_OWNER(t, struct lnt_seek, timer);
    uint64_t now = lnt_loop_now(k->p.loop), next = UINT64_MAX;
    LNT_LIST_EACH(&k->wishes, struct lnt_wish, w, node) {
        if (w->round)
            continue;
        if (!lnt_wish_session(k->p.net, w)) {
            unlink_wish(k, w);
            lnt_wish_free(k->p.net, w);
        } else if (now >= w->until) {
            end(k, w, 0);
        } else if (w->at <= now && k->nrounds < ROUNDS_MAX) {
            begin_round(k, w);
        } else if (w->at > now && w->at < next) {
            next = w->at;
        }
    }
    if (next != UINT64_MAX)
        wake(k, next);
}

void
lnt_seek_add(struct lnt_seek *k, struct lnt_wish *w)
{
    w->round = NULL;
    /* Again, as the worker that had it did not take it: in a moment. */
    w->at = lnt_loop_now(k->p.loop) + (w->rounds ? PAUSE : 0);
    lnt_list_add_last(&k->wishes, &w->node);
    wake(k, w->at);
}

void
lnt_seek_drop(struct lnt_seek *k)
{
    struct lnt_wish *w;
    LNT_LIST_EACH(&k->wishes, struct lnt_wish, one, node)
        end(k, one, 0);
    while ((w = lnt_seek_next(k)))
        lnt_wish_free(k->p.net, w);
}

void
lnt_seek_free(struct lnt_seek *k)
{
    lnt_seek_drop(k);
    LNT_LIST_EACH(&k->rounds, struct lnt_round, r, node)
        r->seek = NULL;
    lnt_timer_stop(k->p.loop, &k->timer);
    free(k);
}
