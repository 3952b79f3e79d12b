/*
 * Sessions driven at random through all their states while everything that can
 * reach a session hits them: events of rooms, direct messages, gaps in the
 * log, kicks, broadcasts, new values, listings, timers, moves to other workers
 * (some with spoiled bytes), drains and workers that are replaced.  What the
 * clients send is valid or not, in one piece or in two, and often the last
 * thing before they close.
 *
 * The application "probe" checks every call it gets: for a session that it was
 * given and has not been told the end of, with the state it left there, and
 * one close for each open.  Chat takes part too; its mistakes are a sanitizer's
 * to find.
 *
 * SEED and STEPS in the environment repeat or prolong a run.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[limits]\n"                                                               \
    "handshake_timeout = 60ms\n"                                               \
    "ping_interval = 40ms\n"                                                   \
    "ping_timeout = 30ms\n"                                                    \
    "idle_timeout = 150ms\n"                                                   \
    "message_size = 4k\n"                                                      \
    "message_rate = 2000/s\n"                                                  \
    "send_queue = 4k\n"                                                        \
    "[listen probe]\n"                                                         \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = line\n"                                                        \
    "app = probe\n"                                                            \
    "[listen lines]\n"                                                         \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = line\n"                                                        \
    "app = chat\n"                                                             \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = http\n"                                                        \
    "[route chat]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /chat\n"                                                           \
    "protocol = websocket\n"                                                   \
    "app = chat\n"                                                             \
    "compression = shared\n"                                                   \
    "[route probe]\n"                                                          \
    "listen = web\n"                                                           \
    "path = /probe\n"                                                          \
    "protocol = websocket\n"                                                   \
    "app = probe\n"                                                            \
    "[route events]\n"                                                         \
    "listen = web\n"                                                           \
    "path = /events\n"                                                         \
    "protocol = sse\n"                                                         \
    "app = chat\n"                                                             \
    "[route look]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /look\n"                                                           \
    "protocol = sse\n"                                                         \
    "app = probe\n"                                                            \
    "[route own]\n"                                                            \
    "listen = web\n"                                                           \
    "path = /own\n"                                                            \
    "protocol = websocket\n"                                                   \
    "app = chat\n"                                                             \
    "compression = 16k\n"                                                      \
    "compression_min = 1\n"                                                    \
    "[route probe_own]\n"                                                      \
    "listen = web\n"                                                           \
    "path = /probe_own\n"                                                      \
    "protocol = websocket\n"                                                   \
    "app = probe\n"                                                            \
    "compression = 16k\n"                                                      \
    "compression_min = 1\n"                                                    \
    "send_queue_policy = drop\n"                                               \
    "[route echo]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /echo\n"                                                           \
    "protocol = websocket\n"                                                   \
    "app = echo\n"                                                             \
    "compression = 8k\n"                                                       \
    "compression_min = 1\n"                                                    \
    "[route api]\n"                                                            \
    "listen = web\n"                                                           \
    "path = /api/\n"                                                           \
    "handler = chat_api\n"                                                     \
    "[route status]\n"                                                         \
    "listen = web\n"                                                           \
    "path = /status\n"                                                         \
    "handler = status\n"                                                       \
    "[route page]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /\n"                                                               \
    "handler = static\n"                                                       \
    "root = builtin:chat\n"                                                    \
    "[listen rawchat]\n"                                                       \
    "address = 127.0.0.1:12\n"                                                 \
    "app = chat\n"                                                             \
    "[listen rawprobe]\n"                                                      \
    "address = 127.0.0.1:13\n"                                                 \
    "app = probe\n"                                                            \
    "[listen raw]\n"                                                           \
    "address = 127.0.0.1:14\n"                                                 \
    "app = echo\n"                                                             \
    "[chat]\n"                                                                 \
    "history = 5\n"

#define WORLD_MODULES storm_modules
#define WORLD_ZONE LNT_ZONE_MIN_SIZE

#include "core/pack.h"
#include "net/app.h"
#include "t/lib/zone_check.h"
#include "worker/conns.h"

static const struct lnt_module *storm_modules[64];

#include "t/lib/hub_now.h"
#include "t/unit/move_world.h"
#include "t/unit/storm_words.h"

enum { CLIENTS = 24, DEFAULT_STEPS = 400000, GRACE = 30 };

/* ---- the probe ---- */

enum { MARK = 0x70726f62, ADMITTED = 0x61646d69, PROBE_EVENT = LNT_EVENT_APP };

struct probe {
    uint32_t mark;
    uint32_t user;
    bool entered;
    struct lnt_sub *subs;
};

static struct {
    unsigned opened, closed, messages, direct, gaps, events, described, drained;
    unsigned frozen, thawed, half_thawed, listened, asked, let_in, abandoned;
    unsigned wrong;
} seen;

static uint64_t last_probe; /* somebody to send to */

/* Its state; every call of the application begins here. */
static struct probe *
probe_of(const struct lnt_session *s, const char *call)
{
    struct probe *p = lnt_session_app_state(s);

    if (p && p->mark == MARK)
        return p;
    if (seen.wrong++ < 20)
        diag("%s for a session that is not open", call);
    return NULL;
}

static enum lnt_admit
probe_admit(struct lnt_session *s, const struct lnt_credentials *c,
            struct lnt_strbuf *why)
{
    struct probe *p = lnt_session_app_state(s);

    (void)c;
    if (draw(20) == 0) {
        lnt_strbuf_adds(why, "not you");
        return LNT_REFUSE;
    }
    seen.asked++;
    p->mark = ADMITTED;
    return draw(6) ? LNT_ADMIT : LNT_ADMIT_LATER;
}

static lnt_verdict
probe_open(struct lnt_session *s)
{
    struct probe *p = lnt_session_app_state(s);

    seen.wrong += p->mark != ADMITTED;
    seen.let_in++;
    seen.opened++;
    p->mark = MARK;
    last_probe = lnt_session_id(s);
    switch (draw(40)) {
    case 0:
        return LNT_CLOSE_POLICY;
    case 1:
        lnt_session_close(s, LNT_CLOSE_POLICY, "not today");
        break;
    case 2:
        lnt_session_cut(s);
        break;
    }
    return LNT_GO_ON;
}

static void
probe_enter(struct lnt_session *s, struct probe *p)
{
    char nick[32];

    if (p->entered)
        return;
    snprintf(nick, sizeof(nick), "p%u", draw(40));
    p->entered =
        now_enter(lnt_session_app(s)->hub, s, lnt_str_c(nick), &p->user) == 0;
}

static void
probe_join(struct lnt_session *s, struct probe *p)
{
    struct lnt_room_info room;
    struct lnt_sub *sub;
    char name[32];

    if (!p->entered)
        return;
    snprintf(name, sizeof(name), "r%u", draw(4));
    sub = now_join(lnt_session_app(s)->hub, s, p->user, lnt_str_c(name), 0, 100,
                   &room);
    if (sub)
        lnt_sub_link(sub, &p->subs);
}

static void
probe_leave(struct lnt_session *s, struct probe *p)
{
    struct lnt_sub *sub = p->subs;

    if (!sub)
        return;
    lnt_sub_unlink(sub, &p->subs);
    lnt_hub_leave(lnt_session_app(s)->hub, sub, 100);
}

static lnt_verdict
probe_message(struct lnt_session *s, const struct lnt_message *m)
{
    struct probe *p = probe_of(s, "message");
    struct lnt_hub *hub = lnt_session_app(s)->hub;

    seen.messages++;
    if (!p)
        return LNT_GO_ON;
    for (size_t i = 0; i < m->data.n; i++) {
        switch (m->data.p[i]) {
        case 'e':
            probe_enter(s, p);
            break;
        case 'j':
            probe_join(s, p);
            break;
        case 'l':
            probe_leave(s, p);
            break;
        case 'p':
            if (p->subs)
                (void)now_publish(hub, s, p->subs, PROBE_EVENT,
                                  draw(2) ? LNT_EVENT_NOT_ORIGIN : 0,
                                  LNT_STR("hello"), NULL, NULL);
            break;
        case 'd':
            (void)now_direct(hub, s, last_probe, PROBE_EVENT, LNT_STR("psst"),
                             NULL, NULL);
            break;
        case 's':
            (void)now_direct(hub, s, lnt_session_id(s), PROBE_EVENT,
                             LNT_STR("self"), NULL, NULL);
            break;
        case 'b':
            lnt_session_send(s, LNT_TEXT, "back", 4);
            break;
        case 'c':
            lnt_session_close(s, 4000, "as you wish");
            break;
        case 'x':
            lnt_session_cut(s);
            break;
        case 'v':
            return LNT_CLOSE_NORMAL;
        }
    }
    return LNT_GO_ON;
}

static bool
probe_event(struct lnt_module_ctx *m, const struct lnt_event *e,
            unsigned format, struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    seen.events++;
    lnt_strbuf_add_str(out, e->data);
    return e->kind == PROBE_EVENT;
}

static bool
probe_direct(struct lnt_session *s, const struct lnt_event *e,
             struct lnt_strbuf *out)
{
    seen.direct++;
    if (!probe_of(s, "direct"))
        return false;
    lnt_strbuf_add_str(out, e->data);
    if (draw(8) == 0)
        lnt_session_close(s, 4001, "that was too much");
    return true;
}

static void
probe_gap(struct lnt_session *s)
{
    seen.gaps++;
    if (!probe_of(s, "gap"))
        return;
    lnt_session_send(s, LNT_TEXT, "gap", 3);
    if (draw(4) == 0)
        lnt_session_close(s, 4002, "lost");
}

static bool
probe_may_listen(struct lnt_module_ctx *m, const struct lnt_interest *l,
                 struct lnt_strbuf *why)
{
    (void)m;
    (void)l;
    (void)why;
    return true;
}

static lnt_verdict
probe_listen(struct lnt_session *s, const struct lnt_interest *l)
{
    struct probe *p = probe_of(s, "listen");
    struct lnt_room_info room;

    seen.listened++;
    for (size_t i = 0; p && i < l->nrooms; i++) {
        struct lnt_sub *sub =
            now_listen(lnt_session_app(s)->hub, s, l->rooms[i], 0, &room);

        if (sub)
            lnt_sub_link(sub, &p->subs);
    }
    return draw(10) ? LNT_GO_ON : LNT_CLOSE_LATER;
}

static void
probe_describe(const struct lnt_session *s, struct lnt_strbuf *out)
{
    seen.described++;
    if (probe_of(s, "describe"))
        lnt_strbuf_adds(out, "a probe");
}

static void
probe_drain(struct lnt_session *s)
{
    seen.drained++;
    if (probe_of(s, "drain"))
        lnt_session_send(s, LNT_TEXT, "bye", 3);
}

static int
probe_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct probe *p = probe_of(s, "freeze");
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_hub_point at;
    uint32_t n = 0;

    seen.frozen++;
    if (!p || !lnt_hub_point(hub, s, p->subs, &at))
        return -1;
    for (const struct lnt_sub *sub = p->subs; sub; sub = lnt_sub_next(sub))
        n++;
    lnt_pack_u64(out, lnt_session_id(s));
    lnt_pack_u64(out, at.position);
    lnt_pack_u64(out, at.seq);
    lnt_pack_u32(out, p->entered);
    lnt_pack_u32(out, p->user);
    lnt_pack_u32(out, n);
    for (const struct lnt_sub *sub = p->subs; sub; sub = lnt_sub_next(sub))
        lnt_sub_freeze(hub, sub, out);
    return 0;
}

static int
probe_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct probe *p = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_hub_point at;
    uint32_t entered, user, n;
    uint64_t old;

    seen.thawed++;
    seen.opened++;
    p->mark = MARK;
    last_probe = lnt_session_id(s);
    if (!lnt_unpack_u64(&state, &old) ||
        !lnt_unpack_u64(&state, &at.position) ||
        !lnt_unpack_u64(&state, &at.seq) || !lnt_unpack_u32(&state, &entered) ||
        !lnt_unpack_u32(&state, &user) || !lnt_unpack_u32(&state, &n))
        return -1;
    if (entered && lnt_hub_adopt_user(hub, s, user, old) < 0)
        return -1;
    p->entered = entered;
    p->user = user;
    while (n-- > 0) {
        struct lnt_sub *sub = lnt_hub_adopt(hub, s, &state);

        if (!sub)
            return -1;
        lnt_sub_link(sub, &p->subs);
    }
    /* A thaw that fails late, when everything is subscribed already. */
    if (draw(10) == 0) {
        seen.half_thawed++;
        return -1;
    }
    return lnt_hub_replay(hub, s, p->subs, old, &at);
}

static void
probe_close(struct lnt_session *s)
{
    struct probe *p = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;

    if (p->mark == ADMITTED) {
        p->mark = 0;
        seen.abandoned++;
        return;
    }
    p = probe_of(s, "close");
    seen.closed++;
    if (!p)
        return;
    p->mark = 0;
    while (p->subs) {
        struct lnt_sub *sub = p->subs;

        lnt_sub_unlink(sub, &p->subs);
        if (lnt_session_moved(s))
            lnt_hub_forget(hub, sub);
        else
            lnt_hub_leave(hub, sub, 100);
    }
    if (p->entered && !lnt_session_moved(s))
        lnt_hub_exit(hub, s, p->user, 100);
    /* None of these may do anything any more. */
    lnt_session_send(s, LNT_TEXT, "late", 4);
    lnt_session_close(s, 4003, "late");
    lnt_session_cut(s);
}

static const struct lnt_app probe_app = {
    .admit = probe_admit,
    .state_size = sizeof(struct probe),
    .open = probe_open,
    .message = probe_message,
    .event = probe_event,
    .direct = probe_direct,
    .may_listen = probe_may_listen,
    .listen = probe_listen,
    .gap = probe_gap,
    .describe = probe_describe,
    .drain = probe_drain,
    .freeze = probe_freeze,
    .thaw = probe_thaw,
    .close = probe_close,
};

static const struct lnt_module probe_module = {
    LNT_MODULE_HEAD,
    .name = "probe",
    .help = "looks at every call it gets",
    .app = &probe_app,
};

/* ---- clients ---- */

static struct {
    int fd; /* -1: none */
    enum talk talk;
    struct lnt_strbuf rest; /* what is sent next time */
} clients[CLIENTS];

/* As much as the socket takes. */
static void
send_rest(unsigned i, size_t most)
{
    struct lnt_strbuf *rest = &clients[i].rest;
    ssize_t n = write(clients[i].fd, rest->p, most < rest->n ? most : rest->n);

    if (n > 0) {
        memmove(rest->p, rest->p + n, rest->n - (size_t)n);
        rest->n -= (size_t)n;
    }
}

static void
hang_up(unsigned i)
{
    close(clients[i].fd);
    clients[i].fd = -1;
    lnt_strbuf_clear(&clients[i].rest);
}

static void
come(unsigned i)
{
    int size = 4096;

    clients[i].talk = draw(TALKS);
    clients[i].fd =
        dial(&workers[draw(nworkers)], storm_listeners[clients[i].talk]);
    (void)setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    add_head(clients[i].talk, &clients[i].rest);
}

static void
step_client(unsigned i)
{
    static char sink[65536];
    unsigned what = draw(50);
    ssize_t n = 1;

    if (clients[i].fd < 0) {
        come(i);
        return;
    }
    for (unsigned k = draw(5); k > 0; k--)
        add_words(&clients[i].talk, &clients[i].rest);
    /* Whole, or cut somewhere. */
    send_rest(i, draw(4) ? SIZE_MAX : 1 + draw(200));
    while (n > 0 && draw(3))
        n = read(clients[i].fd, sink, sizeof(sink));
    if (what == 0 || (n == 0 && draw(4)))
        hang_up(i);
    else if (what == 1)
        (void)shutdown(clients[i].fd, SHUT_WR);
}

/* ---- what happens to them ---- */

/* One turn of its loop. */
static void
turn(struct worker *w)
{
    w->turns = 1;
    if (lnt_loop_run(w->loop) < 0)
        exit(1);
}

static struct lnt_session *
anybody(struct worker *w)
{
    size_t at = 0;
    struct lnt_session *s = NULL;

    for (unsigned n = draw(CLIENTS) + 1; n > 0; n--) {
        struct lnt_session *next = lnt_net_next(w->net, &at);

        if (!next)
            break;
        s = next;
    }
    return s;
}

static void
kick(struct worker *w)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    const struct lnt_session *s = anybody(w);
    char id[32];

    snprintf(id, sizeof(id), "%llu",
             (unsigned long long)(s ? lnt_session_id(s) : last_probe));
    (void)lnt_conns_kick(w->net, lnt_str_c(id), &out);
    lnt_strbuf_release(&out);
}

static void
list(struct worker *w)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    lnt_conns_list(w->net, 0, &out);
    lnt_strbuf_release(&out);
}

static void
tell_modules(struct worker *w, bool value)
{
    for (size_t i = 0; i < config->nmodules; i++) {
        const struct lnt_module *m = w->ctx[i].module;

        if (value && m->on_value)
            m->on_value(&w->ctx[i], LNT_STR("chat:motd"), LNT_STR("news"));
        else if (!value && m->on_broadcast)
            m->on_broadcast(&w->ctx[i], LNT_STR("to all"));
    }
}

/* To another worker or its own; sometimes the bytes arrive spoiled. */
static bool
move(struct lnt_session *s, struct worker *to)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    const char *why;
    int fd = lnt_move_freeze(s, &bytes);

    if (fd >= 0) {
        if (draw(20) == 0)
            bytes.p[draw((unsigned)bytes.n)] ^= (char)(1 << draw(8));
        else if (draw(40) == 0)
            bytes.n = draw((unsigned)bytes.n);
        (void)lnt_move_thaw(to->net, fd, lnt_strbuf_str(&bytes), find, NULL,
                            &why);
    }
    lnt_strbuf_release(&bytes);
    return fd >= 0;
}

static void
count_drained(void *arg)
{
    ++*(unsigned *)arg;
}

/* A worker goes, as at a reload: its sessions move, those left drain, and
   clients go on meanwhile. */
static unsigned
replace(struct worker *w)
{
    struct worker *other = &workers[(w - workers + 1) % (int)nworkers];
    unsigned drained = 0, rounds = 0;
    size_t at = 0;
    struct lnt_session *s;

    while (draw(2) && (s = lnt_net_next(w->net, &at)))
        (void)move(s, other);
    lnt_net_drain(w->net, GRACE, count_drained, &drained);
    while (!drained && ++rounds < 100000) {
        step_client(draw(CLIENTS));
        turn(w);
        if (draw(4) == 0)
            turn(other);
    }
    world_stop(w);
    world_start(w);
    return drained;
}

/* More than the log holds, while one worker does not read. */
static void
flood(struct worker *w)
{
    static char text[8192];
    struct lnt_module_ctx *m = lnt_net_find(w->net, "probe");

    memset(text, 'x', sizeof(text));
    for (int i = 0; i < 300; i++)
        (void)now_post(w->hub, m, LNT_STR("r0"), NULL, PROBE_EVENT, 0,
                       lnt_str(text, sizeof(text)), NULL, NULL);
    turn(w);
}

static unsigned
step(void)
{
    struct worker *w = &workers[draw(nworkers)];
    struct lnt_session *s;

    switch (draw(60)) {
    case 0:
        kick(w);
        return 0;
    case 1:
        list(w);
        return 0;
    case 2:
        tell_modules(w, draw(2));
        return 0;
    case 3:
    case 4:
    case 5:
    case 6:
        s = anybody(w);
        if (s)
            (void)move(s, &workers[draw(nworkers)]);
        return 0;
    case 7:
        if (draw(20) == 0)
            return replace(w);
        return 0;
    case 8:
        if (draw(20) == 0)
            flood(w);
        return 0;
    case 9:
        s = anybody(w);
        if (s)
            lnt_session_cut(s);
        return 0;
    case 10:
    case 11:
        s = anybody(w);
        if (s)
            (void)lnt_session_admitted(s, draw(4), "no");
        return 0;
    default:
        if (draw(3))
            step_client(draw(CLIENTS));
        else
            turn(w);
        return 0;
    }
}

static unsigned
number_of(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text && text[0] ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

int
main(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    unsigned steps = number_of("STEPS", DEFAULT_STEPS), replaced = 0;
    size_t n = 0;

    seed = number_of("SEED", (unsigned)getpid());
    diag("SEED=%u STEPS=%u", seed, steps);
    lnt_log_level(LNT_ALERT);
    for (; lnt_static_modules[n]; n++)
        storm_modules[n] = lnt_static_modules[n];
    storm_modules[n] = &probe_module;
    world_begin(WORLD_WORKERS);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].fd = -1;
    for (unsigned i = 0; i < steps; i++)
        replaced += step();
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (clients[i].fd >= 0)
            hang_up(i);
        lnt_strbuf_release(&clients[i].rest);
    }
    settle();
    settle();
    diag("%u opened, %u messages, %u direct, %u gaps, %u events, %u described, "
         "%u drained, %u frozen, %u thawed (%u by half), %u listened, "
         "%u workers replaced",
         seen.opened, seen.messages, seen.direct, seen.gaps, seen.events,
         seen.described, seen.drained, seen.frozen, seen.thawed,
         seen.half_thawed, seen.listened, replaced);
    is_int(seen.wrong, 0, "no call for a session that is not open");
    ok(lnt_zone_check(zone, &why), "the zone is sound");
    if (why.n)
        diag("%s", why.p);
    world_end();
    is_int(seen.closed, seen.opened, "one close for each open");
    is_int(seen.abandoned, seen.asked - seen.let_in,
           "and for each of the %u admissions that none came of", seen.asked);
    if (steps >= DEFAULT_STEPS)
        ok(seen.messages && seen.direct && seen.gaps && seen.events &&
               seen.described && seen.drained && seen.half_thawed &&
               seen.listened && replaced,
           "everything has happened");
    lnt_strbuf_release(&why);
    return done_testing();
}
