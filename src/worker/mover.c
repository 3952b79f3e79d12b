/*
 * Links between workers, and the connections on their way over them.
 */
#include "worker/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "event/loop.h"
#include "hub/hub.h"
#include "ipc/channel.h"
#include "ipc/move_step.h"
#include "net/move.h"
#include "net/net.h"
#include "os/clock.h"
#include "os/socket.h"
#include "worker/arrival.h"
#include "worker/departure.h"
#include "worker/taking.h"

enum {
    BATCH = 64,            /* connections frozen in one loop turn, at most */
    BATCH_TIME = 2,        /* ms, after which it ends anyway, ... */
    BATCH_BYTES = 1 << 17, /* ... or when it has come to so many */
    BATCH_PAUSE = 2,       /* ms between two, in which others have the CPU */
    HURRY = 5000,          /* ms, after which there is no pause any more */
    UNDER_WAY_MAX = 256,   /* given over one link and not yet taken */
    BYTES_MAX = LNT_CHANNEL_QUEUE_MAX / 2, /* of one connection */
    PASSES = 20,      /* over the table for those of which nobody knows
                         when they can be moved */
    PASS_PAUSE = 50,  /* ms */
    LINK_WAIT = 3000, /* ms for another taker when all have died, at most */
};
_Static_assert((int)BATCH <= (int)LNT_FDS_MAX, "a batch fits one message");

struct link {
    struct link *next;
    struct lnt_mover *mover;
    struct lnt_channel channel;
    bool gives;
    bool some;    /* not for giving all */
    bool foreign; /* what comes was in another zone */
    struct lnt_departure departure;
    struct lnt_arrival arrival;
    struct lnt_taker taker;
};

struct lnt_mover {
    struct lnt_mover_params p;
    struct link *links;
    struct link *turn; /* the link that gets the next one */
    struct lnt_timer timer;
    size_t at; /* in the table of connections */
    size_t under_way;
    uint64_t hurry_at; /* ms */
    size_t wanted;     /* still to be given */
    uint64_t patience; /* ends, ms */
    unsigned passes;
    unsigned refused, later; /* in this pass */
    bool giving, all, ended;
    bool arrived;        /* some came since this pass began */
    bool alone;          /* nobody makes links any more */
    uint64_t wait_until; /* loop time, while there is no link; 0 not yet */
};

static void on_frame(struct lnt_channel *c, const struct lnt_frame *f);
static void on_closed(struct lnt_channel *c, bool broken, const char *why);
static void on_timer(struct lnt_timer *t);
static enum lnt_verdict_on_move take(void *arg, int fd, struct lnt_str bytes);

static const struct lnt_channel_handler handler = {.frame = on_frame,
                                                   .closed = on_closed};

struct lnt_mover *
lnt_mover_new(const struct lnt_mover_params *p)
{
    struct lnt_mover *mv = lnt_calloc(1, sizeof(*mv));
    mv->p = *p;
    mv->timer.fn = on_timer;
    return mv;
}

static struct link *
add_link(struct lnt_mover *mv, int fd, bool gives)
{
    if (gives && mv->ended) {
        close(fd); /* too late */
        return NULL;
    }
    struct link *l = lnt_calloc(1, sizeof(*l));
    l->mover = mv;
    l->gives = gives;
    l->taker =
        (struct lnt_taker){.net = mv->p.net, .endpoints = mv->p.endpoints};
    lnt_arrival_init(&l->arrival, BYTES_MAX, take, l);
    lnt_departure_init(&l->departure, &l->channel);
    if (lnt_channel_open(&l->channel, mv->p.loop, fd, 0, &handler) < 0) {
        lnt_log_error("link to another worker: %s", strerror(errno));
        free(l);
        return NULL;
    }
    l->next = mv->links;
    mv->links = l;
    if (gives && mv->all) {
        mv->wait_until = 0;
        mv->at = 0;
        lnt_timer_at(mv->p.loop, &mv->timer, lnt_loop_now(mv->p.loop));
    }
    return l;
}

void
lnt_mover_link(struct lnt_mover *mv, int fd, bool gives)
{
    (void)add_link(mv, fd, gives);
}

void
lnt_mover_link_some(struct lnt_mover *mv, int fd)
{
    struct link *l = add_link(mv, fd, true);
    if (l)
        l->some = true;
}

void
lnt_mover_link_foreign(struct lnt_mover *mv, int fd)
{
    struct link *l = add_link(mv, fd, false);
    if (l)
        l->foreign = true;
}

/* Whether it gives and may be used for what is given now. */
static bool
is_giving(const struct link *l)
{
    return l->gives && !l->departure.broken && !(l->some && l->mover->all);
}

bool
lnt_mover_can_give(const struct lnt_mover *mv)
{
    for (const struct link *l = mv ? mv->links : NULL; l; l = l->next)
        if (is_giving(l))
            return true;
    return false;
}

/* ---- giving ---- */

#ifdef LNT_DEBUG_BUILD
/* For tests: LINNET_TEST_MOVE_PAUSE=ms lies between two connections, so that
   there is time to be killed in the middle. */
static uint64_t
pause_between(void)
{
    static uint64_t pause = UINT64_MAX;
    if (pause == UINT64_MAX) {
        const char *text = getenv("LINNET_TEST_MOVE_PAUSE");
        pause = text ? strtoull(text, NULL, 10) : 0;
    }
    return pause;
}
#else
static uint64_t
pause_between(void)
{
    return 0;
}
#endif

/* The next batch; not at once, so that neither we nor those who take are kept
   from the connections that we have. */
static void
wake(struct lnt_mover *mv)
{
    uint64_t now = lnt_loop_now(mv->p.loop);
    uint64_t pause = pause_between();
    if (!mv->giving || mv->ended || lnt_timer_active(&mv->timer))
        return;
    if (pause == 0 && now < mv->hurry_at)
        pause = BATCH_PAUSE;
    lnt_timer_at(mv->p.loop, &mv->timer, now + pause);
}

static void
take_back(struct lnt_mover *mv, struct lnt_moving *g, enum lnt_back reason)
{
    mv->under_way--; /* of all links; it is on none any more */
    (void)lnt_take_back(mv->p.net, mv->p.endpoints, g, reason);
}

/* reason: what that means for those under way. */
static void
drop_link(struct link *l, enum lnt_back reason)
{
    struct lnt_mover *mv = l->mover;
    struct link **at = &mv->links;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (mv->turn == l)
        mv->turn = NULL;
    lnt_channel_close(&l->channel);
    lnt_arrival_release(&l->arrival);
    struct lnt_moving *g;
    while ((g = lnt_departure_any(&l->departure)))
        take_back(mv, g, reason);
    lnt_departure_release(&l->departure);
    lnt_loop_free(mv->p.loop, l);
}

/* What cannot be sent goes on here, and ends when this worker does. */
static void
take_back_failed(struct link *l)
{
    struct lnt_moving *g;
    while ((g = lnt_departure_failed(&l->departure)))
        take_back(l->mover, g, LNT_BACK_UNTAKEN);
}

static bool
has_room(const struct link *l)
{
    return l->departure.n + BATCH <= UNDER_WAY_MAX &&
           l->channel.queued < LNT_CHANNEL_QUEUE_MAX - BYTES_MAX - BATCH_BYTES;
}

static bool
can_take(const struct link *l)
{
    return is_giving(l) && has_room(l);
}

/* In turn; NULL: no one has room. */
static struct link *
next_link(struct lnt_mover *mv)
{
    struct link *start = mv->turn ? mv->turn->next : mv->links;
    for (struct link *l = start; l; l = l->next)
        if (can_take(l))
            return mv->turn = l;
    for (struct link *l = mv->links; l != start; l = l->next)
        if (can_take(l))
            return mv->turn = l;
    return NULL;
}

/* One connection, if it can be moved; its bytes. */
static size_t
give(struct lnt_mover *mv, struct link *l, struct lnt_session *s)
{
    struct lnt_moving *g = lnt_calloc(1, sizeof(*g));
    lnt_move_step(LNT_MOVE_FREEZE);
    g->fd = lnt_move_freeze(s, &g->bytes);
    if (g->fd < 0) {
        mv->later += errno == EAGAIN;
        mv->refused += errno != EAGAIN;
        lnt_moving_free(g);
        return 0;
    }
    lnt_move_step(LNT_MOVE_FROZEN);
    mv->under_way++;
    if (g->bytes.n > BYTES_MAX) {
        take_back(
            mv, g,
            LNT_BACK_UNTAKEN); /* it stays, and ends when this worker does */
        return 0;
    }
    size_t n = g->bytes.n;
    lnt_departure_add(&l->departure, g);
    return n;
}

/* false: there is nothing more to give. */
static bool
give_batch(struct lnt_mover *mv, struct link *l)
{
    int most = pause_between() ? 1 : BATCH;
    uint64_t begin = lnt_clock_ms();
    size_t bytes = 0;
    for (int i = 0; i < most && bytes < BATCH_BYTES && !l->departure.broken;
         i++) {
        struct lnt_session *s =
            mv->wanted ? lnt_net_next(mv->p.net, &mv->at) : NULL;
        if (!s)
            return false;
        unsigned refused = mv->refused;
        bytes += give(mv, l, s);
        /* One that cannot be moved is not one of those asked for. */
        mv->wanted -= mv->refused == refused;
        if (lnt_clock_ms() - begin >= BATCH_TIME)
            break;
    }
    return true;
}

/* Enough is given: the links were for that.  Those to give all through may be
   here already, for what comes next. */
static void
end_some(struct lnt_mover *mv)
{
    struct link *l = mv->links;
    mv->giving = false;
    while (l) {
        struct link *next = l->next;
        if (l->gives && (l->some || mv->all))
            drop_link(l, LNT_BACK_UNSURE); /* there are none */
        l = next;
    }
}

static bool
is_taking(const struct lnt_mover *mv)
{
    for (const struct link *l = mv->links; l; l = l->next)
        if (!l->gives)
            return true;
    return false;
}

/* Whether there may be more to give in a moment. */
static bool
goes_on(struct lnt_mover *mv)
{
    if (!lnt_mover_can_give(mv))
        return false;
    /* Those who still give to us are heard to the end: what comes from them
       goes on to the next. */
    if (is_taking(mv) || mv->arrived)
        return true;
    if (mv->later && lnt_loop_now(mv->p.loop) < mv->patience)
        return true;
    return mv->refused && ++mv->passes < PASSES;
}

/* All takers have died: the master makes links to those that take their
   places.  true: that is waited for. */
static bool
waits_for_link(struct lnt_mover *mv)
{
    uint64_t now = lnt_loop_now(mv->p.loop);
    if (mv->alone || lnt_mover_can_give(mv) || !lnt_net_count(mv->p.net))
        return false;
    if (!mv->wait_until)
        mv->wait_until =
            now + (mv->p.patience < LINK_WAIT ? mv->p.patience : LINK_WAIT);
    if (now >= mv->wait_until)
        return false;
    lnt_timer_at(mv->p.loop, &mv->timer, mv->wait_until);
    return true;
}

static void
end_giving(struct lnt_mover *mv)
{
    if (mv->ended || mv->under_way)
        return;
    if (!mv->all) {
        end_some(mv);
        return;
    }
    if (waits_for_link(mv))
        return;
    if (goes_on(mv)) {
        mv->refused = mv->later = 0;
        mv->at = 0;
        mv->arrived = false;
        lnt_timer_at(mv->p.loop, &mv->timer,
                     lnt_loop_now(mv->p.loop) + PASS_PAUSE);
        return;
    }
    mv->ended = true;
    end_some(mv); /* so that the takers know that nothing more comes */
    mv->p.done(mv->p.arg);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_mover *mv = LNT_OWNER(t, struct lnt_mover, timer);
    struct link *l = next_link(mv);
    if (!l) {
        /* It goes on when one has been taken; or all takers are gone, and the
           rest drains. */
        if (!lnt_mover_can_give(mv))
            end_giving(mv);
        return;
    }
    bool more = give_batch(mv, l);
    lnt_departure_send(&l->departure);
    take_back_failed(l);
    if (more)
        wake(mv);
    else
        end_giving(mv);
}

static void
begin_giving(struct lnt_mover *mv, size_t n)
{
    mv->giving = true;
    mv->wanted = n;
    mv->at = 0;
    mv->refused = mv->later = 0;
    mv->hurry_at = lnt_loop_now(mv->p.loop) + HURRY;
    mv->patience = lnt_loop_now(mv->p.loop) + mv->p.patience;
    wake(mv);
}

/* One of no more use when all is given, as soon as nothing is on its way over
   it. */
static void
drop_spent(struct link *l)
{
    if (l->some && l->mover->all && l->departure.n == 0)
        drop_link(l, LNT_BACK_UNSURE); /* there are none */
}

void
lnt_mover_give_all(struct lnt_mover *mv)
{
    struct link *next;
    mv->all = true;
    for (struct link *l = mv->links; l; l = next) {
        next = l->next;
        drop_spent(l);
    }
    begin_giving(mv, SIZE_MAX);
}

void
lnt_mover_alone(struct lnt_mover *mv)
{
    if (!mv || mv->alone)
        return;
    mv->alone = true;
    if (mv->all && !lnt_mover_can_give(mv) && !mv->ended)
        lnt_timer_at(mv->p.loop, &mv->timer, lnt_loop_now(mv->p.loop));
}

void
lnt_mover_give(struct lnt_mover *mv, size_t n)
{
    if (!mv->all)
        begin_giving(mv, n);
}

static void
settle(struct link *l, uint32_t number, uint32_t verdict)
{
    struct lnt_mover *mv = l->mover;
    lnt_move_step(LNT_MOVE_ANSWERED);
    struct lnt_moving *g = lnt_departure_take(&l->departure, number);
    if (!g)
        return;
    if (verdict == LNT_MOVE_ACCEPTED) {
        mv->under_way--;
        close(g->fd);
        lnt_moving_free(g);
    } else {
        take_back(mv, g,
                  verdict == LNT_MOVE_UNREADABLE ? LNT_BACK_UNREADABLE
                                                 : LNT_BACK_UNTAKEN);
    }
    lnt_move_step(LNT_MOVE_GIVEN);
}

static void
on_moved(struct link *l, struct lnt_str payload)
{
    struct lnt_mover *mv = l->mover;
    uint32_t number, verdict;
    while (lnt_unpack_u32(&payload, &number) &&
           lnt_unpack_u32(&payload, &verdict))
        settle(l, number, verdict);
    drop_spent(l);
    wake(mv);
}

/* ---- taking ---- */

static enum lnt_verdict_on_move
take(void *arg, int fd, struct lnt_str bytes)
{
    struct link *l = arg;
    struct lnt_mover *mv = l->mover;
    if (l->foreign)
        lnt_hub_foreign(mv->p.hub, true);
    enum lnt_verdict_on_move v = lnt_take(&l->taker, fd, bytes);
    if (l->foreign)
        lnt_hub_foreign(mv->p.hub, false);
    mv->arrived |= v == LNT_MOVE_ACCEPTED;
    return v;
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct link *l = LNT_OWNER(c, struct link, channel);
    if (f->type == LNT_FRAME_MOVE && !l->gives) {
        if (!lnt_take_frame(&l->taker, &l->channel, &l->arrival, f))
            drop_link(l, LNT_BACK_UNSURE);
    } else if (f->type == LNT_FRAME_MOVED && l->gives) {
        on_moved(l, f->payload);
    } else if (f->type == LNT_FRAME_MOVE || f->type == LNT_FRAME_MOVED) {
        drop_link(l, LNT_BACK_UNSURE); /* it takes us for what it is itself */
    } else {
        lnt_log_info("link to another worker: a frame %s means nothing here "
                     "and is skipped",
                     lnt_frame_names[f->type]);
    }
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    struct link *l = LNT_OWNER(c, struct link, channel);
    struct lnt_mover *mv = l->mover;
    if (broken)
        lnt_log_error("link to another worker: %s", why);
    /* At the end of file we have heard all that it ever said. */
    drop_link(l, broken ? LNT_BACK_UNSURE : LNT_BACK_UNTAKEN);
    wake(mv);
}

void
lnt_mover_free(struct lnt_mover *mv)
{
    if (!mv)
        return;
    mv->ended = true;
    while (mv->links)
        drop_link(mv->links, LNT_BACK_UNSURE);
    lnt_timer_stop(mv->p.loop, &mv->timer);
    free(mv);
}
