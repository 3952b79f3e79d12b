/*
 * Open calls: a short list, unordered, with one timer.
 */
#include "net/calls.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "net/conn.h"

enum { FIRST_CAP = 4, MOST = 1 << 16 };
enum { PACK_ASKED = 1 }; /* in a frozen call's flags */

/* The place of the pointer; NULL: this session cannot have any. */
static struct lnt_calls **
place(const struct lnt_conn *c)
{
    struct lnt_app_head *head = lnt_conn_app_head(c);

    if (!head || c->state != LNT_CONN_READY || c->admission)
        return NULL;
    return &head->calls;
}

static struct lnt_calls *
calls_of(const struct lnt_conn *c)
{
    struct lnt_calls **at = place(c);

    return at ? *at : NULL;
}

uint32_t
lnt_calls_count(const struct lnt_conn *c, bool asked)
{
    const struct lnt_calls *calls = calls_of(c);

    if (!calls)
        return 0;
    return asked ? calls->nasked : calls->n - calls->nasked;
}

void
lnt_calls_free(struct lnt_conn *c)
{
    struct lnt_calls **at = place(c);

    if (!at || !*at)
        return;
    lnt_timer_stop(c->net->loop, &(*at)->timer);
    free((*at)->list);
    /* Its timer's function may be on the stack above us. */
    lnt_loop_free(c->net->loop, *at);
    *at = NULL;
}

/* Lets the timer fire when the first is due, or not much before. */
static void
set_timer(struct lnt_calls *calls)
{
    struct lnt_net *n = calls->conn->net;
    uint64_t now = lnt_loop_now(n->loop), at;
    uint32_t first = 0;

    for (uint32_t i = 0; i < calls->n; i++) {
        uint32_t due = calls->list[i].due;

        if (due && (!first || lnt_net_due(first, due)))
            first = due;
    }
    if (!first) {
        lnt_timer_stop(n->loop, &calls->timer);
        return;
    }
    int32_t left = (int32_t)(first - lnt_net_time(n));
    at = now + (left > 0 ? (uint64_t)left : 0);
    if (!lnt_timer_active(&calls->timer) ||
        lnt_timer_due(n->loop, &calls->timer) > at)
        lnt_timer_at(n->loop, &calls->timer, at);
}

void
lnt_calls_add(struct lnt_conn *c, const struct lnt_open_call *call,
              void (*fired)(struct lnt_timer *t))
{
    struct lnt_calls **at = place(c), *calls;

    lnt_assert(at);
    if (!*at) {
        *at = lnt_calloc(1, sizeof(**at));
        (*at)->conn = c;
        (*at)->timer.fn = fired;
    }
    calls = *at;
    if (calls->n == calls->cap) {
        calls->cap = calls->cap ? 2 * calls->cap : FIRST_CAP;
        calls->list =
            lnt_realloc(calls->list, calls->cap * sizeof(*calls->list));
    }
    calls->list[calls->n++] = *call;
    calls->nasked += call->asked;
    if (call->due)
        set_timer(calls);
}

/* The i-th; frees all of it behind the last. */
static void
take(struct lnt_calls *calls, uint32_t i, struct lnt_open_call *call)
{
    *call = calls->list[i];
    calls->list[i] = calls->list[--calls->n];
    calls->nasked -= call->asked;
    if (calls->n == 0)
        lnt_calls_free(calls->conn);
}

bool
lnt_calls_take(struct lnt_conn *c, bool asked, uint64_t session,
               uint32_t number, struct lnt_open_call *call)
{
    struct lnt_calls *calls = calls_of(c);

    for (uint32_t i = 0; calls && i < calls->n; i++) {
        const struct lnt_open_call *o = &calls->list[i];

        if (o->number == number && o->asked == asked &&
            (!session || o->session == session)) {
            take(calls, i, call);
            return true;
        }
    }
    return false;
}

bool
lnt_calls_due(struct lnt_conn *c, struct lnt_open_call *call)
{
    struct lnt_calls *calls = calls_of(c);
    uint32_t now = lnt_net_time(c->net);

    for (uint32_t i = 0; calls && i < calls->n; i++) {
        if (calls->list[i].due && lnt_net_due(now, calls->list[i].due)) {
            take(calls, i, call);
            return true;
        }
    }
    if (calls)
        set_timer(calls);
    return false;
}

uint32_t
lnt_calls_number(const struct lnt_conn *c)
{
    const struct lnt_calls *calls = calls_of(c);
    uint32_t number;
    bool used;

    do {
        number = ++c->net->call_serial & INT32_MAX;
        used = number == 0;
        for (uint32_t i = 0; calls && i < calls->n; i++)
            used |= calls->list[i].number == number;
    } while (used);
    return number;
}

/* ---- moving ---- */

void
lnt_calls_pack(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_calls *calls = calls_of(c);
    uint32_t now = lnt_net_time(c->net);

    if (!calls)
        return;
    lnt_pack_u32(out, calls->n);
    for (uint32_t i = 0; i < calls->n; i++) {
        const struct lnt_open_call *o = &calls->list[i];
        size_t part = lnt_pack_begin(out);
        int32_t left = o->due ? (int32_t)(o->due - now) : 0;

        lnt_pack_u64(out, o->session);
        lnt_pack_u64(out, o->tag);
        lnt_pack_u32(out, o->number);
        lnt_pack_u32(out, o->asked ? PACK_ASKED : 0);
        /* The time that is left; 0 is for ever. */
        lnt_pack_u32(out, o->due && left < 1 ? 1 : (uint32_t)left);
        lnt_pack_end(out, part);
    }
}

bool
lnt_calls_unpack(struct lnt_conn *c, struct lnt_str piece,
                 void (*fired)(struct lnt_timer *t))
{
    uint32_t n, flags, left, now = lnt_net_time(c->net);

    if (piece.n == 0)
        return true;
    if (!lnt_unpack_u32(&piece, &n) || n > MOST)
        return false;
    /* Its application has none in this release, but had in another. */
    if (!place(c))
        return true;
    while (n-- > 0) {
        struct lnt_open_call o = {0};
        struct lnt_str part;

        if (!lnt_unpack_part(&piece, &part) ||
            !lnt_unpack_u64(&part, &o.session) ||
            !lnt_unpack_u64(&part, &o.tag) ||
            !lnt_unpack_u32(&part, &o.number) ||
            !lnt_unpack_u32(&part, &flags) || !lnt_unpack_u32(&part, &left))
            return false;
        o.asked = flags & PACK_ASKED;
        if (left)
            o.due = now + left ? now + left : 1;
        lnt_calls_add(c, &o, fired);
    }
    return true;
}
