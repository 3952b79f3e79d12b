/*
 * Sessions that move from hub to hub, wherever each of them has come to in the
 * log: held against a model in which everybody gets each event exactly once
 * and in order.
 */
#include <string.h>

#include "core/pack.h"
#include "t/unit/hub_world.h"

enum { ROOMS = 6, MEMBERS = 30, STEPS = 40000, PENDING = 4096 };

enum place { OUT, MEMBER, LISTENER };

/* One event on its way to one of them. */
struct due {
    unsigned room; /* ROOMS: to it alone */
    uint64_t number;
    char text[64];
};

struct one {
    struct lnt_session *s;
    uint32_t user;
    char nick[16];
    enum place place[ROOMS];
    struct lnt_sub *sub[ROOMS];
    struct due due[PENDING];
    unsigned n;
    struct lnt_strbuf expected, got;
};

static struct one all[MEMBERS];
static uint64_t number;           /* of the last event */
static uint64_t read_to[WORKERS]; /* the same, which it has read */
static unsigned refused, moved, seed = 11;

static unsigned
draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

static unsigned
worker_of(const struct lnt_session *s)
{
    return (unsigned)(s->net - nets);
}

/* ---- the model ---- */

static void
expect(struct one *o, unsigned room, const char *text)
{
    if (o->n == PENDING) {
        fail("too much at a time");
        exit(1);
    }
    struct due *d = &o->due[o->n++];
    d->room = room;
    d->number = number;
    snprintf(d->text, sizeof(d->text), "%s", text);
}

static void
expect_in_room(unsigned room, const struct one *except, const char *text)
{
    number++;
    for (unsigned i = 0; i < MEMBERS; i++)
        if (all[i].place[room] != OUT && &all[i] != except)
            expect(&all[i], room, text);
}

/* What it has been given when its worker has read up to there. */
static void
arrive(struct one *o, uint64_t to)
{
    unsigned n = 0;

    for (; n < o->n && o->due[n].number <= to; n++)
        lnt_strbuf_adds(&o->expected, o->due[n].text);
    o->n -= n;
    memmove(o->due, o->due + n, o->n * sizeof(o->due[0]));
}

/* ---- what happens ---- */

static void
read_log_of(unsigned worker)
{
    turn(worker);
    read_to[worker] = number;
    for (unsigned i = 0; i < MEMBERS; i++)
        if (worker_of(all[i].s) == worker)
            arrive(&all[i], number);
}

static void
come(struct one *o, unsigned worker)
{
    static unsigned names;
    struct lnt_net *n = &nets[worker];

    o->s = session(worker, draw(3) ? &n->appending : &n->plain);
    snprintf(o->nick, sizeof(o->nick), "n%u", names++);
    if (now_enter(n->hub, o->s, lnt_str_c(o->nick), &o->user) < 0)
        fail("enter");
}

static void
join_room(struct one *o, unsigned room)
{
    struct lnt_room_info info;
    char name[16], text[64];

    snprintf(name, sizeof(name), "room-%u", room);
    snprintf(text, sizeof(text), "+%s:%s ", name, o->nick);
    o->sub[room] = now_join(o->s->net->hub, o->s, o->user, lnt_str_c(name), 0,
                            ANNOUNCE_MAX, &info);
    if (!o->sub[room])
        fail("join");
    expect_in_room(room, o, text);
    o->place[room] = MEMBER;
}

static void
listen_to_room(struct one *o, unsigned room)
{
    struct lnt_room_info info;
    char name[16];

    snprintf(name, sizeof(name), "room-%u", room);
    o->sub[room] = now_listen(o->s->net->hub, o->s, lnt_str_c(name), 0, &info);
    if (!o->sub[room])
        fail("listen");
    o->place[room] = LISTENER;
}

static void
forget_due(struct one *o, unsigned room)
{
    unsigned n = 0;

    for (unsigned i = 0; i < o->n; i++)
        if (o->due[i].room != room)
            o->due[n++] = o->due[i];
    o->n = n;
}

static void
leave_room(struct one *o, unsigned room)
{
    char text[64];

    snprintf(text, sizeof(text), "~room-%u:%s ", room, o->nick);
    lnt_hub_leave(o->s->net->hub, o->sub[room], ANNOUNCE_MAX);
    if (o->place[room] == MEMBER)
        expect_in_room(room, o, text);
    o->place[room] = OUT;
    o->sub[room] = NULL;
    forget_due(o, room);
}

static void
speak(struct one *o, unsigned room)
{
    bool not_me = draw(3) == 0;
    char data[16], text[64];

    snprintf(data, sizeof(data), "%llu", (unsigned long long)number);
    snprintf(text, sizeof(text), "room-%u:%s ", room, data);
    say(o->s, o->sub[room], not_me ? LNT_EVENT_NOT_ORIGIN : 0, data);
    expect_in_room(room, not_me ? o : NULL, text);
}

/* As the chat does it: to the session that has the nick by now. */
static void
whisper(struct one *from, struct one *to)
{
    uint64_t target = lnt_zone_user_find(zone, lnt_str_c(to->nick));
    char data[16], text[64];

    snprintf(data, sizeof(data), "%llu", (unsigned long long)number);
    snprintf(text, sizeof(text), "@%s ", data);
    if (now_direct(from->s->net->hub, from->s, target, NOTE, lnt_str_c(data),
                   NULL, NULL) < 0)
        fail("direct");
    number++;
    expect(to, ROOMS, text);
}

static void
take_got(struct one *o)
{
    lnt_strbuf_add_str(&o->got, lnt_strbuf_str(&o->s->got));
    lnt_strbuf_clear(&o->s->got);
}

static void
end_session(struct one *o)
{
    take_got(o);
    o->s->id = 0;
}

static void
go(struct one *o)
{
    unsigned worker = worker_of(o->s);

    for (unsigned i = 0; i < ROOMS; i++)
        if (o->place[i] != OUT)
            leave_room(o, i);
    lnt_hub_exit(o->s->net->hub, o->s, o->user, ANNOUNCE_MAX);
    end_session(o);
    o->n = 0;
    come(o, worker);
}

/* ---- moving ---- */

/* As an application freezes and thaws. */
static void
move(struct one *o, unsigned to)
{
    struct lnt_hub *hub = o->s->net->hub;
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_session *old = o->s;
    struct lnt_sub *subs = NULL;
    uint64_t old_id = old->id;
    struct lnt_hub_point point;

    for (unsigned i = 0; i < ROOMS; i++)
        if (o->sub[i])
            lnt_sub_link(o->sub[i], &subs);
    bool now = lnt_hub_point(hub, o->s, subs, &point);
    /* It has passed over what concerns nobody there.  Each event has one number
       and one seq. */
    if (point.seq > read_to[worker_of(old)])
        read_to[worker_of(old)] = point.seq;
    if (!now) {
        refused++;
        return;
    }
    for (unsigned i = 0; i < ROOMS; i++) {
        if (!o->sub[i])
            continue;
        lnt_sub_freeze(hub, o->sub[i], &bytes);
        lnt_hub_forget(hub, o->sub[i]);
    }
    unsigned from = worker_of(old);
    struct lnt_module_ctx *protocol = old->protocol == &nets[from].plain
                                          ? &nets[to].plain
                                          : &nets[to].appending;
    end_session(o);
    o->s = session(to, protocol);
    if (lnt_hub_adopt_user(nets[to].hub, o->s, o->user, old_id) < 0)
        fail("adopt a user: %s", strerror(errno));
    struct lnt_str rest = lnt_strbuf_str(&bytes);
    subs = NULL;
    for (unsigned i = 0; i < ROOMS; i++) {
        if (o->place[i] == OUT)
            continue;
        o->sub[i] = lnt_hub_adopt(nets[to].hub, o->s, &rest);
        if (!o->sub[i]) {
            fail("adopt a sub");
            exit(1);
        }
        lnt_sub_link(o->sub[i], &subs);
    }
    if (rest.n != 0)
        fail("something is left");
    if (lnt_hub_replay(nets[to].hub, o->s, subs, old_id, &point) < 0)
        fail("replay");
    lnt_strbuf_release(&bytes);
    /* The one that it came from had given what it had read. */
    arrive(o, read_to[to]);
    moved++;
}

/* ---- the tests ---- */

static void
begin_all(void)
{
    start(8u << 20);
    memset(all, 0, sizeof(all));
    memset(read_to, 0, sizeof(read_to));
    number = refused = moved = 0;
    for (unsigned i = 0; i < MEMBERS; i++)
        come(&all[i], i % WORKERS);
}

/* One that differs, or -1. */
static int
wrong_one(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        struct one *o = &all[i];
        take_got(o);
        if (!lnt_str_eq(lnt_strbuf_str(&o->got), lnt_strbuf_str(&o->expected)))
            return i;
    }
    return -1;
}

static void
show_difference(const struct one *o)
{
    size_t at = 0, least = o->got.n < o->expected.n ? o->got.n : o->expected.n;

    while (at < least && o->got.p[at] == o->expected.p[at])
        at++;
    at = at > 60 ? at - 60 : 0;
    diag("from byte %zu of %zu, %zu expected", at, o->got.n, o->expected.n);
    diag("got:      %.120s", at < o->got.n ? o->got.p + at : "");
    diag("expected: %.120s", at < o->expected.n ? o->expected.p + at : "");
}

static unsigned
members_of(unsigned room)
{
    unsigned n = 0;

    for (unsigned i = 0; i < MEMBERS; i++)
        n += all[i].place[room] == MEMBER;
    return n;
}

static void
check_all(const char *name)
{
    for (unsigned w = 0; w < WORKERS; w++)
        read_log_of(w);
    int wrong = wrong_one();
    ok(wrong < 0, "%s: each event once and in order (%llu events, %u moves)",
       name, (unsigned long long)number, moved);
    if (wrong >= 0)
        show_difference(&all[wrong]);
    for (unsigned r = 0; r < ROOMS; r++) {
        struct lnt_room_info info = {0};
        char room[16];

        snprintf(room, sizeof(room), "room-%u", r);
        (void)lnt_zone_room_find(zone, lnt_zone_app_id("app"), lnt_str_c(room),
                                 &info);
        if (info.members != members_of(r))
            fail("%s has %u members, not %u", room, info.members,
                 members_of(r));
    }
    for (unsigned w = 0; w < WORKERS; w++)
        if (nets[w].stats.counters[LNT_C_LAPPED])
            fail("worker %u was lapped", w);
    for (unsigned i = 0; i < MEMBERS; i++) {
        lnt_strbuf_release(&all[i].expected);
        lnt_strbuf_release(&all[i].got);
    }
    stop(name);
}

static void
step(struct one *o, unsigned what, unsigned moves, unsigned reads)
{
    unsigned room = draw(ROOMS);

    if (what < moves) {
        unsigned to = draw(WORKERS);
        if (to != worker_of(o->s))
            move(o, to);
    } else if (what < moves + reads) {
        read_log_of(draw(WORKERS));
    } else if (what == 99 && draw(4) == 0) {
        go(o);
    } else if (what >= 85) {
        whisper(o, &all[draw(MEMBERS)]);
    } else if (o->place[room] == OUT) {
        if (draw(4))
            join_room(o, room);
        else
            listen_to_room(o, room);
    } else if (what >= 80) {
        leave_room(o, room);
    } else if (o->place[room] == MEMBER) {
        speak(o, room);
    }
}

/* moves and reads: of a hundred steps. */
static void
test_random(const char *name, unsigned moves, unsigned reads)
{
    begin_all();
    for (unsigned i = 0; i < STEPS; i++) {
        step(&all[draw(MEMBERS)], draw(100), moves, reads);
        if (i % 500 == 499)
            read_log_of(draw(WORKERS));
    }
    ok(moved > STEPS / 1000 * moves, "%s: moved %u times, %u times not now",
       name, moved, refused);
    check_all(name);
}

/* All at once, back and forth, while others speak: a reload. */
static void
test_generations(void)
{
    begin_all();
    for (unsigned i = 0; i < 300; i++) {
        for (unsigned k = 0; k < MEMBERS; k++) {
            struct one *o = &all[k];
            if (worker_of(o->s) != i % WORKERS)
                move(o, i % WORKERS);
            for (unsigned n = draw(8); n > 0; n--)
                step(&all[draw(MEMBERS)], 50 + draw(50), 0, 0);
        }
        read_log_of((i + draw(2)) % WORKERS);
    }
    check_all("generations");
}

/* Nobody else is there, so while it moves the room is gone; whoever speaks
   makes it anew. */
static void
test_alone(bool read)
{
    const struct lnt_keep keep = {.count = 10, .bytes = 1024};
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_hub_point point;
    struct lnt_room_info info;

    start(8u << 20);
    struct lnt_session *s = session(0, &nets[0].plain);
    uint64_t old_id = s->id;
    struct lnt_sub *sub =
        now_listen(nets[0].hub, s, LNT_STR("alone"), 0, &info);
    turns();
    ok(sub && lnt_hub_point(nets[0].hub, s, sub, &point), "one listens, alone");
    lnt_sub_freeze(nets[0].hub, sub, &bytes);
    lnt_hub_forget(nets[0].hub, sub);
    s->id = 0;
    ok(now_post(nets[2].hub, &nets[2].app, LNT_STR("alone"), &keep, NOTE,
                LNT_EVENT_HISTORY, LNT_STR("one"), NULL, NULL) == 0,
       "something is said while it moves");
    if (read)
        turn(1);
    s = session(1, &nets[1].plain);
    struct lnt_str rest = lnt_strbuf_str(&bytes);
    sub = lnt_hub_adopt(nets[1].hub, s, &rest);
    ok(sub && lnt_hub_replay(nets[1].hub, s, sub, old_id, &point) == 0,
       "it has moved");
    ok(now_post(nets[2].hub, &nets[2].app, LNT_STR("alone"), &keep, NOTE,
                LNT_EVENT_HISTORY, LNT_STR("two"), NULL, NULL) == 0,
       "and something more");
    turns();
    is_str(got(s), "alone:one alone:two ", "it gets both, each once");
    is_int(nets[1].stats.counters[LNT_C_DELIVERED], 2, "and both are counted");
    lnt_hub_leave(nets[1].hub, sub, 0);
    lnt_strbuf_release(&bytes);
    stop("alone");
}

/* Workers of two generations, of which only the new one's word counts in the
   end. */
static void
test_keep(void)
{
    const struct lnt_keep before = {.count = 10, .bytes = 1024};
    const struct lnt_keep now = {.count = 20, .bytes = 1024};
    struct lnt_kept kept;

    begin_all();
    struct one *first = &all[1], *late = &all[0];
    join_room(first, 0);
    ok(lnt_hub_keep(nets[1].hub, first->sub[0], &now) == 0,
       "a new worker says what a room keeps");
    join_room(late, 0);
    ok(lnt_hub_keep(nets[0].hub, late->sub[0], &before) == 0,
       "an old one, where somebody comes, says something else");
    turns();
    move(late, 1);
    ok(lnt_hub_keep(nets[1].hub, late->sub[0], &now) == 0,
       "and the new one says it again, when that one has moved");
    ok(lnt_zone_kept(zone, lnt_sub_room(late->sub[0]), &kept) == 0 &&
           kept.keep.count == 20,
       "which is what it keeps");
    check_all("keep");
}

/* Worker 1 knows that nothing in front of it concerns it, when somebody comes
   whom it does concern. */
static void
test_far_behind(void)
{
    static char text[200];
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_hub_point point;
    struct lnt_room_info info;
    unsigned n = 0;

    start(8u << 20);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(0, &nets[0].plain);
    struct lnt_sub *sa = enter(a, "r", 0);
    struct lnt_sub *sb = now_listen(nets[0].hub, b, LNT_STR("r"), 1, &info);
    uint64_t old_id = b->id;

    memset(text, 'x', sizeof(text) - 1);
    /* Worker 1 has read all of it and knows where it was. */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            say(a, sa, 0, text);
        turns();
    }
    got(b);
    ok(lnt_hub_point(nets[0].hub, b, sb, &point), "one listens");
    lnt_sub_freeze(nets[0].hub, sb, &bytes);
    lnt_hub_forget(nets[0].hub, sb);
    b->id = 0;
    for (int i = 0; i < 100; i++)
        say(a, sa, 0, "a");
    for (int i = 0; i < 100; i++)
        say(a, sa, 0, text);
    b = session(1, &nets[1].plain);
    struct lnt_str rest = lnt_strbuf_str(&bytes);
    sb = lnt_hub_adopt(nets[1].hub, b, &rest);
    ok(sb && lnt_hub_replay(nets[1].hub, b, sb, old_id, &point) == 0,
       "it has moved to one that is behind");
    say(a, sa, 0, "end");
    turns();
    for (const char *p = got(b); *p; p++)
        n += *p == ' ';
    is_int(n, 201, "and gets all that was said meanwhile");
    lnt_hub_leave(nets[1].hub, sb, 0);
    lnt_strbuf_release(&bytes);
    stop("far behind");
}

/* A worker that has slept gives a session: not from where it fell asleep. */
static void
test_point(void)
{
    struct lnt_hub_point point;
    struct lnt_room_info info;

    start(8u << 20);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(1, &nets[1].plain);
    struct lnt_sub *sa = enter(a, "r", 0);
    struct lnt_sub *sb = now_listen(nets[1].hub, b, LNT_STR("other"), 0, &info);

    turns();
    for (int i = 0; i < 10000; i++)
        say(a, sa, 0, "a");
    ok(lnt_hub_point(nets[1].hub, b, sb, &point) &&
           lnt_zone_head(zone) - point.seq < 2000,
       "the point is near the end of the log");
    lnt_hub_leave(nets[1].hub, sb, 0);
    turns();
    stop("point");
}

int
main(void)
{
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = -1;
    test_random("few moves, much reading", 3, 30);
    test_random("many moves", 30, 10);
    test_random("moves, hardly any reading", 30, 1);
    test_generations();
    test_alone(false);
    test_alone(true);
    test_keep();
    test_far_behind();
    test_point();
    return done_testing();
}
