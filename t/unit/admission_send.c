/*
 * An application that sends when nothing can be sent: while it is asked whether
 * a client may be here, and while it is told that nothing comes of it.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = http\n"                                                        \
    "[route ws]\n"                                                             \
    "listen = web\n"                                                           \
    "path = /ws\n"                                                             \
    "protocol = websocket\n"                                                   \
    "app = loud\n"                                                             \
    "[route full]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /full\n"                                                           \
    "protocol = websocket\n"                                                   \
    "connections = 1\n"                                                        \
    "app = loud\n"

#include "net/app.h"
#include "net/module.h"
static const struct lnt_module *loud_modules[64];
#define WORLD_MODULES loud_modules

#include "t/unit/move_world.h"

static unsigned asked, opened, closed, open_when_not;

static void
shout(struct lnt_session *s)
{
    open_when_not += lnt_app_is_open(s);
    lnt_session_send(s, LNT_TEXT, "loud", 4);
}

static enum lnt_admit
loud_admit(struct lnt_session *s, const struct lnt_credentials *c,
           struct lnt_strbuf *why)
{
    (void)c;
    (void)why;
    asked++;
    shout(s);
    return LNT_ADMIT;
}

static lnt_verdict
loud_open(struct lnt_session *s)
{
    opened++;
    lnt_session_send(s, LNT_TEXT, "open", 4);
    return LNT_GO_ON;
}

static void
loud_close(struct lnt_session *s)
{
    closed++;
    shout(s);
}

static const struct lnt_app loud_app = {
    .state_size = 8,
    .admit = loud_admit,
    .open = loud_open,
    .close = loud_close,
};

static const struct lnt_module loud = {LNT_MODULE_HEAD, .name = "loud",
                                       .help = "for tests", .app = &loud_app};

int
main(void)
{
    size_t n = 0;
    for (; lnt_static_modules[n]; n++)
        loud_modules[n] = lnt_static_modules[n];
    loud_modules[n] = &loud;
    world_begin(1);

    int one = dial(&workers[0], "listen web");
    shake_hands(one, "/ws", "");
    const char *text = heard(one);
    ok(strstr(text, " 101 ") && strstr(text, "open"), "a client comes in");
    ok(!strstr(text, "loud"), "and hears nothing of before");

    int two = dial(&workers[0], "listen web");
    shake_hands(two, "/full", "");
    text = heard(two);
    ok(strstr(text, " 503 ") != NULL, "another one is too many");
    ok(!strstr(text, "loud"), "and hears nothing else");
    is_int(closed, 1, "its application is told");
    close(two);
    close(one);
    settle();
    is_int(asked, 2, "asked");
    is_int(opened, 1, "opened");
    is_int(closed, 2, "closed");
    is_int(open_when_not, 0, "never open when it was not");
    world_end();
    return done_testing();
}
