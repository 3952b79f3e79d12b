/*
 * Admission: at once and later, by protocols that ask (toy), that do not know
 * of it (line) and that begin as an HTTP request (websocket, sse); refusals
 * with their texts; no answer in time; answers before they can be used; clients
 * that go meanwhile.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[limits]\n"                                                               \
    "handshake_timeout = 700ms\n"                                              \
    "[listen toy]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = toy\n"                                                         \
    "app = gate\n"                                                             \
    "[listen good]\n"                                                          \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = line\n"                                                        \
    "app = gate\n"                                                             \
    "[listen bad]\n"                                                           \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = line\n"                                                        \
    "app = gate\n"                                                             \
    "[listen slow]\n"                                                          \
    "address = 127.0.0.1:12\n"                                                 \
    "protocol = line\n"                                                        \
    "app = gate\n"                                                             \
    "[listen wait]\n"                                                          \
    "address = 127.0.0.1:13\n"                                                 \
    "protocol = line\n"                                                        \
    "app = gate\n"                                                             \
    "[listen never]\n"                                                         \
    "address = 127.0.0.1:14\n"                                                 \
    "protocol = line\n"                                                        \
    "app = gate\n"                                                             \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:15\n"                                                 \
    "protocol = http\n"                                                        \
    "[route ws]\n"                                                             \
    "listen = web\n"                                                           \
    "path = /ws\n"                                                             \
    "protocol = websocket\n"                                                   \
    "app = gate\n"                                                             \
    "[route other]\n"                                                          \
    "listen = web\n"                                                           \
    "path = /other\n"                                                          \
    "protocol = websocket\n"                                                   \
    "app = echo\n"                                                             \
    "[route events]\n"                                                         \
    "listen = web\n"                                                           \
    "path = /events\n"                                                         \
    "protocol = sse\n"                                                         \
    "app = gate\n"                                                             \
    "[route full]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /full\n"                                                           \
    "protocol = websocket\n"                                                   \
    "connections = 1\n"                                                        \
    "app = gate\n"                                                             \
    "[route parks]\n"                                                          \
    "listen = web\n"                                                           \
    "path = /parks\n"                                                          \
    "protocol = parks\n"                                                       \
    "app = gate\n"

#include "modules/http/http.h"
#include "net/module.h"
static const struct lnt_module *gate_modules[64];
#define WORLD_MODULES gate_modules

#include "os/clock.h"
#include "t/modules/gate/gate.c"
#include "t/modules/toy/toy_protocol.c"
#include "t/unit/move_world.h"

enum { PATIENCE = 20000 }; /* ms */

static const struct lnt_module toy_module = {
    LNT_MODULE_HEAD,
    .name = "toy",
    .help = "the protocol alone",
    .protocol = &toy_protocol,
};

/* ---- a handler that asks, and upgrades later ---- */

static struct lnt_http_later *parks;

static lnt_verdict
park(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    lnt_verdict v;

    (void)m;
    if (!lnt_http_admit(r, true, NULL, &v))
        return v;
    parks = lnt_http_park(r, PATIENCE, NULL);
    return LNT_GO_ON;
}

/* asks: once more, and does not want to wait. */
static void
go_on(bool asks)
{
    struct lnt_http_request *r = lnt_http_resume(parks);
    lnt_verdict v;

    parks = NULL;
    if (!asks || lnt_http_admit(r, false, NULL, &v))
        lnt_http_upgrade(r, LNT_STR("HTTP/1.1 101 Up\r\n\r\n"));
}

static void
refrain(void)
{
    struct lnt_http_request *r = lnt_http_resume(parks);

    parks = NULL;
    (void)lnt_http_respond(r, 200, NULL, NULL, LNT_STR("no upgrade"));
}

static void
parks_due(struct lnt_module_ctx *m, struct lnt_http_later *l,
          enum lnt_http_due why)
{
    (void)m;
    (void)l;
    (void)why;
    refrain();
}

static void
parks_gone(struct lnt_module_ctx *m, struct lnt_http_later *l)
{
    (void)m;
    (void)l;
    parks = NULL;
}

static void
parks_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
           size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

static lnt_verdict
parks_data(struct lnt_session *s, struct lnt_input *in)
{
    in->used = in->n;
    return in->n ? lnt_session_message(s, LNT_TEXT, in->p, in->n) : LNT_GO_ON;
}

static bool
parks_goodbye(struct lnt_session *s, int code, const char *reason)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "bye %d %s", code, reason);

    lnt_session_write(s, text, (size_t)n);
    return false;
}

static const struct lnt_http_handler parks_handler = {
    .allow = "GET",
    .upgrades = "something",
    .handle = park,
    .due = parks_due,
    .gone = parks_gone,
};

static const struct lnt_protocol parks_protocol = {
    .open = lnt_session_ready,
    .data = parks_data,
    .send = parks_send,
    .goodbye = parks_goodbye,
};

static const struct lnt_module parks_module = {
    LNT_MODULE_HEAD,           .name = "parks",
    .help = "upgrades later",  .protocol = &parks_protocol,
    .handler = &parks_handler,
};

/* ---- the application, with its opens and closes counted ---- */

static struct lnt_app counting_app;
static struct lnt_module counting;
static unsigned asked, opened, closed;
static int early; /* answers itself: 1 yes, -1 no */

static enum lnt_admit
count_admit(struct lnt_session *s, const struct lnt_credentials *c,
            struct lnt_strbuf *why)
{
    enum lnt_admit answer = gate_admit(s, c, why);

    /* One that is refused at once is not told its end. */
    asked += answer != LNT_REFUSE;
    if (answer == LNT_ADMIT_LATER && early)
        ok(lnt_session_admitted(s, early > 0, "not so fast"),
           "the answer, before admit has returned");
    return answer;
}

static lnt_verdict
count_open(struct lnt_session *s)
{
    opened++;
    return gate_open(s);
}

static void
count_close(struct lnt_session *s)
{
    const struct guest *guest = lnt_session_app_state(s);

    closed += guest->name[0] && lnt_session_app(s)->data;
}

static uint64_t
count(enum lnt_counter c)
{
    return workers[0].net->stats->counters[c];
}

static bool
may_listen(struct lnt_module_ctx *m, const struct lnt_interest *l,
           struct lnt_strbuf *why)
{
    (void)m;
    (void)l;
    (void)why;
    return true;
}

static lnt_verdict
listen_to(struct lnt_session *s, const struct lnt_interest *l)
{
    (void)l;
    lnt_session_send(s, LNT_TEXT, "listening", 9);
    return LNT_GO_ON;
}

/* ---- clients ---- */

static void
tell(int fd, const char *line)
{
    say(fd, line, strlen(line));
}

static const char *
wait_for(int fd, const char *text)
{
    static struct lnt_strbuf all;
    uint64_t end = lnt_clock_ms() + PATIENCE;

    lnt_strbuf_clear(&all);
    while (lnt_strbuf_adds(&all, heard(fd)), !strstr(all.p, text)) {
        if (lnt_clock_ms() > end)
            break;
    }
    return all.p;
}

static void
hang_up(int fd)
{
    close(fd);
    for (unsigned i = 0; i < 3; i++)
        settle();
}

static void
nothing_left(const char *after)
{
    uint64_t end = lnt_clock_ms() + PATIENCE;

    while (lnt_net_count(workers[0].net) > 0 && lnt_clock_ms() < end)
        settle();
    is_int(lnt_net_count(workers[0].net), 0, "%s: nothing is left", after);
    is_int(closed, asked, "... each that was asked for has been told its end");
}

/* A request for a WebSocket. */
static int
knock(const char *target, const char *headers)
{
    char text[512];
    int fd = dial(&workers[0], "listen web");

    snprintf(text, sizeof(text),
             "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
             target, headers);
    tell(fd, text);
    return fd;
}

/* What gate answers a moment later has been answered. */
static void
wait_for_answers(void)
{
    struct gate *g = NULL;
    uint64_t end = lnt_clock_ms() + PATIENCE;

    for (size_t i = 0; i < config->nmodules; i++)
        if (config->modules[i] == &counting)
            g = workers[0].ctx[i].data;
    while (g->n > 0 && lnt_clock_ms() < end)
        settle();
}

/* ---- a protocol that asks ---- */

static void
test_asking(void)
{
    int fd = dial(&workers[0], "listen toy");
    uint64_t refused = count(LNT_C_NOT_ADMITTED);

    tell(fd, "[\"auth\",{\"name\":\"bad\"}]\n");
    is_str(heard(fd), "[\"no\",\"not on the list\"]\n", "refused, with why");
    tell(fd, "[\"auth\",\"wait\"]\n");
    is_str(wait_for(fd, "]\n"), "[\"no\",\"come back tomorrow\"]\n",
           "refused later");
    is_int(count(LNT_C_NOT_ADMITTED) - refused, 2, "both are counted");
    tell(fd, "[\"auth\",\"slow\"]\n");
    is_str(heard(fd), "", "to be let in later");
    is_str(wait_for(fd, "welcome"),
           "[\"ok\"]\n[\"ev\",\"message\",[\"welcome \\\"slow\\\"\"]]\n",
           "let in, with the state that admit left there");
    tell(fd, "[\"ev\",\"message\",[\"hi\"]]\n");
    is_str(heard(fd), "[\"ev\",\"message\",[\"hi\"]]\n", "and served");
    ok(!lnt_session_admitted(only(&workers[0]), false, "x"),
       "a second answer is none");
    hang_up(fd);
    nothing_left("asked by its protocol");
}

/* What goes on while the application thinks. */
static void
test_meanwhile(void)
{
    int fd = dial(&workers[0], "listen toy");
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;

    tell(fd, "[\"auth\",\"slow\"]\n");
    ok(lnt_move_freeze(only(&workers[0]), &bytes) < 0 && errno == EBUSY,
       "it is not moved now");
    hang_up(fd);
    nothing_left("gone before the answer");

    fd = dial(&workers[0], "listen toy");
    tell(fd, "[\"auth\",\"never\"]\n");
    ok(strstr(wait_for(fd, "bye"), "[\"bye\",1001,\"timeout\"]\n"),
       "no answer within handshake_timeout");
    hang_up(fd);
    nothing_left("no answer");
    lnt_strbuf_release(&bytes);
}

/* ---- one that does not know of it ---- */

static void
test_not_asking(void)
{
    int fd = dial(&workers[0], "listen good");

    is_str(heard(fd), "welcome listen good\n", "line: let in");
    hang_up(fd);
    fd = dial(&workers[0], "listen bad");
    is_str(heard(fd), "* not on the list\n", "line: refused, with why");
    hang_up(fd);
    nothing_left("line");

    fd = dial(&workers[0], "listen slow");
    tell(fd, "one\ntwo");
    is_str(heard(fd), "", "line: to be let in later");
    is_str(wait_for(fd, "one\n"), "welcome listen slow\none\n",
           "let in; what was said meanwhile is not lost");
    tell(fd, " and three\n");
    is_str(heard(fd), "two and three\n", "and it goes on");
    hang_up(fd);
    nothing_left("line, later");

    fd = dial(&workers[0], "listen wait");
    tell(fd, "one\n");
    is_str(wait_for(fd, "\n"), "* come back tomorrow\n", "refused later");
    hang_up(fd);
    fd = dial(&workers[0], "listen never");
    ok(strstr(wait_for(fd, "timeout"), "* timeout\n"), "no answer");
    hang_up(fd);
    fd = dial(&workers[0], "listen slow");
    hang_up(fd);
    nothing_left("line, gone");
}

/* A waiting session costs no turns: it is neither read nor written. */
static void
test_quiet(void)
{
    int fd = dial(&workers[0], "listen never");
    struct lnt_conn *c = lnt_conn_of(only(&workers[0]));

    tell(fd, "one\n");
    ok(!(c->watch.events & (EPOLLIN | EPOLLOUT)),
       "nothing is waited for but the answer");
    hang_up(fd);
    nothing_left("quiet");
}

/* ---- HTTP ---- */

static void
test_websocket(void)
{
    const char *text;
    int fd = knock("/ws?token=good", "");

    ok(strstr(text = heard(fd), " 101 ") && strstr(text, "welcome token=good"),
       "WebSocket: let in by the query");
    hang_up(fd);
    fd = knock("/ws?token=bad", "Authorization: Bearer good\r\n");
    ok(strstr(heard(fd), " 101 "), "... by Authorization");
    hang_up(fd);
    fd = knock("/ws", "Cookie: sid=good\r\n");
    ok(strstr(heard(fd), " 101 "), "... by a cookie");
    hang_up(fd);
    nothing_left("WebSocket");

    fd = knock("/ws?token=bad", "");
    ok(strstr(text = heard(fd), " 403 ") && strstr(text, "not on the list") &&
           !strstr(text, "WWW-Auth"),
       "refused with 403 and why");
    tell(fd, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    ok(strstr(heard(fd), " 404 "), "... and the connection serves on");
    hang_up(fd);
    fd = knock("/ws", "");
    ok(strstr(text = heard(fd), " 401 ") &&
           strstr(text, "WWW-Authenticate: Bearer\r\n"),
       "with 401 when nothing was brought");
    hang_up(fd);
    nothing_left("WebSocket, refused");
}

static void
test_websocket_later(void)
{
    const char *text;
    int fd = knock("/ws?slow", "\r\n\x81\x82\x01\x02\x03\x04ik");

    ok(strstr(heard(fd), " 101 "), "WebSocket: to be let in later");
    ok(strstr(wait_for(fd, "hi"), "welcome slow\x81\x02hi"),
       "let in; what was sent behind the request is not lost");
    hang_up(fd);
    fd = knock("/ws?wait", "");
    text = wait_for(fd, "tomorrow");
    ok(strstr(text, "\x88\x14\x03\xf0"
                    "come back tomorrow"),
       "refused later: close frame with 1008 and why");
    hang_up(fd);
    fd = knock("/ws?never", "");
    ok(strstr(wait_for(fd, "timeout"), "\x03\xe9timeout"), "no answer");
    hang_up(fd);
    nothing_left("WebSocket, later");
}

/* The answer is there before the upgrade begins. */
static void
test_too_early(bool asks)
{
    const char *how = asks ? "asked again" : "not asked again";
    const char *text;
    unsigned before = asked;
    int fd = knock("/parks?slow", "");

    wait_for_answers();
    go_on(asks);
    text = wait_for(fd, "slow");
    ok(strstr(text, " 101 ") && strstr(text, "welcome slow"),
       "%s: let in before the upgrade, it is opened by that", how);
    tell(fd, "hi");
    is_str(heard(fd), "hi", "and served");
    ok(!lnt_session_admitted(only(&workers[0]), false, "x"),
       "a second answer is none");
    hang_up(fd);

    fd = knock("/parks?wait", "");
    wait_for_answers();
    go_on(asks);
    text = wait_for(fd, "tomorrow");
    ok(strstr(text, asks ? " 403 " : " 101 ") &&
           strstr(text, asks ? "\n\r\n" : "bye 1008 come back tomorrow"),
       "refused before the upgrade, with why");
    ok(strstr(text, "come back tomorrow"), "that the application has told");
    hang_up(fd);
    is_int(asked - before, 2, "the application is asked once for each");
    nothing_left("too early");
}

/* What one request was answered is nothing to the next. */
static void
test_not_kept(void)
{
    int fd = knock("/parks?slow", "");

    wait_for_answers();
    refrain();
    ok(strstr(heard(fd), "no upgrade"), "let in, and not upgraded");
    is_int(asked - closed, 0, "the application is told that it is over");
    hang_up(fd);
    fd = knock("/parks?never", "");
    hang_up(fd);
    nothing_left("not upgraded");
}

static void
test_within_admit(void)
{
    int fd;

    early = 1;
    fd = knock("/ws?slow", "");
    ok(strstr(wait_for(fd, "slow"), "welcome slow"), "lets in");
    hang_up(fd);
    fd = dial(&workers[0], "listen slow");
    is_str(heard(fd), "welcome listen slow\n", "... without a request, too");
    hang_up(fd);
    early = -1;
    fd = knock("/ws?slow", "");
    ok(strstr(wait_for(fd, "fast"), "not so fast"), "refuses, with why");
    hang_up(fd);
    early = 0;
    wait_for_answers();
    nothing_left("within admit");
}

static void
test_sse(void)
{
    const char *text;
    int fd = knock("/events?room=good", "");

    ok(strstr(text = heard(fd), " 200 ") && strstr(text, "data: listening"),
       "events: let in by the query");
    hang_up(fd);
    fd = knock("/events?room=x", "Origin: http://x\r\n");
    ok(strstr(text = heard(fd), " 403 ") && strstr(text, "not on the list") &&
           strstr(text, "Access-Control-Allow-Origin: http://x\r\n"),
       "refused with 403 and why, also for pages");
    hang_up(fd);
    fd = knock("/events?room=slow", "");
    ok(strstr(heard(fd), " 503 "), "an answer that comes later is none here");
    ok(!lnt_conn_of(only(&workers[0]))->admission, "... and is not waited for");
    hang_up(fd);
    nothing_left("events");
}

/* An admission that nothing comes of: the route has no room. */
static void
test_no_room(void)
{
    int fd = knock("/ws?good", ""), other;

    (void)heard(fd);
    other = knock("/full?good", "");
    ok(strstr(heard(other), " 503 "), "admitted, but there are too many");
    is_int(asked - closed, 1, "the application is told that it is over");
    hang_up(fd);
    hang_up(other);
    nothing_left("too many");
}

int
main(void)
{
    size_t n = 0;

    for (; lnt_static_modules[n]; n++)
        gate_modules[n] = lnt_static_modules[n];
    counting_app = gate_app;
    counting_app.admit = count_admit;
    counting_app.open = count_open;
    counting_app.close = count_close;
    counting_app.may_listen = may_listen;
    counting_app.listen = listen_to;
    counting = lnt_module_gate;
    counting.app = &counting_app;
    gate_modules[n++] = &toy_module;
    gate_modules[n++] = &parks_module;
    gate_modules[n] = &counting;
    lnt_log_level(LNT_ALERT);
    world_begin(1);
    test_asking();
    test_meanwhile();
    test_not_asking();
    test_quiet();
    test_websocket();
    test_websocket_later();
    test_too_early(false);
    test_too_early(true);
    test_not_kept();
    test_within_admit();
    test_sse();
    test_no_room();
    is_int(asked > 10 && opened > 5, 1, "%u admissions, %u sessions", asked,
           opened);
    world_end();
    return done_testing();
}
