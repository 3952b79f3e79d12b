/*
 * Messages to several rooms, without some sessions and some rooms: who gets them,
 * once, on every worker; what they cost; who moves meanwhile.
 */
#include <poll.h>

#include "os/memory.h"
#include "t/unit/hub_world.h"

enum { NAMES = 8 };

/* "r q" as slices of a static list. */
static size_t
names(const char *text, struct lnt_str v[NAMES])
{
    size_t n = 0;

    while (*text) {
        size_t len = strcspn(text, " ");

        v[n++] = lnt_str(text, len);
        text += len + (text[len] == ' ');
    }
    return n;
}

/* 0, or the errno. */
static int
spread(struct lnt_session *s, struct lnt_sub *sub, uint16_t flags,
       const char *rooms, const char *except_rooms, uint64_t except,
       const char *text)
{
    struct lnt_str to[NAMES], not_to[NAMES];
    struct now now = {0}, *p = &now;
    const struct lnt_audience audience = {
        .rooms = to,
        .nrooms = names(rooms, to),
        .except_rooms = not_to,
        .nexcept_rooms = names(except_rooms, not_to),
        .except = &except,
        .nexcept = except != 0,
    };

    lnt_hub_spread(s->net->hub, s, sub, &audience, NOTE, flags, lnt_str_c(text),
                   NOW(&p));
    if (now_result(&now, NULL, NULL) < 0)
        return errno;
    return 0;
}

static void
test_union(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_session *d = session(1, &nets[1].appending);
    struct lnt_session *e = session(2, &nets[2].appending);
    struct lnt_sub *home = enter(a, "home", 0);

    enter(a, "r", 0);
    enter(b, "r", 0);
    enter(b, "q", 0);
    enter(c, "q", 0);
    enter(d, "home", 0);
    enter(e, "q", 0);
    enter(e, "x", 0);
    turns();
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned k = 0; k < SESSIONS; k++)
            (void)got(&nets[i].sessions[k]);
    rendered = encoded = 0;

    is_int(spread(a, home, 0, "r q nowhere", "", 0, "1"), 0, "published");
    turns();
    is_str(got(a), "home:1 ", "who is in one of them");
    is_str(got(b), "home:1 ", "who is in both, once");
    is_str(got(c), "home:1 ", "in the other");
    is_str(got(d), "", "not who is in the room that keeps it");
    is_str(got(e), "home:1 ", "on any worker");
    is_int(rendered, 3, "rendered once a worker");
    is_int(encoded, 3, "one buffer for all rooms of it");
    is_int(nets[1].stats.counters[LNT_C_DELIVERED], 2, "counted");

    spread(a, home, 0, "r q", "x", c->id, "2");
    turns();
    is_str(got(a), "home:2 ", "again");
    is_str(got(b), "home:2 ", "again");
    is_str(got(c), "", "not the excepted session");
    is_str(got(e), "", "nor who is in an excepted room");

    spread(a, home, LNT_EVENT_NOT_ORIGIN, "home r", "q nowhere", 0, "3");
    turns();
    is_str(got(a), "", "not the sender");
    is_str(got(b), "", "nor who is in q as well");
    is_str(got(d), "home:3 ", "the others of home");

    spread(a, home, 0, "", "", 0, "4");
    spread(a, home, 0, "nowhere", "r", 0, "5");
    turns();
    is_str(got(a), "", "to nobody");
    is_str(got(d), "", "to nobody at all");
    stop("union");
}

/* In one order with everything else. */
static void
test_order(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *r = enter(a, "r", 0), *q = enter(a, "q", 0);

    say(a, r, 0, "1");
    spread(a, r, 0, "q r", "", 0, "2");
    say(a, q, 0, "3");
    spread(a, q, 0, "r", "", 0, "4");
    say(a, r, 0, "5");
    turns();
    is_str(got(a), "r:1 r:2 q:3 q:4 r:5 ", "in order");

    /* Who comes and goes. */
    struct lnt_session *b = session(0, &nets[0].appending);
    spread(a, r, 0, "r", "", 0, "before");
    struct lnt_sub *sb = enter(b, "r", 0);
    spread(a, r, 0, "r", "", 0, "there");
    turns();
    is_str(got(b), "r:there ", "from the join on");
    spread(a, r, 0, "r", "", 0, "late");
    leave(b, sb);
    turns();
    is_str(got(b), "", "up to the leave");
    stop("order");
}

static void
test_groups(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(0, &nets[0].single);
    struct lnt_session *c = session(0, &nets[0].appending);
    struct lnt_session *d = session(0, &nets[0].appending);
    struct lnt_session *o = session(0, &nets[0].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    enter(b, "q", 0);
    enter(c, "r", 1);
    enter(c, "q", 0);
    d->variant = 1;
    enter(d, "q", 0);
    o->app = &nets[0].other;
    enter(o, "q", 0);
    turns();
    for (unsigned k = 0; k < SESSIONS; k++)
        (void)got(&nets[0].sessions[k]);
    rendered = encoded = 0;
    spread(a, sa, 0, "r q", "", 0, "1");
    turns();
    is_str(got(a), "r:1 ", "one protocol");
    is_str(got(b), "r:1 ", "one that shares no buffers");
    is_str(got(c), "1 ", "the format of the first of the rooms");
    is_str(got(d), "^r:1 ", "another variant");
    is_str(got(o), "",
           "the room of that name of another application is another");
    is_int(rendered, 2, "rendered once a format");
    spread(a, sa, 0, "r q", "", 0, "-");
    turns();
    is_str(got(c), "", "nothing in that format");
    is_str(got(a), "r:- ", "but in the other");
    stop("groups");
}

static bool
is_rung(unsigned worker)
{
    struct pollfd fd = {.fd = bells[nets[worker].cell], .events = POLLIN};
    bool rung = poll(&fd, 1, 0) > 0;

    lnt_eventfd_clear(fd.fd);
    return rung;
}

/* Sleepers are rung for the rooms that are named, and for these alone. */
static void
test_wakers(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(1, &nets[1].plain);
    struct lnt_sub *home = enter(a, "home", 0);

    enter(b, "home", 0);
    enter(b, "q", 0);
    enter(session(2, &nets[2].plain), "x", 0);
    turns();
    for (unsigned i = 1; i < WORKERS; i++)
        while (!lnt_hub_sleep(nets[i].hub))
            turn(i);
    spread(a, home, 0, "r q", "x", 0, "1");
    lnt_hub_turn(nets[0].hub);
    ok(is_rung(1), "a worker that has somebody there");
    ok(!is_rung(2), "not one that has somebody in an excepted room alone");
    lnt_hub_wake(nets[1].hub);
    turn(1);
    while (!lnt_hub_sleep(nets[1].hub))
        turn(1);
    spread(a, home, 0, "r", "q", 0, "2");
    lnt_hub_turn(nets[0].hub);
    ok(!is_rung(1), "nor one that has somebody in the room that keeps it");
    spread(a, home, 0, "q", "", 0, "3");
    lnt_hub_turn(nets[0].hub);
    lnt_hub_wake(nets[1].hub);
    (void)got(b);
    turn(1);
    is_str(got(b), "home:3 ", "which finds what concerns it");
    stop("wakers");
}

static void
test_history(void)
{
    const struct lnt_keep keep = {.count = 10, .bytes = 4096};
    struct lnt_strbuf kept = LNT_STRBUF_INIT;
    struct lnt_str to[NAMES];
    struct now now = {0}, *p = &now;
    struct lnt_audience audience = {.rooms = to, .nrooms = names("q", to)};
    struct lnt_event e;

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_sub *home = enter(a, "home", 0);

    enter(b, "q", 0);
    turns();
    (void)got(b);
    lnt_hub_keep(nets[0].hub, home, &keep);
    spread(a, home, LNT_EVENT_HISTORY, "q", "", 0, "1");
    lnt_hub_post_spread(nets[0].hub, &nets[0].app, LNT_STR("home"), NULL,
                        &audience, NOTE, LNT_EVENT_HISTORY, LNT_STR("2"),
                        NOW(&p));
    ok(now_result(&now, NULL, NULL) == 0 && now.r.seq > 0 &&
           lnt_str_eq(now.r.what, LNT_STR("2")),
       "posted");
    turns();
    is_str(got(b), "home:1 home:2 ", "heard");
    is_int(lnt_hub_history(nets[0].hub, home, UINT64_MAX, 5, &kept), 2, "kept");
    struct lnt_str rest = lnt_strbuf_str(&kept);
    ok(lnt_hub_past_next(home, &rest, &e) && lnt_str_eq(e.data, LNT_STR("1")) &&
           lnt_str_eq(e.room_name, LNT_STR("home")) &&
           e.room == lnt_sub_room(home),
       "as it was published");
    lnt_strbuf_release(&kept);
    stop("history");
}

static void
test_errors(void)
{
    static struct lnt_str many[LNT_AUDIENCE_MAX + 1];
    static uint64_t ids[LNT_AUDIENCE_MAX + 1];
    static char large[256 * 1024];
    struct lnt_audience audience = {.rooms = many, .nrooms = LNT_AUDIENCE_MAX};
    struct now now = {0}, *p = &now;
    char name[LNT_ROOM_NAME_MAX + 1];

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    for (size_t i = 0; i <= LNT_AUDIENCE_MAX; i++)
        many[i] = LNT_STR("r");
    lnt_hub_spread(a->net->hub, a, sa, &audience, NOTE, 0, LNT_STR("1"),
                   NOW(&p));
    is_int(now.r.error, 0, "as many rooms as there may be");
    turns();
    is_str(got(a), "r:1 ", "the same one every time, heard once");
    audience.nrooms++;
    lnt_hub_spread(a->net->hub, a, sa, &audience, NOTE, 0, LNT_STR("1"),
                   NOW(&p));
    is_int(now.r.error, E2BIG, "one more");
    audience =
        (struct lnt_audience){.except = ids, .nexcept = LNT_AUDIENCE_MAX + 1};
    lnt_hub_spread(a->net->hub, a, sa, &audience, NOTE, 0, LNT_STR("1"),
                   NOW(&p));
    is_int(now.r.error, E2BIG, "too many sessions");
    is_int(spread(a, sa, 0, "r", "", 0, ""), 0, "without data");
    memset(name, 'x', sizeof(name));
    many[0] = lnt_str(name, sizeof(name));
    audience = (struct lnt_audience){.except_rooms = many, .nexcept_rooms = 1};
    lnt_hub_spread(a->net->hub, a, sa, &audience, NOTE, 0, LNT_STR("1"),
                   NOW(&p));
    is_int(now.r.error, EINVAL, "a name that no room can have");
    audience = (struct lnt_audience){0};
    lnt_hub_spread(a->net->hub, a, sa, &audience, NOTE, 0,
                   lnt_str(large, sizeof(large)), NOW(&p));
    is_int(now.r.error, EMSGSIZE, "more than the log takes");

    /* What another process has written may be anything. */
    turns();
    (void)got(a);
    for (size_t n = 0; n < 40; n++) {
        struct lnt_event e = {
            .app = lnt_zone_app_id("app"),
            .room = lnt_sub_room(sa),
            .kind = NOTE,
            .flags = LNT_EVENT_SPREAD,
            .data = lnt_str("\377\0\0\0\001\0\0\0r\377\377\377\377\377\377\377"
                            "\377\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                            n),
        };
        lnt_zone_publish(zone, &e);
    }
    turns();
    is_str(got(a), "", "what cannot be read is nothing");
    stop("errors");
}

/* A session in two of the rooms that moves gets each once. */
static void
test_move(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_hub_point point;
    struct lnt_room_info info;
    struct lnt_sub *subs = NULL;
    struct lnt_hub *from, *to;

    start(LNT_ZONE_MIN_SIZE);
    from = nets[0].hub;
    to = nets[1].hub;
    struct lnt_session *a = session(2, &nets[2].plain);
    struct lnt_session *b = session(0, &nets[0].plain);
    struct lnt_sub *sa = enter(a, "r", 0), *sub;
    uint64_t old_id = b->id;

    sub = now_listen(from, b, LNT_STR("r"), 0, &info);
    lnt_sub_link(sub, &subs);
    sub = now_listen(from, b, LNT_STR("q"), 1, &info);
    lnt_sub_link(sub, &subs);
    spread(a, sa, 0, "q r", "", 0, "1");
    turns();
    is_str(got(b), "1 ", "where it was");
    ok(lnt_hub_point(from, b, subs, &point), "it may move");
    for (sub = subs; sub; sub = lnt_sub_next(sub))
        lnt_sub_freeze(from, sub, &bytes);
    while ((sub = subs)) {
        lnt_sub_unlink(sub, &subs);
        lnt_hub_forget(from, sub);
    }
    b->id = 0;
    spread(a, sa, 0, "q r", "", 0, "2");
    spread(a, sa, 0, "q r", "", old_id, "not");
    spread(a, sa, 0, "q", "r", 0, "not");
    spread(a, sa, 0, "z r", "z", 0, "3");
    turns();
    spread(a, sa, 0, "q", "", 0, "unread");
    b = session(1, &nets[1].plain);
    struct lnt_str rest = lnt_strbuf_str(&bytes);
    while (rest.n > 0 && (sub = lnt_hub_adopt(to, b, &rest)))
        lnt_sub_link(sub, &subs);
    spread(a, sa, 0, "q r", "", 0, "4");
    spread(a, sa, 0, "q r", "", old_id, "not");
    ok(lnt_hub_replay(to, b, subs, old_id, &point) == 0, "it has moved");
    is_str(got(b), "2 r:3 ", "what came meanwhile");
    turns();
    is_str(got(b), "unread 4 ",
           "then what was not read there, and what came since");
    spread(a, sa, 0, "q r", "", old_id, "not");
    spread(a, sa, 0, "q r", "", b->id, "not");
    spread(a, sa, 0, "r q", "", 0, "5");
    turns();
    is_str(got(b), "r:5 ", "as anybody else, by either id");
    while ((sub = subs)) {
        lnt_sub_unlink(sub, &subs);
        lnt_hub_leave(to, sub, 0);
    }
    lnt_strbuf_release(&bytes);
    stop("move");
}

/* ---- a model ---- */

enum { ROOMS = 5, CLIENTS = 12 };

static struct {
    struct lnt_session *s;
    struct lnt_sub *sub[ROOMS];
    uint32_t user;
    struct lnt_strbuf expected;
} clients[CLIENTS];

static unsigned seed = 7;

static unsigned
draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

static const char *const room_names[ROOMS] = {"r0", "r1", "r2", "r3", "r4"};

/* Draws some of the rooms as a list, and as bits. */
static unsigned
draw_rooms(char *list, unsigned one_in)
{
    unsigned bits = 0;

    list[0] = '\0';
    for (unsigned r = 0; r < ROOMS; r++) {
        if (draw(one_in))
            continue;
        bits |= 1u << r;
        if (list[0])
            strcat(list, " ");
        strcat(list, room_names[r]);
    }
    return bits;
}

static void
come_or_go(unsigned i, unsigned r)
{
    struct lnt_hub *h = clients[i].s->net->hub;
    struct lnt_room_info info;

    if (clients[i].sub[r]) {
        lnt_hub_leave(h, clients[i].sub[r], 0);
        clients[i].sub[r] = NULL;
    } else {
        clients[i].sub[r] = now_join(h, clients[i].s, clients[i].user,
                                     lnt_str_c(room_names[r]), 1, 0, &info);
    }
}

static void
spread_some(struct lnt_session *from, struct lnt_sub *home, unsigned number)
{
    char rooms[64], except_rooms[64], text[16];
    unsigned to = draw_rooms(rooms, 2), not_to = draw_rooms(except_rooms, 5);
    unsigned but = draw(2 * CLIENTS);

    snprintf(text, sizeof(text), "%u", number);
    spread(from, home, 0, rooms, except_rooms,
           but < CLIENTS ? clients[but].s->id : 0, text);
    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned in = 0;

        for (unsigned r = 0; r < ROOMS; r++)
            in |= clients[i].sub[r] ? 1u << r : 0;
        if ((in & to) && !(in & not_to) && i != but)
            lnt_strbuf_addf(&clients[i].expected, "%s ", text);
    }
}

static void
test_model(void)
{
    bool same = true;
    char nick[16];

    start(4u << 20);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *home = enter(a, "home", 0);

    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned w = i % WORKERS;

        memset(&clients[i], 0, sizeof(clients[i]));
        clients[i].s = session(w, i % 2 ? &nets[w].appending : &nets[w].plain);
        snprintf(nick, sizeof(nick), "c%u", i);
        now_enter(nets[w].hub, clients[i].s, lnt_str_c(nick), &clients[i].user);
    }
    for (unsigned n = 0; n < 3000; n++) {
        if (draw(3) == 0) {
            /* Leaving takes effect at once: what is on its way goes first. */
            turns();
            come_or_go(draw(CLIENTS), draw(ROOMS));
        } else {
            spread_some(a, home, n);
        }
    }
    turns();
    for (unsigned i = 0; i < CLIENTS; i++) {
        same = same && lnt_str_eq(lnt_strbuf_str(&clients[i].s->got),
                                  lnt_strbuf_str(&clients[i].expected));
        lnt_strbuf_release(&clients[i].expected);
    }
    ok(same, "everybody got what was for him, once, in order");
    is_int(nets[0].stats.counters[LNT_C_LAPPED], 0, "nothing was lost");
    stop("model");
}

/* What a completion was given may be what the next one is begun with. */
static struct lnt_hub *again_hub;
static struct lnt_sub *again_sub;
static const struct lnt_audience *again_to;

static void
on_spread(const struct lnt_result *r)
{
    is_int(r->error, 0, "the first");
    lnt_hub_spread(again_hub, r->session, again_sub, again_to, NOTE, 0, r->what,
                   LNT_NO_COMPLETION);
    is_str(r->what.p + r->what.n - 5, "first", "what it was is still there");
}

static void
test_again(void)
{
    const struct lnt_str room = LNT_STR("r");
    const struct lnt_audience to = {.rooms = &room, .nrooms = 1};
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);

    again_sub = enter(a, "r", 0);
    again_hub = a->net->hub;
    again_to = &to;
    turns();
    (void)got(a);
    lnt_hub_spread(again_hub, a, again_sub, &to, NOTE, 0, LNT_STR("first"),
                   (struct lnt_completion){.fn = on_spread});
    turns();
    ok(strstr(got(a), "r:first "), "both are heard");
    stop("again");
}

int
main(void)
{
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = lnt_eventfd_create();
    test_union();
    test_again();
    test_order();
    test_groups();
    test_wakers();
    test_history();
    test_errors();
    test_move();
    test_model();
    return done_testing();
}
