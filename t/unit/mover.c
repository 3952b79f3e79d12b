/*
 * Connections over links between two workers in one process.
 */
#include "worker/mover.h"

#include <fcntl.h>

#include "net/net.h"
#include "os/clock.h"
#include "os/socket.h"
#include "t/unit/move_world.h"

static unsigned done;

static void
on_done(void *arg)
{
    (void)arg;
    done++;
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

/* Until the first one has closed its end of a link. */
static bool
until_closed(int fd)
{
    uint64_t end = lnt_clock_ms() + 20000;
    while (fcntl(fd, F_GETFD) >= 0) {
        if (lnt_clock_ms() > end)
            return false;
        settle();
    }
    return true;
}

/* A few are moved to even things out; meanwhile a reload makes the links over
   which all will go. */
static void
test_some_then_all(void)
{
    struct lnt_mover *giver = mover(&workers[0]), *taker = mover(&workers[1]);
    int some[2], all[2], peers[3];
    for (size_t i = 0; i < 3; i++)
        peers[i] = dial(&workers[0], "listen raw");
    if (lnt_socket_pair(some) < 0 || lnt_socket_pair(all) < 0)
        exit(1);
    lnt_mover_link_some(giver, some[0]);
    lnt_mover_link(taker, some[1], false);
    lnt_mover_give(giver, 1);
    lnt_mover_link(giver, all[0], true);
    lnt_mover_link(taker, all[1], false);
    ok(until_closed(some[0]), "what was asked for is given");
    is_int(lnt_net_count(workers[1].net), 1, "it is one");
    ok(lnt_mover_can_give(giver), "the link to give all is still there");
    lnt_mover_give_all(giver);
    ok(until_closed(all[0]), "and used");
    is_int(lnt_net_count(workers[1].net), 3, "all are given");
    is_int(done, 1, "which is told");
    ok(!lnt_mover_can_give(giver), "then no link is left");
    for (size_t i = 0; i < 3; i++) {
        say(peers[i], "hello", 5);
        is_str(heard(peers[i]), "hello", "client %zu is answered", i);
        close(peers[i]);
    }
    settle();
    lnt_mover_free(giver);
    lnt_mover_free(taker);
}

/* The first in the table cannot be moved: the next one is. */
static void
test_some_that_cannot(void)
{
    struct lnt_mover *giver = mover(&workers[0]), *taker = mover(&workers[1]);
    int some[2], peers[3];
    for (size_t i = 0; i < 2; i++) {
        peers[i] = dial(&workers[0], "listen web");
        shake_hands(peers[i], "/echo", "");
    }
    size_t at = 0;
    struct lnt_session *s;
    while ((s = lnt_net_next(workers[0].net, &at)))
        lnt_session_close(s, 4000, "waits for its client");
    settle();
    peers[2] = dial(&workers[0], "listen raw");
    if (lnt_socket_pair(some) < 0)
        exit(1);
    lnt_mover_link_some(giver, some[0]);
    lnt_mover_link(taker, some[1], false);
    lnt_mover_give(giver, 1);
    ok(until_closed(some[0]), "one is asked for");
    is_int(lnt_net_count(workers[0].net), 2, "two cannot be moved");
    is_int(lnt_net_count(workers[1].net), 1, "the third one is");
    for (size_t i = 0; i < 3; i++)
        close(peers[i]);
    settle();
    lnt_mover_free(giver);
    lnt_mover_free(taker);
}

int
main(void)
{
    world_begin(2);
    test_some_that_cannot();
    test_some_then_all();
    world_end();
    return done_testing();
}
