/*
 * Sessions without a connection in states that other things bring: an admission
 * that is answered later, a wait for another worker, a network that has many.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[limits]\n"                                                               \
    "handshake_timeout = 0\n"                                                  \
    "[listen box]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = box\n"                                                         \
    "app = box\n"                                                              \
    "detached_per_ip = 3\n"                                                    \
    "[listen door]\n"                                                          \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = box\n"                                                         \
    "app = door\n"
#define WORLD_MODULES all_modules

#include <netinet/in.h>

#include "core/pack.h"
#include "net/app.h"
#include "net/detached.h"
#include "net/handover.h"
#include "net/module.h"

static const struct lnt_module *all_modules[64];

#include "t/unit/move_world.h"

static unsigned opened, closed, stays;

static void
box_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

static lnt_verdict
box_data(struct lnt_session *s, struct lnt_input *in)
{
    (void)s;
    in->used = in->n;
    return LNT_GO_ON;
}

static lnt_verdict
box_open(struct lnt_session *s)
{
    return lnt_session_is_detached(s) ? lnt_session_ready(s) : LNT_GO_ON;
}

static void
box_queued(struct lnt_session *s)
{
    (void)s;
}

static void
box_stays(struct lnt_session *s, const char *why)
{
    (void)s;
    (void)why;
    stays++;
}

static lnt_verdict
app_open(struct lnt_session *s)
{
    (void)s;
    opened++;
    return LNT_GO_ON;
}

static void
app_close(struct lnt_session *s)
{
    (void)s;
    closed++;
}

static enum lnt_admit
door_admit(struct lnt_session *s, const struct lnt_credentials *c,
           struct lnt_strbuf *why)
{
    (void)s;
    (void)c;
    (void)why;
    return LNT_ADMIT_LATER;
}

static const struct lnt_protocol box_protocol = {
    .open = box_open,
    .data = box_data,
    .send = box_send,
    .queued = box_queued,
    .stays = box_stays,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
};

static const struct lnt_app box_app = {.open = app_open, .close = app_close};
static const struct lnt_app door_app = {
    .open = app_open, .close = app_close, .admit = door_admit};

static const struct lnt_module lnt_module_box = {
    LNT_MODULE_HEAD,           .name = "box",   .help = "for tests",
    .protocol = &box_protocol, .app = &box_app,
};
static const struct lnt_module lnt_module_door = {
    LNT_MODULE_HEAD, .name = "door", .help = "for tests", .app = &door_app};

/* ---- helpers ---- */

static struct lnt_session *
open_by(struct lnt_session *by, const char *endpoint, const char *name)
{
    return lnt_detached_open(by, find(NULL, lnt_str_c(endpoint)),
                             lnt_str_c(name));
}

static struct lnt_session *
named(const struct worker *w, const char *name)
{
    return lnt_detached_find(w->net, lnt_str_c(name));
}

static struct lnt_session *
thaw(struct lnt_str bytes, int fd)
{
    const char *why;
    return lnt_move_thaw(workers[1].net, fd, bytes, find, NULL, &why);
}

/* A client at a TCP address, which socket pairs do not have. */
static int
dial_tcp(struct worker *w, struct lnt_session **s)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server, (struct sockaddr *)&at, n) < 0 || listen(server, 1) < 0 ||
        getsockname(server, (struct sockaddr *)&at, &n) < 0 ||
        connect(fd, (struct sockaddr *)&at, n) < 0)
        exit(1);
    int accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct lnt_conn *c =
        lnt_conn_open(w->net, accepted, find(NULL, LNT_STR("listen box")), 0);
    close(server);
    if (!c)
        exit(1);
    *s = &c->session;
    return fd;
}

/* ---- tests ---- */

/* Whoever was let in later moves as all others do. */
static void
test_admitted(struct lnt_session *by)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_session *s = open_by(by, "listen door", "ann");
    opened = closed = 0;
    settle();
    ok(s && opened == 0, "one whose application has not answered is not open");
    ok(lnt_move_freeze(s, &b) < 0, "... and does not move");
    ok(lnt_session_admitted(s, true, NULL), "it is let in");
    settle();
    is_int(opened, 1, "and opened");
    int fd = lnt_move_freeze(s, &b);
    ok(fd >= 0, "then it moves");
    settle();
    s = fd < 0 ? NULL : thaw(lnt_strbuf_str(&b), fd);
    ok(s && named(&workers[1], "ann") == s, "to where it goes on");
    if (s)
        lnt_session_cut(s);
    settle();
    lnt_strbuf_release(&b);
}

/* What it is sent meanwhile does not end its wait. */
static void
test_waits(struct lnt_session *by)
{
    struct lnt_session *s = open_by(by, "listen box", "bob");
    lnt_detached_attach(s, by);
    ok(lnt_session_hand_over(s, lnt_net_worker(workers[1].net),
                             lnt_str("", 0)) == 0,
       "one is to be handed over");
    lnt_session_send(s, LNT_TEXT, "one", 3);
    settle();
    struct lnt_wish *w = lnt_wish_take(workers[0].net);
    ok(w && lnt_wish_session(workers[0].net, w) == s,
       "and still is, when something was queued for it");
    stays = 0;
    if (w)
        lnt_wish_refuse(workers[0].net, w, "nobody takes it");
    is_int(stays, 1, "when it is not, it is told");
    settle();
    is_int(lnt_session_queued(s), 3, "and has lost nothing");
    lnt_session_cut(s);
    settle();
}

/* Nothing filters what has no connection. */
static void
test_filtered(struct lnt_session *by)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT, filter = LNT_STRBUF_INIT;
    struct lnt_session *s = open_by(by, "listen box", "carol");
    int fd = lnt_move_freeze(s, &b);
    settle();
    for (int i = 0; i < 4; i++)
        lnt_pack_str(&filter, LNT_STR("toy"));
    lnt_pack_u32(&filter, 1);
    lnt_pack_u32(&filter, 0);
    lnt_pack_str(&b, lnt_strbuf_str(&filter));
    ok(!thaw(lnt_strbuf_str(&b), fd),
       "what says that it has a filter and no connection is not taken");
    is_int(workers[1].net->detached, 0, "and leaves nothing");
    lnt_strbuf_release(&filter);
    lnt_strbuf_release(&b);
}

/* Those of one address are counted, however they come and go. */
static void
test_network(void)
{
    struct lnt_session *by, *ann;
    int fd = dial_tcp(&workers[0], &by);
    ann = open_by(by, "listen box", "ann");
    ok(ann && open_by(by, "listen box", "bob") &&
           open_by(by, "listen box", "carol"),
       "as many of one address as may be");
    ok(!open_by(by, "listen box", "dan") && errno == EUSERS, "and no more");
    lnt_detached_attach(ann, by);
    ok(open_by(by, "listen box", "eve") != NULL,
       "one that has a transport is not among them");
    lnt_detached_attach(ann, by);
    lnt_detached_leave(ann);
    settle();
    ok(!named(&workers[0], "ann"), "one too many that has none any more ends");
    ok(!open_by(by, "listen box", "fay") && errno == EUSERS,
       "and makes no room");
    lnt_session_cut(named(&workers[0], "bob"));
    settle();
    ok(open_by(by, "listen box", "guy") != NULL, "another one that ends does");
    close(fd);
    lnt_net_abort(workers[0].net);
    settle();
    is_int(workers[0].net->detached, 0, "none is left");
    is_int(workers[0].net->networks.n, 0, "nor what they were counted by");
}

int
main(void)
{
    size_t n = 0;
    for (; lnt_static_modules[n]; n++)
        all_modules[n] = lnt_static_modules[n];
    all_modules[n++] = &lnt_module_box;
    all_modules[n] = &lnt_module_door;
    world_begin(2);
    int fd = dial(&workers[0], "listen box");
    struct lnt_session *by = only(&workers[0]);
    test_admitted(by);
    test_waits(by);
    test_filtered(by);
    close(fd);
    settle();
    test_network();
    world_end();
    return done_testing();
}
