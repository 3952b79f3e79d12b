/*
 * Links on demand, what waits for them, and what is on its way over them.
 */
#include "worker/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "event/loop.h"
#include "ipc/channel.h"
#include "ipc/move_step.h"
#include "net/handover.h"
#include "net/move.h"
#include "net/net.h"
#include "net/stats.h"
#include "worker/arrival.h"
#include "worker/departure.h"
#include "worker/seek.h"
#include "worker/taking.h"
#include "zone/zone.h"

enum {
    LINKS_MAX = 32,
    PATIENCE = 5000, /* ms */
    BATCH = 64,      /* connections of one offer */
    RETRY = 10,      /* ms, for those whose application says "not now" */
    BYTES_MAX = LNT_CHANNEL_QUEUE_MAX / 2, /* of one connection */
};
_Static_assert((int)BATCH <= (int)LNT_FDS_MAX, "a batch fits one message");

enum state {
    ASKED, /* the master for it */
    OPEN,
    OFFERED, /* it is open, and the other side was asked */
};

/* One over which we give. */
struct giving {
    struct lnt_list_node node;
    struct lnt_links *links;
    uint64_t worker;
    enum state state;
    bool unsure; /* whether the taker serves what is on its way */
    uint32_t request;
    uint64_t used; /* loop time of its last use */
    struct lnt_channel channel;
    struct lnt_departure departure;
    struct lnt_list waiting; /* wishes, oldest first */
};

/* One over which we take. */
struct taking {
    struct lnt_list_node node;
    struct lnt_links *links;
    struct lnt_channel channel;
    struct lnt_taker taker;
    struct lnt_arrival arrival;
};

struct lnt_links {
    struct lnt_links_params p;
    struct lnt_seek *seek;
    struct lnt_list giving, taking;
    unsigned ngiving;
    uint32_t last_request;
    struct lnt_timer timer;
    bool draining;
    bool stayed; /* some did, in this turn */
};

static void on_timer(struct lnt_timer *t);

struct lnt_links *
lnt_links_new(const struct lnt_links_params *p)
{
    struct lnt_links *ls = lnt_calloc(1, sizeof(*ls));
    ls->p = *p;
    if (!ls->p.links_max)
        ls->p.links_max = LINKS_MAX;
    if (!ls->p.patience)
        ls->p.patience = PATIENCE;
    ls->timer.fn = on_timer;
    ls->seek = lnt_seek_new(&(struct lnt_seek_params){
        .loop = p->loop,
        .net = p->net,
        .zone = p->zone,
        .server = p->server,
    });
    return ls;
}

/* ---- what stays ---- */

static void
stay(struct lnt_links *ls, struct lnt_wish *w, const char *why)
{
    ls->stayed = true;
    lnt_wish_refuse(ls->p.net, w, why);
}

/* Unless the session that it is for may be elsewhere, it stays. */
static void
refuse(struct lnt_links *ls, struct lnt_wish *w, const char *why)
{
    if (w->name_n && lnt_loop_now(ls->p.loop) < w->until) {
        lnt_seek_add(ls->seek, w);
        return;
    }
    stay(ls, w, why);
}

static struct lnt_wish *
first(const struct giving *g)
{
    return LNT_LIST_FIRST(&g->waiting, struct lnt_wish, node);
}

static struct lnt_wish *
pop(struct giving *g)
{
    struct lnt_wish *w = first(g);
    if (w)
        lnt_list_remove(&g->waiting, &w->node);
    return w;
}

static void
refuse_all(struct giving *g, const char *why)
{
    struct lnt_wish *w;
    while ((w = pop(g)))
        refuse(g->links, w, why);
}

static void
take_back(struct lnt_links *ls, struct lnt_moving *m, enum lnt_back reason,
          const char *why)
{
    struct lnt_session *s =
        lnt_take_back(ls->p.net, ls->p.endpoints, m, reason);
    ls->stayed = true;
    if (s)
        lnt_session_stays(s, why);
}

/* Wakes us for the first deadline there is. */
static void
set_timer(struct lnt_links *ls, uint64_t at)
{
    if (!lnt_timer_active(&ls->timer) ||
        lnt_timer_due(ls->p.loop, &ls->timer) > at)
        lnt_timer_at(ls->p.loop, &ls->timer, at);
}

/* ---- links ---- */

static void
drop_giving(struct giving *g, const char *why)
{
    struct lnt_links *ls = g->links;
    lnt_list_remove(&ls->giving, &g->node);
    ls->ngiving--;
    lnt_channel_close(&g->channel);
    struct lnt_moving *m;
    while ((m = lnt_departure_any(&g->departure)))
        take_back(ls, m, g->unsure ? LNT_BACK_UNSURE : LNT_BACK_UNTAKEN, why);
    lnt_departure_release(&g->departure);
    refuse_all(g, why);
    lnt_loop_free(ls->p.loop, g);
}

static bool
is_idle(const struct giving *g)
{
    return g->state == OPEN && !first(g) && g->departure.n == 0;
}

static bool
make_room(struct lnt_links *ls)
{
    struct giving *oldest = NULL;
    if (ls->ngiving < ls->p.links_max)
        return true;
    LNT_LIST_EACH(&ls->giving, struct giving, g, node)
        if (is_idle(g) && (!oldest || g->used < oldest->used))
            oldest = g;
    if (!oldest)
        return false;
    drop_giving(oldest, "");
    return true;
}

/* NULL with errno. */
static struct giving *
ask_for_link(struct lnt_links *ls, uint64_t worker)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    uint32_t request = ++ls->last_request;
    if (request == 0)
        request = ++ls->last_request;
    if (!make_room(ls)) {
        errno = EAGAIN;
        return NULL;
    }
    lnt_pack_u64(&b, worker);
    int rc = lnt_channel_send(ls->p.master, LNT_FRAME_LINK, request,
                              lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
    if (rc < 0)
        return NULL;
    struct giving *g = lnt_calloc(1, sizeof(*g));
    g->links = ls;
    g->worker = worker;
    g->request = request;
    g->channel.watch.fd = -1;
    lnt_departure_init(&g->departure, &g->channel);
    lnt_list_add_last(&ls->giving, &g->node);
    ls->ngiving++;
    return g;
}

static struct giving *
find(struct lnt_links *ls, uint64_t worker)
{
    LNT_LIST_EACH(&ls->giving, struct giving, g, node)
        if (g->worker == worker)
            return g;
    return ask_for_link(ls, worker);
}

/* ---- giving ---- */

/* Those that are gone by themselves are nobody's any more. */
static void
skip_gone(struct giving *g)
{
    while (first(g) && !lnt_wish_session(g->links->p.net, first(g)))
        lnt_wish_free(g->links->p.net, pop(g));
}

/* Asks for what waits, unless there is an answer due; false: the link is of no
   use. */
static bool
offer(struct giving *g)
{
    uint32_t n = 0;
    skip_gone(g);
    /* One batch at a time: the next is asked for when this one is answered. */
    if (g->state != OPEN || !first(g) || g->departure.n)
        return true;
    LNT_LIST_EACH(&g->waiting, struct lnt_wish, w, node)
        n += n < BATCH;
    if (lnt_channel_send(&g->channel, LNT_FRAME_OFFER, 0,
                         lnt_str((const char *)&n, sizeof(n)), NULL, 0) < 0)
        return false;
    g->state = OFFERED;
    return true;
}

/* true: it is done with, here or on its way. */
static bool
give(struct giving *g, struct lnt_wish *w)
{
    struct lnt_links *ls = g->links;
    struct lnt_session *s = lnt_wish_session(ls->p.net, w);
    if (!s) {
        lnt_wish_free(ls->p.net, w);
        return true;
    }
    struct lnt_moving *m = lnt_calloc(1, sizeof(*m));
    lnt_move_step(LNT_MOVE_FREEZE);
    m->fd = lnt_move_freeze(s, &m->bytes);
    if (m->fd < 0) {
        bool later = errno == EAGAIN;
        lnt_moving_free(m);
        if (later)
            return false;
        refuse(ls, w, "it cannot move now");
        return true;
    }
    lnt_wish_free(ls->p.net, w);
    lnt_move_step(LNT_MOVE_FROZEN);
    if (m->bytes.n > BYTES_MAX)
        take_back(ls, m, LNT_BACK_UNTAKEN, "it is too large");
    else
        lnt_departure_add(&g->departure, m);
    return true;
}

static void
give_batch(struct giving *g, uint32_t n)
{
    struct lnt_links *ls = g->links;
    struct lnt_list later = {0};
    struct lnt_wish *w;
    struct lnt_moving *m;
    for (; n > 0 && !g->departure.broken && (w = pop(g)); n--) {
        if (!give(g, w))
            lnt_list_add_first(&later, &w->node);
    }
    if (later.first)
        set_timer(ls, lnt_loop_now(ls->p.loop) + RETRY);
    while ((w = LNT_LIST_FIRST(&later, struct lnt_wish, node))) {
        lnt_list_remove(&later, &w->node);
        lnt_list_add_first(&g->waiting, &w->node);
    }
    lnt_departure_send(&g->departure);
    while ((m = lnt_departure_failed(&g->departure)))
        take_back(ls, m, LNT_BACK_UNTAKEN, "the link to its worker is broken");
}

static void
settle(struct giving *g, uint32_t number, uint32_t verdict)
{
    struct lnt_links *ls = g->links;
    lnt_move_step(LNT_MOVE_ANSWERED);
    struct lnt_moving *m = lnt_departure_take(&g->departure, number);
    if (!m)
        return;
    if (verdict == LNT_MOVE_ACCEPTED) {
        lnt_count(lnt_net_stats(ls->p.net), LNT_C_HANDED_OVER);
        close(m->fd);
        lnt_moving_free(m);
    } else {
        take_back(ls, m, LNT_BACK_UNTAKEN, "its worker does not take it");
    }
    lnt_move_step(LNT_MOVE_GIVEN);
}

static void
on_moved(struct giving *g, struct lnt_str payload)
{
    uint32_t number, verdict;
    while (lnt_unpack_u32(&payload, &number) &&
           lnt_unpack_u32(&payload, &verdict))
        settle(g, number, verdict);
}

static void
on_offered(struct giving *g, struct lnt_str payload)
{
    uint32_t n;
    if (g->state != OFFERED || !lnt_unpack_u32(&payload, &n))
        return;
    g->state = OPEN;
    if (n == 0)
        refuse_all(g, "its worker ends");
    else
        give_batch(g, n < BATCH ? n : BATCH);
}

static void
on_giving_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct giving *g = LNT_OWNER(c, struct giving, channel);
    g->used = lnt_loop_now(g->links->p.loop);
    if (f->type == LNT_FRAME_OFFERED)
        on_offered(g, f->payload);
    else if (f->type == LNT_FRAME_MOVED)
        on_moved(g, f->payload);
    if (!offer(g))
        drop_giving(g, "the link to its worker is broken");
}

static void
on_giving_closed(struct lnt_channel *c, bool broken, const char *why)
{
    struct giving *g = LNT_OWNER(c, struct giving, channel);
    if (broken)
        lnt_log_error("link to another worker: %s", why);
    g->unsure = broken;
    drop_giving(g, "its worker has ended");
}

void
lnt_links_answer(struct lnt_links *ls, uint32_t request, int fd,
                 struct lnt_str why)
{
    static const struct lnt_channel_handler handler = {
        .frame = on_giving_frame, .closed = on_giving_closed};
    struct giving *g = NULL;
    LNT_LIST_EACH(&ls->giving, struct giving, one, node)
        if (one->state == ASKED && one->request == request)
            g = one;
    if (!g) { /* nobody waits for it any more */
        if (fd >= 0)
            close(fd);
        return;
    }
    if (fd < 0) {
        lnt_log_debug("no link to another worker: %.*s", (int)why.n, why.p);
        drop_giving(g, "its worker is not there");
    } else if (lnt_channel_open(&g->channel, ls->p.loop, fd, 0, &handler) < 0) {
        lnt_log_error("link to another worker: %s", strerror(errno));
        drop_giving(g, "there is no link to its worker");
    } else {
        g->state = OPEN;
        g->used = lnt_loop_now(ls->p.loop);
        if (!offer(g))
            drop_giving(g, "the link to its worker is broken");
    }
}

/* Clients name workers as they like: what is made up is neither the master's to
   answer nor takes the place of a link. */
static bool
is_there(const struct lnt_links *ls, uint64_t worker)
{
    unsigned cell = (unsigned)worker & ((1u << LNT_ID_CELL_BITS) - 1);
    const struct lnt_cell *c;
    if (!ls->p.zone)
        return true;
    if (cell >= lnt_zone_cells(ls->p.zone))
        return false;
    c = lnt_zone_cell(ls->p.zone, cell);
    return lnt_cell_state(c) != LNT_CELL_FREE &&
           __atomic_load_n(&c->incarnation, __ATOMIC_RELAXED) ==
               worker >> LNT_ID_CELL_BITS;
}

static void
add_wish(struct lnt_links *ls, struct lnt_wish *w)
{
    const char *why = "there are too many links to other workers";
    struct giving *g = NULL;
    /* A name whose worker is this one, or none, is elsewhere. */
    if (w->worker == lnt_net_worker(ls->p.net) || !is_there(ls, w->worker))
        why = "its worker is not there";
    else
        g = find(ls, w->worker);
    if (!g) {
        refuse(ls, w, why);
        return;
    }
    lnt_list_add_last(&g->waiting, &w->node);
    set_timer(ls, w->until);
}

bool
lnt_links_turn(struct lnt_links *ls)
{
    struct lnt_wish *w;
    bool any = false;
    while ((w = lnt_wish_take(ls->p.net))) {
        any = true;
        w->until = lnt_loop_now(ls->p.loop) + ls->p.patience;
        if (ls->draining)
            lnt_wish_free(ls->p.net, w); /* see lnt_links_drain */
        else
            add_wish(ls, w);
    }
    while ((w = lnt_seek_next(ls->seek))) {
        any = true;
        if (w->worker)
            add_wish(ls, w);
        else
            stay(ls, w, "no worker has what it asks for");
    }
    LNT_LIST_EACH(&ls->giving, struct giving, g, node)
        if (any && !offer(g))
            drop_giving(g, "the link to its worker is broken");
    any = ls->stayed;
    ls->stayed = false;
    return any;
}

static void
expire(struct giving *g, uint64_t now)
{
    while (first(g) && first(g)->until <= now)
        refuse(g->links, pop(g), "its worker does not answer");
    if (first(g))
        set_timer(g->links, first(g)->until);
    /* The master has not answered for as long as anybody waited: the next one
       asks anew. */
    if ((g->state == ASKED && !first(g)) || !offer(g))
        drop_giving(g, "the link to its worker is broken");
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_links *ls = LNT_OWNER(t, struct lnt_links, timer);
    uint64_t now = lnt_loop_now(ls->p.loop);
    LNT_LIST_EACH(&ls->giving, struct giving, g, node)
        expire(g, now);
}

/* ---- taking ---- */

static enum lnt_verdict_on_move
take(void *arg, int fd, struct lnt_str bytes)
{
    struct taking *t = arg;
    if (!t->links->draining)
        return lnt_take(&t->taker, fd, bytes);
    close(fd);
    return LNT_MOVE_REFUSED;
}

static void
drop_taking(struct taking *t)
{
    lnt_list_remove(&t->links->taking, &t->node);
    lnt_channel_close(&t->channel);
    lnt_arrival_release(&t->arrival);
    lnt_loop_free(t->links->p.loop, t);
}

static void
on_offer(struct taking *t, struct lnt_str payload)
{
    uint32_t n;
    if (!lnt_unpack_u32(&payload, &n))
        return;
    if (t->links->draining)
        n = 0;
    if (lnt_channel_send(&t->channel, LNT_FRAME_OFFERED, 0,
                         lnt_str((const char *)&n, sizeof(n)), NULL, 0) < 0)
        drop_taking(t);
}

static void
on_taking_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct taking *t = LNT_OWNER(c, struct taking, channel);
    if (f->type == LNT_FRAME_OFFER)
        on_offer(t, f->payload);
    else if (f->type == LNT_FRAME_MOVE &&
             !lnt_take_frame(&t->taker, &t->channel, &t->arrival, f))
        drop_taking(t);
}

static void
on_taking_closed(struct lnt_channel *c, bool broken, const char *why)
{
    if (broken)
        lnt_log_error("link to another worker: %s", why);
    drop_taking(LNT_OWNER(c, struct taking, channel));
}

void
lnt_links_take(struct lnt_links *ls, int fd)
{
    static const struct lnt_channel_handler handler = {
        .frame = on_taking_frame, .closed = on_taking_closed};
    struct taking *t = lnt_calloc(1, sizeof(*t));
    t->links = ls;
    t->taker =
        (struct lnt_taker){.net = ls->p.net, .endpoints = ls->p.endpoints};
    lnt_arrival_init(&t->arrival, BYTES_MAX, take, t);
    if (lnt_channel_open(&t->channel, ls->p.loop, fd, 0, &handler) < 0) {
        lnt_log_error("link to another worker: %s", strerror(errno));
        free(t);
        return;
    }
    lnt_list_add_last(&ls->taking, &t->node);
}

/* ---- the end ---- */

static void
forget_waiting(struct giving *g)
{
    struct lnt_wish *w;
    while ((w = pop(g)))
        lnt_wish_free(g->links->p.net, w);
}

void
lnt_links_drain(struct lnt_links *ls)
{
    if (!ls)
        return;
    ls->draining = true;
    lnt_seek_drop(ls->seek);
    LNT_LIST_EACH(&ls->giving, struct giving, g, node)
        forget_waiting(g);
}

void
lnt_links_free(struct lnt_links *ls)
{
    if (!ls)
        return;
    ls->draining = true;
    lnt_wishes_drop(ls->p.net);
    LNT_LIST_EACH(&ls->taking, struct taking, t, node)
        drop_taking(t);
    LNT_LIST_EACH(&ls->giving, struct giving, g, node) {
        struct lnt_moving *m;
        forget_waiting(g);
        while ((m = lnt_departure_any(&g->departure))) {
            close(m->fd);
            lnt_moving_free(m);
        }
        drop_giving(g, "");
    }
    lnt_seek_free(ls->seek);
    lnt_timer_stop(ls->p.loop, &ls->timer);
    free(ls);
}
