/* LINK: all */
/*
 * Links on demand between two workers in one process; the test is the master.
 */
#include "worker/links.h"

#include "core/pack.h"
#include "ipc/channel.h"
#include "net/handover.h"
#include "os/clock.h"
#include "os/socket.h"
#include "t/unit/move_world.h"

enum { PATIENCE = 200 };

/* The master's end of the giver's channel, and what came through it. */
static struct lnt_channel to_master, of_master;
static struct lnt_links *giver, *taker;
static uint32_t asked[600];
static uint64_t wanted;
static unsigned nasked;

static void
on_asked(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct lnt_str rest = f->payload;
    (void)c;
    if (f->type == LNT_FRAME_LINK && lnt_unpack_u64(&rest, &wanted))
        asked[nasked++] = f->request;
}

static void
on_ignored(struct lnt_channel *c, const struct lnt_frame *f)
{
    (void)c;
    (void)f;
}

static struct lnt_links *
links(struct worker *w)
{
    return lnt_links_new(&(struct lnt_links_params){
        .loop = w->loop,
        .net = w->net,
        .endpoints = config->endpoints,
        .master = &to_master,
        .links_max = 2,
        .patience = PATIENCE,
    });
}

static void
begin(void)
{
    static const struct lnt_channel_handler ours = {.frame = on_ignored},
                                            masters = {.frame = on_asked};
    int fds[2];
    if (lnt_socket_pair(fds) < 0 ||
        lnt_channel_open(&to_master, workers[0].loop, fds[0], 0, &ours) < 0 ||
        lnt_channel_open(&of_master, workers[0].loop, fds[1], 0, &masters) < 0)
        exit(1);
    giver = links(&workers[0]);
    taker = links(&workers[1]);
    nasked = 0;
}

static void
end(void)
{
    lnt_links_free(giver);
    lnt_links_free(taker);
    lnt_channel_close(&to_master);
    lnt_channel_close(&of_master);
    settle();
}

static void
turns(void)
{
    for (int i = 0; i < 3; i++) {
        settle();
        (void)lnt_links_turn(giver);
        (void)lnt_links_turn(taker);
    }
    settle();
}

static void
wait_ms(uint64_t ms)
{
    uint64_t until = lnt_clock_ms() + ms;
    while (lnt_clock_ms() < until)
        turns();
}

/* The master's answer: both ends. */
static void
make_link(uint32_t request)
{
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        exit(1);
    lnt_links_take(taker, fds[0]);
    lnt_links_answer(giver, request, fds[1], lnt_str("", 0));
}

static int
hand(struct lnt_session *s, uint64_t worker)
{
    return lnt_session_hand_over(s, worker, lnt_str("", 0));
}

/* One of the giver's that does not wait yet. */
static bool
hand_one(uint64_t worker)
{
    size_t at = 0;
    struct lnt_session *s;
    while ((s = lnt_net_next(workers[0].net, &at)))
        if (hand(s, worker) == 0)
            return true;
    return false;
}

static uint64_t
counter(const struct worker *w, enum lnt_counter c)
{
    return lnt_net_stats(w->net)->counters[c];
}

static void
hang_up(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    turns();
}

static void
test_many(void)
{
    enum { MANY = 300 };
    static int peers[MANY];
    uint64_t name = lnt_net_worker(workers[1].net);
    size_t waiting = 0;
    begin();
    for (size_t i = 0; i < MANY; i++) {
        peers[i] = dial(&workers[0], "listen raw");
        waiting += hand_one(name);
    }
    is_int(waiting, MANY, "many are to be handed over");
    turns();
    is_int(nasked, 1, "one link is asked for");
    ok(wanted == name, "to that worker");
    is_int(lnt_net_count(workers[0].net), MANY, "until then all are here");
    say(peers[0], "hello", 5);
    is_str(heard(peers[0]), "", "and nothing is read");
    make_link(asked[0]);
    for (int i = 0; i < 10; i++)
        turns();
    is_int(lnt_net_count(workers[1].net), MANY, "all are handed over");
    is_int(lnt_net_count(workers[0].net), 0, "none is left");
    is_int(counter(&workers[0], LNT_C_HANDED_OVER), MANY, "which is counted");
    is_str(heard(peers[0]), "hello", "what it said is answered there");
    int late = dial(&workers[0], "listen raw");
    (void)hand(only(&workers[0]), name);
    turns();
    is_int(lnt_net_count(workers[1].net), MANY + 1, "the link is used again");
    is_int(nasked, 1, "... no other is asked for");
    close(late);
    hang_up(peers, MANY);
    end();
}

static void
test_refusals(void)
{
    uint64_t name = lnt_net_worker(workers[1].net);
    uint64_t stayed = counter(&workers[0], LNT_C_STAYED);
    int peer;
    begin();
    peer = dial(&workers[0], "listen raw");
    ok(hand(only(&workers[0]), lnt_net_worker(workers[0].net)) < 0 &&
           errno == EINVAL,
       "not to itself");
    is_int(hand(only(&workers[0]), name), 0, "to another one");
    ok(hand(only(&workers[0]), name) < 0 && errno == EBUSY,
       "not twice at once");
    turns();
    lnt_links_answer(giver, asked[0], -1, LNT_STR("no"));
    turns();
    is_int(counter(&workers[0], LNT_C_STAYED), ++stayed, "the master refuses");
    say(peer, "a", 1);
    is_str(heard(peer), "a", "... it lives on here");

    is_int(hand(only(&workers[0]), name), 0, "once more");
    wait_ms(PATIENCE * 2);
    is_int(counter(&workers[0], LNT_C_STAYED), ++stayed,
           "the master does not answer");
    say(peer, "b", 1);
    is_str(heard(peer), "b", "... it lives on here");
    make_link(asked[1]);
    turns();
    is_int(nasked, 2, "an answer that is late is nobody's");

    (void)hand(only(&workers[0]), name);
    turns();
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        exit(1);
    lnt_links_answer(giver, asked[2], fds[0], lnt_str("", 0));
    wait_ms(PATIENCE * 2);
    is_int(counter(&workers[0], LNT_C_STAYED), ++stayed,
           "the other one does not answer");
    say(peer, "c", 1);
    is_str(heard(peer), "c", "... it lives on here");
    (void)hand(only(&workers[0]), name);
    turns();
    close(fds[1]);
    turns();
    is_int(counter(&workers[0], LNT_C_STAYED), ++stayed, "the other one dies");

    (void)hand(only(&workers[0]), name);
    turns();
    lnt_links_drain(taker);
    make_link(asked[3]);
    turns();
    is_int(counter(&workers[0], LNT_C_STAYED), ++stayed, "the other one ends");
    say(peer, "d", 1);
    is_str(heard(peer), "d", "... it lives on here");
    hang_up(&peer, 1);
    end();
}

/* More workers are named than links are kept. */
static void
test_bound(void)
{
    uint64_t name = lnt_net_worker(workers[1].net);
    uint64_t stayed = counter(&workers[0], LNT_C_STAYED);
    int peers[3];
    begin();
    for (size_t i = 0; i < 3; i++) {
        peers[i] = dial(&workers[0], "listen raw");
        (void)hand_one(512 * (i + 1));
        turns();
    }
    is_int(nasked, 2, "two links are asked for, not three");
    is_int(counter(&workers[0], LNT_C_STAYED), stayed + 1, "the third stays");
    lnt_links_answer(giver, asked[0], -1, LNT_STR("no"));
    turns();
    (void)hand_one(name);
    turns();
    make_link(asked[2]);
    turns();
    is_int(lnt_net_count(workers[1].net), 1, "now there is room for one");
    lnt_links_answer(giver, asked[1], -1, LNT_STR("no"));
    turns();
    (void)hand_one(5120);
    (void)hand_one(10240);
    turns();
    is_int(nasked, 5, "that one is closed when others are wanted");
    hang_up(peers, 3);
    end();
}

/* The zone tells which workers there are. */
static void
test_made_up(void)
{
    uint64_t name = lnt_net_worker(workers[1].net);
    uint64_t cell = name & ((1u << LNT_ID_CELL_BITS) - 1);
    uint64_t incarnation = name >> LNT_ID_CELL_BITS;
    const uint64_t others[] = {
        77,
        (incarnation + 1) << LNT_ID_CELL_BITS | cell,
        incarnation << LNT_ID_CELL_BITS | (cell + 1),
        incarnation << LNT_ID_CELL_BITS | ((1u << LNT_ID_CELL_BITS) - 1),
        (UINT64_C(1) << 40) + name,
        UINT64_MAX,
    };
    uint64_t stayed = counter(&workers[0], LNT_C_STAYED);
    int peer;
    begin();
    lnt_links_free(giver);
    giver = lnt_links_new(&(struct lnt_links_params){
        .loop = workers[0].loop,
        .net = workers[0].net,
        .endpoints = config->endpoints,
        .master = &to_master,
        .zone = zone,
    });
    peer = dial(&workers[0], "listen raw");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)hand(only(&workers[0]), others[i]);
        turns();
        is_int(counter(&workers[0], LNT_C_STAYED), ++stayed,
               "one whose worker is made up stays");
    }
    is_int(nasked, 0, "and the master is not asked");
    (void)hand(only(&workers[0]), name);
    turns();
    is_int(nasked, 1, "for one that is there it is");
    hang_up(&peer, 1);
    end();
}

/* What waits when this worker ends goes on by itself, and a client that goes
   meanwhile is gone. */
static void
test_ends(void)
{
    uint64_t name = lnt_net_worker(workers[1].net);
    int peers[2];
    begin();
    for (size_t i = 0; i < 2; i++) {
        peers[i] = dial(&workers[0], "listen raw");
        (void)hand_one(name);
    }
    turns();
    close(peers[0]);
    turns();
    is_int(lnt_net_count(workers[0].net), 1, "one has gone");
    int half = dial(&workers[0], "listen raw");
    ok(hand_one(name), "another one waits");
    uint64_t stayed = counter(&workers[0], LNT_C_STAYED);
    shutdown(half, SHUT_WR);
    turns();
    is_int(counter(&workers[0], LNT_C_STAYED), stayed + 1,
           "a client that shuts its side makes it stay");
    is_int(lnt_net_count(workers[0].net), 1, "... and is gone then");
    close(half);
    lnt_links_drain(giver);
    make_link(asked[0]);
    turns();
    is_int(lnt_net_count(workers[1].net), 0, "nothing is handed over any more");
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    const char *why;
    int fd = lnt_move_freeze(only(&workers[0]), &b);
    ok(fd >= 0, "but it moves as others do");
    ok(lnt_move_thaw(workers[1].net, fd, lnt_strbuf_str(&b), find, NULL, &why),
       "... to any worker");
    say(peers[1], "x", 1);
    is_str(heard(peers[1]), "x", "... and is served there");
    lnt_strbuf_release(&b);
    hang_up(peers + 1, 1);
    end();
}

int
main(void)
{
    world_begin(2);
    test_many();
    test_refusals();
    test_bound();
    test_made_up();
    test_ends();
    world_end();
    return done_testing();
}
