/*
 * The hub, over a net that only writes down what it is given: several workers
 * in one process, turn by turn.
 */
#include <poll.h>

#include "core/log.h"
#include "os/memory.h"
#include "t/unit/hub_world.h"

/* ---- tests ---- */

static void
test_fanout(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    say(a, sa, 0, "before");
    struct lnt_sub *sb = enter(b, "r", 0);
    struct lnt_sub *sc = enter(c, "r", 0);
    say(a, sa, 0, "1");
    say(b, sb, 0, "2");
    say(a, sa, 0, "3");
    turns();
    is_str(got(a), "r:before r:1 r:2 r:3 ", "the sender, too");
    is_str(got(b), "r:1 r:2 r:3 ", "nothing from before joining");
    is_str(got(c), "r:1 r:2 r:3 ", "the same");
    ok(b->deliveries == 1 && b->messages == 3, "in one piece");
    is_int(rendered, 7, "rendered once a worker");
    is_int(encoded, 2, "one buffer a worker");
    is_int(nets[1].stats.counters[LNT_C_DELIVERED], 6, "counted");
    is_int(nets[0].stats.counters[LNT_C_PUBLISHED], 3, "what it published");

    leave(b, sb);
    say(a, sa, 0, "4");
    turns();
    is_str(got(b), "", "nothing after leaving");
    is_str(got(c), "r:4 ", "the others get it");
    say(a, sa, 0, "5");
    leave(c, sc);
    turns();
    is_str(got(c), "", "nor what was on its way");
    stop("fanout");
}

static void
test_groups(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(0, &nets[0].single);
    struct lnt_session *c = session(0, &nets[0].appending);
    struct lnt_session *d = session(0, &nets[0].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    enter(b, "r", 0);
    enter(c, "r", 1);
    d->variant = 1;
    enter(d, "r", 0);
    say(a, sa, 0, "1");
    say(a, sa, 0, "-");
    say(a, sa, 0, "2");
    turns();
    is_str(got(a), "r:1 r:- r:2 ", "buffers cannot be appended to");
    is_int(a->deliveries, 3, "so there are three");
    is_str(got(b), "r:1 r:- r:2 ", "nor shared");
    is_int(b->deliveries, 0, "so they are sent one by one");
    is_str(got(c), "1 2 ", "another format, with nothing for the second");
    is_int(c->messages, 2, "two");
    is_str(got(d), "^r:1 ^r:- ^r:2 ", "another variant");
    is_int(rendered, 6, "rendered once a format");
    stop("groups");
}

static void
test_not_origin(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(0, &nets[0].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    enter(b, "r", 0);
    enter(c, "r", 0);
    say(a, sa, 0, "1");
    say(a, sa, LNT_EVENT_NOT_ORIGIN, "2");
    say(a, sa, 0, "3");
    turns();
    is_str(got(a), "r:1 r:3 ", "not to the origin");
    is_str(got(b), "r:1 r:2 r:3 ", "to the others");
    is_str(got(c), "r:1 r:2 r:3 ", "on other workers");
    is_int(c->deliveries, 1, "where it is a message like any other");
    stop("not to the origin");
}

/* What an application gets of an event from a history is what it got live. */
static void
test_past(void)
{
    const struct lnt_keep keep = {.count = 10, .bytes = 4096};
    struct lnt_strbuf kept = LNT_STRBUF_INIT;

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *sa = enter(a, "den", 0);

    lnt_hub_keep(nets[0].hub, sa, &keep);
    say(a, sa, LNT_EVENT_HISTORY, "1");
    turns();
    struct lnt_event live = last_event, e;
    is_int(lnt_hub_history(nets[0].hub, sa, UINT64_MAX, 5, &kept), 1, "kept");
    struct lnt_str rest = lnt_strbuf_str(&kept);
    ok(lnt_hub_past_next(sa, &rest, &e), "one");
    ok(lnt_str_eq(e.room_name, LNT_STR("den")) &&
           lnt_str_eq(e.data, LNT_STR("1")),
       "with the name of its room");
    ok(e.seq == live.seq && e.time_us == live.time_us &&
           e.origin == live.origin && e.target == 0 && e.app == live.app &&
           e.room == live.room && e.kind == live.kind && e.flags == live.flags,
       "and everything as it was live");
    ok(!lnt_hub_past_next(sa, &rest, &e), "no more");
    lnt_strbuf_release(&kept);
    stop("past");
}

/* Who is in several rooms gets everything in the order of the log. */
static void
test_order(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *r = enter(a, "r", 0), *q = enter(a, "q", 0);

    say(a, r, 0, "1");
    say(a, r, 0, "2");
    say(a, q, 0, "3");
    say(a, r, 0, "4");
    say(a, q, 0, "5");
    now_direct(nets[0].hub, a, a->id, NOTE, LNT_STR("6"), NULL, NULL);
    say(a, q, 0, "7");
    turns();
    is_str(got(a), "r:1 r:2 q:3 r:4 q:5 @6 q:7 ", "in order");
    stop("order");
}

static struct lnt_sub *left_in_direct;

static void
leave_in_direct(struct lnt_session *s)
{
    if (left_in_direct)
        lnt_hub_leave(s->net->hub, left_in_direct, 0);
    left_in_direct = NULL;
}

static void
test_direct(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_session *x = session(1, &nets[1].single);
    struct lnt_sub *sa = enter(a, "r", 0), *sb = enter(b, "r", 0);

    enter(c, "r", 0);
    x->app = &nets[1].other;
    now_direct(nets[0].hub, a, b->id, NOTE, LNT_STR("hi"), NULL, NULL);
    now_direct(nets[0].hub, a, x->id, NOTE, LNT_STR("x"), NULL, NULL);
    now_direct(nets[0].hub, a, 77, NOTE, LNT_STR("nobody"), NULL, NULL);
    turns();
    is_str(got(b), "@hi ", "to that one");
    is_str(got(a), "", "not to the sender");
    is_str(got(x), "", "not to another application");

    /* Callbacks may leave. */
    on_direct = leave_in_direct;
    left_in_direct = sb;
    say(a, sa, 0, "1");
    now_direct(nets[0].hub, a, b->id, NOTE, LNT_STR("go"), NULL, NULL);
    say(a, sa, 0, "2");
    turns();
    is_str(got(b), "r:1 @go ", "left in the middle of a turn");
    is_str(got(c), "r:1 r:2 ", "the others stay");
    say(a, sa, 0, "3");
    turns();
    is_str(got(c), "r:3 ", "and go on");
    stop("direct");
}

static void
test_gap(void)
{
    static char text[2000];

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_session *d = session(1, &nets[1].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    enter(b, "r", 0);
    turns();
    enter(b, "q", 0);
    enter(c, "r", 0);
    memset(text, 't', sizeof(text) - 1);
    for (unsigned i = 0; i < 400; i++)
        say(a, sa, 0, text);
    lnt_log_level(LNT_ERROR);
    turn(1);
    is_int(b->gaps, 1, "told once, in however many rooms");
    is_int(c->gaps, 1, "also those that had just come");
    is_int(d->gaps, 0, "not those that are nowhere");
    is_int(nets[1].stats.counters[LNT_C_LAPPED], 1, "counted");
    say(a, sa, 0, "on");
    turn(1);
    is_str(got(b), "r:on ", "it goes on");
    is_str(got(c), "r:on ", "for all");
    stop("gap");
}

static void
test_listen(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_room_info info;
    struct lnt_sub *sb, *sc, *sa;

    sb = now_listen(nets[1].hub, b, LNT_STR("r"), 0, &info);
    sc = now_listen(nets[1].hub, c, LNT_STR("r"), 0, &info);
    is_int(info.members, 0, "listeners are no members");
    sa = enter(a, "r", 0);
    is_int(lnt_sub_room(sa), info.room, "the same room");
    say(a, sa, 0, "1");
    turns();
    is_str(got(b), "r:1 ", "a listener listens");
    is_str(got(c), "r:1 ", "two of them");
    leave(b, sb);
    leave(a, sa);
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("r"),
                              &info),
           0, "one that listens keeps the room");
    leave(c, sc);
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("r"),
                              &info),
           -1, "none does not");
    turns();
    is_str(got(c), "", "nothing after leaving");

    lnt_hub_pin(nets[0].hub, &nets[0].app, LNT_STR("pinned"),
                &(struct lnt_keep){10, 0, 1000});
    sa = enter(a, "pinned", 0);
    is_int(lnt_hub_keep(nets[0].hub, sa, &(struct lnt_keep){10, 0, 1000}), 0,
           "kept");
    say(a, sa, LNT_EVENT_HISTORY, "0");
    say(a, sa, LNT_EVENT_HISTORY, "1");
    leave(a, sa);
    /* A worker to come, whose generation may be given up. */
    lnt_hub_pin(nets[1].hub, &nets[1].app, LNT_STR("pinned"),
                &(struct lnt_keep){1, 0, 1000});
    lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("pinned"), &info);
    is_int(info.kept, 2, "one that does not serve yet changes nothing");
    lnt_hub_serve(nets[1].hub);
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("pinned"),
                              &info),
           0, "a room that is pinned stays");
    is_int(info.kept, 1, "with the history that it is to have now");
    stop("listen");
}

/* Behind a place in the log, whether it has been read already or not. */
static void
test_skip(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);
    struct lnt_session *c = session(1, &nets[1].appending);
    struct lnt_sub *sa = enter(a, "r", 0), *sb, *sc;
    struct lnt_hub *h = nets[1].hub;
    struct lnt_room_info info;

    turns();
    sb = now_listen(h, b, LNT_STR("r"), 0, &info);
    sc = now_listen(h, c, LNT_STR("r"), 0, &info);
    lnt_hub_skip(h, sb, info.next);
    lnt_hub_skip(h, sc, info.next + 2);
    is_int((int64_t)lnt_hub_next(h, sc), (int64_t)info.next + 2, "its next");
    for (int i = 1; i <= 4; i++)
        say(a, sa, 0, i == 1 ? "1" : i == 2 ? "2" : i == 3 ? "3" : "4");
    turns();
    is_str(got(b), "r:1 r:2 r:3 r:4 ", "nothing to skip");
    is_str(got(c), "r:3 r:4 ", "two skipped");
    say(a, sa, 0, "5");
    lnt_hub_skip(h, sb, info.next + 6);
    say(a, sa, 0, "6");
    lnt_hub_skip(h, sc, info.next + 5);
    lnt_hub_skip(h, sc, info.next + 6);
    say(a, sa, 0, "7");
    turns();
    is_str(got(b), "r:7 ", "one that was there long");
    is_str(got(c), "r:7 ", "one that waits waits longer");
    leave(b, sb);
    lnt_hub_skip(h, sc, info.next + 100);
    leave(c, sc);
    leave(a, sa);
    turns();
    stop("skip");
}

/* Publishing into a room without being in it. */
static void
test_post(void)
{
    start(LNT_ZONE_MIN_SIZE);
    const struct lnt_keep keep = {10, 0, 1000};
    struct lnt_hub *h = nets[0].hub;
    struct lnt_session *a = session(1, &nets[1].appending);
    struct lnt_room_info info;
    struct lnt_sub *sa = enter(a, "r", 0), *sb;
    uint64_t seq = 0;

    is_int(now_post(h, &nets[0].app, LNT_STR("r"), &keep, NOTE,
                    LNT_EVENT_HISTORY, LNT_STR("1"), &seq, NULL),
           0, "posted");
    ok(seq == lnt_zone_head(zone), "its seq");
    ok(lnt_hub_next(nets[1].hub, sa) <= seq, "not read yet");
    turns();
    is_str(got(a), "r:1 ", "delivered elsewhere");
    ok(lnt_hub_next(nets[1].hub, sa) == seq + 1, "read");
    is_int(now_post(h, &nets[0].app, LNT_STR("new"), &keep, NOTE,
                    LNT_EVENT_HISTORY, LNT_STR("2"), NULL, NULL),
           0, "posted into a room that is new");
    sb = enter(a, "new", 0);
    ok(lnt_hub_next(nets[1].hub, sb) == lnt_zone_head(zone) + 1,
       "one that waits starts behind its join");
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("new"),
                              &info),
           0, "which is there");
    is_int(info.kept, 1, "with its history");
    is_int(now_post(h, &nets[0].app, LNT_STR("gone"), NULL, NOTE, 0,
                    LNT_STR("3"), NULL, NULL),
           0, "posted into a room that keeps nothing");
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("gone"),
                              &info),
           -1, "which goes at once");
    is_int(now_post(h, &nets[0].app, LNT_STR(""), &keep, NOTE, 0, LNT_STR("4"),
                    NULL, NULL),
           -1, "no room without a name");
    is_int(errno, EINVAL, "says so");
    stop("post");
}

/* The list of a session's subs. */
static void
test_list(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *head = NULL, *x = enter(a, "x", 0), *y = enter(a, "y", 0);
    struct lnt_sub *w = enter(a, "z", 0);

    lnt_sub_link(x, &head);
    lnt_sub_link(y, &head);
    lnt_sub_link(w, &head);
    ok(head == w && lnt_sub_next(w) == y && lnt_sub_next(y) == x &&
           !lnt_sub_next(x),
       "linked");
    lnt_sub_unlink(y, &head);
    ok(head == w && lnt_sub_next(w) == x, "out of the middle");
    lnt_sub_unlink(w, &head);
    lnt_sub_unlink(x, &head);
    ok(!head, "all");
    stop("list");
}

static bool
is_rung(unsigned worker)
{
    struct pollfd fd = {.fd = bells[nets[worker].cell], .events = POLLIN};
    bool rung = poll(&fd, 1, 0) > 0;

    lnt_eventfd_clear(fd.fd);
    return rung;
}

static void
test_sleep(void)
{
    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].appending);
    struct lnt_sub *sa = enter(a, "r", 0);

    (void)enter(session(1, &nets[1].plain), "r", 0);
    turns();
    ok(lnt_hub_sleep(nets[1].hub), "worker 1 may sleep");
    say(a, sa, 0, "1");
    ok(!is_rung(1), "not rung before the turn");
    ok(!lnt_hub_sleep(nets[2].hub), "worker 2 may not: there is something");
    lnt_hub_turn(nets[0].hub);
    ok(is_rung(1), "the sleeper is rung");
    ok(!is_rung(2) && !is_rung(0), "nobody else");
    say(a, sa, 0, "2");
    lnt_hub_turn(nets[0].hub);
    ok(!is_rung(1), "once is enough");
    lnt_hub_wake(nets[1].hub);
    turns();
    ok(lnt_hub_sleep(nets[1].hub), "sleeps again");
    lnt_hub_wake(nets[1].hub);
    say(a, sa, 0, "3");
    turns();
    ok(!is_rung(1), "one that woke by itself is not rung");
    is_int(nets[0].stats.counters[LNT_C_DOORBELLS], 1, "counted");
    stop("sleep");
}

/* Everybody reads, worker 1 goes to sleep; whether it is rung for that. */
static bool
wakes(struct lnt_session *from, struct lnt_sub *sub)
{
    turns();
    while (!lnt_hub_sleep(nets[1].hub))
        turn(1);
    say(from, sub, 0, "x");
    lnt_hub_turn(nets[0].hub);
    bool rung = is_rung(1);
    lnt_hub_wake(nets[1].hub);
    return rung;
}

/* Worker 1 is woken for the rooms in which it has somebody. */
static void
test_wakers(void)
{
    const struct lnt_keep keep = {.count = 10, .bytes = 1000};
    struct lnt_room_info info;

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(1, &nets[1].plain);
    struct lnt_session *c = session(1, &nets[1].plain);
    struct lnt_sub *sa = enter(a, "r", 0), *sb, *sc;

    ok(!wakes(a, sa), "nobody is there");
    sb = enter(b, "r", 0);
    sc = enter(c, "r", 0);
    ok(wakes(a, sa), "two members");
    leave(b, sb);
    ok(wakes(a, sa), "one has left");
    leave(c, sc);
    ok(!wakes(a, sa), "both have left");
    sb = now_listen(nets[1].hub, b, LNT_STR("r"), 0, &info);
    sc = now_listen(nets[1].hub, c, LNT_STR("r"), 0, &info);
    leave(c, sc);
    ok(wakes(a, sa), "one that listens");
    leave(b, sb);
    sb = enter(b, "r", 0);
    ok(wakes(a, sa), "one that has left and come again at once");
    leave(b, sb);
    ok(!wakes(a, sa), "and left");
    ok(lnt_hub_pin(nets[1].hub, &nets[1].app, LNT_STR("r"), &keep) == 0 &&
           now_post(nets[1].hub, &nets[1].app, LNT_STR("r"), NULL, NOTE, 0,
                    LNT_STR("-"), NULL, NULL) == 0,
       "the room is pinned, and something is said from outside");
    ok(!wakes(a, sa), "which is for nobody here");
    /* As a repair leaves it when somebody is on the move. */
    (void)lnt_zone_listen_by(nets[1].zone, lnt_zone_app_id("app"), LNT_STR("r"),
                             NULL, nets[1].cell, &(uint32_t){0}, &info);
    ok(wakes(a, sa), "woken for nothing");
    ok(!wakes(a, sa), "once");
    sb = enter(b, "r", 0);
    ok(wakes(a, sa), "not if it is for somebody");
    turns();
    got(b);
    say(a, sa, 0, "last");
    turns();
    is_str(got(b), "r:last ", "who gets it");
    stop("wakers");
}

/* One that never sleeps keeps no list of all the rooms that it has left. */
static void
test_never_asleep(void)
{
    enum { N = 2 * 4096 }; /* after so many it is told */

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(1, &nets[1].plain);
    struct lnt_sub *sa = enter(a, "r", 0);
    struct lnt_room_info info;
    for (int i = 0; i < N; i++) {
        leave(b, now_listen(nets[1].hub, b, LNT_STR("r"), 0, &info));
        lnt_hub_turn(nets[1].hub);
        lnt_hub_turn(nets[0].hub);
    }
    /* Asleep without the last look at what has changed. */
    lnt_zone_cell(nets[1].zone, nets[1].cell)->asleep = 1;
    say(a, sa, 0, "alone");
    lnt_hub_turn(nets[0].hub);
    ok(lnt_zone_cell(nets[1].zone, nets[1].cell)->asleep,
       "left %d times while it was awake: not woken", N);
    stop("never asleep");
}

/* ---- against a model ---- */

enum { ROOMS = 5, STEPS = 30000 };

struct model {
    struct lnt_session *s;
    struct lnt_sub *sub[ROOMS];
    uint32_t user;
    struct lnt_strbuf expected;
    /* On its way: room and number, until the worker's turn. */
    struct {
        unsigned room;
        unsigned number;
    } pending[512];
    unsigned n;
};

static struct model models[WORKERS * 12];

static unsigned
draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

static void
model_turn(unsigned worker)
{
    turn(worker);
    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
        struct model *m = &models[i];

        if (m->s->net != &nets[worker])
            continue;
        for (unsigned k = 0; k < m->n; k++)
            lnt_strbuf_addf(&m->expected, "room-%u:%u ", m->pending[k].room,
                            m->pending[k].number);
        m->n = 0;
    }
}

static void
model_join(struct model *m, unsigned room)
{
    struct lnt_room_info info;
    char name[16];

    snprintf(name, sizeof(name), "room-%u", room);
    m->sub[room] =
        now_join(m->s->net->hub, m->s, m->user, lnt_str_c(name), 0, 0, &info);
    if (!m->sub[room])
        fail("join");
}

static void
model_leave(struct model *m, unsigned room)
{
    unsigned n = 0;

    lnt_hub_leave(m->s->net->hub, m->sub[room], 0);
    m->sub[room] = NULL;
    for (unsigned k = 0; k < m->n; k++) {
        if (m->pending[k].room != room)
            m->pending[n++] = m->pending[k];
    }
    m->n = n;
}

static void
model_say(struct model *m, unsigned room, unsigned number)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", number);
    say(m->s, m->sub[room], 0, text);
    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
        struct model *o = &models[i];

        if (o->sub[room]) {
            o->pending[o->n].room = room;
            o->pending[o->n++].number = number;
        }
    }
}

static void
test_model(void)
{
    unsigned seed = 7, said = 0;
    bool same = true;
    char nick[16];

    start(8u << 20);
    memset(models, 0, sizeof(models));
    for (unsigned i = 0; i < sizeof(models) / sizeof(*models); i++) {
        struct lnt_net *n = &nets[i % WORKERS];

        models[i].s = session(i % WORKERS, i % 7 == 0   ? &n->single
                                           : i % 5 == 0 ? &n->plain
                                                        : &n->appending);
        snprintf(nick, sizeof(nick), "m%u", i);
        now_enter(n->hub, models[i].s, lnt_str_c(nick), &models[i].user);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        struct model *m =
            &models[draw(&seed, sizeof(models) / sizeof(*models))];
        unsigned room = draw(&seed, ROOMS), what = draw(&seed, 10);

        if (step % 400 == 399) {
            for (unsigned w = 0; w < WORKERS; w++)
                model_turn(w);
        } else if (what == 0) {
            model_turn(step % WORKERS);
        } else if (!m->sub[room]) {
            model_join(m, room);
        } else if (what == 1) {
            model_leave(m, room);
        } else {
            model_say(m, room, said++);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++)
        model_turn(i);
    for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
        struct model *m = &models[i];

        same = same && lnt_str_eq(lnt_strbuf_str(&m->s->got),
                                  lnt_strbuf_str(&m->expected));
        lnt_strbuf_release(&m->expected);
    }
    ok(same, "everybody got what was said while it was in the room (%u)", said);
    is_int(nets[0].stats.counters[LNT_C_LAPPED], 0, "nothing was lost");
    stop("model");
}

/* A reload: the new worker says what rooms keep, while the old one still has
   clients. */
static void
test_retired(void)
{
    const struct lnt_keep before = {1, 0, 1000}, now = {5, 0, 1000};
    struct lnt_room_info info;

    start(LNT_ZONE_MIN_SIZE);
    struct lnt_session *a = session(0, &nets[0].plain);
    struct lnt_session *b = session(1, &nets[1].plain);
    struct lnt_sub *sb = enter(b, "r", 0), *sa;
    is_int(lnt_hub_keep(nets[1].hub, sb, &now), 0, "kept as it is now");
    lnt_hub_retire(nets[0].hub);
    for (int i = 0; i < 3; i++)
        now_post(nets[0].hub, &nets[0].app, LNT_STR("r"), &before, NOTE,
                 LNT_EVENT_HISTORY, LNT_STR("1"), NULL, NULL);
    sa = enter(a, "r", 0);
    is_int(lnt_hub_keep(nets[0].hub, sa, &before), 0, "not as it was");
    lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("r"), &info);
    is_int(info.kept, 3, "nothing is lost");
    now_post(nets[0].hub, &nets[0].app, LNT_STR("new"), &before, NOTE,
             LNT_EVENT_HISTORY, LNT_STR("2"), NULL, NULL);
    is_int(lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("new"),
                              &info),
           0, "one that is new has a history, too");
    stop("retired");
}

int
main(void)
{
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = lnt_eventfd_create();
    test_fanout();
    test_groups();
    test_not_origin();
    test_past();
    test_order();
    test_direct();
    test_gap();
    test_listen();
    test_skip();
    test_post();
    test_retired();
    test_list();
    test_sleep();
    test_wakers();
    test_never_asleep();
    test_model();
    return done_testing();
}
