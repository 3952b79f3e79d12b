/*
 * Events with names: calls answered at once, later, twice, too late and never;
 * too many of them; what an application asks; plain messages; rooms; and all
 * that is open when a session moves.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[limits]\n"                                                               \
    "open_calls = 3\n"                                                         \
    "[listen toy]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = toy\n"                                                         \
    "app = toy\n"                                                              \
    "[listen slow]\n"                                                          \
    "address = 127.0.0.1:8\n"                                                  \
    "protocol = toy\n"                                                         \
    "app = toy\n"                                                              \
    "message_rate = 1/m\n"                                                     \
    "[listen echo]\n"                                                          \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = toy\n"                                                         \
    "app = echo\n"                                                             \
    "[listen line]\n"                                                          \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = line\n"                                                        \
    "app = echo\n"

#include "net/module.h"
static const struct lnt_module *toy_modules[64];
#define WORLD_MODULES toy_modules

/* The modules as they are, but in this program. */
#include "net/calls.h"
#include "os/clock.h"
#include "t/modules/toy/toy.c"
#include "t/modules/toy/toy_protocol.c"

#include "t/unit/move_world.h"

enum { PATIENCE = 20000 }; /* ms */

static void
tell(int fd, const char *line)
{
    say(fd, line, strlen(line));
}

/* All that comes until text does, if it comes. */
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

static uint64_t
count(enum lnt_counter c)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < nworkers; i++)
        n += workers[i].net->stats->counters[c];
    return n;
}

static int
come_in(const char *endpoint)
{
    int fd = dial(&workers[0], endpoint);

    tell(fd, "[\"auth\",{\"name\":\"ann\"}]\n");
    is_str(heard(fd), "[\"ok\"]\n", "a client comes in at %s", endpoint);
    return fd;
}

static void
hang_up(int fd)
{
    close(fd);
    settle();
    settle();
}

/* ---- calls ---- */

static void
test_at_once(void)
{
    int fd = come_in("listen toy");
    uint64_t in = count(LNT_C_NAMED_IN), replies = count(LNT_C_REPLIES);

    tell(fd, "[\"ev\",\"echo\",[1, {\"a\" : 1.50},\"\\u00e4\"],7]\n");
    is_str(heard(fd), "[\"reply\",7,[1, {\"a\" : 1.50},\"\\u00e4\"]]\n",
           "answered with the arguments as they came in");
    tell(fd, "[\"ev\",\"echo\",[{\"_placeholder\":true,\"num\":0}],8,"
             "[\"one\",\"two\"]]\n");
    is_str(heard(fd),
           "[\"reply\",8,[{\"_placeholder\":true,\"num\":0}],[\"one\",\"two\"]]"
           "\n",
           "with attachments");
    tell(fd, "[\"ev\",\"echo\",[1]]\n");
    is_str(heard(fd), "", "no answer where none is wanted");
    tell(fd, "[\"ev\",\"nothing\",[],9]\n");
    is_str(heard(fd), "", "no answer where the application gives none");
    is_int(lnt_calls_count(lnt_conn_of(only(&workers[0])), false), 0,
           "... and none is waited for");
    is_int(count(LNT_C_NAMED_IN) - in, 4, "four events");
    is_int(count(LNT_C_REPLIES) - replies, 2, "two answers");

    tell(fd, "[\"ev\",\"bad\",[]]\n");
    is_str(heard(fd), "", "what an application gets wrong is not sent");
    hang_up(fd);
}

static void
test_twice(void)
{
    int fd = come_in("listen toy");
    uint64_t refused = count(LNT_C_REPLIES_REFUSED);

    tell(fd, "[\"ev\",\"twice\",[],1]\n");
    is_str(heard(fd), "[\"reply\",1,[1]]\n[\"ev\",\"twice\",[false]]\n",
           "answered once only");
    is_int(count(LNT_C_REPLIES_REFUSED) - refused, 1,
           "... the other is "
           "counted");
    hang_up(fd);
}

static void
test_later(void)
{
    int fd = come_in("listen toy");

    tell(fd, "[\"ev\",\"later\",[0],5]\n[\"ev\",\"later\",[0],6]\n");
    is_str(heard(fd), "", "no answer yet");
    tell(fd, "[\"ev\",\"echo\",[\"x\"],7]\n");
    is_str(heard(fd), "[\"reply\",7,[\"x\"]]\n", "others are answered");
    tell(fd, "[\"ev\",\"flush\",[]]\n");
    is_str(heard(fd),
           "[\"reply\",5,[\"late\",0]]\n[\"reply\",6,[\"late\",1]]\n"
           "[\"ev\",\"flushed\",[2]]\n",
           "then they come");
    ok(!lnt_conn_app_head(lnt_conn_of(only(&workers[0])))->calls,
       "and nothing is kept");
    hang_up(fd);
}

static void
test_too_late(void)
{
    int fd = come_in("listen toy");
    uint64_t expired = count(LNT_C_CALLS_EXPIRED);
    struct lnt_conn *c = lnt_conn_of(only(&workers[0]));

    tell(fd, "[\"ev\",\"later\",[0],1]\n[\"ev\",\"later\",[1],2]\n");
    while (lnt_calls_count(c, false) > 1)
        settle();
    is_int(count(LNT_C_CALLS_EXPIRED) - expired, 1, "one has waited too long");
    tell(fd, "[\"ev\",\"flush\",[]]\n");
    is_str(heard(fd), "[\"reply\",1,[\"late\",0]]\n[\"ev\",\"flushed\",[1]]\n",
           "its answer is not sent, the other's is");
    hang_up(fd);
}

static void
test_too_many(void)
{
    int fd = come_in("listen toy");
    uint64_t refused = count(LNT_C_CALLS_REFUSED);

    for (int i = 0; i < 3; i++)
        tell(fd, "[\"ev\",\"later\",[0],1]\n");
    tell(fd, "[\"ev\",\"later\",[0]]\n");
    is_str(heard(fd), "", "as many as open_calls may wait");
    tell(fd, "[\"ev\",\"echo\",[],2]\n[\"ev\",\"echo\",[],3]\n");
    is_str(heard(fd),
           "[\"bye\",1008,\"too many calls wait for their answers\"]\n",
           "one more ends it");
    is_int(count(LNT_C_CALLS_REFUSED) - refused, 1, "... and is counted");
    hang_up(fd);
    is_int(lnt_net_count(workers[0].net), 0, "nothing is left");
}

/* An answer for one that has gone. */
static void
test_gone(void)
{
    int fd = come_in("listen toy");
    uint64_t id = lnt_session_id(only(&workers[0]));
    struct toy *toy = lnt_session_app_state(only(&workers[0]));
    struct lnt_reply token;

    tell(fd, "[\"ev\",\"later\",[0],1]\n");
    token = toy->kept[0];
    is_int(token.session, id, "a token names its session");
    struct lnt_session *s = only(&workers[0]);
    lnt_session_close(s, LNT_CLOSE_NORMAL, NULL);
    ok(!reply(s, &token, "[]"), "no answer for one that is closing");
    settle();
    ok(!lnt_net_session(workers[0].net, id) ||
           !reply(lnt_net_session(workers[0].net, id), &token, "[]"),
       "... nor for one that has gone");
    is_str(heard(fd), "[\"bye\",1000,\"\"]\n", "the client sees the end only");
    hang_up(fd);

    int other = come_in("listen toy");
    ok(!reply(only(&workers[0]), &token, "[]"), "nor by another session");
    token = (struct lnt_reply){lnt_session_id(only(&workers[0])), 0};
    ok(!reply(only(&workers[0]), &token, "[]"), "nor where none is wanted");
    hang_up(other);
}

static void
test_rate(void)
{
    int fd = come_in("listen slow");

    tell(fd, "[\"ev\",\"echo\",[],1]\n[\"ev\",\"echo\",[],2]\n"
             "[\"ev\",\"echo\",[],3]\n");
    ok(strstr(heard(fd), "[\"bye\",1008,\"too many messages\"]\n"),
       "message_rate holds for events");
    hang_up(fd);
}

/* ---- asking the client ---- */

/* The number in ["ev","question",["?"],N]. */
static unsigned
asked(int fd)
{
    unsigned n = 0;

    if (sscanf(heard(fd), "[\"ev\",\"question\",[\"?\"],%u]\n", &n) != 1)
        return 0;
    return n;
}

static void
answer(int fd, unsigned n, const char *args)
{
    char line[200];

    snprintf(line, sizeof(line), "[\"answer\",%u,%s]\n", n, args);
    tell(fd, line);
}

static void
test_ask(void)
{
    int fd = come_in("listen toy");
    uint64_t expired = count(LNT_C_CALLS_EXPIRED);
    unsigned n;

    tell(fd, "[\"ev\",\"ask\",[60000]]\n");
    n = asked(fd);
    ok(n > 0 && n <= INT32_MAX, "the client is asked, with number %u", n);
    answer(fd, n + 1, "[0]");
    is_str(heard(fd), "", "an answer to something else means nothing");
    answer(fd, n, "[42,\"!\"]");
    is_str(heard(fd), "[\"ev\",\"answered\",[42,\"!\"]]\n",
           "its answer comes to the application");
    answer(fd, n, "[43]");
    is_str(heard(fd), "", "once");

    tell(fd, "[\"ev\",\"ask\",[1]]\n");
    ok(strstr(wait_for(fd, "unanswered"), "[\"ev\",\"unanswered\",[]]\n"),
       "a question has its time");
    is_int(count(LNT_C_CALLS_EXPIRED) - expired, 1, "... which is counted");

    for (int i = 0; i < 3; i++)
        tell(fd, "[\"ev\",\"ask\",[60000]]\n");
    (void)heard(fd);
    tell(fd, "[\"ev\",\"ask\",[60000]]\n");
    is_str(heard(fd), "[\"ev\",\"unasked\",[]]\n",
           "no more questions at once than open_calls");
    tell(fd, "[\"ev\",\"echo\",[],1]\n");
    is_str(heard(fd), "[\"reply\",1,[]]\n", "... which hinders no calls");
    hang_up(fd);
}

/* ---- plain messages ---- */

static void
test_messages(void)
{
    int fd = dial(&workers[0], "listen echo");

    tell(fd, "[\"auth\",null]\n");
    (void)heard(fd);
    tell(fd, "[\"ev\",\"message\",[ \"a \\\"b\\\" \\u00e4\" ]]\n");
    is_str(heard(fd), "[\"ev\",\"message\",[\"a \\\"b\\\" \xc3\xa4\"]]\n",
           "an event \"message\" is a message, and a message is one");
    tell(fd, "[\"ev\",\"message\",[\"a\"],7]\n");
    is_str(heard(fd), "[\"ev\",\"message\",[\"a\"]]\n", "it is not answered");
    tell(fd, "[\"ev\",\"message\",[\"a\",\"b\"]]\n[\"ev\",\"message\",[1]]\n"
             "[\"ev\",\"message\",[]]\n[\"ev\",\"other\",[\"a\"]]\n"
             "[\"answer\",1,[]]\n");
    is_str(heard(fd), "", "nothing else is one");
    hang_up(fd);
}

static void
test_no_events(void)
{
    int fd = dial(&workers[0], "listen line");
    struct lnt_session *s = only(&workers[0]);
    struct lnt_named e = named("x", "[]");

    ok(!lnt_session_has_events(s), "line has no events with names");
    lnt_session_emit(s, &e);
    is_str(heard(fd), "", "none is sent there");
    hang_up(fd);
}

/* ---- rooms ---- */

static void
test_rooms(void)
{
    int ann = come_in("listen toy"), bob = dial(&workers[1], "listen toy");
    int cy = come_in("listen toy");
    const char *said = "[\"ev\",\"said\",[1, 2],null,[\"x\"]]\n";

    tell(bob, "[\"auth\",1]\n");
    (void)heard(bob);
    tell(ann, "[\"ev\",\"say\",[1, 2],null,[\"x\"]]\n");
    is_str(wait_for(bob, "]\n"), said, "an event for a room, elsewhere");
    is_str(wait_for(cy, "]\n"), said, "... and here");
    is_str(heard(ann), said, "... and to its sender");
    tell(ann, "[\"ev\",\"say\",[1]]\n[\"ev\",\"say\",[2]]\n");
    is_str(wait_for(bob, "[2]"),
           "[\"ev\",\"said\",[1]]\n[\"ev\",\"said\",[2]]\n",
           "several in a run, in order");
    (void)wait_for(ann, "[2]");
    tell(ann, "[\"ev\",\"whisper\",[3]]\n");
    is_str(wait_for(ann, "[3]"), "[\"ev\",\"said\",[3]]\n", "and to one");
    is_str(heard(bob), "", "... alone");
    hang_up(ann);
    hang_up(bob);
    hang_up(cy);
}

/* ---- moving ---- */

/* From the one worker to the other, while others speak. */
static struct lnt_session *
move(unsigned from, unsigned to, struct lnt_strbuf *bytes)
{
    const char *why = NULL;
    int fd;

    settle();
    lnt_strbuf_clear(bytes);
    fd = lnt_move_freeze(only(&workers[from]), bytes);
    if (!ok(fd >= 0, "it is taken from worker %u", from))
        exit(1);
    settle();
    struct lnt_session *s = lnt_move_thaw(
        workers[to].net, fd, lnt_strbuf_str(bytes), find, NULL, &why);
    if (!ok(s != NULL, "... to worker %u", to))
        diag("%s", why ? why : "");
    return s;
}

static void
test_move(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    int fd = come_in("listen toy");
    unsigned n;

    tell(fd, "[\"ev\",\"ask\",[60000]]\n");
    n = asked(fd);
    tell(fd, "[\"ev\",\"later\",[0],11]\n[\"ev\",\"later\",[60000],12]\n");
    move(0, 1, &bytes);
    tell(fd, "[\"ev\",\"later\",[0],13]\n[\"ev\",\"echo\",[],14]\n");
    is_str(heard(fd),
           "[\"bye\",1008,\"too many calls wait for their answers\"]\n",
           "open calls still count after a move");
    hang_up(fd);

    fd = come_in("listen toy");
    tell(fd, "[\"ev\",\"ask\",[60000]]\n");
    n = asked(fd);
    tell(fd, "[\"ev\",\"later\",[0],11]\n[\"ev\",\"later\",[60000],12]\n");
    move(0, 1, &bytes);
    answer(fd, n, "[1]");
    is_str(heard(fd), "[\"ev\",\"answered\",[1]]\n",
           "the answer to a question finds its application");
    move(1, 0, &bytes);
    tell(fd, "[\"ev\",\"flush\",[]]\n");
    is_str(heard(fd),
           "[\"reply\",11,[\"late\",0]]\n[\"reply\",12,[\"late\",1]]\n"
           "[\"ev\",\"flushed\",[2]]\n",
           "calls are answered two workers later");
    tell(fd, "[\"ev\",\"ask\",[1]]\n");
    move(0, 1, &bytes);
    ok(strstr(wait_for(fd, "unanswered"), "unanswered"),
       "a deadline goes along");
    hang_up(fd);
    lnt_strbuf_release(&bytes);
}

/* What a release wrote that knew nothing of calls, and what is cut or spoiled. */
static void
test_move_releases(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, list = LNT_STRBUF_INIT;
    int fd = come_in("listen toy");
    struct lnt_conn *c = lnt_conn_of(only(&workers[0]));

    tell(fd, "[\"ev\",\"later\",[0],11]\n[\"ev\",\"later\",[60000],12]\n");
    lnt_calls_pack(c, &list);
    lnt_calls_free(c);
    ok(lnt_calls_unpack(c, lnt_str("", 0), NULL) &&
           lnt_calls_count(c, false) == 0,
       "no calls where nothing is said of them");
    bool any = false;
    for (size_t n = 1; n < list.n; n++) {
        char *copy = malloc(n);

        memcpy(copy, list.p, n);
        any |= lnt_calls_unpack(c, lnt_str(copy, n), NULL);
        lnt_calls_free(c);
        free(copy);
    }
    ok(!any, "nothing that is cut off is taken");
    /* A later release has more to say of each. */
    list.p[4] += 4;
    lnt_strbuf_clear(&bytes);
    lnt_strbuf_add(&bytes, list.p, 8 + 28);
    lnt_strbuf_add(&bytes, "more", 4);
    lnt_strbuf_add(&bytes, list.p + 8 + 28, list.n - 8 - 28);
    ok(lnt_calls_unpack(c, lnt_strbuf_str(&bytes), NULL) &&
           lnt_calls_count(c, false) == 2,
       "what is not known is skipped");
    lnt_calls_free(c);
    hang_up(fd);
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&list);
}

/* ---- events as bytes ---- */

static void
test_bytes(void)
{
    struct lnt_named e = named("name", "[1]"), back;
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    bool any = false;

    e.attachments[e.nattachments++] = LNT_STR("a\0b");
    e.attachments[e.nattachments++] = lnt_str("", 0);
    lnt_named_add(&out, &e);
    ok(lnt_named_read(lnt_strbuf_str(&out), &back) && back.nattachments == 2 &&
           lnt_str_eq(back.name, e.name) && lnt_str_eq(back.args, e.args) &&
           lnt_str_eq(back.attachments[0], e.attachments[0]) &&
           back.attachments[1].n == 0,
       "an event, there and back");
    for (size_t n = 0; n < out.n; n++) {
        char *copy = malloc(n + !n);

        memcpy(copy, out.p, n);
        any |= lnt_named_read(lnt_str(copy, n), &back);
        free(copy);
    }
    ok(!any, "nothing that is cut off is one");
    lnt_strbuf_adds(&out, "of a later release");
    ok(lnt_named_read(lnt_strbuf_str(&out), &back), "what is behind it is "
                                                    "skipped");
    e.args = LNT_STR("{}");
    ok(!lnt_named_fits(&e), "arguments are an array");
    e.args = LNT_STR("[]");
    e.nattachments = LNT_ATTACHMENTS_MAX + 1;
    ok(!lnt_named_fits(&e), "attachments have a number");
    lnt_strbuf_release(&out);
}

int
main(void)
{
    size_t n = 0;

    for (; lnt_static_modules[n]; n++)
        toy_modules[n] = lnt_static_modules[n];
    toy_modules[n] = &lnt_module_toy;
    lnt_log_level(LNT_ALERT);
    world_begin(WORLD_WORKERS);
    test_bytes();
    test_at_once();
    test_twice();
    test_later();
    test_too_late();
    test_too_many();
    test_gone();
    test_rate();
    test_ask();
    test_messages();
    test_no_events();
    test_rooms();
    test_move();
    test_move_releases();
    world_end();
    return done_testing();
}
