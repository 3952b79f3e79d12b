/*
 * Connections with a filter that move: nothing is lost, doubled or filtered
 * twice, and of the two workers only one ever goes on.
 */
#include "worker/mover.h"

#include <fcntl.h>

#include "ipc/channel.h"
#include "os/clock.h"
#include "os/socket.h"
#include "t/unit/filter_world.h"

static void
must(bool cond)
{
    if (!cond)
        exit(1);
}

/* ---- as bytes ---- */

static const struct lnt_endpoint *
find_plain(void *arg, struct lnt_str id)
{
    (void)arg;
    (void)id;
    return lnt_endpoint_find(config->endpoints, LNT_STR("listen plain"));
}

static const struct lnt_endpoint *
find_raw(void *arg, struct lnt_str id)
{
    (void)arg;
    (void)id;
    return lnt_endpoint_find(config->endpoints, LNT_STR("listen raw"));
}

/* There and back, at each byte of what the client says. */
static void
test_everywhere(void)
{
    struct lnt_strbuf all = LNT_STRBUF_INIT, bytes = LNT_STRBUF_INIT;
    struct toy_client c = toy_dial(&workers[0], "listen raw");
    const char *why;
    unsigned moves = 0, silent = 0;
    for (int i = 0; i < 3; i++)
        toy_record(&c.out, "hello", 5, &all);
    for (size_t i = 0; i < all.n; i++) {
        toy_write(&c, all.p + i, 1);
        struct worker *from = &workers[i % 2], *to = &workers[(i + 1) % 2];
        settle();
        lnt_strbuf_clear(&bytes);
        int fd = lnt_move_freeze(only(from), &bytes);
        must(fd >= 0);
        struct lnt_session *s = lnt_move_thaw(
            to->net, fd, lnt_strbuf_str(&bytes), find, NULL, &why);
        must(s != NULL);
        silent += lnt_move_waits(s);
        lnt_move_go(s);
        moves += !lnt_move_waits(s);
    }
    is_int(moves, all.n, "moved behind each byte");
    is_int(silent, all.n, "... and waited for a word each time");
    is_str(toy_heard(&c), "hellohellohello", "... all is answered");
    ok(!c.wrong, "... in good order");
    toy_client_end(&c);
    toy_none_left("everywhere");
    lnt_strbuf_release(&all);
    lnt_strbuf_release(&bytes);
}

/* Says much and reads nothing, so that filtered and plain output waits. */
static size_t
stuff(struct toy_client *c, struct worker *w)
{
    char piece[4000];
    size_t said = 0;
    const struct lnt_stats *s = &lnt_zone_cell(zone, w->cell)->stats;
    while (s->send_queue < 70000) {
        struct toy_way before = c->out;
        struct lnt_strbuf b = LNT_STRBUF_INIT;
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = (char)((said + i) * 7 >> 3);
        toy_record(&c->out, piece, sizeof(piece), &b);
        bool sent = send(c->fd, b.p, b.n, MSG_NOSIGNAL) > 0;
        lnt_strbuf_release(&b);
        if (!sent) {
            c->out = before;
            break;
        }
        said += sizeof(piece);
        settle();
    }
    return said;
}

/* Reads all of it. */
static bool
reads_all(struct toy_client *c, size_t said)
{
    size_t heard = 0, wrong = 0;
    for (int i = 0; i < 1000 && heard < said; i++) {
        (void)toy_heard(c);
        for (size_t k = 0; k < c->plain.n; k++)
            wrong += c->plain.p[k] != (char)((heard + k) * 7 >> 3);
        heard += c->plain.n;
    }
    return heard == said && !wrong && !c->wrong;
}

static void
test_unsent(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct toy_client c = toy_dial(&workers[0], "listen raw");
    const char *why;
    size_t said = stuff(&c, &workers[0]);
    for (int i = 0; i < 4; i++) {
        struct worker *from = &workers[i % 2], *to = &workers[(i + 1) % 2];
        lnt_strbuf_clear(&bytes);
        int fd = lnt_move_freeze(only(from), &bytes);
        must(fd >= 0);
        struct lnt_session *s = lnt_move_thaw(
            to->net, fd, lnt_strbuf_str(&bytes), find, NULL, &why);
        must(s != NULL);
        lnt_move_go(s);
        settle();
    }
    ok(reads_all(&c, said), "%zu bytes unsent, moved four times: all is there",
       bytes.n);
    toy_client_end(&c);
    toy_none_left("unsent");
    lnt_strbuf_release(&bytes);
}

/* A request that is put off, with the next one behind it. */
static void
test_parked(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct toy_client c = toy_dial(&workers[0], "listen web");
    const char *why;
    toy_say(&c, "GET /poll HTTP/1.1\r\nHost: x\r\n\r\n"
                "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    unsigned gone = polls_gone;
    int fd = lnt_move_freeze(only(&workers[0]), &bytes);
    must(fd >= 0);
    is_int(polls_gone, gone + 1, "a request that is put off is frozen");
    struct lnt_session *s = lnt_move_thaw(
        workers[1].net, fd, lnt_strbuf_str(&bytes), find, NULL, &why);
    must(s && polls);
    lnt_move_go(s);
    is_str(toy_heard(&c), "", "... and waits on");
    poll_answer("there");
    const char *said = toy_heard(&c);
    ok(strstr(said, "there") && strstr(said, "404 Not Found"),
       "... is answered there, and what is behind it");
    ok(!c.wrong, "... in good order");
    toy_client_end(&c);
    toy_none_left("parked");
    lnt_strbuf_release(&bytes);
}

/* Who does not have this filter, or does not know of filters, refuses. */
static void
test_refusals(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, plain = LNT_STRBUF_INIT;
    struct toy_client c = toy_dial(&workers[0], "listen raw");
    struct lnt_pack_version v;
    const char *why = NULL;
    int fd = lnt_move_freeze(only(&workers[0]), &bytes);
    must(fd >= 0);
    struct lnt_str rest = lnt_str(bytes.p + 4, bytes.n - 4);
    ok(!lnt_unpack_version(&rest, 3, &v) && errno == ENOTSUP,
       "a process that does not know of filters cannot read it");
    ok(!lnt_move_thaw(workers[1].net, dup(fd), lnt_strbuf_str(&bytes),
                      find_plain, NULL, &why) &&
           errno == ENOENT,
       "a listener without one refuses it: %s", why);
    unsigned refused = 0;
    for (size_t n = 0; n < bytes.n; n++) {
        refused += !lnt_move_thaw(workers[1].net, dup(fd), lnt_str(bytes.p, n),
                                  find, NULL, &why);
        settle();
        lnt_net_abort(workers[1].net);
    }
    ok(refused >= bytes.n - 1, "cut short it is refused: %u of %zu", refused,
       bytes.n);
    lnt_move_go(lnt_move_thaw(workers[0].net, fd, lnt_strbuf_str(&bytes), find,
                              NULL, &why));
    toy_say(&c, "hello");
    is_str(toy_heard(&c), "hello", "... and goes on where it was");
    toy_client_end(&c);

    int peer = dial(&workers[0], "listen plain");
    settle();
    fd = lnt_move_freeze(only(&workers[0]), &plain);
    must(fd >= 0);
    rest = lnt_str(plain.p + 4, plain.n - 4);
    ok(lnt_unpack_version(&rest, 3, &v) && v.needs == 3,
       "one without a filter is what it was");
    ok(!lnt_move_thaw(workers[1].net, fd, lnt_strbuf_str(&plain), find_raw,
                      NULL, &why) &&
           errno == ENOENT,
       "... and refused by a listener with one");
    close(peer);

    c = toy_dial_as(&workers[0], "listen raw", SOCK_STREAM);
    toy_write(&c, "HEL", 3);
    settle();
    lnt_strbuf_clear(&bytes);
    ok(lnt_move_freeze(only(&workers[0]), &bytes) < 0 && errno == EBUSY,
       "a filter that cannot move now stays");
    toy_write(&c, "LO\n", 3);
    ok((toy_heard(&c), c.welcome), "... and goes on");
    toy_client_end(&c);
    toy_none_left("refusals");
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&plain);
}

/* ---- over links ---- */

static void
on_done(void *arg)
{
    (void)arg;
}

static struct lnt_mover *
mover(struct worker *w)
{
    return lnt_mover_new(&(struct lnt_mover_params){
        .loop = w->loop,
        .net = w->net,
        .endpoints = config->endpoints,
        .patience = 1000,
        .done = on_done,
    });
}

/* Runs one of the two until cond, 20 s at most. */
#define run_until(w, cond)                                                     \
    do {                                                                       \
        uint64_t end_ = lnt_clock_ms() + 20000;                                \
        while (!(cond) && lnt_clock_ms() < end_)                               \
            world_run(w);                                                      \
    } while (0)

/* A link, and one connection of worker 0 with an answer for it unsent. */
struct move {
    struct lnt_mover *giver, *taker;
    int link[2];
    struct toy_client c;
};

static struct worker *const from = &workers[0], *const to = &workers[1];

static unsigned
count(const struct worker *w)
{
    return lnt_net_count(w->net);
}

/* It is on its way; nobody has taken it yet. */
static struct move
begin_move(void)
{
    struct move m = {.giver = mover(from), .taker = mover(to)};
    m.c = toy_dial(from, "listen raw");
    toy_say(&m.c, "one ");
    (void)toy_heard(&m.c);
    /* Half a record; the rest finds it wherever it is. */
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    toy_record(&m.c.out, "two ", 4, &b);
    toy_write(&m.c, b.p, b.n - 2);
    settle();
    must(lnt_socket_pair(m.link) == 0);
    lnt_mover_link_some(m.giver, m.link[0]);
    lnt_mover_link(m.taker, m.link[1], false);
    lnt_mover_give(m.giver, 1);
    run_until(from, count(from) == 0);
    toy_write(&m.c, b.p + b.n - 2, 2);
    lnt_strbuf_release(&b);
    return m;
}

static void
end_move(struct move *m, const char *what)
{
    toy_client_end(&m->c);
    settle();
    if (m->giver)
        lnt_mover_free(m->giver);
    if (m->taker)
        lnt_mover_free(m->taker);
    toy_none_left(what);
}

static void
test_moves(void)
{
    struct move m = begin_move();
    is_int(count(from), 0, "given");
    run_until(to, count(to) == 1);
    is_int(count(to), 1, "taken");
    is_str(toy_heard(&m.c), "two ",
           "the record that was under way is answered");
    toy_say(&m.c, "three");
    is_str(toy_heard(&m.c), "three", "and the next");
    is_int(count(from), 0, "the giver has let go");
    ok(!m.c.wrong, "all in good order");
    end_move(&m, "move");
}

/* The taker goes before it has taken it: the giver goes on. */
static void
test_taker_gone_before(void)
{
    struct move m = begin_move();
    lnt_mover_free(m.taker);
    m.taker = NULL;
    run_until(from, count(from) == 1);
    is_int(count(from), 1, "no taker: it is taken up again");
    is_str(toy_heard(&m.c), "two ", "... and answered");
    ok(!m.c.wrong, "... in good order");
    end_move(&m, "taker gone before");
}

/* The taker goes when it has answered and written: the giver reads its word
   before the end of the link. */
static void
test_taker_gone_after(void)
{
    struct move m = begin_move();
    run_until(to, count(to) == 1);
    world_run(to);
    toy_read(&m.c, SIZE_MAX);
    is_mem(m.c.plain.p + m.c.plain.n - 4, 4, "two ", 4,
           "the taker has written");
    lnt_net_abort(to->net);
    world_run(to);
    lnt_mover_free(m.taker);
    m.taker = NULL;
    settle();
    is_int(count(from), 0, "the giver does not go on where it was");
    (void)toy_heard(&m.c);
    ok(m.c.eof && !m.c.wrong, "it ends");
    end_move(&m, "taker gone after");
}

/* The taker's word does not get out: it must not go on. */
static void
test_word_stuck(void)
{
    struct move m = begin_move();
    struct iovec none = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
    struct msghdr junk = {.msg_iov = &none, .msg_iovlen = 1};
    while (sendmsg(m.link[1], &junk, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        ;
    uint64_t moved =
        lnt_zone_cell(zone, to->cell)->stats.counters[LNT_C_MOVED_IN];
    run_until(to,
              lnt_zone_cell(zone, to->cell)->stats.counters[LNT_C_MOVED_IN] >
                  moved);
    for (int i = 0; i < 10; i++)
        world_run(to);
    is_int(count(to), 0, "a taker whose word is stuck lets go");
    lnt_strbuf_clear(&m.c.plain);
    toy_read(&m.c, SIZE_MAX);
    is_int(m.c.plain.n, 0, "... and has written nothing");
    /* What the giver reads now is no frame: it has not heard all. */
    for (int i = 0; i < 10; i++)
        world_run(from);
    is_int(count(from), 0, "a giver that is not sure lets go, too");
    toy_read(&m.c, SIZE_MAX);
    ok(m.c.plain.n == 0 && m.c.eof && !m.c.wrong, "... it ends for its client");
    end_move(&m, "word stuck");
}

/* The giver gives up while the answer may be on its way. */
static void
test_giver_ends(void)
{
    struct move m = begin_move();
    lnt_mover_free(m.giver);
    m.giver = NULL;
    for (int i = 0; i < 10; i++)
        world_run(from);
    is_int(count(from), 0, "a giver that ends does not go on with it");
    run_until(to, count(to) == 1);
    (void)toy_heard(&m.c);
    ok(!m.c.wrong, "only one of them has written");
    end_move(&m, "giver ends");
}

/* Without a filter a connection is served again in any of these cases. */
static void
test_plain(void)
{
    struct lnt_mover *giver = mover(from);
    int link[2], peer = dial(from, "listen plain");
    settle();
    must(lnt_socket_pair(link) == 0);
    lnt_mover_link_some(giver, link[0]);
    lnt_mover_give(giver, 1);
    run_until(from, count(from) == 0);
    must(send(link[1], "x", 1, MSG_NOSIGNAL) == 1);
    run_until(from, count(from) == 1);
    say(peer, "hello", 5);
    is_str(heard(peer), "hello", "without a filter it goes on");
    close(peer);
    close(link[1]);
    settle();
    lnt_mover_free(giver);
    toy_none_left("plain");
}

int
main(void)
{
    filter_begin(2);
    test_everywhere();
    test_unsent();
    test_parked();
    test_refusals();
    test_moves();
    test_taker_gone_before();
    test_taker_gone_after();
    test_word_stuck();
    test_giver_ends();
    test_plain();
    world_end();
    return done_testing();
}
