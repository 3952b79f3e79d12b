/*
 * Links between workers, and the connections on their way over them.
 */
#include "proc/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "net/endpoint.h"
#include "net/move.h"
#include "net/net.h"
#include "proc/channel.h"
#include "proc/move_step.h"

enum {
    BATCH = 32,          /* connections frozen in one loop turn */
    UNDER_WAY_MAX = 256, /* given and not yet taken, all links together */
    BYTES_MAX = LNT_CHANNEL_QUEUE_MAX / 2, /* of one connection */
    PIECE = LNT_FRAME_PAYLOAD_MAX - 64,
    PASSES = 20,      /* over the table: one may be movable a moment later */
    PASS_PAUSE = 50,  /* ms */
    LINK_WAIT = 3000, /* ms for another taker when all have died */
};

/* One on its way: still ours to take up again. */
struct moving {
    struct moving *next;
    uint32_t number;
    int fd;
    struct lnt_strbuf bytes;
};

struct link {
    struct link *next;
    struct lnt_mover *mover;
    struct lnt_channel channel;
    bool gives;
    uint32_t last_number;
    struct moving *moving;
    /* The connection that is arriving. */
    struct lnt_strbuf coming;
    int coming_fd;
};

struct lnt_mover {
    struct lnt_mover_params p;
    struct link *links;
    struct link *turn; /* the link that gets the next one */
    struct lnt_timer timer;
    size_t at; /* in the table of connections */
    size_t under_way;
    size_t wanted;            /* still to be given */
    unsigned passes, refused; /* in this pass */
    bool giving, all, ended;
    bool alone;          /* nobody makes links any more */
    uint64_t wait_until; /* loop time, while there is no link; 0 not yet */
};

static void on_frame(struct lnt_channel *c, const struct lnt_frame *f);
static void on_closed(struct lnt_channel *c, bool broken, const char *why);
static void on_timer(struct lnt_timer *t);

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

void
lnt_mover_link(struct lnt_mover *mv, int fd, bool gives)
{
    if (gives && mv->ended) {
        close(fd); /* too late */
        return;
    }
    struct link *l = lnt_calloc(1, sizeof(*l));
    l->mover = mv;
    l->gives = gives;
    l->coming_fd = -1;
    if (lnt_channel_open(&l->channel, mv->p.loop, fd, 0, &handler) < 0) {
        lnt_log_error("link to another worker: %s", strerror(errno));
        free(l);
        return;
    }
    l->next = mv->links;
    mv->links = l;
    if (gives && mv->all && !mv->ended) {
        mv->wait_until = 0;
        mv->at = 0;
        lnt_timer_at(mv->p.loop, &mv->timer, lnt_loop_now(mv->p.loop));
    }
}

bool
lnt_mover_can_give(const struct lnt_mover *mv)
{
    for (const struct link *l = mv ? mv->links : NULL; l; l = l->next)
        if (l->gives)
            return true;
    return false;
}

static const struct lnt_endpoint *
find_endpoint(void *arg, struct lnt_str id)
{
    const struct lnt_mover *mv = arg;
    return lnt_endpoint_find(mv->p.endpoints, id);
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

static void
wake(struct lnt_mover *mv)
{
    if (mv->giving && !mv->ended && !lnt_timer_active(&mv->timer))
        lnt_timer_at(mv->p.loop, &mv->timer,
                     lnt_loop_now(mv->p.loop) + pause_between());
}

/* Takes one up again here, where it was frozen.  unreadable: those who follow
   us do not understand it. */
static void
take_back(struct lnt_mover *mv, struct moving *g, bool unreadable)
{
    const char *why;
    mv->under_way--;
    struct lnt_session *s = lnt_move_thaw(
        mv->p.net, g->fd, lnt_strbuf_str(&g->bytes), find_endpoint, mv, &why);
    if (!s)
        lnt_log_error("a connection is lost on its move: %s", why);
    else if (unreadable)
        lnt_session_close(s, LNT_CLOSE_RESTART, "cannot be taken over");
    lnt_strbuf_release(&g->bytes);
    free(g);
}

static void
drop_link(struct link *l)
{
    struct lnt_mover *mv = l->mover;
    struct link **at = &mv->links;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (mv->turn == l)
        mv->turn = NULL;
    lnt_channel_close(&l->channel);
    if (l->coming_fd >= 0)
        close(l->coming_fd);
    lnt_strbuf_release(&l->coming);
    while (l->moving) {
        struct moving *g = l->moving;
        l->moving = g->next;
        take_back(mv, g, false);
    }
    lnt_loop_free(mv->p.loop, l);
}

static int
send_pieces(struct link *l, const struct moving *g)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_str rest = lnt_strbuf_str(&g->bytes);
    uint32_t total = (uint32_t)rest.n;
    int rc = 0;
    bool first = true;
    do {
        struct lnt_str piece = rest;
        if (piece.n > PIECE)
            piece.n = PIECE;
        rest = lnt_str(rest.p + piece.n, rest.n - piece.n);
        lnt_strbuf_clear(&b);
        lnt_pack_u32(&b, g->number);
        lnt_pack_u32(&b, total);
        lnt_strbuf_add_str(&b, piece);
        rc = lnt_channel_send(&l->channel, LNT_FRAME_MOVE, 0,
                              lnt_strbuf_str(&b), &g->fd, first);
        first = false;
    } while (rc == 0 && rest.n);
    lnt_strbuf_release(&b);
    return rc;
}

static struct link *
next_link(struct lnt_mover *mv)
{
    struct link *start = mv->turn ? mv->turn->next : mv->links;
    for (struct link *l = start; l; l = l->next)
        if (l->gives)
            return mv->turn = l;
    for (struct link *l = mv->links; l != start; l = l->next)
        if (l->gives)
            return mv->turn = l;
    return NULL;
}

/* One connection, if it can be moved. */
static void
give(struct lnt_mover *mv, struct link *l, struct lnt_session *s)
{
    struct moving *g = lnt_calloc(1, sizeof(*g));
    lnt_move_step(LNT_MOVE_FREEZE);
    g->fd = lnt_move_freeze(s, &g->bytes);
    if (g->fd < 0) {
        lnt_strbuf_release(&g->bytes);
        free(g);
        mv->refused++;
        return;
    }
    lnt_move_step(LNT_MOVE_FROZEN);
    mv->under_way++;
    g->number = ++l->last_number;
    if (g->bytes.n > BYTES_MAX || send_pieces(l, g) < 0) {
        /* It stays, and ends when this worker does. */
        take_back(mv, g, false);
        return;
    }
    g->next = l->moving;
    l->moving = g;
    lnt_move_step(LNT_MOVE_SENT);
}

static bool
has_room(const struct lnt_mover *mv, const struct link *l)
{
    return mv->under_way < UNDER_WAY_MAX &&
           l->channel.queued < LNT_CHANNEL_QUEUE_MAX - BYTES_MAX - PIECE;
}

/* Enough is given: the links were for that. */
static void
end_some(struct lnt_mover *mv)
{
    struct link *l = mv->links;
    mv->giving = false;
    while (l) {
        struct link *next = l->next;
        if (l->gives)
            drop_link(l);
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

/* All takers have died: the master makes links to those that take their
   places.  true: that is waited for. */
static bool
waits_for_link(struct lnt_mover *mv)
{
    uint64_t now = lnt_loop_now(mv->p.loop);
    if (mv->alone || lnt_mover_can_give(mv) || !lnt_net_count(mv->p.net))
        return false;
    if (!mv->wait_until)
        mv->wait_until = now + LINK_WAIT;
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
    /* Those who still give to us are heard to the end: what comes from them
       goes on to the next. */
    if (lnt_mover_can_give(mv) &&
        (is_taking(mv) || (mv->refused && ++mv->passes < PASSES))) {
        mv->refused = 0;
        mv->at = 0;
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
    struct lnt_mover *mv =
        (struct lnt_mover *)((uintptr_t)t - offsetof(struct lnt_mover, timer));
    int batch = pause_between() ? 1 : BATCH;
    for (int i = 0; i < batch; i++) {
        struct link *l = next_link(mv);
        if (!l)
            break; /* all takers are gone: the rest drains */
        if (!has_room(mv, l))
            return; /* goes on when one has been taken */
        struct lnt_session *s =
            mv->wanted ? lnt_net_next(mv->p.net, &mv->at) : NULL;
        if (!s) {
            end_giving(mv);
            return;
        }
        mv->wanted--;
        give(mv, l, s);
    }
    if (lnt_mover_can_give(mv))
        wake(mv);
    else
        end_giving(mv);
}

void
lnt_mover_give_all(struct lnt_mover *mv)
{
    mv->giving = mv->all = true;
    mv->wanted = SIZE_MAX;
    mv->at = 0;
    wake(mv);
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
    if (mv->all)
        return;
    mv->giving = true;
    mv->wanted = n;
    mv->at = 0;
    wake(mv);
}

static void
on_moved(struct link *l, struct lnt_str payload)
{
    struct lnt_mover *mv = l->mover;
    uint32_t number, ok, unreadable = 0;
    if (!lnt_unpack_u32(&payload, &number) || !lnt_unpack_u32(&payload, &ok))
        return;
    (void)lnt_unpack_u32(&payload, &unreadable);
    lnt_move_step(LNT_MOVE_ANSWERED);
    struct moving **at = &l->moving;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    struct moving *g = *at;
    if (!g)
        return;
    *at = g->next;
    if (ok) {
        mv->under_way--;
        close(g->fd);
        lnt_strbuf_release(&g->bytes);
        free(g);
    } else {
        take_back(mv, g, unreadable);
    }
    lnt_move_step(LNT_MOVE_GIVEN);
    wake(mv);
}

/* ---- taking ---- */

static void
on_move(struct link *l, const struct lnt_frame *f)
{
    struct lnt_mover *mv = l->mover;
    struct lnt_str rest = f->payload;
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    uint32_t number, total;
    const char *why;
    if (!lnt_unpack_u32(&rest, &number) || !lnt_unpack_u32(&rest, &total) ||
        total > BYTES_MAX || l->coming.n + rest.n > total) {
        drop_link(l);
        return;
    }
    if (f->nfds == 1 && l->coming_fd < 0) {
        l->coming_fd = f->fds[0];
        f->fds[0] = -1;
    }
    lnt_strbuf_add_str(&l->coming, rest);
    if (l->coming.n < total)
        return;
    int fd = l->coming_fd;
    l->coming_fd = -1;
    lnt_move_step(LNT_MOVE_ARRIVED);
    lnt_move_spoil(&l->coming);
    bool ok =
        fd >= 0 && lnt_move_thaw(mv->p.net, fd, lnt_strbuf_str(&l->coming),
                                 find_endpoint, mv, &why);
    bool unreadable = fd >= 0 && !ok && errno == EPROTO;
    lnt_strbuf_clear(&l->coming);
    if (unreadable)
        lnt_log_warn("a connection cannot be taken over and ends: %s", why);
    else if (fd >= 0 && !ok)
        lnt_log_info("a connection is not taken over: %s", why);
    lnt_move_step(LNT_MOVE_THAWED);
    lnt_pack_u32(&reply, number);
    lnt_pack_u32(&reply, ok);
    lnt_pack_u32(&reply, unreadable);
    if (lnt_channel_send(&l->channel, LNT_FRAME_MOVED, 0,
                         lnt_strbuf_str(&reply), NULL, 0) < 0)
        lnt_log_debug("link: %s", strerror(errno));
    lnt_move_step(LNT_MOVE_TAKEN);
    lnt_strbuf_release(&reply);
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct link *l =
        (struct link *)((uintptr_t)c - offsetof(struct link, channel));
    if (f->type == LNT_FRAME_MOVE && !l->gives)
        on_move(l, f);
    else if (f->type == LNT_FRAME_MOVED && l->gives)
        on_moved(l, f->payload);
    else
        drop_link(l);
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    struct link *l =
        (struct link *)((uintptr_t)c - offsetof(struct link, channel));
    struct lnt_mover *mv = l->mover;
    if (broken)
        lnt_log_error("link to another worker: %s", why);
    drop_link(l);
    wake(mv);
}

void
lnt_mover_free(struct lnt_mover *mv)
{
    if (!mv)
        return;
    mv->ended = true;
    while (mv->links)
        drop_link(mv->links);
    lnt_timer_stop(mv->p.loop, &mv->timer);
    free(mv);
}
