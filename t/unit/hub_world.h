/*
 * Workers for tests of the hub: several in one process, turn by turn, over a
 * net that only writes down what it is given.  Included by exactly one file of
 * a program.
 */
#ifndef LNT_T_HUB_WORLD_H
#define LNT_T_HUB_WORLD_H

#include <errno.h>
#include <stdio.h>

#include "core/buf.h"
#include "core/mem.h"
#include "event/loop.h"
#include "hub/hub.h"
#include "net/app.h"
#include "net/limits.h"
#include "net/net.h"
#include "os/socket.h"
#include "t/lib/hub_now.h"
#include "t/unit/zone_help.h"

/* ---- a net ---- */

enum { WORKERS = 3, SESSIONS = 64, NOTE = LNT_EVENT_APP };

struct lnt_session {
    uint64_t id; /* 0: not there */
    struct lnt_net *net;
    struct lnt_module_ctx *protocol;
    struct lnt_module_ctx *app;
    unsigned variant;
    struct lnt_strbuf got; /* messages, each followed by a blank */
    unsigned deliveries, messages, gaps;
    struct lnt_sub *subs;
};

struct lnt_net {
    unsigned cell;
    struct lnt_stats stats;
    struct lnt_hub *hub;
    struct lnt_zone *zone; /* each its own, as processes have */
    struct lnt_session sessions[SESSIONS];
    struct lnt_timer *timer; /* NULL: none is set */
    uint64_t timer_at;
    /* Of each module one; as in a worker. */
    struct lnt_module_ctx plain, appending, single, app, other;
};

static struct lnt_zone *zone;
static struct lnt_net nets[WORKERS];
static int bells[LNT_CELLS];
static unsigned rendered, encoded, appended;
static struct lnt_event last_event; /* rendered; without its bytes */
static void (*on_direct)(struct lnt_session *s);

struct lnt_stats *
lnt_net_stats(struct lnt_net *n)
{
    return &n->stats;
}

struct lnt_session *
lnt_net_session(struct lnt_net *n, uint64_t id)
{
    uint64_t i = (id >> LNT_ID_CELL_BITS) % SESSIONS;

    return id && n->sessions[i].id == id ? &n->sessions[i] : NULL;
}

void
lnt_net_deliver(struct lnt_session *s, struct lnt_buf *b)
{
    lnt_strbuf_add(&s->got, b->data, b->len);
    s->deliveries++;
    s->messages += b->messages;
}

bool
lnt_session_has_events(const struct lnt_session *s)
{
    return s->protocol->module->protocol->emit != NULL;
}

void
lnt_session_emit(struct lnt_session *s, const struct lnt_named *e)
{
    s->protocol->module->protocol->emit(s, e, 0);
}

void
lnt_session_send(struct lnt_session *s, enum lnt_message_type type,
                 const void *p, size_t n)
{
    (void)type;
    lnt_strbuf_add(&s->got, p, n);
    lnt_strbuf_addc(&s->got, ' ');
    s->messages++;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    static const struct lnt_limits limits;

    (void)s;
    return &limits;
}

int
lnt_session_peer(const struct lnt_session *s, struct lnt_addr *peer)
{
    const char *why;

    (void)s;
    return lnt_addr_parse(peer, "127.0.0.1:1", &why);
}

uint64_t
lnt_session_id(const struct lnt_session *s)
{
    return s->id;
}

struct lnt_module_ctx *
lnt_session_app(const struct lnt_session *s)
{
    return s->app;
}

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    return s->protocol;
}

bool
lnt_app_is_open(const struct lnt_session *s)
{
    return s->id != 0;
}

bool
lnt_app_direct(struct lnt_session *s, const struct lnt_event *e,
               struct lnt_strbuf *out)
{
    const struct lnt_app *app = s->app->module->app;

    return app->direct && app->direct(s, e, out);
}

bool
lnt_app_direct_named(struct lnt_session *s, const struct lnt_event *e,
                     struct lnt_strbuf *out)
{
    const struct lnt_app *app = s->app->module->app;

    return app->direct_named && app->direct_named(s, e, out);
}

void
lnt_app_gap(struct lnt_session *s)
{
    const struct lnt_app *app = s->app->module->app;

    if (app->gap)
        app->gap(s);
}

/* ---- time ---- */

static uint64_t world_now;
static uint64_t world_timers; /* that were set, ever */

struct lnt_loop *
lnt_net_loop(struct lnt_net *n)
{
    return (struct lnt_loop *)(void *)n;
}

uint64_t
lnt_loop_now(const struct lnt_loop *l)
{
    (void)l;
    return world_now;
}

void
lnt_timer_at(struct lnt_loop *l, struct lnt_timer *t, uint64_t ms)
{
    struct lnt_net *n = (struct lnt_net *)(void *)l;

    n->timer = t;
    n->timer_at = ms;
    world_timers++;
}

void
lnt_timer_stop(struct lnt_loop *l, struct lnt_timer *t)
{
    (void)t;
    ((struct lnt_net *)(void *)l)->timer = NULL;
}

/* ---- modules ---- */

static inline struct lnt_buf *
encode(struct lnt_module_ctx *m, unsigned variant, enum lnt_message_type type,
       struct lnt_str data)
{
    struct lnt_buf *b = lnt_buf_new(data.n + 2);

    (void)m;
    (void)type;
    encoded++;
    for (unsigned i = 0; i < variant; i++)
        b->data[b->len++] = '^';
    memcpy(b->data + b->len, data.p, data.n);
    b->len += (uint32_t)data.n;
    b->data[b->len++] = ' ';
    return b;
}

static inline struct lnt_buf *
append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
       enum lnt_message_type type, struct lnt_str data)
{
    struct lnt_buf *more = encode(m, variant, type, data);

    encoded--;
    appended++;
    b = lnt_buf_grow(b, more->len);
    memcpy(b->data + b->len, more->data, more->len);
    b->len += more->len;
    lnt_buf_unref(more);
    return b;
}

static inline unsigned
variant(const struct lnt_session *s)
{
    return s->variant;
}

static inline struct lnt_buf *
refuse(struct lnt_module_ctx *m, unsigned v, enum lnt_message_type type,
       struct lnt_str data)
{
    (void)m;
    (void)v;
    (void)type;
    (void)data;
    return NULL;
}

/* "seq:data" in format 0, "data" in format 1; "-" is nothing in format 1. */
static inline bool
event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
      struct lnt_strbuf *out)
{
    (void)m;
    rendered++;
    last_event = *e;
    if (format == 1 && lnt_str_eq(e->data, LNT_STR("-")))
        return false;
    if (e->kind == LNT_EVENT_JOIN)
        lnt_strbuf_addc(out, '+');
    if (e->kind == LNT_EVENT_LEAVE)
        lnt_strbuf_addc(out, '~');
    if (format == 0)
        lnt_strbuf_addf(out, "%.*s:", LNT_STR_ARG(e->room_name));
    lnt_strbuf_add_str(out, e->data);
    return true;
}

static inline bool
direct(struct lnt_session *s, const struct lnt_event *e, struct lnt_strbuf *out)
{
    lnt_strbuf_addc(out, '@');
    lnt_strbuf_add_str(out, e->data);
    if (on_direct)
        on_direct(s);
    return true;
}

static inline void
gap(struct lnt_session *s)
{
    s->gaps++;
}

static const struct lnt_protocol plain_protocol = {.encode = encode,
                                                   .variant = variant};
static const struct lnt_protocol appending_protocol = {
    .encode = encode, .append = append, .variant = variant};
static const struct lnt_protocol single_protocol = {.encode = refuse};
static const struct lnt_app app = {
    .formats = 2, .event = event, .direct = direct, .gap = gap};
static const struct lnt_module plain_module = {.name = "plain",
                                               .protocol = &plain_protocol};
static const struct lnt_module appending_module = {
    .name = "appending", .protocol = &appending_protocol};
static const struct lnt_module single_module = {.name = "single",
                                                .protocol = &single_protocol};
static const struct lnt_module app_module = {.name = "app", .app = &app};
static const struct lnt_module other_module = {.name = "other", .app = &app};

/* ---- workers ---- */

static inline void
start_worker(struct lnt_net *n)
{
    int cell = lnt_zone_cell_take(zone, 0, 1);
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    memset(n, 0, sizeof(*n));
    n->zone = lnt_zone_attach(dup(lnt_zone_fd(zone)), &why);
    n->cell = (unsigned)cell;
    n->hub = lnt_hub_new(&(struct lnt_hub_params){
        .zone = n->zone, .cell = n->cell, .doorbells = bells, .net = n});
    n->plain.module = &plain_module;
    n->appending.module = &appending_module;
    n->single.module = &single_module;
    n->app.module = &app_module;
    n->other.module = &other_module;
    n->plain.hub = n->appending.hub = n->single.hub = n->app.hub =
        n->other.hub = n->hub;
}

static inline void
start(size_t size)
{
    zone = new_zone(size);
    for (unsigned i = 0; i < WORKERS; i++)
        start_worker(&nets[i]);
    rendered = encoded = appended = 0;
    on_direct = NULL;
}

static inline void
stop(const char *name)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        lnt_hub_free(nets[i].hub);
        lnt_zone_close(nets[i].zone);
        for (unsigned k = 0; k < SESSIONS; k++)
            lnt_strbuf_release(&nets[i].sessions[k].got);
    }
    is_sound(zone, name);
    lnt_zone_close(zone);
}

static inline struct lnt_session *
session(unsigned worker, struct lnt_module_ctx *protocol)
{
    static uint64_t serial;
    struct lnt_net *n = &nets[worker];

    for (uint64_t i = 1; i < SESSIONS; i++) {
        struct lnt_session *s = &n->sessions[i];

        if (s->id != 0)
            continue;
        /* Never the same twice. */
        s->id = (serial++ * SESSIONS + i) << LNT_ID_CELL_BITS | n->cell;
        s->net = n;
        s->app = &n->app;
        s->protocol = protocol;
        return s;
    }
    exit(1);
}

static inline struct lnt_sub *
enter(struct lnt_session *s, const char *room, unsigned format)
{
    static unsigned names;
    struct lnt_room_info info;
    struct lnt_sub *sub;
    uint32_t user;
    char nick[16];

    snprintf(nick, sizeof(nick), "n%u", names++);
    if (now_enter(s->net->hub, s, lnt_str_c(nick), &user) < 0)
        fail("enter");
    sub = now_join(s->net->hub, s, user, lnt_str_c(room), format, 0, &info);
    ok(sub && strcmp(lnt_sub_room_name(sub), room) == 0, "in %s", room);
    return sub;
}

static inline void
leave(struct lnt_session *s, struct lnt_sub *sub)
{
    lnt_hub_leave(s->net->hub, sub, 0);
}

static inline void
say(struct lnt_session *s, struct lnt_sub *sub, uint16_t flags,
    const char *text)
{
    if (now_publish(s->net->hub, s, sub, NOTE, flags, lnt_str_c(text), NULL,
                    NULL) < 0)
        fail("publish: %s", strerror(errno));
}

static inline void
turn(unsigned worker)
{
    while (lnt_hub_turn(nets[worker].hub))
        ;
}

static inline void
turns(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        turn(i);
}

/* What it got since the last time. */
static inline const char *
got(struct lnt_session *s)
{
    static struct lnt_strbuf last;

    lnt_strbuf_clear(&last);
    lnt_strbuf_add_str(&last, lnt_strbuf_str(&s->got));
    lnt_strbuf_clear(&s->got);
    lnt_strbuf_reserve(&last, 0);
    last.p[last.n] = '\0';
    return last.p;
}

#endif
