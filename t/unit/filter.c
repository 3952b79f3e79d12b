/*
 * A filter between socket and protocol: whole workers, toy clients at the other
 * ends of socket pairs.
 */
#include "t/unit/filter_world.h"

#include "os/clock.h"

static struct worker *const w = &workers[0];

static const struct lnt_stats *
stats(void)
{
    return &lnt_zone_cell(zone, w->cell)->stats;
}

static uint64_t
counter(enum lnt_counter c)
{
    return stats()->counters[c];
}

/* ---- input ---- */

/* All that a client says, in pieces of any size: the handshake, records, what
   is in the same segment as its end. */
static void
test_pieces(void)
{
    struct toy_way way = {0};
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&all, "HELLO\n");
    toy_record(&way, "one ", 4, &all);
    toy_record(&way, "two ", 4, &all);
    toy_record(&way, "three", 5, &all);
    unsigned good = 0;
    for (size_t piece = 1; piece <= all.n; piece++) {
        struct toy_client c = toy_dial_as(w, "listen raw", SOCK_STREAM);
        for (size_t at = 0; at < all.n; at += piece) {
            toy_write(&c, all.p + at, all.n - at < piece ? all.n - at : piece);
            settle();
        }
        good += strcmp(toy_heard(&c), "one two three") == 0 && !c.wrong &&
                c.welcome;
        toy_client_end(&c);
        settle();
    }
    is_int(good, all.n, "in pieces of any size");
    lnt_strbuf_release(&all);
    toy_none_left("pieces");
}

/* Before its handshake is over a client is told nothing; then what waited. */
static void
test_waits(void)
{
    struct toy_client c = toy_dial_as(w, "listen lines", SOCK_STREAM);
    is_str(toy_heard(&c), "", "nothing is said before the handshake");
    is_int(stats()->shaking, 1, "it is counted");
    toy_write(&c, "HELLO\n", 6);
    ok(strstr(toy_heard(&c), "* welcome") != NULL, "then it is: %s", c.plain.p);
    is_int(stats()->shaking, 0, "and counted no more");
    toy_client_end(&c);
    toy_none_left("greeting");
}

/* The protocol changes, with bytes behind the request. */
static void
test_upgrade(void)
{
    struct toy_client c = toy_dial(w, "listen web");
    toy_say(&c, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    ok(strstr(toy_heard(&c), "404 Not Found") != NULL, "HTTP is answered");
    toy_say(&c, "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                "\x81\x85\x20\x20\x20\x20HELLO");
    const char *said = toy_heard(&c);
    ok(strstr(said, " 101 ") != NULL, "WebSocket begins");
    ok(strstr(said, "\x81\x05hello") != NULL, "and answers");
    toy_client_end(&c);
    toy_none_left("upgrade");
}

/* A request that is answered later; half of the next record is there. */
static void
test_parked(void)
{
    static const char get[] = "GET /poll HTTP/1.1\r\nHost: x\r\n\r\n";
    struct toy_client c = toy_dial(w, "listen web");
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    toy_record(&c.out, get, sizeof(get) - 1, &b);
    toy_record(&c.out, get, sizeof(get) - 1, &b);
    toy_write(&c, b.p, b.n - 5);
    is_str(toy_heard(&c), "", "a request is put off");
    ok(polls && stats()->parked == 1, "... and counted");
    toy_write(&c, b.p + b.n - 5, 5);
    settle();
    poll_answer("first");
    ok(strstr(toy_heard(&c), "first") != NULL, "... and answered");
    ok(polls != NULL, "... the next one is read then");
    unsigned gone = polls_gone;
    shutdown(c.fd, SHUT_WR);
    (void)toy_heard(&c);
    is_int(polls_gone, gone + 1, "... its client goes");
    ok(c.last && c.eof && !c.wrong, "... and is told the last word");
    is_int(stats()->parked, 0, "... nobody waits");
    lnt_strbuf_release(&b);
    toy_client_end(&c);
    toy_none_left("parked");
}

/* ---- output ---- */

/* What is said in one turn is one write, and as few records as may be. */
static void
test_one_write(void)
{
    struct toy_client c = toy_dial_as(w, "listen lines", SOCK_SEQPACKET);
    toy_write(&c, "HELLO\n", 6);
    (void)toy_heard(&c);
    is_int(c.reads, 1, "handshake and greeting are one write");
    toy_put(&c, "/help\n/nick bob\n/rooms\n/join x\nhi\n", 34);
    c.reads = c.records = 0;
    int sealed = (int)toy_sealed;
    const char *said = toy_heard(&c);
    ok(strstr(said, "<bob> hi") != NULL, "five lines are answered");
    diag("%zu bytes, %u writes, %u records", c.plain.n, c.reads, c.records);
    ok(c.reads <= 2 && c.records == c.reads, "... in a write a turn");
    is_int(toy_sealed - (unsigned)sealed, c.reads, "... each filtered once");
    toy_client_end(&c);

    c = toy_dial_as(w, "listen raw", SOCK_SEQPACKET);
    toy_write(&c, "HELLO\n", 6);
    (void)toy_heard(&c);
    struct lnt_strbuf three = LNT_STRBUF_INIT;
    for (int i = 0; i < 3; i++)
        toy_record(&c.out, "echo ", 5, &three);
    toy_write(&c, three.p, three.n);
    c.reads = c.records = 0;
    is_str(toy_heard(&c), "echo echo echo ", "an echo of three records");
    is_int(c.reads, 1, "... is one write");
    is_int(c.records, 1, "... of one record");
    lnt_strbuf_release(&three);
    toy_client_end(&c);
    toy_none_left("writes");
}

/* Much to be told and a client that reads little at a time: nothing is filtered
   twice, and what waits is bounded. */
static void
test_slow(size_t most)
{
    enum { TOTAL = 1 << 20 };
    struct toy_client c = toy_dial(w, "listen raw");
    char piece[4000];
    size_t said = 0, heard = 0, wrong = 0;
    uint64_t queue = 0;
    bool full = false;
    while (heard < TOTAL && !c.eof && !c.wrong) {
        struct toy_way before = c.out;
        struct lnt_strbuf b = LNT_STRBUF_INIT;
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = (char)((said + i) * 7 >> 3);
        toy_record(&c.out, piece, sizeof(piece), &b);
        if (said < TOTAL && send(c.fd, b.p, b.n, MSG_NOSIGNAL) > 0) {
            said += sizeof(piece);
        } else {
            c.out = before;
            full = true;
        }
        lnt_strbuf_release(&b);
        settle();
        queue = stats()->send_queue > queue ? stats()->send_queue : queue;
        lnt_strbuf_clear(&c.plain);
        toy_read(&c, full ? most : 0);
        for (size_t i = 0; i < c.plain.n; i++)
            wrong += c.plain.p[i] != (char)((heard + i) * 7 >> 3);
        heard += c.plain.n;
    }
    ok(heard >= TOTAL && !c.wrong && wrong == 0,
       "%zu bytes, read by %zu: as they were said", heard, most);
    ok(queue > 0, "... some had to wait, %llu bytes at most",
       (unsigned long long)queue);
    toy_client_end(&c);
    toy_none_left("slow reader");
}

/* A file cannot be sent as it is. */
static void
test_file(void)
{
    enum { SIZE = 300000 };
    char *bytes = malloc(SIZE);
    struct lnt_strbuf got = LNT_STRBUF_INIT;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 31 >> 4);
    (void)tmp_write("page.bin", bytes, SIZE);
    struct toy_client c = toy_dial(w, "listen web");
    toy_say(&c, "GET /files/page.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 1000 && got.n < SIZE + 100; i++) {
        (void)toy_heard(&c);
        lnt_strbuf_add_str(&got, lnt_strbuf_str(&c.plain));
    }
    ok(got.n > SIZE && memcmp(got.p + got.n - SIZE, bytes, SIZE) == 0,
       "a file is sent: %zu bytes", got.n) ||
        (diag("%.200s", got.p), 0);
    ok(!c.wrong, "... in good order");
    toy_say(&c, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    ok(strstr(toy_heard(&c), "404 Not Found") != NULL, "... and it goes on");
    toy_client_end(&c);
    lnt_strbuf_release(&got);
    free(bytes);
    toy_none_left("file");
}

/* ---- the end ---- */

static void
test_ends(void)
{
    static const struct {
        const char *what;
        const char *bytes; /* said as they are */
        const char *plain; /* and then in a record of which the last bytes */
        size_t but;        /* are missing */
    } cases[] = {
        {"before the handshake", "", NULL, 0},
        {"in the handshake", "HEL", NULL, 0},
        {"after it", "HELLO\n", NULL, 0},
        {"in the head of a record", "HELLO\n", "abc", 4},
        {"in a record", "HELLO\n", "abc", 1},
        {"behind a record", "HELLO\n", "abc", 0},
        {"behind the last one", "HELLO\n", "", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int cut = 0; cut < 2; cut++) {
            struct toy_client c = toy_dial_as(w, "listen raw", SOCK_STREAM);
            struct lnt_strbuf b = LNT_STRBUF_INIT;
            if (cases[i].bytes[0])
                toy_write(&c, cases[i].bytes, strlen(cases[i].bytes));
            if (cases[i].plain) {
                toy_record(&c.out, cases[i].plain, strlen(cases[i].plain), &b);
                toy_write(&c, b.p, b.n - cases[i].but);
            }
            settle();
            if (cut)
                close(dup(c.fd)); /* the socket stays, for the end below */
            shutdown(c.fd, cut ? SHUT_RDWR : SHUT_WR);
            const char *said = toy_heard(&c);
            if (!cut && cases[i].plain && cases[i].plain[0] && !cases[i].but)
                is_str(said, cases[i].plain, "... what was said is answered");
            if (!cut && cases[i].plain && !cases[i].but)
                ok(c.last, "... and the last word is said");
            ok(c.eof && !c.wrong, "end %s", cases[i].what);
            settle();
            is_int(lnt_net_count(w->net), 0, "... is an end");
            lnt_strbuf_release(&b);
            toy_client_end(&c);
        }
    }
    toy_none_left("ends");
}

/* The session ends here: its last words, then the filter's, in one write. */
static void
test_finish(void)
{
    struct toy_client c = toy_dial_as(w, "listen web", SOCK_SEQPACKET);
    toy_write(&c, "HELLO\n", 6);
    (void)toy_heard(&c);
    c.reads = c.records = 0;
    toy_say(&c, "GET /nothing HTTP/1.0\r\n\r\n");
    ok(strstr(toy_heard(&c), "404 Not Found") != NULL, "the answer");
    ok(c.last && !c.wrong, "... and the filter's last word");
    is_int(c.reads, 1, "... in one write");
    ok(c.eof, "... then the end");
    toy_client_end(&c);
    toy_none_left("finish");
}

static void
test_failures(void)
{
    static const struct {
        const char *what, *bytes;
        size_t n;
        bool shaken;
    } cases[] = {
        {"no greeting", "GET / HTTP/1.1\r\n\r\n", 18, false},
        {"a greeting that turns bad", "HELLX", 5, false},
        {"a record of another number", "\0\1\7a", 4, true},
        {"a record that is too large", "\xff\xff\0", 3, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t errors = counter(LNT_C_PROTOCOL_ERRORS);
        struct toy_client c = toy_dial_as(w, "listen lines", SOCK_STREAM);
        if (cases[i].shaken) {
            toy_write(&c, "HELLO\n", 6);
            (void)toy_heard(&c);
            toy_say(&c, "/nick al\n");
            (void)toy_heard(&c);
        }
        toy_write(&c, cases[i].bytes, cases[i].n);
        is_str(toy_heard(&c), "", "%s: nothing more is said", cases[i].what);
        ok(c.alert || (!cases[i].shaken && c.raw.n == 6), "... but the alert");
        ok(!c.last && !c.wrong, "... and no last word");
        ok(c.eof, "... then the end");
        is_int(counter(LNT_C_PROTOCOL_ERRORS), errors + 1, "... it is counted");
        toy_client_end(&c);
        settle();
    }
    toy_none_left("failures");
}

/* ---- deadlines ---- */

static bool
until_gone(struct toy_client *c)
{
    uint64_t end = lnt_clock_ms() + 20000;
    while (!c->eof && lnt_clock_ms() < end)
        (void)toy_heard(c);
    return c->eof;
}

static void
test_deadlines(void)
{
    uint64_t before = counter(LNT_C_TIMEOUTS_HANDSHAKE);
    struct toy_client c = toy_dial_as(w, "listen quick", SOCK_STREAM);
    toy_write(&c, "HEL", 3);
    ok(until_gone(&c), "a handshake has its time");
    toy_client_end(&c);

    c = toy_dial(w, "listen quick");
    struct toy_client calm = toy_dial(w, "listen quick");
    toy_write(&c, "\0\2", 2);
    settle();
    is_int(stats()->raw_input, 2, "what is not whole is counted");
    ok(until_gone(&c), "... and has its time");
    is_int(counter(LNT_C_TIMEOUTS_HANDSHAKE), before + 2, "both are counted");
    toy_say(&calm, "hello");
    is_str(toy_heard(&calm), "hello", "who says nothing has more");
    toy_client_end(&c);
    toy_client_end(&calm);
    toy_none_left("deadlines");
}

static void
test_sizes(void)
{
    diag("a connection: %zu bytes; its filter: %zu more and its state",
         sizeof(struct lnt_conn), sizeof(struct lnt_filtered));
    ok(sizeof(void *) != 8 || sizeof(struct lnt_conn) == 136,
       "a connection has not grown");
    int fd = dial(w, "listen plain");
    say(fd, "hello", 5);
    is_str(heard(fd), "hello", "without a filter all is as it was");
    close(fd);
    toy_none_left("plain");
}

int
main(void)
{
    filter_begin(1);
    test_sizes();
    test_pieces();
    test_waits();
    test_upgrade();
    test_parked();
    test_one_write();
    test_slow(SIZE_MAX);
    test_slow(30000);
    test_slow(1000);
    test_file();
    test_ends();
    test_finish();
    test_failures();
    test_deadlines();
    world_end();
    return done_testing();
}
