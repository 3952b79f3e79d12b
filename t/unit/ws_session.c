/*
 * Sending, closing from our side, pings to a peer that does not read, the end
 * of the input.
 */
#include "t/unit/ws_cases.h"

enum {
    FIN = 0x80,
    CONT = 0,
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    PING = 9,
    PONG = 10
};

/* What was sent since the last look. */
static bool
sent(struct lnt_session *s, const void *p, size_t n)
{
    bool same = s->out.n == n && (n == 0 || memcmp(s->out.p, p, n) == 0);
    if (!same)
        tap_show("sent", s->out.p, s->out.n < 100 ? s->out.n : 100);
    lnt_strbuf_clear(&s->out);
    return same;
}

static void
test_ways_to_send(void)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    struct lnt_strbuf in = LNT_STRBUF_INIT, out = LNT_STRBUF_INIT;
    char *large = malloc(100000);
    if (!large)
        abort();
    memset(large, 'L', 100000);

    for (unsigned i = 0; i < 20; i++) {
        ws_puts(&in, FIN | (i % 2 ? TEXT : BINARY), "0123456789abcdef");
        ws_wants(&out, FIN | (i % 2 ? TEXT : BINARY), "0123456789abcdef");
        ws_put(&in, FIN | PING, "ping", i % 5);
        ws_want(&out, FIN | PONG, "ping", i % 5);
        ws_put(&in, FIN | BINARY, large, 100 + 10 * i);
        ws_want(&out, FIN | BINARY, large, 100 + 10 * i);
    }
    ws_feed(s, in.p, in.n);
    ok(sent(s, out.p, out.n), "60 frames are echoed");
    is_int(s->runs, 1, "... in one run");
    is_int(s->copies + s->bufs, 0, "... without a copy");

    lnt_strbuf_clear(&in);
    lnt_strbuf_clear(&out);
    ws_put(&in, FIN | TEXT, large, 100000);
    ws_want(&out, FIN | TEXT, large, 100000);
    ws_feed(s, in.p, 50000);
    ws_feed(s, in.p + 50000, in.n - 50000);
    ok(sent(s, out.p, out.n), "a large one in two reads");
    is_int(s->bufs, 1, "... goes back in the buffer it was gathered in");
    is_int(s->copies, 0, "... without a copy");
    ws_free(s);

    static const struct {
        enum ws_app app;
        const char *name;
    } apps[] = {{APP_TWICE, "sent twice"},
                {APP_OTHER, "among other messages"},
                {APP_PREFIX, "a part of it"},
                {APP_SWALLOW, "nothing"}};
    for (size_t a = 0; a < 4; a++) {
        static const size_t sizes[] = {0, 1, 50, 126, 1000, 3000, 70000};
        struct ws_case c = {.app = apps[a].app};
        for (size_t i = 0; i < 14; i++) {
            size_t n = sizes[i % 7];
            unsigned type = i % 3 ? TEXT : BINARY;
            if (i % 4 == 3) {
                ws_put(&c.in, type, large, n / 2);
                ws_put(&c.in, FIN | CONT, large, n - n / 2);
            } else {
                ws_put(&c.in, FIN | type, large, n);
            }
            if (apps[a].app == APP_OTHER)
                ws_wants(&c.out, FIN | TEXT, "before");
            if (apps[a].app == APP_PREFIX)
                ws_want(&c.out, FIN | BINARY, large, n ? n - 1 : 0);
            else if (apps[a].app != APP_SWALLOW)
                ws_want(&c.out, FIN | type, large, n);
            if (apps[a].app == APP_OTHER)
                ws_wants(&c.out, FIN | BINARY, "behind");
            if (apps[a].app == APP_TWICE)
                ws_want(&c.out, FIN | type, large, n);
        }
        ws_close_cleanly(&c);
        ws_check(&c, apps[a].name);
    }
    free(large);
    lnt_strbuf_release(&in);
    lnt_strbuf_release(&out);
}

static void
test_encode(void)
{
    static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, 100000};
    struct lnt_strbuf want = LNT_STRBUF_INIT;
    char *data = malloc(100000);
    if (!data)
        abort();
    memset(data, 'E', 100000);
    struct lnt_buf *run = lnt_ws_encode(NULL, 0, LNT_TEXT, LNT_STR("first"));
    ws_wants(&want, FIN | TEXT, "first");
    is_mem(run->data, run->len, want.p, want.n, "encode");
    for (size_t i = 0; i < 7; i++) {
        struct lnt_buf *b =
            lnt_ws_encode(NULL, 0, LNT_BINARY, lnt_str(data, sizes[i]));
        struct lnt_strbuf one = LNT_STRBUF_INIT;
        ws_want(&one, FIN | BINARY, data, sizes[i]);
        ok(lnt_str_eq(lnt_str(b->data, b->len), lnt_strbuf_str(&one)),
           "encode %zu bytes", sizes[i]);
        is_int(b->cap, b->len, "... in a buffer of that size");
        lnt_buf_unref(b);
        lnt_strbuf_release(&one);
        run = lnt_ws_append(NULL, 0, run, LNT_BINARY, lnt_str(data, sizes[i]));
        ws_want(&want, FIN | BINARY, data, sizes[i]);
    }
    ok(lnt_str_eq(lnt_str(run->data, run->len), lnt_strbuf_str(&want)),
       "append to it, all sizes");
    lnt_buf_unref(run);
    lnt_strbuf_release(&want);
    free(data);
}

static struct lnt_session *
closing(int code, const char *reason)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    ws_close(s, code, reason);
    return s;
}

static void
test_goodbye(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    char long_reason[200];

    struct lnt_session *s = closing(1001, "server is going away");
    ok(sent(s, "\x88\x16\x03\xe9server is going away", 24),
       "goodbye says code and reason");
    is_int(s->end, WS_GOODBYE, "... and waits for theirs");
    lnt_ws_send(s, LNT_TEXT, "late", 4);
    lnt_ws_ping(s);
    ok(sent(s, NULL, 0), "nothing is sent behind it");
    ws_puts(&in, FIN | TEXT, "text");
    ws_puts(&in, FIN | PING, "ping");
    ws_puts(&in, TEXT, "fragment");
    ws_puts(&in, FIN | CONT, "\xff\xff\xff");
    ws_feed(s, in.p, in.n);
    is_int(s->nmessages, 0, "what still comes is skipped");
    ok(sent(s, NULL, 0), "... pings too");
    is_int(s->end, WS_GOODBYE, "... the connection stays");
    lnt_strbuf_clear(&in);
    ws_put(&in, FIN | CLOSE, "\x03\xe9", 2);
    ws_feed(s, in.p, in.n);
    is_int(s->end, WS_ENDED, "their close ends it");
    ok(sent(s, NULL, 0), "... without another answer");
    ok(!s->fault, "... in order");
    ws_free(s);

    s = closing(1000, NULL);
    ok(sent(s, "\x88\x02\x03\xe8", 4), "goodbye without a reason");
    static char big[300000];
    lnt_strbuf_clear(&in);
    ws_put(&in, FIN | BINARY, big, sizeof(big));
    ws_put(&in, FIN | CLOSE, "", 0);
    for (size_t i = 0; i < in.n; i += 70000)
        ws_feed(s, in.p + i, in.n - i < 70000 ? in.n - i : 70000);
    is_int(s->end, WS_ENDED, "a large frame is skipped, then their close");
    is_int(s->rest.n, 0, "... as it comes");
    ok(!s->fault && !s->ws.more, "... nothing is kept");
    ws_free(s);

    s = closing(1008, "x");
    ws_feed(s, "\x83\x80", 2);
    is_int(s->end, WS_FINISHED, "nonsense behind our close ends it");
    is_int(s->code, 1008, "... our code stands");
    ws_free(s);

    s = closing(1000, NULL);
    ws_feed_eof(s, NULL, 0, true);
    is_int(s->end, WS_FINISHED, "so does the end of the input");
    ws_free(s);

    memset(long_reason, 'r', sizeof(long_reason));
    long_reason[121] = '\xe2';
    long_reason[122] = '\x82';
    long_reason[123] = '\xac';
    long_reason[199] = '\0';
    s = closing(4321, long_reason);
    is_int(s->out.n, 4 + 121, "a reason is cut where a character ends");
    is_int((unsigned char)s->out.p[1], 2 + 121, "... and the frame says so");
    ws_free(s);

    static const int never[] = {0, -1, 1005, 1006, 1015, 2000, 70000};
    for (size_t i = 0; i < 7; i++) {
        s = closing(never[i], NULL);
        ok(sent(s, "\x88\x02\x03\xf3", 4), "code %d is never sent: 1011",
           never[i]);
        ws_free(s);
    }
    lnt_strbuf_release(&in);
}

/* Goodbye at every moment of a message. */
static void
test_goodbye_inside(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    static char big[70000];
    ws_puts(&in, TEXT, "fragment1");
    ws_puts(&in, FIN | PING, "ping");
    ws_puts(&in, FIN | CONT, "fragment2");
    ws_put(&in, FIN | BINARY, big, sizeof(big));
    ws_puts(&in, FIN | TEXT, "whole");
    ws_put(&in, FIN | CLOSE, "\x03\xe8", 2);
    size_t wrong = 0, tries = 0;
    for (size_t at = 0; at + 8 < in.n; at += at < 200 ? 1 : 997, tries++) {
        struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
        ws_feed(s, in.p, at / 2);
        ws_feed(s, in.p + at / 2, at - at / 2);
        size_t n = s->nmessages;
        ws_close(s, 1001, "bye");
        for (size_t i = at; i < in.n; i += 1000)
            ws_feed(s, in.p + i, in.n - i < 1000 ? in.n - i : 1000);
        wrong +=
            s->end != WS_ENDED || s->nmessages != n || s->fault || s->ws.more;
        ws_free(s);
    }
    is_int(wrong, 0, "goodbye at %zu places inside messages", tries);
    lnt_strbuf_release(&in);
}

static void
test_verdict(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    struct lnt_session *s = ws_new(APP_VERDICT, 1 << 20);
    ws_puts(&in, FIN | TEXT, "hi");
    ws_puts(&in, FIN | TEXT, "bye");
    ws_puts(&in, FIN | TEXT, "more");
    ws_puts(&in, FIN | PING, "more");
    ws_feed(s, in.p, in.n);
    is_int(s->nmessages, 2, "a verdict of the application: no more messages");
    ok(sent(s, "\x81\x02hi\x88\x02\x11\x94", 8), "... its code goes out");
    is_int(s->end, WS_GOODBYE, "... and theirs is awaited");
    ws_free(s);

    s = ws_new(APP_VERDICT, 1 << 20);
    ws_put(&in, FIN | CLOSE, "\x03\xe8", 2);
    ws_feed(s, in.p, in.n);
    ok(sent(s, "\x81\x02hi\x88\x02\x11\x94", 8), "theirs is behind it");
    is_int(s->end, WS_FINISHED, "... so it ends at once");
    ok(!s->fault, "... in order");
    ws_free(s);

    s = ws_new(APP_VERDICT, 1 << 20);
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | TEXT, "bye");
    ws_puts(&in, 0xff, "nonsense");
    ws_feed(s, in.p, in.n);
    is_int(s->code, 4500, "a verdict, then nonsense: the verdict stands");
    is_int(s->end, WS_FINISHED, "... nothing is awaited");
    ws_free(s);
    lnt_strbuf_release(&in);
}

static void
test_eof(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    ws_puts(&in, FIN | TEXT, "one");
    ws_puts(&in, TEXT, "two");
    ws_puts(&in, FIN | CONT, "three");
    size_t wrong = 0;
    for (size_t at = 0; at < in.n; at++) {
        struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
        ws_feed(s, in.p, at / 2);
        ws_feed_eof(s, in.p + at / 2, at - at / 2, true);
        wrong += s->end != WS_FINISHED || s->fault || s->code ||
                 (s->nmessages != (at >= 9));
        ws_free(s);
    }
    is_int(wrong, 0, "the end of the input, anywhere");

    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | TEXT, "one");
    ws_put(&in, FIN | CLOSE, "\x03\xe8", 2);
    ws_feed_eof(s, in.p, in.n, true);
    ok(sent(s, "\x81\x03one\x88\x02\x03\xe8", 9), "message, close and end");
    is_int(s->end, WS_ENDED, "... are a clean close");
    ws_free(s);
    lnt_strbuf_release(&in);
}

/* A peer that pings and does not read. */
static void
test_ping_flood(void)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    for (unsigned i = 0; i < 1000; i++)
        ws_puts(&in, FIN | PING, i == 999 ? "last" : "ping");
    ws_feed(s, in.p, in.n);
    is_int(s->out.n, 6000, "while the peer reads, every ping is answered");
    is_int(s->runs, 1, "... in one run");
    lnt_strbuf_clear(&s->out);

    s->queued = 5000;
    for (unsigned i = 0; i < 10; i++)
        ws_feed(s, in.p, in.n);
    ok(sent(s, NULL, 0), "when it does not, none is");
    is_int(s->deadline, s->now + 1000, "... the last waits");
    s->now = s->deadline;
    s->deadline = 0;
    lnt_ws_timeout(s, LNT_TIMEOUT_OWN);
    ok(sent(s, NULL, 0), "... as long as the queue is not empty");
    is_int(s->deadline, s->now + 1000, "... and is looked at again");
    s->queued = 0;
    s->now = s->deadline;
    s->deadline = 0;
    lnt_ws_timeout(s, LNT_TIMEOUT_OWN);
    ok(sent(s, "\x8a\x04last", 6), "... then only the last is answered");
    is_int(s->deadline, 0, "... and that was all");
    lnt_ws_timeout(s, LNT_TIMEOUT_OWN);
    ok(sent(s, NULL, 0), "... once");

    s->queued = 1;
    ws_feed(s, in.p, in.n);
    s->queued = 0;
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | TEXT, "x");
    ws_feed(s, in.p, in.n);
    ok(sent(s, "\x8a\x04last\x81\x01x", 9), "input comes first: at once");
    ok(!s->ws.more && s->deadline == 0, "... nothing is kept");

    s->queued = 1;
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | PING, "");
    ws_feed(s, in.p, in.n);
    lnt_strbuf_clear(&s->out);
    s->queued = 0;
    ws_close(s, 1000, NULL);
    lnt_strbuf_clear(&s->out);
    lnt_ws_timeout(s, LNT_TIMEOUT_OWN);
    ok(sent(s, NULL, 0), "a pong that waited does not follow a close");
    ws_free(s);

    s = ws_new(APP_ECHO, 1 << 20);
    lnt_ws_ping(s);
    ok(sent(s, "\x89\0", 2), "our own ping is empty");
    ok(lnt_ws_timeout(s, LNT_TIMEOUT_IDLE) == LNT_GO_ON && s->out.n == 0,
       "other deadlines are the core's");
    ws_free(s);
    lnt_strbuf_release(&in);
}

int
main(void)
{
    test_ways_to_send();
    test_encode();
    test_goodbye();
    test_goodbye_inside();
    test_verdict();
    test_eof();
    test_ping_flood();
    return done_testing();
}
