/*
 * Operations of the hub that complete later, as in a cluster: their order, their
 * bounds, and what becomes of them when time, the session or the worker ends.
 */
#include "os/memory.h"
#include "t/unit/hub_world.h"

#ifdef LNT_DEBUG_BUILD

static struct lnt_strbuf told; /* of the completions, each with a blank */
static struct lnt_result last;
static uint32_t user;
static struct lnt_sub *sub;
static void (*next)(const struct lnt_result *r);
static const char *next_of; /* whose completion calls next */

/* "name", "name=ERROR", "name-" when the session has gone. */
static void
on_done(const struct lnt_result *r)
{
    bool mine = next && lnt_str_eq(r->arg, lnt_str_c(next_of));

    last = *r;
    lnt_strbuf_add_str(&told, r->arg);
    if (r->error)
        lnt_strbuf_addf(&told, "=%s",
                        r->error == EEXIST      ? "taken"
                        : r->error == EAGAIN    ? "full"
                        : r->error == ETIMEDOUT ? "late"
                        : r->error == ECANCELED ? "ended"
                                                : strerror(r->error));
    if (!r->session)
        lnt_strbuf_addc(&told, '-');
    lnt_strbuf_addc(&told, ' ');
    if (r->user)
        user = r->user;
    if (r->sub)
        sub = r->sub;
    if (mine) {
        void (*then)(const struct lnt_result *r) = next;

        next = NULL;
        then(r);
    }
}

static struct lnt_completion
done(const char *name)
{
    return (struct lnt_completion){on_done, lnt_str_c(name)};
}

static const char *
was_told(void)
{
    static char text[4096];

    snprintf(text, sizeof(text), "%.*s", (int)told.n, told.n ? told.p : "");
    lnt_strbuf_clear(&told);
    return text;
}

static struct lnt_hub *
begin(void)
{
    start(LNT_ZONE_MIN_SIZE);
    lnt_strbuf_clear(&told);
    sub = NULL;
    user = 0;
    next = NULL;
    world_now = 1000;
    return nets[0].hub;
}

/* One of the first worker that is in "r". */
static struct lnt_session *
member(void)
{
    struct lnt_session *s = session(0, &nets[0].appending);
    struct lnt_room_info info;

    if (now_enter(nets[0].hub, s, LNT_STR("ann"), &user) < 0)
        fail("enter");
    sub = now_join(nets[0].hub, s, user, LNT_STR("r"), 0, 100, &info);
    return s;
}

static void
speak(struct lnt_session *s, const char *name)
{
    lnt_hub_publish(s->net->hub, s, sub, NOTE, 0, lnt_str_c(name), done(name));
}

static void
after(struct lnt_session *s, const char *name)
{
    lnt_hub_after(s->net->hub, s, lnt_str_c(name), done(name));
}

/* ---- tests ---- */

static void
test_at_once(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = session(0, &nets[0].appending);
    uint64_t timers = world_timers;

    struct lnt_completion d = done("enter");
    lnt_hub_enter(h, s, LNT_STR("ann"), d);
    is_str(was_told(), "enter ", "told before the call returns");
    ok(!last.later && last.session == s && last.session_id == s->id &&
           last.m == &nets[0].app && last.arg.p == d.arg.p,
       "with the session, and the caller's own bytes");
    lnt_hub_join(h, s, user, LNT_STR("r"), 0, 100, done("join"));
    ok(last.sub && last.info && strcmp(last.info->name, "r") == 0,
       "a join has its sub and the room");
    speak(s, "1");
    ok(last.seq > 0 && last.time_us > 0, "a message its place and time");
    after(s, "after");
    is_str(was_told(), "join 1 after ", "in order");
    lnt_hub_enter(h, session(0, &nets[0].plain), LNT_STR("ann"), done("again"));
    is_str(was_told(), "again=taken ", "a refusal");
    ok(lnt_hub_under_way(h, s) == LNT_NOTHING && world_timers == timers,
       "nothing is ever under way");
    stop("at once");
}

static void
test_stream(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = member();
    struct lnt_session *b = session(1, &nets[1].appending);
    char text[] = "2";

    enter(b, "r", 0);
    turns();
    (void)got(s);
    lnt_hub_hold(h, true);
    speak(s, "1");
    speak(s, text);
    text[0] = 'x'; /* it has been copied */
    speak(s, "3");
    is_str(was_told(), "", "under way");
    ok(lnt_hub_under_way(h, s) == LNT_ONLY_MESSAGES, "messages alone");
    turns();
    is_str(got(b), "", "nobody hears them yet");
    lnt_hub_release(h, 1);
    is_str(was_told(), "1 ", "the first");
    ok(last.later && last.session == s && last.seq > 0, "later");
    turns();
    is_str(got(b), "r:1 ", "is heard");
    lnt_hub_release(h, 2);
    is_str(was_told(), "2 3 ", "they were under way together");
    turns();
    is_str(got(b), "r:2 r:3 ", "in order");
    ok(lnt_hub_under_way(h, s) == LNT_NOTHING, "it is over");
    ok(!nets[0].timer, "and nothing waits for a deadline");
    lnt_hub_hold(h, false);
    stop("stream");
}

static void
join_then(const struct lnt_result *r)
{
    lnt_hub_join(r->m->hub, r->session, r->user, LNT_STR("r"), 0, 100,
                 done("join"));
}

static void
say_then(const struct lnt_result *r)
{
    ok(lnt_hub_under_way(r->m->hub, r->session) == LNT_NOTHING,
       "at its turn nothing is in its way");
    speak(r->session, "inner1");
    speak(r->session, "inner2");
}

/* What a client asks in one go comes out as if each had waited for the other. */
static void
test_turns(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = session(0, &nets[0].appending);
    struct lnt_session *b = session(1, &nets[1].appending);

    enter(b, "r", 0);
    turns();
    lnt_hub_hold(h, true);
    lnt_hub_enter(h, s, LNT_STR("ann"), done("enter"));
    after(s, "say");
    after(s, "who");
    ok(lnt_hub_under_way(h, s) == LNT_MORE, "more than messages");
    next = join_then;
    next_of = "enter";
    lnt_hub_release(h, 1);
    is_str(was_told(), "enter ",
           "the nick is there, and the room is asked for");
    next = say_then;
    next_of = "say";
    lnt_hub_release(h, 1);
    is_str(was_told(), "join say ", "then it is the next one's turn");
    lnt_hub_release(h, 2);
    is_str(was_told(), "inner1 inner2 who ", "what it began goes first");
    turns();
    is_str(got(b), "+r:ann r:inner1 r:inner2 ", "all is heard");

    speak(s, "a");
    after(s, "b");
    speak(s, "c");
    lnt_hub_release(h, 1);
    is_str(was_told(), "a b ", "what waits its turn has it");
    lnt_hub_release(h, 1);
    is_str(was_told(), "c ", "and so has what stands behind");
    lnt_hub_hold(h, false);
    stop("turns");
}

static void
test_refused(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = session(0, &nets[0].appending);
    struct lnt_session *b = session(0, &nets[0].appending);

    lnt_hub_hold(h, true);
    lnt_hub_enter(h, s, LNT_STR("ann"), done("s"));
    lnt_hub_enter(h, b, LNT_STR("ann"), done("b"));
    lnt_hub_release(h, 2);
    is_str(was_told(), "s b=taken ", "the order of the log decides");
    lnt_hub_enter(h, b, LNT_STR(""), done("b"));
    lnt_hub_hold(h, false);
    is_str(was_told(), "b=Invalid argument ", "other errors come as well");
    stop("refused");
}

static void
test_bounds(void)
{
    static char large[LNT_OPS_BYTES + 1];
    struct lnt_hub *h = begin();
    struct lnt_session *s = member(), *b = session(0, &nets[0].plain);
    int n = 0;

    lnt_hub_hold(h, true);
    while (lnt_hub_publish(h, s, sub, NOTE, 0, LNT_STR("x"), done("x")),
           told.n == 0)
        n++;
    is_int(n, LNT_OPS_MAX, "so many");
    is_str(was_told(), "x=full ", "one more is refused");
    is_int(nets[0].stats.counters[LNT_C_OPS_REFUSED], 1, "... and counted");
    ok(!last.later, "at once");
    lnt_hub_enter(h, b, LNT_STR("bob"), done("bob"));
    is_str(was_told(), "", "others are not concerned");
    lnt_hub_leave(h, sub, 100);
    lnt_hub_exit(h, s, user, 100);
    lnt_hub_hold(h, false);
    n = 0;
    for (size_t i = 0; i < told.n; i++)
        n += told.p[i] == 'x';
    is_int(n, LNT_OPS_MAX, "all are told");
    (void)was_told();
    ok(lnt_zone_user_find(zone, LNT_STR("ann")) == 0,
       "leaving is never refused");

    lnt_hub_hold(h, true);
    lnt_hub_after(h, b, lnt_str(large, sizeof(large)), done("large"));
    is_str(was_told(), "large ", "one that only waits for nothing");
    lnt_hub_direct(h, b, 77, NOTE, lnt_str(large, 100), done("d"));
    lnt_hub_after(h, b, lnt_str(large, sizeof(large)), done("large"));
    is_str(was_told(), "large=full ", "too many bytes");
    lnt_hub_hold(h, false);
    (void)was_told();
    stop("bounds");
}

/* It says something and goes: that is heard, and then that it has gone. */
static void
test_close(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = member();
    struct lnt_session *b = session(1, &nets[1].appending);
    uint64_t id = s->id;

    enter(b, "r", 0);
    turns();
    (void)got(b);
    lnt_hub_hold(h, true);
    speak(s, "1");
    speak(s, "2");
    after(s, "turn");
    lnt_hub_rename(h, s, user, LNT_STR("anna"), 100, done("nick"));
    lnt_hub_leave(h, sub, 100);
    lnt_hub_exit(h, s, user, 100);
    s->id = 0;
    lnt_hub_release(h, 1);
    is_str(was_told(), "1- ", "told without the session");
    is_int((long)last.session_id, (long)id, "but with its id");
    lnt_hub_hold(h, false);
    is_str(was_told(), "2- turn=ended- nick=ended- ",
           "messages are published, all else is not done");
    turns();
    is_str(got(b), "r:1 r:2 ~r:ann ", "and it leaves behind them");
    ok(lnt_zone_user_find(zone, LNT_STR("ann")) == 0, "its nick is free");

    /* One that was about to come. */
    s = session(0, &nets[0].appending);
    lnt_hub_hold(h, true);
    lnt_hub_enter(h, s, LNT_STR("eve"), done("enter"));
    s->id = 0;
    lnt_hub_hold(h, false);
    is_str(was_told(), "enter=ended- ", "does not");
    ok(lnt_zone_user_find(zone, LNT_STR("eve")) == 0, "nobody has that nick");
    stop("close");
}

static void
fire(void)
{
    struct lnt_timer *t = nets[0].timer;

    ok(t && nets[0].timer_at <= world_now, "it is time");
    nets[0].timer = NULL;
    if (t)
        t->fn(t);
}

static void
test_time(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = member(), *b = session(0, &nets[0].plain);
    struct lnt_session *c = session(1, &nets[1].appending);

    enter(c, "r", 0);
    turns();
    (void)got(c);
    lnt_hub_hold(h, true);
    speak(s, "1");
    after(s, "2");
    world_now += 100;
    lnt_hub_enter(h, b, LNT_STR("bob"), done("bob"));
    speak(s, "3");
    is_int((long)nets[0].timer_at, 1000 + LNT_OP_TIME, "the first's");
    world_now = 1000 + LNT_OP_TIME;
    fire();
    is_str(was_told(), "1=late 2 ",
           "its time is over, and the next one's turn");
    world_now += 100;
    fire();
    ok(told.n == strlen("bob=late 3=late ") && !nets[0].timer,
       "those of 100 ms later");
    is_int(nets[0].stats.counters[LNT_C_OPS_EXPIRED], 3, "... all are counted");
    (void)was_told();
    lnt_hub_release(h, 10);
    is_str(was_told(), "", "each is told once");
    turns();
    is_str(got(c), "", "here they have not happened");
    lnt_hub_hold(h, false);
    speak(s, "4");
    is_str(was_told(), "4 ", "it goes on");
    stop("time");
}

static void
again_then(const struct lnt_result *r)
{
    speak(r->session, "again");
}

/* Who tries again when it was too late has time for it. */
static void
test_time_again(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = member();

    lnt_hub_hold(h, true);
    speak(s, "1");
    next = again_then;
    next_of = "1";
    world_now += LNT_OP_TIME;
    fire();
    is_str(was_told(), "1=late ", "too late");
    ok(nets[0].timer && nets[0].timer_at == world_now + LNT_OP_TIME,
       "the next try has its own time");
    lnt_hub_release(h, 1);
    is_str(was_told(), "again ", "and succeeds");
    lnt_hub_hold(h, false);
    stop("time again");
}

static bool idle;

static void
on_idle(void *arg)
{
    (void)arg;
    idle = true;
}

static void
test_end(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = member();
    struct lnt_hub_point p;

    turns();
    ok(lnt_hub_point(h, s, NULL, &p), "it may move");
    lnt_hub_hold(h, true);
    speak(s, "1");
    ok(!lnt_hub_point(h, s, NULL, &p), "not now");
    idle = false;
    lnt_hub_when_idle(h, on_idle, NULL);
    ok(!idle, "the worker does not end now");
    lnt_hub_release(h, 1);
    ok(idle, "now it may");
    turns();
    ok(lnt_hub_point(h, s, NULL, &p), "the session, too");
    idle = false;
    lnt_hub_when_idle(h, on_idle, NULL);
    ok(idle, "nothing is under way");
    (void)was_told();

    speak(s, "2");
    lnt_hub_leave(h, sub, 100);
    lnt_hub_exit(h, s, user, 100);
    lnt_hub_cancel(h);
    is_str(was_told(), "2=ended ", "the worker ends");
    ok(lnt_zone_user_find(zone, LNT_STR("ann")) == 0, "who left has left");
    after(s, "x");
    lnt_hub_enter(h, s, LNT_STR("ann"), done("enter"));
    is_str(was_told(), "x enter=ended ", "nothing begins any more");
    stop("end");
}

static void
test_posts(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *b = session(1, &nets[1].appending);
    const struct lnt_keep keep = {5, 0, 1000};
    struct lnt_room_info info;

    enter(b, "r", 0);
    turns();
    lnt_hub_hold(h, true);
    for (int i = 0; i < 2; i++)
        lnt_hub_post(h, &nets[0].app, LNT_STR("r"), &keep, NOTE,
                     LNT_EVENT_HISTORY, LNT_STR("p"), done("p"));
    is_str(was_told(), "", "under way");
    lnt_hub_release(h, 1);
    is_str(was_told(), "p- ", "of no session");
    ok(last.m == &nets[0].app && last.error == 0 && last.seq > 0, "done");
    lnt_hub_hold(h, false);
    (void)was_told();
    turns();
    is_str(got(b), "r:p r:p ", "heard");
    lnt_zone_room_find(zone, lnt_zone_app_id("app"), LNT_STR("r"), &info);
    is_int(info.kept, 2, "and kept");
    stop("posts");
}

/* Listening begins when the last of several rooms is there. */
static void
test_listen(void)
{
    struct lnt_hub *h = begin();
    struct lnt_session *s = session(0, &nets[0].appending), *a;

    a = session(1, &nets[1].appending);
    struct lnt_sub *sa = enter(a, "r", 0);
    lnt_hub_hold(h, true);
    lnt_hub_listen(h, s, LNT_STR("r"), 0, done("r"));
    lnt_hub_listen(h, s, LNT_STR("q"), 0, done("q"));
    lnt_hub_release(h, 1);
    struct lnt_sub *first = sub;
    lnt_hub_skip(h, first, UINT64_MAX);
    say(a, sa, 0, "1");
    turns();
    is_str(got(s), "", "it waits for the other room");
    lnt_hub_release(h, 1);
    is_str(was_told(), "r q ", "both are there");
    lnt_hub_skip(h, first, last.seq > 0 ? 0 : lnt_hub_next(h, sub));
    say(a, sa, 0, "2");
    turns();
    is_str(got(s), "r:2 ", "from there on");
    lnt_hub_hold(h, false);
    stop("listen");
}

int
main(void)
{
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = lnt_eventfd_create();
    test_at_once();
    test_stream();
    test_turns();
    test_refused();
    test_bounds();
    test_close();
    test_time();
    test_time_again();
    test_end();
    test_posts();
    test_listen();
    lnt_strbuf_release(&told);
    return done_testing();
}

#else

int
main(void)
{
    ok(true, "operations are held in debug builds alone");
    return done_testing();
}

#endif
