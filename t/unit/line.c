/*
 * The line protocol, without sockets: sessions are made of paper here.  Input
 * is given whole, byte by byte and in every two pieces, and must come to the
 * same.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/buf.h"
#include "core/strbuf.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/stats.h"
#include "t/unit/tap.h"

extern const struct lnt_module lnt_module_line;

/* ---- what the core does for a protocol ---- */

struct lnt_session {
    struct lnt_limits limits;
    struct lnt_stats stats;
    struct lnt_module_ctx ctx;
    size_t state[8];
    struct lnt_strbuf said;    /* messages, each in <> */
    struct lnt_strbuf written; /* to the peer */
    bool ready, closing, finished;
    lnt_verdict answer; /* what the application returns */
    bool stop_after;    /* it closes the session at the first message */
};

void *
lnt_session_state(const struct lnt_session *s)
{
    struct lnt_session *writable = (struct lnt_session *)(uintptr_t)s;
    return writable->state;
}

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    struct lnt_session *writable = (struct lnt_session *)(uintptr_t)s;
    return &writable->ctx;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    return &s->limits;
}

struct lnt_stats *
lnt_session_stats(const struct lnt_session *s)
{
    struct lnt_session *writable = (struct lnt_session *)(uintptr_t)s;
    return &writable->stats;
}

bool
lnt_session_closing(const struct lnt_session *s)
{
    return s->closing;
}

lnt_verdict
lnt_session_ready(struct lnt_session *s)
{
    s->ready = true;
    return LNT_GO_ON;
}

lnt_verdict
lnt_session_message(struct lnt_session *s, enum lnt_message_type type, void *p,
                    size_t n)
{
    lnt_strbuf_addc(&s->said, type == LNT_TEXT ? '<' : '[');
    lnt_strbuf_add(&s->said, p, n);
    lnt_strbuf_addc(&s->said, type == LNT_TEXT ? '>' : ']');
    if (s->stop_after)
        s->closing = true;
    return s->answer;
}

void
lnt_session_write(struct lnt_session *s, const void *p, size_t n)
{
    lnt_strbuf_add(&s->written, p, n);
}

void
lnt_session_finish(struct lnt_session *s)
{
    s->finished = true;
}

/* ---- a session ---- */

static const struct lnt_protocol *protocol;

static void
start(struct lnt_session *s, uint64_t message_size)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    memset(s, 0, sizeof(*s));
    s->limits.message_size = message_size;
    s->ctx.module = &lnt_module_line;
    if (protocol->state_size > sizeof(s->state))
        abort();
    lnt_module_line.worker_start(&s->ctx, &why);
    protocol->open(s);
}

static void
stop(struct lnt_session *s)
{
    lnt_module_line.worker_stop(&s->ctx);
    lnt_strbuf_release(&s->said);
    lnt_strbuf_release(&s->written);
}

/* Gives the pieces as reads would bring them, keeping what is not used. */
static lnt_verdict
feed(struct lnt_session *s, const char *text, size_t n, size_t piece, bool eof)
{
    size_t room = LNT_INPUT_ROOM, have = 0;
    uint8_t *buf = malloc(room + n + 1);
    lnt_verdict verdict = LNT_GO_ON;

    for (size_t at = 0; at < n || (eof && at == n); at += piece) {
        size_t more = piece < n - at ? piece : n - at;
        struct lnt_input in = {.p = buf + room};

        memcpy(buf + room + have, text + at, more);
        in.n = have + more;
        in.eof = eof && at + more == n;
        verdict = protocol->data(s, &in);
        if (in.used > in.n)
            abort();
        have = in.n - in.used;
        memmove(buf + room, buf + room + in.used, have);
        if (verdict != LNT_GO_ON || s->finished || in.eof)
            break;
    }
    free(buf);
    return verdict;
}

static void
check(const char *text, size_t n, const char *said, const char *written,
      bool eof, const char *name)
{
    size_t bad = 0;

    for (size_t piece = 1; piece <= n; piece++) {
        struct lnt_session s;

        start(&s, 64);
        feed(&s, text, n, piece, eof);
        struct lnt_str got = lnt_strbuf_str(&s.said);
        struct lnt_str told = lnt_strbuf_str(&s.written);
        if (!lnt_str_eq(got, lnt_str_c(said)) ||
            !lnt_str_eq(told, lnt_str_c(written)) || s.finished != eof) {
            diag("in pieces of %zu: %.*s, written %.*s", piece,
                 LNT_STR_ARG(got), LNT_STR_ARG(told));
            bad++;
        }
        stop(&s);
    }
    is_int(bad, 0, "%s", name);
}

#define CHECK(text, said, written, name)                                       \
    check(text, sizeof(text) - 1, said, written, false, name)
#define CHECK_EOF(text, said, written, name)                                   \
    check(text, sizeof(text) - 1, said, written, true, name)

static const char not_utf8[] = "! that line is not UTF-8 and was left out; "
                               "set your terminal to UTF-8\n";

static void
input(void)
{
    CHECK("hi\n", "<hi>", "", "a line");
    CHECK("hi\r\n", "<hi>", "", "a line with CRLF");
    CHECK("one\ntwo\r\n\nthree", "<one><two><>", "",
          "several, an empty one, an unfinished one");
    CHECK_EOF("one\ntwo", "<one><two>", "", "the end ends a line, too");
    CHECK_EOF("one\n", "<one>", "", "no line behind the last LF");
    CHECK_EOF("one\r", "<one>", "", "nor is a last CR part of it");
    CHECK("a\rb\r\r\n", "<ab>", "", "CR within a line is left out");
    CHECK("gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80\n",
          "<gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80>", "", "UTF-8");
    CHECK("\xff\xfb\x1f\xff\xfd\x01hi\xff\xf1 all\n", "<hi all>", "",
          "telnet commands");
    CHECK("a\xff\xfa\x1f\x20\x50\x20\x18\xff\xf0z\n", "<az>", "",
          "a telnet subnegotiation");
    CHECK("a\xff\xff\n", "<a>", "", "an escaped 255");
    CHECK("a\xff\nb\xff\xfd\nc\xff\xfaxyz\nd\n", "<a><b><c><d>", "",
          "telnet commands that a line end cuts");
    CHECK("\x1b[31mred\x07\x08\x7f\ttab\n", "<[31mred\ttab>", "",
          "control characters, but the tab stays");
    check("a\0b\n", 4, "<ab>", "", false, "NUL");
    CHECK("a\302\23331mb\n", "<a31mb>", "", "C1 controls");
    CHECK("\xc2\xa0\n", "<\xc2\xa0>", "", "what only resembles them");
    CHECK("\xc3(\nok\n", "<ok>", not_utf8, "no UTF-8: told, and it goes on");
    CHECK("\xe2\x82\nok\n", "<ok>", not_utf8, "a character that is cut");
    CHECK("\xc2\x01\x9b\nok\n", "<ok>", not_utf8,
          "removing a control character makes no other");
}

static void
size_limit(void)
{
    struct lnt_session s;
    char line[70];

    memset(line, 'x', sizeof(line));
    memcpy(line + 64, "\r\n", 2);
    start(&s, 64);
    is_int(feed(&s, line, 66, 66, false), 0, "as long as allowed, with CRLF");
    is_int(s.said.n, 66, "and it came");
    stop(&s);

    start(&s, 64);
    is_int(feed(&s, line, 66, 1, false), 0, "the same byte by byte");
    is_int(s.said.n, 66, "and it came");
    stop(&s);

    memset(line, 'x', sizeof(line));
    line[65] = '\n';
    start(&s, 64);
    is_int(feed(&s, line, 66, 66, false), LNT_CLOSE_TOO_BIG, "a byte more");
    is_int(s.said.n, 0, "and it did not come");
    is_int(s.stats.counters[LNT_C_TOO_BIG], 1, "is counted");
    protocol->goodbye(&s, LNT_CLOSE_TOO_BIG, NULL);
    is_str(s.written.p, "! that line is longer than 64 bytes; goodbye\n",
           "is told");
    stop(&s);

    line[65] = 'x';
    start(&s, 64);
    is_int(feed(&s, line, 66, 1, false), LNT_CLOSE_TOO_BIG,
           "without an end in sight");
    is_int(s.stats.counters[LNT_C_TOO_BIG], 1, "is counted");
    stop(&s);
}

/* 4 MiB that come byte by byte, without the copies that feed() makes: looked
   through again each time they would take an hour. */
static void
linear(void)
{
    enum { SIZE = 4 << 20 };
    uint8_t *buf = malloc(LNT_INPUT_ROOM + SIZE), *p = buf + LNT_INPUT_ROOM;
    struct lnt_session s;
    clock_t began = clock();
    size_t used = 0;

    start(&s, SIZE);
    memset(p, 'x', SIZE);
    p[SIZE - 1] = '\n';
    for (size_t n = 1; n <= SIZE && used == 0; n++) {
        struct lnt_input in = {.p = p, .n = n};
        if (protocol->data(&s, &in) != LNT_GO_ON)
            break;
        used = in.used;
    }
    is_int(used, SIZE, "4 MiB byte by byte are one line");
    ok(clock() - began < 10 * CLOCKS_PER_SEC, "looked through once");
    stop(&s);
    free(buf);
}

static void
endings(void)
{
    static const struct {
        int code;
        const char *reason, *line;
    } byes[] = {
        {LNT_CLOSE_AWAY, NULL, "* server is going away\n"},
        {LNT_CLOSE_AWAY, "timeout", "* timeout\n"},
        {LNT_CLOSE_NORMAL, NULL, "* goodbye\n"},
        {LNT_CLOSE_POLICY, NULL, "! that is not allowed here; goodbye\n"},
        {LNT_CLOSE_POLICY, "", "! that is not allowed here; goodbye\n"},
    };
    struct lnt_session s;

    for (size_t i = 0; i < sizeof(byes) / sizeof(byes[0]); i++) {
        start(&s, 64);
        ok(!protocol->goodbye(&s, byes[i].code, byes[i].reason),
           "the core finishes");
        is_str(s.written.p, byes[i].line, "goodbye %d", byes[i].code);
        stop(&s);
    }
    start(&s, 64);
    s.answer = 4500;
    is_int(feed(&s, "a\nb\n", 4, 4, false), 4500, "the app's verdict is ours");
    is_str(s.said.p, "<a>", "and nothing comes behind it");
    stop(&s);
    start(&s, 64);
    s.stop_after = true;
    is_int(feed(&s, "a\nb\n", 4, 4, false), 0, "the app closes");
    is_str(s.said.p, "<a>", "and nothing comes behind it");
    stop(&s);
    start(&s, 64);
    ok(s.ready, "no handshake");
    is_int(feed(&s, "", 0, 1, true), 0, "an end without a word");
    ok(s.finished && s.said.n == 0, "ends");
    stop(&s);
}

static void
check_output(enum lnt_message_type type, const char *p, size_t n,
             const char *wanted, const char *name)
{
    struct lnt_session s;
    struct lnt_buf *b;

    start(&s, 64);
    protocol->send(&s, type, p, n);
    is_mem(s.written.p, s.written.n, wanted, strlen(wanted), "%s", name);
    b = protocol->encode(&s.ctx, 0, type, lnt_str(p, n));
    is_mem(b->data, b->len, wanted, strlen(wanted), "%s, encoded", name);
    is_int(b->refs, 1, "one reference");
    b = protocol->append(&s.ctx, 0, b, type, lnt_str(p, n));
    is_int(b->len, 2 * strlen(wanted), "%s, twice", name);
    is_mem(b->data + b->len / 2, b->len / 2, wanted, strlen(wanted),
           "the second the same");
    lnt_buf_unref(b);
    stop(&s);
}

static void
output(void)
{
    check_output(LNT_TEXT, "hi", 2, "hi\n", "a line");
    check_output(LNT_TEXT, "", 0, "\n", "an empty line");
    check_output(LNT_TEXT, "a\nb\tc", 5, "a\nb\tc\n", "two lines");
    check_output(LNT_TEXT, "\x1b[2J\r\302\233x\0y\x7f", 11, "[2Jxy\n",
                 "what steers a terminal");
    check_output(LNT_TEXT, "\xc3\xa4", 2, "\xc3\xa4\n", "UTF-8");
    check_output(LNT_BINARY, "\xc3\xa4", 2, "\xc3\xa4\n", "binary UTF-8");
    check_output(LNT_BINARY, "a\xff\x9b\xc2\x9b", 5, "a??\n",
                 "binary that is none");
}

int
main(void)
{
    protocol = lnt_module_line.protocol;
    input();
    size_limit();
    linear();
    endings();
    output();
    return done_testing();
}
