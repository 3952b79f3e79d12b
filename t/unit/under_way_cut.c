/*
 * A session that is cut while operations of its hub are under way, which
 * complete before it is gone.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen lines]\n"                                                         \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = line\n"                                                        \
    "app = chat\n"                                                             \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = http\n"                                                        \
    "[route events]\n"                                                         \
    "listen = web\n"                                                           \
    "path = /events\n"                                                         \
    "protocol = sse\n"                                                         \
    "app = chat\n"

#include "net/session.h"
#include "t/unit/move_world.h"

#ifdef LNT_DEBUG_BUILD

static void
publish(const char *room)
{
    struct lnt_module_ctx *m = lnt_net_find(workers[0].net, "chat");
    lnt_hub_post(workers[0].hub, m, lnt_str_c(room), NULL, LNT_EVENT_APP, 0,
                 LNT_STR("hello"), LNT_NO_COMPLETION);
    settle();
}

/* Cut, and released, in one turn. */
static void
cut_and_release(struct lnt_session *s)
{
    lnt_session_cut(s);
    is_int(lnt_hub_release(workers[0].hub, SIZE_MAX) > 0, 1,
           "what was under way completes");
    lnt_hub_hold(workers[0].hub, false);
    settle();
    is_int(workers[0].net->count, 0, "it is gone");
}

static void
test_listener(void)
{
    const char get[] = "GET /events?room=lobby&room=den HTTP/1.1\r\n"
                       "Host: x\r\n\r\n";
    int fd = dial(&workers[0], "listen web");
    lnt_hub_hold(workers[0].hub, true);
    say(fd, get, sizeof(get) - 1);
    ok(lnt_hub_held(workers[0].hub) > 0, "a listener waits for its rooms");
    cut_and_release(only(&workers[0]));
    publish("lobby");
    publish("den");
    pass("and is in no room any more");
    close(fd);
}

static void
test_member(void)
{
    int fd = dial(&workers[0], "listen lines");
    lnt_hub_hold(workers[0].hub, true);
    say(fd, "/nick ann\n/join lobby\n", 22);
    ok(lnt_hub_held(workers[0].hub) > 0, "a member waits for its nick");
    cut_and_release(only(&workers[0]));
    publish("lobby");
    is_int(lnt_hub_find(workers[0].hub, LNT_STR("ann")), 0,
           "and its nick is free");
    close(fd);
}

int
main(void)
{
    world_begin(1);
    test_listener();
    test_member();
    world_end();
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
