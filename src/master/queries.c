/*
 * The master as a switchboard.  It forwards a request under an id of its own
 * and remembers who asked; when the one that was to answer dies, the asker is
 * told at once.
 */
#include "master/queries.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "ipc/reasons.h"
#include "ipc/requests.h"
#include "master/child.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/status.h"
#include "master/values.h"
#include "net/net.h"
#include "net/server_info.h"
#include "os/clock.h"
#include "worker/conns.h"
#include "zone/zone.h"

enum { ANSWER_TIME = 10000, FORWARD_TIME = 60000 };

static struct lnt_child *
child_of_cell(struct lnt_master *m, uint32_t cell)
{
    struct lnt_child *c = m->children;
    while (c && (c->cell != cell || c->state == LNT_CHILD_STARTING))
        c = c->next;
    return c;
}

static void
answer(struct lnt_child *c, uint32_t id, bool ok, struct lnt_str data)
{
    if (lnt_requests_answer(&c->channel, id, ok, data) < 0)
        lnt_log_error("cannot answer a request of worker %u: %s", c->slot,
                      strerror(errno));
}

/* ---- between workers ---- */

struct forwarded {
    struct lnt_master *m;
    uint32_t incarnation; /* of the asker */
    uint32_t id;          /* its own */
};

static void
on_forwarded(void *arg, bool ok, struct lnt_str data)
{
    struct forwarded *w = arg;
    struct lnt_child *c = w->m->children;
    while (c && c->incarnation != w->incarnation)
        c = c->next;
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
        ok = lnt_queries_zone(m, &out);
    else if (ok && lnt_str_eq(q->name, LNT_STR("rooms")))
        ok = lnt_queries_rooms(m, &out);
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
    uint32_t v[2];
    if (f->payload.n != sizeof(v))
        return;
    memcpy(v, f->payload.p, sizeof(v));
    /* Usually done when its end was seen; the zone does it once. */
    if (v[0] < lnt_zone_cells(m->zone))
        lnt_lock_release(m, v[0], v[1]);
}

bool
lnt_queries_frame(struct lnt_master *m, struct lnt_child *c,
                  const struct lnt_frame *f)
{
    if (f->type == LNT_FRAME_REQUEST)
        forward(m, c, f);
    else if (f->type == LNT_FRAME_REPLY)
        lnt_requests_take(m->requests, &c->channel, f->request, f->payload);
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

/* The answers of all workers, one behind the other. */
struct gather {
    struct lnt_asker *asker;
    size_t waiting;
    struct lnt_strbuf out, problems;
};

static void
gather_done(struct gather *g)
{
    if (--g->waiting)
        return;
    lnt_strbuf_add_str(&g->out, lnt_strbuf_str(&g->problems));
    g->asker->done(g->asker, true, g->out.n ? g->out.p : "");
    lnt_strbuf_release(&g->out);
    lnt_strbuf_release(&g->problems);
    free(g);
}

static void
add_problem(struct gather *g, unsigned slot, struct lnt_str why)
{
    lnt_strbuf_addf(&g->problems, "worker %u: %.*s\n", slot, LNT_STR_ARG(why));
}

/* One of those asked. */
struct gathered {
    struct gather *gather;
    const struct lnt_child *child;
};

/* It was told to end, and has ended: then there is nothing to list, and nothing
   wrong with that. */
static bool
has_retired(const struct lnt_child *c)
{
    return c->state == LNT_CHILD_DRAINING && !lnt_channel_is_open(&c->channel);
}

static void
on_gathered(void *arg, bool ok, struct lnt_str data)
{
    struct gathered *w = arg;
    struct gather *g = w->gather;
    if (ok)
        lnt_strbuf_add_str(&g->out, data);
    else if (!has_retired(w->child))
        add_problem(g, w->child->slot, data);
    free(w);
    gather_done(g);
}

void
lnt_queries_conns(struct lnt_master *m, struct lnt_asker *a)
{
    struct gather *g = lnt_calloc(1, sizeof(*g));
    g->asker = a;
    g->waiting = 1; /* ourselves, until all are asked */
    lnt_conns_head(&g->out);
    for (struct lnt_child *c = m->children; c; c = c->next) {
        if (c->state == LNT_CHILD_STARTING)
            continue;
        struct gathered *w = lnt_malloc(sizeof(*w));
        *w = (struct gathered){g, c};
        if (ask(m, c, "", "conns", lnt_str("", 0), on_gathered, w) == 0) {
            g->waiting++;
            continue;
        }
        if (c->state != LNT_CHILD_DRAINING || !lnt_reason_is_gone(errno))
            add_problem(g, c->slot, lnt_str_c(lnt_reason_of_send(errno)));
        free(w);
    }
    gather_done(g);
}

static void
on_single(void *arg, bool ok, struct lnt_str data)
{
    struct lnt_asker *a = arg;
    char *text = lnt_strndup(data.p, data.n);
    a->done(a, ok, text);
    free(text);
}

static void
ask_single(struct lnt_master *m, struct lnt_child *c, const char *module,
           const char *name, struct lnt_str data, const char *none,
           struct lnt_asker *a)
{
    if (!c)
        a->done(a, false, none);
    else if (ask(m, c, module, name, data, on_single, a) < 0)
        a->done(a, false, lnt_reason_of_send(errno));
}

void
lnt_queries_kick(struct lnt_master *m, struct lnt_str id, struct lnt_asker *a)
{
    int64_t number;
    const char *why;
    if (lnt_parse_int(id, &number, &why) < 0 || number <= 0) {
        a->done(a, false, "kick takes an id, as shown by ctl conns");
        return;
    }
    uint32_t cell = (uint32_t)number & ((1u << LNT_ID_CELL_BITS) - 1);
    ask_single(m, child_of_cell(m, cell), "", "kick", id,
               "there is no such connection (any more)", a);
}

struct publish {
    struct lnt_asker *asker;
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
    p->asker->done(p->asker, ok, text.n ? text.p : "");
    lnt_strbuf_release(&text);
    free(p);
}

void
lnt_queries_publish(struct lnt_master *m, struct lnt_str room,
                    struct lnt_str text, struct lnt_asker *a)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    const char *why = "no worker serves at the moment";
    struct publish *p = lnt_malloc(sizeof(*p));
    lnt_strbuf_add_str(&b, room);
    lnt_strbuf_add(&b, "\0server", sizeof("\0server"));
    lnt_strbuf_add_str(&b, text);
    /* Any of them will do. */
    for (struct lnt_child *c = m->children; c && why; c = c->next) {
        if (c->state != LNT_CHILD_SERVING)
            continue;
        *p = (struct publish){a, &c->channel};
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
    a->done(a, false, why);
}

/* ---- the zone ---- */

static void
add_room(void *arg, const struct lnt_room_info *r)
{
    lnt_strbuf_addf(arg, "%-32s %8u %8u\n", r->name, r->members, r->kept);
}

static bool
refuse(const struct lnt_master *m, struct lnt_strbuf *out)
{
    lnt_strbuf_clear(out);
    lnt_lock_text(m, out);
    lnt_strbuf_adds(out, "; try again in a moment");
    return false;
}

bool
lnt_queries_rooms(struct lnt_master *m, struct lnt_strbuf *out)
{
    lnt_strbuf_addf(out, "%-32s %8s %8s\n", "room", "members", "history");
    return lnt_zone_rooms(m->zone, 0, add_room, out) == 0 || refuse(m, out);
}

static void
add_share(struct lnt_strbuf *out, const char *what, uint64_t used, uint64_t of)
{
    unsigned percent = of ? (unsigned)(used * 100 / of) : 0;
    lnt_strbuf_addf(out, "%-10s %14" PRIu64 " of %14" PRIu64 "  %3u %%\n", what,
                    used, of, percent);
}

bool
lnt_queries_zone(struct lnt_master *m, struct lnt_strbuf *out)
{
    struct lnt_zone_usage u;
    uint64_t lapped = 0, now = lnt_clock_wall_us();
    if (lnt_zone_usage(m->zone, &u) < 0)
        return refuse(m, out);
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        if (lnt_cell_state(c) != LNT_CELL_FREE)
            lapped += __atomic_load_n(&c->stats.counters[LNT_C_LAPPED],
                                      __ATOMIC_RELAXED);
    }
    lnt_strbuf_addf(out, "epoch %" PRIu64 ", %" PRIu64 " bytes\n",
                    lnt_zone_epoch(m->zone), u.size);
    add_share(out, "log", u.log_used, u.log_bytes);
    add_share(out, "history", u.history_used, u.history_bytes);
    add_share(out, "promised", u.history_promised, u.history_bytes);
    add_share(out, "users", u.users, u.users_max);
    add_share(out, "rooms", u.rooms, u.rooms_max);
    add_share(out, "members", u.members, u.members_max);
    add_share(out, "by address", u.visits, u.visits_max);
    lnt_strbuf_addf(
        out,
        "the log has %" PRIu64 " records of the last %" PRIu64 " s; %" PRIu64
        " were published; history keeps %" PRIu64
        " messages\nlapped readers: %" PRIu64 ", repairs: %" PRIu64 "\n"
        "rooms evicted: %" PRIu64 "\n",
        u.records,
        u.oldest_us && now > u.oldest_us ? (now - u.oldest_us) / 1000000 : 0,
        u.published, u.kept, lapped, u.repairs, u.evicted);
    return true;
}
