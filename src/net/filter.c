/*
 * The filters of connections: their state, the raw input that they leave, their
 * own output.  Reading and what comes of it is conn.c's, writing output.c's.
 *
 * Raw input that is left may be the beginning of something large, sent drop by
 * drop: like a handshake it has to be whole within handshake_timeout.
 */
#include "net/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"

/* What moves, behind what a connection without a filter is. */
enum { F_READY = 1 };

static void
set_up(struct lnt_filtered *f, const struct lnt_filter *ops)
{
    f->ops = ops;
    f->state = ops->state_size ? lnt_calloc(1, ops->state_size) : NULL;
}

/* ---- for filters ---- */

void *
lnt_filter_state(const struct lnt_filtered *f)
{
    return f->state;
}

void
lnt_filter_ready(struct lnt_filtered *f)
{
    if (f->ready)
        return;
    f->ready = true;
    f->due = 0;
    f->stats->shaking--;
}

bool
lnt_filter_is_ready(const struct lnt_filtered *f)
{
    return f->ready;
}

void
lnt_filter_send(struct lnt_filtered *f, const void *p, size_t n)
{
    if (n == 0 || f->failed)
        return;
    size_t have = f->own ? f->own->len : 0;
    if (n > LNT_FILTER_OWN_MAX - have) {
        f->failed = true;
        return;
    }
    f->own = f->own ? lnt_buf_grow(f->own, n) : lnt_buf_new(n);
    memcpy(f->own->data + f->own->len, p, n);
    f->own->len += (uint32_t)n;
}

static void
close_ops(struct lnt_filtered *f)
{
    if (f->ops->close)
        f->ops->close(f);
    free(f->state);
    f->state = NULL;
}

void *
lnt_filter_become(struct lnt_filtered *f, const struct lnt_filter *to)
{
    close_ops(f);
    set_up(f, to);
    return f->state;
}

/* ---- begin and end ---- */

/* When what has begun has to be whole; 0: there is time. */
static uint32_t
due_from(const struct lnt_conn *c, uint32_t begun)
{
    uint32_t ms = (uint32_t)c->session.endpoint->limits->handshake_timeout;
    if (ms == 0)
        return 0;
    return begun + ms ? begun + ms : 1;
}

static struct lnt_filtered *
begin(struct lnt_conn *c, const struct lnt_filter *ops)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    f->stats = c->net->stats;
    f->stats->shaking++;
    set_up(f, ops);
    return f;
}

int
lnt_filter_open(struct lnt_conn *c, const struct lnt_endpoint *e)
{
    e = lnt_endpoint_listener(e);
    struct lnt_filtered *f = begin(c, e->filter);
    f->due = due_from(c, c->opened);
    if (f->ops->open && f->ops->open(f, e->filter_conf) < 0)
        return -1;
    return f->failed ? -1 : 0;
}

static void
set_raw(struct lnt_filtered *f, const uint8_t *p, size_t n)
{
    f->stats->raw_input -= f->raw ? f->raw->n : 0;
    free(f->raw);
    f->raw = NULL;
    if (n == 0)
        return;
    f->raw = lnt_malloc(sizeof(*f->raw) + n);
    f->raw->n = (uint32_t)n;
    memcpy(f->raw->data, p, n);
    f->stats->raw_input += n;
}

void
lnt_filter_release(struct lnt_conn *c)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    if (!f->ops)
        return; /* never begun */
    close_ops(f);
    set_raw(f, NULL, 0);
    if (f->own)
        lnt_buf_unref(f->own);
    f->own = NULL;
    f->stats->shaking -= !f->ready;
    f->ops = NULL;
}

/* ---- input ---- */

/* Lets the filter consume what it can, and what it becomes meanwhile; the plain
   bytes of both lie together. */
static enum lnt_filter_verdict
decode(struct lnt_filtered *f, uint8_t *p, size_t n, bool eof, size_t *used,
       size_t *plain)
{
    enum lnt_filter_verdict v;
    const struct lnt_filter *ops;
    *used = *plain = 0;
    do {
        struct lnt_filter_input in = {
            .p = p + *used, .n = n - *used, .eof = eof};
        ops = f->ops;
        v = ops->input(f, &in);
        lnt_assert(in.used <= in.n && in.plain <= in.used);
        if (*used != *plain && in.plain)
            memmove(p + *plain, in.p, in.plain);
        *used += in.used;
        *plain += in.plain;
    } while (v == LNT_FILTER_GO_ON && f->ops != ops);
    return f->failed ? LNT_FILTER_FAIL : v;
}

enum lnt_filter_verdict
lnt_filter_pull(struct lnt_conn *c, uint8_t *p, size_t n, bool eof,
                size_t *plain)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    size_t used;
    enum lnt_filter_verdict v = decode(f, p, n, eof, &used, plain);
    size_t left = n - used;
    if (v == LNT_FILTER_GO_ON && left > LNT_FILTER_RAW_MAX)
        v = LNT_FILTER_FAIL;
    if (v != LNT_FILTER_GO_ON)
        left = 0;
    /* The rest lies behind what was consumed, whose room may hold plain bytes
       by now. */
    bool went_on = used > 0 || !f->raw;
    set_raw(f, p + used, left);
    if (f->ready && left == 0)
        f->due = 0;
    else if (f->ready && went_on)
        f->due = due_from(c, lnt_net_time(c->net));
    return v;
}

bool
lnt_filter_is_due(const struct lnt_conn *c, uint32_t now)
{
    const struct lnt_filtered *f = lnt_conn_filter(c);
    return f->due && lnt_net_due(now, f->due);
}

void
lnt_filter_later(struct lnt_conn *c)
{
    lnt_conn_filter(c)->due = due_from(c, lnt_net_time(c->net));
}

/* ---- output ---- */

int
lnt_filter_push(struct lnt_conn *c, const struct lnt_str *pieces, size_t n,
                bool last, struct lnt_strbuf *raw)
{
    struct lnt_filtered *f = lnt_conn_filter(c);
    if (f->own) {
        lnt_strbuf_add(raw, f->own->data, f->own->len);
        lnt_buf_unref(f->own);
        f->own = NULL;
    }
    if (n && f->ops->output(f, pieces, n, raw) < 0)
        return -1;
    if (last && f->ready && !f->finished && f->ops->finish)
        f->ops->finish(f, raw);
    f->finished |= last;
    return 0;
}

/* ---- moving ---- */

int
lnt_filter_freeze(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_filtered *f = lnt_conn_filter(c);
    struct lnt_str raw = lnt_str("", 0);
    if (!f->ops->freeze || !f->ops->thaw || f->failed || f->finished)
        return -1;
    lnt_pack_str(out, lnt_str_c(f->ops->name));
    size_t state = lnt_pack_begin(out);
    if (f->ops->freeze(f, out) < 0)
        return -1;
    lnt_pack_end(out, state);
    if (f->raw)
        raw = lnt_str(f->raw->data, f->raw->n);
    lnt_pack_str(out, raw);
    /* What is filtered already, and what the filter itself has to say. */
    size_t sent = lnt_pack_begin(out);
    if (f->sealed)
        lnt_strbuf_add(out, c->out->data + c->out_off,
                       c->out->len - c->out_off);
    if (f->own)
        lnt_strbuf_add(out, f->own->data, f->own->len);
    lnt_pack_end(out, sent);
    lnt_pack_u32(out, f->ready ? F_READY : 0);
    lnt_pack_u32(out, f->due ? f->due - lnt_net_time(c->net) : 0);
    return 0;
}

/* The endpoint's filter, or one that this becomes. */
static const struct lnt_filter *
find(const struct lnt_filter *first, struct lnt_str name)
{
    if (lnt_str_eq(name, lnt_str_c(first->name)))
        return first;
    for (size_t i = 0; first->becomes && first->becomes[i]; i++)
        if (lnt_str_eq(name, lnt_str_c(first->becomes[i]->name)))
            return first->becomes[i];
    return NULL;
}

bool
lnt_filter_fits(const struct lnt_endpoint *e, struct lnt_str frozen)
{
    struct lnt_str name;
    const struct lnt_filter *first = lnt_endpoint_listener(e)->filter;
    if (!first || frozen.n == 0)
        return !first && frozen.n == 0;
    if (!lnt_unpack_str(&frozen, &name))
        return false;
    const struct lnt_filter *ops = find(first, name);
    return ops && ops->thaw;
}

int
lnt_filter_thaw(struct lnt_conn *c, struct lnt_str frozen, struct lnt_str *sent)
{
    const struct lnt_endpoint *e = lnt_endpoint_listener(c->session.endpoint);
    struct lnt_str name, state, raw;
    uint32_t flags, left;
    errno = EPROTO;
    if (!lnt_unpack_str(&frozen, &name) || !lnt_unpack_str(&frozen, &state) ||
        !lnt_unpack_str(&frozen, &raw) || !lnt_unpack_str(&frozen, sent) ||
        !lnt_unpack_u32(&frozen, &flags) || !lnt_unpack_u32(&frozen, &left) ||
        raw.n > LNT_FILTER_RAW_MAX)
        return -1;
    struct lnt_filtered *f = begin(c, find(e->filter, name));
    if (flags & F_READY)
        lnt_filter_ready(f);
    if (left)
        f->due = due_from(c, lnt_net_time(c->net));
    /* As much time as was left, but not more than one has from the start. */
    uint32_t at = lnt_net_time(c->net) + left;
    if (f->due && !lnt_net_due(at, f->due))
        f->due = at ? at : 1;
    set_raw(f, (const uint8_t *)raw.p, raw.n);
    return f->ops->thaw(f, e->filter_conf, state);
}
