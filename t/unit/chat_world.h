/*
 * A world for the chat module to live in: sessions, a hub and a zone made of
 * small tables in one process, for unit programs and the fuzzer.  Included by
 * exactly one file of a program.  It does what hub/hub.h promises, in the
 * simplest way; world_fail makes the next such call fail.
 */
#ifndef LNT_T_CHAT_WORLD_H
#define LNT_T_CHAT_WORLD_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/mem.h"
#include "core/regex.h"
#include "core/strbuf.h"
#include "hub/hub.h"
#include "ipc/dict.h"
#include "modules/chat/chat.h"
#include "net/app.h"
#include "net/limits.h"
#include "net/net.h"
#include "net/server_info.h"
#include "net/stats.h"

enum {
    WORLD_SESSIONS = 8,
    WORLD_USERS = 16,
    WORLD_ROOMS = 64,
};

struct lnt_session {
    bool open, human, closing;
    int close_code;
    uint64_t id;
    max_align_t state[8];
    struct lnt_strbuf got; /* messages, each followed by NUL */
    size_t seen;           /* how much of got was looked at */
};

struct lnt_sub {
    struct lnt_session *session;
    uint32_t user, room;
    unsigned format;
    struct lnt_sub *next; /* of the session */
    struct lnt_sub *next_in_room;
    bool listens; /* is no member */
    uint64_t start;
};

struct world_event {
    struct lnt_event e;
    struct lnt_strbuf data;
    struct world_event *next;
};

static struct world {
    struct lnt_session sessions[WORLD_SESSIONS];
    struct {
        char nick[LNT_NICK_MAX + 1];
        uint64_t session; /* 0: free */
    } users[WORLD_USERS];
    struct {
        char name[LNT_ROOM_NAME_MAX + 1];
        struct lnt_sub *subs; /* in order of joining */
        unsigned members;
        bool pinned;
        struct lnt_keep keep;
        struct world_event *past; /* all there ever were, in order */
        uint64_t lost;            /* what is not newer was not kept */
    } rooms[WORLD_ROOMS];
    struct lnt_dict values; /* what operators set */
    uint64_t now, queued;
    struct lnt_limits limits;
    struct lnt_server_info server;
    struct world_event *first, **last;
    uint64_t head, guests;
    int fail; /* errno of the next call that can fail, 0 */
    struct lnt_module_ctx ctx;
    struct chat_conf conf;
    struct lnt_arena *arena;
} world;

extern const struct lnt_module lnt_module_chat;
extern const struct lnt_asset lnt_assets_chat[];
const struct lnt_asset lnt_assets_chat[1] = {{0}};

/* ---- sessions ---- */

uint64_t
lnt_session_id(const struct lnt_session *s)
{
    return s->id;
}

struct lnt_module_ctx *
lnt_session_app(const struct lnt_session *s)
{
    (void)s;
    return &world.ctx;
}

void *
lnt_session_app_state(const struct lnt_session *s)
{
    return world.sessions[s->id - 1].state;
}

bool
lnt_session_is_human(const struct lnt_session *s)
{
    return s->human;
}

bool
lnt_session_closing(const struct lnt_session *s)
{
    return s->closing;
}

bool
lnt_app_is_open(const struct lnt_session *s)
{
    return s->open && !s->closing;
}

void
lnt_session_send(struct lnt_session *s, enum lnt_message_type type,
                 const void *p, size_t n)
{
    if (type != LNT_TEXT || memchr(p, '\0', n))
        abort();
    lnt_strbuf_add(&s->got, p, n);
    lnt_strbuf_addc(&s->got, '\0');
}

void
lnt_session_close(struct lnt_session *s, int code, const char *reason)
{
    (void)reason;
    s->closing = true;
    s->close_code = code;
}

struct lnt_stats *
lnt_session_stats(const struct lnt_session *s)
{
    static struct lnt_stats stats;

    (void)s;
    return &stats;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    (void)s;
    return &world.limits;
}

size_t
lnt_session_queued(const struct lnt_session *s)
{
    (void)s;
    return world.queued;
}

uint64_t
lnt_session_now(const struct lnt_session *s)
{
    (void)s;
    return world.now;
}

struct lnt_session *
lnt_net_next(struct lnt_net *n, size_t *at)
{
    (void)n;
    while (*at < WORLD_SESSIONS) {
        struct lnt_session *s = &world.sessions[(*at)++];
        if (s->open)
            return s;
    }
    return NULL;
}

/* ---- the zone ---- */

static bool
world_fails(void)
{
    if (!world.fail)
        return false;
    errno = world.fail;
    world.fail = 0;
    return true;
}

static struct world_event *
world_copy(const struct lnt_event *e)
{
    struct world_event *w = lnt_calloc(1, sizeof(*w));

    w->e = *e;
    lnt_strbuf_add_str(&w->data, e->data);
    w->e.data = lnt_strbuf_str(&w->data);
    return w;
}

static void
world_free(struct world_event *w)
{
    while (w) {
        struct world_event *next = w->next;

        lnt_strbuf_release(&w->data);
        free(w);
        w = next;
    }
}

static void
world_add(struct lnt_event *e)
{
    struct world_event **at;

    e->seq = ++world.head;
    e->time_us = 1790000000123456 + world.head * 1000000;
    *world.last = world_copy(e);
    world.last = &(*world.last)->next;
    if (!(e->flags & LNT_EVENT_HISTORY))
        return;
    at = &world.rooms[e->room].past;
    while (*at)
        at = &(*at)->next;
    *at = world_copy(e);
}

static void
world_presence(uint16_t kind, uint32_t room, uint64_t origin,
               unsigned announce_max, struct lnt_str data)
{
    struct lnt_event e = {.kind = kind,
                          .room = room,
                          .origin = origin,
                          .flags = LNT_EVENT_NOT_ORIGIN,
                          .data = data};

    if (world.rooms[room].members > announce_max)
        return;
    if (kind == LNT_EVENT_NICK)
        e.flags = 0;
    world_add(&e);
}

uint64_t
lnt_hub_epoch(const struct lnt_hub *h)
{
    (void)h;
    return 77;
}

uint64_t
lnt_hub_guest(struct lnt_hub *h)
{
    (void)h;
    return ++world.guests;
}

struct lnt_str
lnt_hub_nick(const struct lnt_hub *h, uint32_t user)
{
    (void)h;
    return lnt_str_c(world.users[user].nick);
}

uint64_t
lnt_hub_find(struct lnt_hub *h, struct lnt_str nick)
{
    (void)h;
    for (int i = 0; i < WORLD_USERS; i++) {
        if (world.users[i].session &&
            lnt_str_eq(lnt_str_c(world.users[i].nick), nick))
            return world.users[i].session;
    }
    return 0;
}

unsigned
lnt_hub_who(struct lnt_hub *h, const struct lnt_sub *sub, unsigned max,
            struct lnt_strbuf *out)
{
    unsigned n = 0;

    (void)h;
    for (struct lnt_sub *b = world.rooms[sub->room].subs; b;
         b = b->next_in_room) {
        if (b->listens)
            continue;
        if (n++ < max) {
            lnt_strbuf_adds(out, world.users[b->user].nick);
            lnt_strbuf_addc(out, '\0');
        }
    }
    return n;
}

/* ---- history ---- */

static void
world_keep(struct lnt_strbuf *out, const struct lnt_event *e)
{
    lnt_strbuf_add(out, e, sizeof(*e));
    lnt_strbuf_add_str(out, e->data);
}

bool
lnt_hub_past_next(const struct lnt_sub *sub, struct lnt_str *rest,
                  struct lnt_event *e)
{
    if (rest->n < sizeof(*e))
        return false;
    memcpy(e, rest->p, sizeof(*e));
    e->data.p = rest->p + sizeof(*e);
    e->room_name = lnt_str_c(world.rooms[sub->room].name);
    *rest = lnt_str(e->data.p + e->data.n, rest->n - sizeof(*e) - e->data.n);
    return true;
}

unsigned
lnt_hub_history(struct lnt_hub *h, const struct lnt_sub *sub, uint64_t before,
                unsigned limit, struct lnt_strbuf *out)
{
    uint32_t room = sub->room;
    const struct world_event *w = world.rooms[room].past;
    unsigned all = 0, kept, n = 0;

    (void)h;
    for (const struct world_event *i = w; i; i = i->next)
        all++;
    kept =
        all < world.rooms[room].keep.count ? all : world.rooms[room].keep.count;
    for (; all > kept; all--)
        w = w->next;
    for (const struct world_event *i = w; i; i = i->next)
        n += i->e.seq < before;
    for (; n > limit; n--)
        w = w->next;
    for (unsigned i = 0; i < n; i++, w = w->next)
        world_keep(out, &w->e);
    return n;
}

bool
lnt_hub_since(struct lnt_hub *h, const struct lnt_sub *sub, uint64_t since,
              uint64_t before, unsigned limit, struct lnt_strbuf *out,
              unsigned *count)
{
    uint32_t room = sub->room;

    *count = 0;
    (void)h;
    if (since < world.rooms[room].lost || since > world.head)
        return false;
    for (struct world_event *w = world.rooms[room].past; w; w = w->next) {
        if (w->e.seq > since && w->e.seq < before) {
            world_keep(out, &w->e);
            ++*count;
        }
    }
    return *count <= limit;
}

void
lnt_hub_plan(size_t size, struct lnt_zone_usage *u)
{
    (void)size;
    memset(u, 0, sizeof(*u));
}

/* ---- the hub ---- */

static int
world_check_nick(struct lnt_str nick)
{
    if (world_fails())
        return -1;
    errno = nick.n == 0 || nick.n > LNT_NICK_MAX ? EINVAL : EEXIST;
    return errno == EINVAL || lnt_hub_find(NULL, nick) ? -1 : 0;
}

static void
world_set_nick(uint32_t user, struct lnt_str nick)
{
    memcpy(world.users[user].nick, nick.p, nick.n);
    world.users[user].nick[nick.n] = '\0';
}

/* Everything completes at once here. */
static void
world_done(struct lnt_session *s, struct lnt_completion done,
           struct lnt_result r)
{
    r.m = &world.ctx;
    r.session = s;
    r.session_id = s ? s->id : 0;
    r.arg = done.arg;
    if (done.fn)
        done.fn(&r);
}

static int
world_enter(struct lnt_session *s, struct lnt_str nick, uint32_t *user)
{
    if (world_check_nick(nick) < 0)
        return -1;
    for (*user = 0; *user < WORLD_USERS; ++*user) {
        if (!world.users[*user].session) {
            world.users[*user].session = s->id;
            world_set_nick(*user, nick);
            return 0;
        }
    }
    errno = ENOSPC;
    return -1;
}

void
lnt_hub_enter(struct lnt_hub *h, struct lnt_session *s, struct lnt_str nick,
              struct lnt_completion done)
{
    struct lnt_result r = {.what = nick};

    (void)h;
    r.error = world_enter(s, nick, &r.user) < 0 ? errno : 0;
    world_done(s, done, r);
}

static int
world_rename(uint32_t user, struct lnt_str nick, unsigned announce_max)
{
    struct lnt_strbuf both = LNT_STRBUF_INIT;

    if (world_check_nick(nick) < 0)
        return -1;
    lnt_strbuf_adds(&both, world.users[user].nick);
    lnt_strbuf_addc(&both, '\0');
    lnt_strbuf_add_str(&both, nick);
    world_set_nick(user, nick);
    for (uint32_t r = 0; r < WORLD_ROOMS; r++) {
        struct lnt_sub *b = world.rooms[r].subs;
        while (b && b->user != user)
            b = b->next_in_room;
        if (b)
            world_presence(LNT_EVENT_NICK, r, world.users[user].session,
                           announce_max, lnt_strbuf_str(&both));
    }
    lnt_strbuf_release(&both);
    return 0;
}

void
lnt_hub_rename(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
               struct lnt_str nick, unsigned announce_max,
               struct lnt_completion done)
{
    struct lnt_result r = {.what = nick};

    (void)h;
    r.error = world_rename(user, nick, announce_max) < 0 ? errno : 0;
    world_done(s, done, r);
}

enum lnt_under_way
lnt_hub_under_way(const struct lnt_hub *h, const struct lnt_session *s)
{
    (void)h;
    (void)s;
    return LNT_NOTHING;
}

void
lnt_hub_after(struct lnt_hub *h, struct lnt_session *s, struct lnt_str data,
              struct lnt_completion done)
{
    (void)h;
    world_done(s, done, (struct lnt_result){.what = data});
}

/* Nobody moves in this world. */

bool
lnt_session_moved(const struct lnt_session *s)
{
    (void)s;
    return false;
}

bool
lnt_hub_point(struct lnt_hub *h, const struct lnt_session *s,
              const struct lnt_sub *subs, struct lnt_hub_point *p)
{
    (void)h;
    (void)s;
    (void)subs;
    (void)p;
    abort();
}

void
lnt_sub_freeze(struct lnt_hub *h, const struct lnt_sub *sub,
               struct lnt_strbuf *out)
{
    (void)h;
    (void)sub;
    (void)out;
    abort();
}

void
lnt_hub_forget(struct lnt_hub *h, struct lnt_sub *sub)
{
    (void)h;
    (void)sub;
    abort();
}

int
lnt_hub_adopt_user(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                   uint64_t old_session)
{
    (void)h;
    (void)s;
    (void)user;
    (void)old_session;
    abort();
}

struct lnt_sub *
lnt_hub_adopt(struct lnt_hub *h, struct lnt_session *s, struct lnt_str *rest)
{
    (void)h;
    (void)s;
    (void)rest;
    abort();
}

struct lnt_sub *
lnt_hub_adopt_uncounted(struct lnt_hub *h, struct lnt_session *s,
                        struct lnt_str *rest)
{
    (void)h;
    (void)s;
    (void)rest;
    abort();
}

int
lnt_hub_replay(struct lnt_hub *h, struct lnt_session *s, struct lnt_sub *subs,
               uint64_t old_session, const struct lnt_hub_point *from)
{
    (void)h;
    (void)s;
    (void)subs;
    (void)old_session;
    (void)from;
    abort();
}

void
lnt_hub_exit(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
             unsigned announce_max)
{
    (void)h;
    (void)s;
    (void)announce_max;
    if (!world.users[user].session)
        abort();
    world.users[user].session = 0;
}

static uint32_t
world_room(struct lnt_str name)
{
    uint32_t room = 0, free_room = WORLD_ROOMS;

    for (; room < WORLD_ROOMS; room++) {
        if (!world.rooms[room].members && !world.rooms[room].past &&
            !world.rooms[room].pinned)
            free_room = free_room < room ? free_room : room;
        else if (lnt_str_eq(lnt_str_c(world.rooms[room].name), name))
            return room;
    }
    room = free_room;
    if (room == WORLD_ROOMS || name.n > LNT_ROOM_NAME_MAX) {
        errno = room == WORLD_ROOMS ? ENOSPC : EINVAL;
        return WORLD_ROOMS;
    }
    memcpy(world.rooms[room].name, name.p, name.n);
    world.rooms[room].name[name.n] = '\0';
    world.rooms[room].lost = world.head;
    return room;
}

static struct lnt_sub *
world_join(struct lnt_session *s, uint32_t user, struct lnt_str name,
           unsigned format, unsigned announce_max, struct lnt_room_info *info)
{
    struct lnt_sub *sub, **at;
    uint32_t room;

    if (world_fails() || (room = world_room(name)) == WORLD_ROOMS)
        return NULL;
    sub = lnt_calloc(1, sizeof(*sub));
    sub->session = s;
    sub->user = user;
    sub->room = room;
    sub->format = format;
    for (at = &world.rooms[room].subs; *at; at = &(*at)->next_in_room)
        ;
    *at = sub;
    world.rooms[room].members++;
    world_presence(LNT_EVENT_JOIN, room, s->id, announce_max,
                   lnt_str_c(world.users[user].nick));
    info->room = room;
    info->members = world.rooms[room].members;
    info->seq = world.head;
    info->next = world.head + 1;
    memcpy(info->name, world.rooms[room].name, sizeof(info->name));
    return sub;
}

void
lnt_hub_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
             struct lnt_str name, unsigned format, unsigned announce_max,
             struct lnt_completion done)
{
    struct lnt_room_info info = {0};
    struct lnt_result r = {.what = name, .info = &info};

    (void)h;
    r.sub = world_join(s, user, name, format, announce_max, &info);
    r.error = r.sub ? 0 : errno;
    world_done(s, done, r);
}

static struct lnt_sub *
world_listen(struct lnt_session *s, struct lnt_str name, unsigned format,
             struct lnt_room_info *info)
{
    struct lnt_sub *sub;
    uint32_t room;

    if (world_fails() || (room = world_room(name)) == WORLD_ROOMS)
        return NULL;
    sub = lnt_calloc(1, sizeof(*sub));
    sub->session = s;
    sub->room = room;
    sub->format = format;
    sub->listens = true;
    sub->next_in_room = world.rooms[room].subs;
    world.rooms[room].subs = sub;
    /* Others have said something elsewhere meanwhile. */
    world.head++;
    info->room = room;
    info->members = world.rooms[room].members;
    info->seq = 0;
    info->next = sub->start = world.head + 1;
    info->created = false;
    memcpy(info->name, world.rooms[room].name, sizeof(info->name));
    return sub;
}

void
lnt_hub_listen(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
               unsigned format, struct lnt_completion done)
{
    struct lnt_room_info info = {0};
    struct lnt_result r = {.what = name, .info = &info};

    (void)h;
    r.sub = world_listen(s, name, format, &info);
    r.error = r.sub ? 0 : errno;
    world_done(s, done, r);
}

void
lnt_hub_skip(struct lnt_hub *h, struct lnt_sub *sub, uint64_t start)
{
    (void)h;
    sub->start = start;
}

int
lnt_hub_keep(struct lnt_hub *h, const struct lnt_sub *sub,
             const struct lnt_keep *keep)
{
    (void)h;
    world.rooms[sub->room].keep = *keep;
    return 0;
}

int
lnt_hub_pin(struct lnt_hub *h, const struct lnt_module_ctx *m,
            struct lnt_str name, const struct lnt_keep *keep)
{
    uint32_t room = world_room(name);

    (void)h;
    (void)m;
    if (room == WORLD_ROOMS)
        return -1;
    world.rooms[room].pinned = true;
    world.rooms[room].keep = *keep;
    return 0;
}

uint64_t
lnt_hub_next(const struct lnt_hub *h, const struct lnt_sub *sub)
{
    (void)h;
    (void)sub;
    return world.head + 1;
}

void
lnt_hub_leave(struct lnt_hub *h, struct lnt_sub *sub, unsigned announce_max)
{
    struct lnt_sub **at = &world.rooms[sub->room].subs;

    (void)h;
    while (*at != sub)
        at = &(*at)->next_in_room;
    *at = sub->next_in_room;
    if (sub->listens) {
        free(sub);
        return;
    }
    world.rooms[sub->room].members--;
    world_presence(LNT_EVENT_LEAVE, sub->room, sub->session->id, announce_max,
                   lnt_str_c(world.users[sub->user].nick));
    free(sub);
}

uint32_t
lnt_sub_room(const struct lnt_sub *sub)
{
    return sub->room;
}

const char *
lnt_sub_room_name(const struct lnt_sub *sub)
{
    return world.rooms[sub->room].name;
}

unsigned
lnt_sub_format(const struct lnt_sub *sub)
{
    return sub->format;
}

struct lnt_sub *
lnt_sub_next(const struct lnt_sub *sub)
{
    return sub->next;
}

void
lnt_sub_link(struct lnt_sub *sub, struct lnt_sub **head)
{
    sub->next = *head;
    *head = sub;
}

void
lnt_sub_unlink(struct lnt_sub *sub, struct lnt_sub **head)
{
    while (*head != sub)
        head = &(*head)->next;
    *head = sub->next;
}

static void
world_publish(struct lnt_session *s, struct lnt_event *e,
              struct lnt_completion done)
{
    struct lnt_result r = {.what = e->data};

    if (world_fails())
        r.error = errno;
    else
        world_add(e);
    r.seq = e->seq;
    r.time_us = e->time_us;
    world_done(s, done, r);
}

void
lnt_hub_publish(struct lnt_hub *h, struct lnt_session *s,
                const struct lnt_sub *sub, uint16_t kind, uint16_t flags,
                struct lnt_str data, struct lnt_completion done)
{
    struct lnt_event e = {.kind = kind,
                          .flags = flags,
                          .origin = s->id,
                          .room = sub->room,
                          .data = data};
    (void)h;
    world_publish(s, &e, done);
}

void
lnt_hub_post(struct lnt_hub *h, struct lnt_module_ctx *m, struct lnt_str name,
             const struct lnt_keep *keep, uint16_t kind, uint16_t flags,
             struct lnt_str data, struct lnt_completion done)
{
    struct lnt_event e = {.kind = kind, .flags = flags, .data = data};

    (void)h;
    (void)m;
    e.room = world_room(name);
    if (e.room == WORLD_ROOMS) {
        world_done(NULL, done, (struct lnt_result){.error = errno});
        return;
    }
    world.rooms[e.room].keep = *keep;
    world_publish(NULL, &e, done);
}

void
lnt_hub_direct(struct lnt_hub *h, struct lnt_session *s, uint64_t target,
               uint16_t kind, struct lnt_str data, struct lnt_completion done)
{
    struct lnt_event e = {.kind = kind,
                          .flags = LNT_EVENT_DIRECT,
                          .origin = s->id,
                          .target = target,
                          .room = LNT_ROOM_NONE,
                          .data = data};
    (void)h;
    world_publish(s, &e, done);
}

/* ---- the server ---- */

/* ---- what programs use ---- */

static void
world_begin(void)
{
    static const struct chat_room rooms[] = {
        {.name = "den", .topic = ""},
        {.name = "lobby", .topic = "Welcome"},
    };
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    memset(&world, 0, sizeof(world));
    world.last = &world.first;
    world.head = 40;
    world.arena = lnt_arena_new();
    world.conf = (struct chat_conf){
        .history = 100,
        .keep = {.count = 100, .bytes = 25600},
        .room_name =
            lnt_regex_compile(world.arena, "^[a-z0-9][a-z0-9_-]{0,31}$", &why),
        .nick_name =
            lnt_regex_compile(world.arena, "^[\\p{L}\\p{M}\\p{N}._-]+$", &why),
        .presence_limit = 4,
        .text_size = 64,
        .rooms_per_session = 3,
        .guests = true,
        .rooms = rooms,
        .nrooms = 2,
    };
    if (!world.conf.room_name || !world.conf.nick_name)
        abort();
    world.ctx.module = &lnt_module_chat;
    world.ctx.conf = &world.conf;
    world.ctx.server = &world.server;
    lnt_dict_init(&world.values);
    world.server.values = &world.values;
    world.limits.send_queue = 1 << 20;
    world.now = 1000000;
    lnt_module_chat.worker_start(&world.ctx, &why);
}

static inline struct lnt_session *
world_open(bool human)
{
    struct lnt_session *s = world.sessions;

    while (s->open)
        s++;
    s->open = true;
    s->human = human;
    s->closing = false;
    s->id = (uint64_t)(s - world.sessions) + 1;
    memset(s->state, 0, sizeof(s->state));
    if (lnt_module_chat.app->state_size > sizeof(s->state) ||
        lnt_module_chat.app->open(s) != LNT_GO_ON)
        abort();
    return s;
}

/* Delivers what is in the log. */
static void
world_turn(void)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    const struct lnt_app *app = lnt_module_chat.app;
    struct world_event *w;

    while ((w = world.first)) {
        w->e.data = lnt_strbuf_str(&w->data);
        if (!(world.first = w->next))
            world.last = &world.first;
        struct lnt_sub *sub =
            w->e.room == LNT_ROOM_NONE ? NULL : world.rooms[w->e.room].subs;
        for (; sub; sub = sub->next_in_room) {
            if ((w->e.flags & LNT_EVENT_NOT_ORIGIN) &&
                sub->session->id == w->e.origin)
                continue;
            lnt_strbuf_clear(&text);
            w->e.room_name = lnt_str_c(world.rooms[w->e.room].name);
            if (app->event(&world.ctx, &w->e, sub->format, &text))
                lnt_session_send(sub->session, LNT_TEXT, text.p, text.n);
        }
        if (w->e.flags & LNT_EVENT_DIRECT) {
            struct lnt_session *to = &world.sessions[w->e.target - 1];
            lnt_strbuf_clear(&text);
            if (to->open && app->direct(to, &w->e, &text))
                lnt_session_send(to, LNT_TEXT, text.p, text.n);
        }
        w->next = NULL;
        world_free(w);
    }
    lnt_strbuf_release(&text);
}

static lnt_verdict
world_send(struct lnt_session *s, const char *p, size_t n)
{
    struct lnt_message m = {.type = LNT_TEXT, .data = {p, n}};
    lnt_verdict verdict = lnt_module_chat.app->message(s, &m);

    world_turn();
    return verdict;
}

/* The next message that came to s, NULL when there is none. */
static inline const char *
world_next(struct lnt_session *s)
{
    const char *text;

    if (s->seen == s->got.n)
        return NULL;
    text = s->got.p + s->seen;
    s->seen += strlen(text) + 1;
    return text;
}

static void
world_close(struct lnt_session *s)
{
    lnt_module_chat.app->close(s);
    s->open = false;
    lnt_strbuf_release(&s->got);
    s->seen = 0;
    world_turn();
}

static void
world_end(void)
{
    lnt_dict_release(&world.values);
    for (int i = 0; i < WORLD_SESSIONS; i++) {
        if (world.sessions[i].open)
            world_close(&world.sessions[i]);
    }
    lnt_module_chat.worker_stop(&world.ctx);
    for (int i = 0; i < WORLD_ROOMS; i++) {
        world_free(world.rooms[i].past);
        world.rooms[i].past = NULL;
    }
    lnt_arena_free(world.arena);
}

#endif
