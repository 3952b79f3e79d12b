/*
 * The master as a switchboard.  It forwards a request under an id of its own
 * and remembers who asked; when the one that was to answer dies, whoever asked
 * is told at once.
 */
#include "master/requests.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "ipc/gather.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/status.h"
#include "master/values.h"
#include "master/waiters.h"
#include "net/net.h"
#include "net/server_info.h"
#include "worker/conns.h"
#include "zone/zone.h"

enum { ANSWER_TIME = 10000, FORWARD_TIME = 60000 };

static struct lnt_child *
child_of_cell(struct lnt_master *m, uint32_t cell)
{
    struct lnt_child *c = lnt_worker_next(m, NULL);
    while (c && (c->cell != cell || c->state == LNT_CHILD_STARTING))
        c = lnt_worker_next(m, c);
    return c;
}

static void
answer(struct lnt_child *c, uint32_t id, bool ok, struct lnt_str data)
{
    /* One that ends meanwhile does not wait for it. */
    if (lnt_requests_answer(&c->channel, id, ok, data) < 0 &&
        !lnt_reason_is_gone(errno))
        lnt_log_error("cannot answer a request of %s: %s", c->name,
                      strerror(errno));
}

/* ---- between workers ---- */

struct forwarded {
    struct lnt_master *m;
    uint32_t incarnation; /* of who asked */
    uint32_t id;          /* its own */
};

static void
on_forwarded(void *arg, bool ok, struct lnt_str data)
{
    struct forwarded *w = arg;
    struct lnt_child *c = lnt_worker_next(w->m, NULL);
    while (c && c->incarnation != w->incarnation)
        c = lnt_worker_next(w->m, c);
    if (c)
        answer(c, w->id, ok, data);
    free(w);
}

/* What the master knows by itself. */
static void
answer_self(struct lnt_master *m, struct lnt_child *from, uint32_t id,
            const struct lnt_request *q)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    bool ok = q->module.n == 0;
    if (ok && lnt_str_eq(q->name, LNT_STR("status")))
        lnt_status_json(m, &out);
    else if (ok && lnt_str_eq(q->name, LNT_STR("zone")))
        ok = lnt_status_zone(m, &out);
    else if (ok && lnt_str_eq(q->name, LNT_STR("rooms")))
        ok = lnt_status_rooms(m, &out);
    else
        ok = false;
    if (!ok && out.n == 0)
        lnt_strbuf_adds(&out, "the master does not answer that");
    answer(from, id, ok, lnt_strbuf_str(&out));
    lnt_strbuf_release(&out);
}

static void
forward(struct lnt_master *m, struct lnt_child *from, const struct lnt_frame *f)
{
    struct lnt_request q;
    if (lnt_request_decode(f->payload, &q) < 0) {
        answer(from, f->request, false, LNT_STR("that is no request"));
        return;
    }
    if (q.cell == LNT_MASTER) {
        answer_self(m, from, f->request, &q);
        return;
    }
    struct lnt_child *to = child_of_cell(m, q.cell);
    if (!to) {
        answer(from, f->request, false, LNT_STR("there is no such worker"));
        return;
    }
    struct forwarded *w = lnt_malloc(sizeof(*w));
    *w = (struct forwarded){m, from->incarnation, f->request};
    if (lnt_requests_send(m->requests, &to->channel, LNT_FRAME_REQUEST,
                          f->payload, FORWARD_TIME, on_forwarded, w) == 0)
        return;
    const char *why = lnt_reason_of_send(errno);
    free(w);
    answer(from, f->request, false, lnt_str_c(why));
}

static void
change_value(struct lnt_master *m, struct lnt_child *from,
             const struct lnt_frame *f)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    struct lnt_dict_change c;
    uint64_t version = 0;
    bool ok = false;
    if (lnt_dict_decode(f->payload, &c) < 0)
        lnt_strbuf_adds(&text, "that is no change of a value");
    else
        ok = lnt_values_change(m, c.key, c.unset ? NULL : &c.value, &version,
                               &text);
    if (ok)
        lnt_strbuf_addu(&text, version);
    answer(from, f->request, ok, lnt_strbuf_str(&text));
    lnt_strbuf_release(&text);
}

static void
clear_predecessor(struct lnt_master *m, const struct lnt_frame *f)
{
    struct lnt_str rest = f->payload;
    uint32_t cell, incarnation;
    /* Usually done when its end was seen; the zone does it once. */
    if (lnt_unpack_u32(&rest, &cell) && lnt_unpack_u32(&rest, &incarnation) &&
        cell < lnt_zone_cells(m->zone))
        lnt_lock_release(m, cell, incarnation);
}

bool
lnt_master_requests_frame(struct lnt_master *m, struct lnt_child *c,
                          const struct lnt_frame *f)
{
    if (f->type == LNT_FRAME_REQUEST)
        forward(m, c, f);
    else if (f->type == LNT_FRAME_SET)
        change_value(m, c, f);
    else if (f->type == LNT_FRAME_RESTARTED)
        clear_predecessor(m, f);
    else
        return false;
    return true;
}

/* ---- of operators ---- */

static int
ask(struct lnt_master *m, struct lnt_child *c, const char *module,
    const char *name, struct lnt_str data, lnt_reply_fn *fn, void *arg)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_request q = {
        .cell = c->cell,
        .module = lnt_str_c(module),
        .name = lnt_str_c(name),
        .data = data,
    };
    lnt_request_encode(&b, &q);
    int rc = lnt_requests_send(m->requests, &c->channel, LNT_FRAME_REQUEST,
                               lnt_strbuf_str(&b), ANSWER_TIME, fn, arg);
    lnt_strbuf_release(&b);
    return rc;
}

/* One line of each connection. */
static void
on_conns(void *arg, const struct lnt_strbuf *answers,
         const struct lnt_strbuf *problems)
{
    struct lnt_waiter *w = arg;
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    lnt_conns_head(&out);
    lnt_strbuf_add_str(&out, lnt_strbuf_str(answers));
    if (problems->n)
        lnt_strbuf_addf(&out, "%s\n", problems->p);
    w->done(w, true, out.p);
    lnt_strbuf_release(&out);
}

void
lnt_master_conns(struct lnt_master *m, struct lnt_waiter *w)
{
    struct lnt_gather *g =
        lnt_gather_new(m->requests, "\n", false, on_conns, w);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_child *c = NULL;
    lnt_request_encode(&b, &(struct lnt_request){.name = LNT_STR("conns")});
    struct lnt_frame f = {.type = LNT_FRAME_REQUEST,
                          .payload = lnt_strbuf_str(&b)};
    while ((c = lnt_worker_next(m, c)))
        if (c->state != LNT_CHILD_STARTING)
            lnt_gather_ask(g, &c->channel, c->name, &f, ANSWER_TIME);
    lnt_gather_wait(g);
    lnt_strbuf_release(&b);
}

static void
on_single(void *arg, bool ok, struct lnt_str data)
{
    struct lnt_waiter *w = arg;
    char *text = lnt_strndup(data.p, data.n);
    w->done(w, ok, text);
    free(text);
}

static void
ask_single(struct lnt_master *m, struct lnt_child *c, const char *module,
           const char *name, struct lnt_str data, const char *none,
           struct lnt_waiter *w)
{
    if (!c)
        w->done(w, false, none);
    else if (ask(m, c, module, name, data, on_single, w) < 0)
        w->done(w, false, lnt_reason_of_send(errno));
}

void
lnt_master_kick(struct lnt_master *m, struct lnt_str id, struct lnt_waiter *w)
{
    int64_t number;
    const char *why;
    if (lnt_parse_int(id, &number, &why) < 0 || number <= 0) {
        w->done(w, false, "kick takes an id, as shown by ctl conns");
        return;
    }
    uint32_t cell = (uint32_t)number & ((1u << LNT_ID_CELL_BITS) - 1);
    ask_single(m, child_of_cell(m, cell), "", "kick", id,
               "there is no such connection (any more)", w);
}

struct publish {
    struct lnt_waiter *waiter;
    const struct lnt_channel *to;
};

static void
on_published(void *arg, bool ok, struct lnt_str data)
{
    struct publish *p = arg;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_add_str(&text, data);
    if (!ok && !lnt_channel_is_open(p->to))
        lnt_strbuf_adds(&text, " before it could say whether it has published "
                               "that; look before you try again");
    p->waiter->done(p->waiter, ok, text.n ? text.p : "");
    lnt_strbuf_release(&text);
    free(p);
}

void
lnt_master_publish(struct lnt_master *m, struct lnt_str room,
                   struct lnt_str text, struct lnt_waiter *w)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    const char *why = "no worker serves at the moment";
    struct publish *p = lnt_malloc(sizeof(*p));
    lnt_strbuf_add_str(&b, room);
    lnt_strbuf_add(&b, "\0server", sizeof("\0server"));
    lnt_strbuf_add_str(&b, text);
    /* Any of them will do. */
    struct lnt_child *c = NULL;
    while (why && (c = lnt_worker_next(m, c))) {
        if (c->state != LNT_CHILD_SERVING)
            continue;
        *p = (struct publish){w, &c->channel};
        if (ask(m, c, "chat", "publish", lnt_strbuf_str(&b), on_published, p) ==
            0)
            why = NULL;
        else if (!lnt_reason_is_gone(errno))
            why = lnt_reason_of_send(errno);
    }
    lnt_strbuf_release(&b);
    if (!why)
        return;
    free(p);
    w->done(w, false, why);
}
