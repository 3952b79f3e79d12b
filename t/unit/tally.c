/*
 * The example of docs/modules.md: its answer waits for an operation of the hub
 * that completes later, and its client may be gone by then.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen tally]\n"                                                         \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = toy\n"                                                         \
    "app = tally\n"

#include "net/module.h"
static const struct lnt_module *tally_modules[64];
#define WORLD_MODULES tally_modules

#include "net/calls.h"
#include "t/modules/tally/tally.c"
#include "t/modules/toy/toy_protocol.c"
#include "t/unit/move_world.h"

static const struct lnt_module toy_module = {
    LNT_MODULE_HEAD,
    .name = "toy",
    .help = "the protocol alone",
    .protocol = &toy_protocol,
};

static void
tell(int fd, const char *line)
{
    say(fd, line, strlen(line));
}

static int
come_in(void)
{
    int fd = dial(&workers[0], "listen tally");

    tell(fd, "[\"auth\",\"ann\"]\n");
    is_str(heard(fd), "[\"ok\"]\n", "a client comes in");
    return fd;
}

static uint32_t
open_calls(void)
{
    return lnt_calls_count(lnt_conn_of(only(&workers[0])), false);
}

static void
test_at_once(void)
{
    int fd = come_in();

    tell(fd, "[\"ev\",\"vote\",[\"yes\"],1]\n");
    is_str(heard(fd),
           "[\"reply\",1,[\"thank you\"]]\n[\"ev\",\"voted\",[\"yes\"]]\n",
           "counted at once");
    is_int(open_calls(), 0, "... and no call stays open");
    close(fd);
    settle();
}

#ifdef LNT_DEBUG_BUILD
static void
test_later(void)
{
    int fd = come_in();

    lnt_hub_hold(workers[0].hub, true);
    tell(fd, "[\"ev\",\"vote\",[\"yes\"],1]\n");
    is_str(heard(fd), "", "to be counted later");
    is_int(open_calls(), 1, "... the call is open");
    lnt_hub_release(workers[0].hub, 1);
    settle();
    is_str(heard(fd),
           "[\"reply\",1,[\"thank you\"]]\n[\"ev\",\"voted\",[\"yes\"]]\n",
           "counted, and answered");
    is_int(open_calls(), 0, "... the call is not open any more");

    tell(fd, "[\"ev\",\"vote\",[\"no\"],2]\n");
    close(fd);
    settle();
    lnt_hub_release(workers[0].hub, 100);
    lnt_hub_hold(workers[0].hub, false);
    settle();
    is_int(lnt_net_count(workers[0].net), 0, "one that does not wait for it");
}

#endif

int
main(void)
{
    size_t n = 0;

    for (; lnt_static_modules[n]; n++)
        tally_modules[n] = lnt_static_modules[n];
    tally_modules[n++] = &toy_module;
    tally_modules[n] = &lnt_module_tally;
    lnt_log_level(LNT_ALERT);
    world_begin(1);
    test_at_once();
#ifdef LNT_DEBUG_BUILD
    test_later();
#endif
    world_end();
    return done_testing();
}
