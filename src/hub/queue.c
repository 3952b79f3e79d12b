/*
 * Operations that do not complete at once, each in the queue of its session.
 *
 * On one machine there are none, unless a test holds them.  What is sent is in
 * one list over all sessions, in the order in which it will be answered.
 */
#include "hub/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/owner.h"
#include "event/loop.h"
#include "hub/op.h"
#include "hub/state.h"
#include "net/app.h"
#include "net/net.h"

struct entry {
    struct entry *next;                 /* of its session */
    struct entry *sent_next, **sent_at; /* sent_at NULL: it waits */
    uint64_t deadline;                  /* ms */
    struct lnt_op op;
    struct lnt_keep keep;
    size_t bytes;
    max_align_t data[]; /* the arg, what it is about, the room's name */
};

struct queue {
    struct lnt_map_node node; /* by its session's id */
    uint64_t session;
    struct entry *first;
    size_t n, bytes;
    /* While a completion runs: where what it begins goes, and its time. */
    struct entry **insert;
    uint64_t deadline;
};

struct lnt_queues {
    struct lnt_hub *hub;
    struct lnt_map queues;
    struct entry *sent, **sent_end;
    struct lnt_timer timer;
    uint64_t timer_at;
    bool held;
    int canceled; /* errno */
    void (*idle)(void *arg);
    void *idle_arg;
};

static void on_timer(struct lnt_timer *timer);

struct lnt_queues *
lnt_queues_new(struct lnt_hub *h)
{
    struct lnt_queues *t = lnt_calloc(1, sizeof(*t));

    t->hub = h;
    t->sent_end = &t->sent;
    t->timer.fn = on_timer;
    return t;
}

void
lnt_queues_free(struct lnt_queues *t)
{
    lnt_map_release(&t->queues);
    free(t);
}

/* ---- a session's queue ---- */

static struct queue *
find(const struct lnt_queues *t, uint64_t session)
{
    return LNT_MAP_FIND(&t->queues, lnt_map_number(session), struct queue,
                        node);
}

static struct queue *
take(struct lnt_queues *t, uint64_t session)
{
    struct queue *q = find(t, session);

    if (q)
        return q;
    q = lnt_calloc(1, sizeof(*q));
    q->session = session;
    lnt_map_add(&t->queues, &q->node, lnt_map_number(session));
    return q;
}

static void
drop(struct lnt_queues *t, struct queue *q)
{
    lnt_map_remove(&t->queues, &q->node);
    free(q);
    if (t->queues.n > 0)
        return;
    lnt_timer_stop(lnt_net_loop(t->hub->net), &t->timer);
    t->timer_at = 0;
    if (t->idle) {
        void (*idle)(void *arg) = t->idle;

        t->idle = NULL;
        idle(t->idle_arg);
    }
}

/* ---- time ---- */

static uint64_t
now(const struct lnt_queues *t)
{
    return lnt_loop_now(lnt_net_loop(t->hub->net));
}

static void
wait_until(struct lnt_queues *t, uint64_t at)
{
    if (t->timer_at != 0 && t->timer_at <= at)
        return;
    t->timer_at = at;
    lnt_timer_at(lnt_net_loop(t->hub->net), &t->timer, at);
}

/* ---- one of them ---- */

static struct lnt_str
copy(char **at, struct lnt_str s)
{
    struct lnt_str to = {*at, s.n};

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return to;
}

static size_t
size_of(const struct lnt_op *op)
{
    return op->done.arg.n + op->what.n + op->room_name.n;
}

static struct entry *
new_entry(const struct lnt_op *op, uint64_t deadline)
{
    size_t n = size_of(op);
    struct entry *e = lnt_malloc(sizeof(*e) + n);
    char *at = (char *)e->data;

    e->op = *op;
    e->deadline = deadline;
    e->bytes = n;
    e->sent_at = NULL;
    e->op.done.arg = copy(&at, op->done.arg);
    e->op.what = copy(&at, op->what);
    e->op.room_name = copy(&at, op->room_name);
    if (op->keep) {
        e->keep = *op->keep;
        e->op.keep = &e->keep;
    }
    return e;
}

static void
send_entry(struct lnt_queues *t, struct entry *e)
{
    e->sent_next = NULL;
    e->sent_at = t->sent_end;
    *t->sent_end = e;
    t->sent_end = &e->sent_next;
}

static void
unsend(struct lnt_queues *t, struct entry *e)
{
    if (!e->sent_at)
        return;
    *e->sent_at = e->sent_next;
    if (e->sent_next)
        e->sent_next->sent_at = e->sent_at;
    else
        t->sent_end = e->sent_at;
}

static struct entry **
behind_sent(struct queue *q)
{
    struct entry **at = &q->first;

    while (*at && (*at)->sent_at)
        at = &(*at)->next;
    return at;
}

/* The first of the queue is over. */
static void
finish_first(struct lnt_queues *t, struct queue *q, int error)
{
    struct entry *e = q->first;
    struct lnt_session *s =
        q->session ? lnt_net_session(t->hub->net, q->session) : NULL;

    if (s && !lnt_app_is_open(s))
        s = NULL;
    unsend(t, e);
    q->first = e->next;
    q->n--;
    q->bytes -= e->bytes;
    q->insert = behind_sent(q);
    q->deadline = error == ETIMEDOUT ? now(t) + LNT_OP_TIME : e->deadline;
    lnt_op_run(t->hub, &e->op, s, error, true);
    q->insert = NULL;
    free(e);
}

/* Does what only waited for its turn, and sends what may be sent now.  The queue
   is gone when it is empty. */
static void
go_on(struct lnt_queues *t, struct queue *q)
{
    struct entry *e;

    while ((e = q->first) && !e->sent_at && !lnt_op_is_ordered(&e->op))
        finish_first(t, q, 0);
    if (!e) {
        drop(t, q);
        return;
    }
    wait_until(t, e->deadline);
    if (!e->sent_at)
        send_entry(t, e);
    while (lnt_op_streams(&e->op) && e->next && lnt_op_streams(&e->next->op)) {
        e = e->next;
        if (!e->sent_at)
            send_entry(t, e);
    }
}

static void
finish(struct lnt_queues *t, struct queue *q, int error)
{
    finish_first(t, q, error);
    go_on(t, q);
}

/* Ends what is late, but for what was begun meanwhile; whether anything was.
   *next: when the next one's time is over. */
static bool
end_late(struct lnt_queues *t, uint64_t *next)
{
    bool any = false;

    *next = UINT64_MAX;
    LNT_MAP_EACH(&t->queues, struct queue, q, node) {
        if (q->first->deadline <= now(t)) {
            lnt_count(t->hub->stats, LNT_C_OPS_EXPIRED);
            finish(t, q, ETIMEDOUT);
            any = true;
        } else if (q->first->deadline < *next) {
            *next = q->first->deadline;
        }
    }
    return any;
}

static void
on_timer(struct lnt_timer *timer)
{
    struct lnt_queues *t = LNT_OWNER(timer, struct lnt_queues, timer);
    uint64_t next;

    t->timer_at = 0;
    while (end_late(t, &next))
        ;
    if (next != UINT64_MAX)
        wait_until(t, next);
}

/* ---- begin ---- */

static bool
is_full(const struct queue *q, const struct lnt_op *op)
{
    bool post = op->session == 0;
    size_t most = post ? LNT_POSTS_MAX : LNT_OPS_MAX;
    size_t bytes = post ? LNT_POSTS_BYTES : LNT_OPS_BYTES;

    if (!q || q->n == 0 || q->insert || op->kind == LNT_OP_LEAVE ||
        op->kind == LNT_OP_EXIT)
        return false;
    return q->n >= most || q->bytes + size_of(op) > bytes;
}

/* Whether nothing of its session stands in its way. */
static bool
may_run(const struct lnt_queues *t, const struct queue *q,
        const struct lnt_op *op)
{
    if (q && (!q->insert || q->insert != &q->first))
        return false;
    return !t->held || !lnt_op_is_ordered(op);
}

static void
enqueue(struct lnt_queues *t, struct queue *q, const struct lnt_op *op)
{
    struct entry **at = q->insert;
    struct entry *e = new_entry(op, at ? q->deadline : now(t) + LNT_OP_TIME);

    if (!at) {
        for (at = &q->first; *at; at = &(*at)->next)
            ;
    } else {
        q->insert = &e->next;
    }
    e->next = *at;
    *at = e;
    q->n++;
    q->bytes += e->bytes;
    /* Otherwise the queue goes on when the completion returns. */
    if (!q->insert)
        go_on(t, q);
}

void
lnt_queues_begin(struct lnt_queues *t, struct lnt_session *s,
                 const struct lnt_op *op)
{
    struct queue *q = find(t, op->session);
    int error = lnt_op_is_ordered(op) ? t->canceled : 0;

    if (error == 0 && is_full(q, op)) {
        lnt_count(t->hub->stats, LNT_C_OPS_REFUSED);
        error = EAGAIN;
    }
    if (error != 0 || may_run(t, q, op))
        lnt_op_run(t->hub, op, s, error, false);
    else
        enqueue(t, q ? q : take(t, op->session), op);
}

/* ---- all of them ---- */

bool
lnt_queues_idle(const struct lnt_queues *t)
{
    return t->queues.n == 0 && !t->held && !t->canceled;
}

enum lnt_under_way
lnt_queues_state(const struct lnt_queues *t, uint64_t session)
{
    const struct queue *q = find(t, session);

    if (!q || (!q->first && q->insert))
        return LNT_NOTHING;
    /* What is begun within a completion is not in its own way. */
    if (q->insert == &q->first)
        return LNT_NOTHING;
    for (const struct entry *e = q->first; e; e = e->next) {
        if (!lnt_op_streams(&e->op))
            return LNT_MORE;
    }
    return LNT_ONLY_MESSAGES;
}

void
lnt_queues_cancel(struct lnt_queues *t, int error)
{
    struct queue *q;

    t->canceled = error;
    while ((q = lnt_owner_or_null(lnt_map_next(&t->queues, NULL),
                                  offsetof(struct queue, node)))) {
        while (q->first)
            finish_first(t, q, lnt_op_is_ordered(&q->first->op) ? error : 0);
        drop(t, q);
    }
}

void
lnt_queues_when_idle(struct lnt_queues *t, void (*fn)(void *arg), void *arg)
{
    if (t->queues.n == 0) {
        fn(arg);
        return;
    }
    t->idle = fn;
    t->idle_arg = arg;
}

void
lnt_queues_hold(struct lnt_queues *t, bool hold)
{
    t->held = hold;
    if (!hold)
        (void)lnt_queues_release(t, SIZE_MAX);
}

size_t
lnt_queues_release(struct lnt_queues *t, size_t n)
{
    size_t done = 0;

    for (; done < n && t->sent; done++) {
        struct queue *q = find(t, t->sent->op.session);

        /* Answers come in one order, so it is the first of its session. */
        lnt_assert(q->first == t->sent);
        finish(t, q, 0);
    }
    return done;
}

size_t
lnt_queues_sent(const struct lnt_queues *t)
{
    size_t n = 0;

    for (const struct entry *e = t->sent; e; e = e->sent_next)
        n++;
    return n;
}
