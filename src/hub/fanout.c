/*
 * Events of the log on their way to the local subscribers: rendered by the
 * application once a format, framed by the protocol once a group, queued by
 * reference.
 *
 * Events of one room that follow each other in the log are a run: they are
 * framed into one buffer, which is queued once for each subscriber.  A run ends
 * where another room's event comes, so every session gets everything in the
 * order of the log, in whichever rooms it is.
 */
#include "hub/fanout.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "hub/aliases.h"
#include "hub/event.h"
#include "hub/subs.h"
#include "net/app.h"
#include "net/module.h"
#include "net/net.h"
#include "net/session.h"
#include "net/stats.h"

enum {
    RUN_BYTES = 16 * 1024, /* a buffer that is full is queued */
    AHEAD = 8,             /* sessions fetched into the cache ahead */
};

/* One event in one format. */
struct rendering {
    struct lnt_strbuf text;
    uint64_t seq; /* of the event it is of */
    bool wanted;  /* the application has something to say */
};

/* The same as bytes for all sessions of a protocol and variant. */
struct framing {
    struct lnt_module_ctx *protocol;
    unsigned variant, format;
    enum lnt_message_type type;
    const struct rendering *text;
    struct lnt_buf *buf; /* NULL: they are sent to one by one, if wanted */
};

struct lnt_fanout {
    struct lnt_subs *subs;
    struct lnt_net *net;
    struct lnt_stats *stats;
    unsigned cell;
    struct lnt_hub_room *room; /* of the run, NULL none */
    /* As plain messages, and as events with names. */
    struct rendering renderings[2][LNT_FORMATS_MAX];
    struct lnt_strbuf direct;
    struct lnt_aliases aliases;
    uint64_t seq; /* of the last event that was read */
    /* Of a message to several rooms: what was made of it, and who has it. */
    struct framing *framings;
    size_t nframings, framings_cap;
    uint64_t *marks; /* by the session's place: seq of the message */
    size_t nmarks;
};

struct lnt_fanout *
lnt_fanout_new(struct lnt_subs *subs, struct lnt_net *net, unsigned cell)
{
    struct lnt_fanout *f = lnt_calloc(1, sizeof(*f));

    f->subs = subs;
    f->net = net;
    f->stats = lnt_net_stats(net);
    f->cell = cell;
    return f;
}

void
lnt_fanout_free(struct lnt_fanout *f)
{
    for (size_t i = 0; i < LNT_FORMATS_MAX; i++) {
        lnt_strbuf_release(&f->renderings[0][i].text);
        lnt_strbuf_release(&f->renderings[1][i].text);
    }
    lnt_strbuf_release(&f->direct);
    free(f->framings);
    free(f->marks);
    lnt_aliases_release(&f->aliases);
    free(f);
}

/* ---- to a group ---- */

/* Gives its run to everybody but except, and forgets it. */
static void
deliver(struct lnt_fanout *f, struct lnt_group *g,
        const struct lnt_session *except)
{
    struct lnt_buf *run = g->run;
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n; i++) {
        struct lnt_session *s = g->entries[i].session;

        if (i + AHEAD < g->n && g->entries[i + AHEAD].session)
            lnt_net_prefetch(g->entries[i + AHEAD].session);
        if (!s || s == except)
            continue;
        lnt_net_deliver(s, run);
        n++;
    }
    lnt_count_add(f->stats, LNT_C_DELIVERED, n * run->messages);
    g->run = NULL;
    lnt_buf_unref(run);
}

static void
send_one(struct lnt_session *s, enum lnt_message_type type, struct lnt_str text)
{
    struct lnt_named e;

    if (type != LNT_NAMED)
        lnt_session_send(s, type, text.p, text.n);
    else if (lnt_named_read(text, &e))
        lnt_session_emit(s, &e);
}

/* For protocols that cannot share buffers. */
static void
send_each(struct lnt_fanout *f, struct lnt_group *g, enum lnt_message_type type,
          struct lnt_str text, const struct lnt_session *except)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < g->n; i++) {
        struct lnt_session *s = g->entries[i].session;

        if (!s || s == except)
            continue;
        send_one(s, type, text);
        n++;
    }
    lnt_count_add(f->stats, LNT_C_DELIVERED, n);
}

/* Adds the text to the group's run, or sends it at once. */
static void
add(struct lnt_fanout *f, struct lnt_group *g, enum lnt_message_type type,
    struct lnt_str text, const struct lnt_session *except)
{
    const struct lnt_protocol *p = g->protocol->module->protocol;

    if (g->run && p->append) {
        g->run = p->append(g->protocol, g->variant, g->run, type, text);
        g->run->messages++;
    } else {
        if (g->run)
            deliver(f, g, NULL);
        if (p->encode)
            g->run = p->encode(g->protocol, g->variant, type, text);
        if (g->run)
            g->run->messages = 1;
        else
            send_each(f, g, type, text, except);
    }
    if (g->run && (except || g->run->len >= RUN_BYTES))
        deliver(f, g, except);
}

/* ---- to a room ---- */

/* Whether the group gets events with names: its protocol has them, and the
   application makes them. */
static bool
is_named(const struct lnt_hub_room *r, const struct lnt_group *g)
{
    return r->app->module->app->event_named &&
           g->protocol->module->protocol->emit;
}

static const struct rendering *
render(struct lnt_fanout *f, const struct lnt_hub_room *r,
       const struct lnt_event *e, unsigned format, bool named)
{
    struct rendering *text = &f->renderings[named][format];
    const struct lnt_app *app = r->app->module->app;
    struct lnt_named check;

    if (text->seq == e->seq)
        return text;
    text->seq = e->seq;
    lnt_strbuf_clear(&text->text);
    if (named)
        text->wanted = app->event_named(r->app, e, format, &text->text) &&
                       lnt_named_read(lnt_strbuf_str(&text->text), &check);
    else
        text->wanted = app->event && app->event(r->app, e, format, &text->text);
    return text;
}

static void
add_to_room(struct lnt_fanout *f, struct lnt_hub_room *r,
            const struct lnt_event *e, const struct lnt_session *except)
{
    LNT_LIST_EACH(&r->groups, struct lnt_group, g, node) {
        const struct rendering *text;

        if (g->n == 0)
            continue;
        bool named = is_named(r, g);
        text = render(f, r, e, g->format, named);
        if (text->wanted)
            add(f, g, named ? LNT_NAMED : LNT_TEXT, lnt_strbuf_str(&text->text),
                except);
    }
}

void
lnt_fanout_flush(struct lnt_fanout *f)
{
    if (!f->room)
        return;
    LNT_LIST_EACH(&f->room->groups, struct lnt_group, g, node) {
        if (g->run)
            deliver(f, g, NULL);
    }
    f->room = NULL;
}

static bool
is_local(const struct lnt_fanout *f, uint64_t id)
{
    return (id & ((1u << LNT_ID_CELL_BITS) - 1)) == f->cell;
}

void
lnt_fanout_alias(struct lnt_fanout *f, uint64_t old_id, uint64_t id,
                 uint64_t after, uint64_t until)
{
    const struct lnt_alias a = {id, after, until};

    lnt_aliases_add(&f->aliases, old_id, &a, f->seq);
}

/* The session of that id as an event with that seq names it, if it is here. */
static struct lnt_session *
find_named(struct lnt_fanout *f, uint64_t id, uint64_t seq)
{
    id = lnt_aliases_id(&f->aliases, id, seq);
    return is_local(f, id) ? lnt_net_session(f->net, id) : NULL;
}

static void
to_room(struct lnt_fanout *f, struct lnt_event *e)
{
    struct lnt_hub_room *r = lnt_subs_room(f->subs, e->room);
    const struct lnt_session *except = NULL;

    if (!r)
        return;
    lnt_event_show(e, r, NULL);
    if (e->flags & LNT_EVENT_NOT_ORIGIN)
        except = find_named(f, e->origin, e->seq);
    /* A buffer that one of them must not get is not shared with others. */
    if (r != f->room || except)
        lnt_fanout_flush(f);
    f->room = r;
    add_to_room(f, r, e, except);
}

/* ---- to several rooms ---- */

/* Whether the session had no mark of this message; it has one now. */
static bool
mark(struct lnt_fanout *f, uint64_t id, uint64_t seq)
{
    size_t i = lnt_net_index(id);

    if (i >= f->nmarks) {
        size_t n = i + i / 2 + 64;

        f->marks = lnt_realloc(f->marks, n * sizeof(*f->marks));
        memset(f->marks + f->nmarks, 0, (n - f->nmarks) * sizeof(*f->marks));
        f->nmarks = n;
    }
    if (f->marks[i] == seq)
        return false;
    f->marks[i] = seq;
    return true;
}

/*
 * A room that a message names, if anybody here is in it.  One that had only
 * sessions that moved may have been gone when the message was published, and is
 * here under another number; this is over when all have read what was on its way
 * then.
 */
static struct lnt_hub_room *
named_room(const struct lnt_fanout *f, const struct lnt_event *e,
           uint32_t number, struct lnt_str name)
{
    struct lnt_hub_room *r = number ? lnt_subs_room(f->subs, number) : NULL;

    if (!r && lnt_aliases_recent(&f->aliases, e->seq))
        r = lnt_subs_room_named(f->subs, e->app, name);
    return r && r->app_id == e->app ? r : NULL;
}

static void
mark_room(struct lnt_fanout *f, const struct lnt_hub_room *r, uint64_t seq)
{
    LNT_LIST_EACH(&r->groups, struct lnt_group, g, node) {
        for (uint32_t i = 0; i < g->n; i++) {
            if (g->entries[i].session)
                (void)mark(f, lnt_session_id(g->entries[i].session), seq);
        }
    }
}

static void
mark_except(struct lnt_fanout *f, const struct lnt_spread *head,
            const struct lnt_event *e)
{
    struct lnt_str names = head->except_names;
    const struct lnt_session *s;

    for (size_t i = 0; i < lnt_spread_sessions(head->except); i++) {
        s = find_named(f, lnt_spread_session(head->except, i), e->seq);
        if (s)
            (void)mark(f, lnt_session_id(s), e->seq);
    }
    if ((e->flags & LNT_EVENT_NOT_ORIGIN) &&
        (s = find_named(f, e->origin, e->seq)))
        (void)mark(f, lnt_session_id(s), e->seq);
    for (size_t i = 0; i < lnt_spread_rooms(head->except_rooms); i++) {
        const struct lnt_hub_room *r =
            named_room(f, e, lnt_spread_room(head->except_rooms, i),
                       lnt_spread_name(&names));

        if (r)
            mark_room(f, r, e->seq);
    }
}

/* What this message is for the group, made once for all that are alike. */
static const struct framing *
frame(struct lnt_fanout *f, const struct lnt_group *g,
      const struct lnt_event *shown)
{
    const struct lnt_protocol *p = g->protocol->module->protocol;
    bool named = is_named(g->room, g);
    struct framing *m;

    for (size_t i = 0; i < f->nframings; i++) {
        m = &f->framings[i];
        if (m->protocol == g->protocol && m->variant == g->variant &&
            m->format == g->format)
            return m;
    }
    if (f->nframings == f->framings_cap) {
        f->framings_cap = f->framings_cap ? f->framings_cap * 2 : 8;
        f->framings =
            lnt_realloc(f->framings, f->framings_cap * sizeof(*f->framings));
    }
    m = &f->framings[f->nframings++];
    *m = (struct framing){
        .protocol = g->protocol,
        .variant = g->variant,
        .format = g->format,
        .type = named ? LNT_NAMED : LNT_TEXT,
        .text = render(f, g->room, shown, g->format, named),
    };
    if (m->text->wanted && p->encode)
        m->buf = p->encode(g->protocol, g->variant, m->type,
                           lnt_strbuf_str(&m->text->text));
    if (m->buf)
        m->buf->messages = 1;
    return m;
}

static uint64_t
spread_to_group(struct lnt_fanout *f, const struct lnt_group *g,
                const struct lnt_event *shown)
{
    const struct framing *m = g->n > 0 ? frame(f, g, shown) : NULL;
    uint64_t n = 0;

    for (uint32_t i = 0; m && i < g->n; i++) {
        struct lnt_session *s = g->entries[i].session;

        if (!s || !mark(f, lnt_session_id(s), shown->seq) || !m->text->wanted)
            continue;
        if (m->buf)
            lnt_net_deliver(s, m->buf);
        else
            send_one(s, m->type, lnt_strbuf_str(&m->text->text));
        n++;
    }
    return n;
}

static void
to_several(struct lnt_fanout *f, struct lnt_event *e)
{
    struct lnt_spread head;
    struct lnt_str names;
    uint64_t n = 0;

    if (!lnt_spread_unpack(e->data, &head))
        return;
    lnt_event_show(e, NULL, &head);
    names = head.names;
    lnt_fanout_flush(f);
    mark_except(f, &head, e);
    for (size_t i = 0; i < lnt_spread_rooms(head.rooms); i++) {
        const struct lnt_hub_room *r = named_room(
            f, e, lnt_spread_room(head.rooms, i), lnt_spread_name(&names));

        if (!r)
            continue;
        LNT_LIST_EACH(&r->groups, struct lnt_group, g, node)
            n += spread_to_group(f, g, e);
    }
    while (f->nframings > 0) {
        struct lnt_buf *buf = f->framings[--f->nframings].buf;

        if (buf)
            lnt_buf_unref(buf);
    }
    if (n > 0)
        lnt_count_add(f->stats, LNT_C_DELIVERED, n);
}

/* ---- to one session ---- */

static void
to_session(struct lnt_fanout *f, struct lnt_event *e)
{
    struct lnt_session *s = find_named(f, e->target, e->seq);
    const struct lnt_module_ctx *m = s ? lnt_session_app(s) : NULL;

    if (!m || lnt_zone_app_id(m->module->name) != e->app)
        return;
    lnt_event_show(e, NULL, NULL);
    lnt_fanout_flush(f);
    lnt_strbuf_clear(&f->direct);
    bool named = m->module->app->direct_named && lnt_session_has_events(s);
    if (!(named ? lnt_app_direct_named(s, e, &f->direct)
                : lnt_app_direct(s, e, &f->direct)))
        return;
    send_one(s, named ? LNT_NAMED : LNT_TEXT, lnt_strbuf_str(&f->direct));
    lnt_count(f->stats, LNT_C_DELIVERED);
}

void
lnt_fanout_passed(struct lnt_fanout *f, uint64_t seq)
{
    f->seq = seq;
    lnt_aliases_forget(&f->aliases, seq);
}

bool
lnt_fanout_wants(struct lnt_fanout *f, const struct lnt_event *e)
{
    lnt_fanout_passed(f, e->seq);
    if (e->flags & LNT_EVENT_DIRECT)
        return is_local(f, lnt_aliases_id(&f->aliases, e->target, e->seq));
    if (e->flags & LNT_EVENT_SPREAD)
        return true; /* which rooms hear it stands in its data */
    return e->room != LNT_ROOM_NONE && lnt_subs_room(f->subs, e->room) != NULL;
}

void
lnt_fanout_event(struct lnt_fanout *f, struct lnt_event *e)
{
    if (e->flags & LNT_EVENT_DIRECT)
        to_session(f, e);
    else if (e->flags & LNT_EVENT_SPREAD)
        to_several(f, e);
    else if (e->room != LNT_ROOM_NONE)
        to_room(f, e);
}

/* ---- gaps ---- */

static void
note_id(void *arg, const struct lnt_sub *sub)
{
    uint64_t id = lnt_session_id(sub->session);

    lnt_strbuf_add(arg, &id, sizeof(id));
}

static int
compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void
lnt_fanout_gap(struct lnt_fanout *f)
{
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    uint64_t *ids, last = 0;
    size_t n;

    /* By number, once each: what is told may end others. */
    lnt_subs_each(f->subs, note_id, &all);
    ids = (uint64_t *)(void *)all.p;
    n = all.n / sizeof(*ids);
    if (n > 0)
        qsort(ids, n, sizeof(*ids), compare_ids);
    for (size_t i = 0; i < n; i++) {
        struct lnt_session *s = NULL;

        if (ids[i] != last)
            s = lnt_net_session(f->net, ids[i]);
        last = ids[i];
        if (s)
            lnt_app_gap(s);
    }
    lnt_strbuf_release(&all);
}
