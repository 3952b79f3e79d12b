/*
 * Sizes: large messages in all shapes (Autobahn families 9 and 10), the limit
 * on messages, memory that grows with what came and with nothing else.
 */
#include <malloc.h>
#include <time.h>

#include "t/unit/ws_cases.h"

enum { FIN = 0x80, CONT = 0, TEXT = 1, BINARY = 2, PING = 9, PONG = 10 };

static const uint8_t key[4] = {0x9d, 0x02, 0xe7, 0x41};

static void
make_text(struct lnt_strbuf *b, size_t n, bool ascii)
{
    lnt_strbuf_clear(b);
    char *p = lnt_strbuf_reserve(b, n);
    if (ascii)
        memset(p, '*', n);
    else
        for (size_t i = 0; i < n; i++)
            p[i] = (char)(i * 2654435761u >> 13);
    b->n = n;
}

/* Feeds in pieces and says whether exactly out came. */
static bool
echoes(const struct lnt_strbuf *in, const struct lnt_strbuf *out, size_t piece)
{
    struct lnt_session *s = ws_new(APP_ECHO, 16 << 20);
    for (size_t at = 0; at < in->n; at += piece)
        ws_feed(s, in->p + at, in->n - at < piece ? in->n - at : piece);
    bool good = !s->fault && s->end == WS_OPEN && s->rest.n == 0 &&
                lnt_str_eq(lnt_strbuf_str(&s->out), lnt_strbuf_str(out));
    ws_free(s);
    return good;
}

static void
test_large(void)
{
    struct lnt_strbuf data = LNT_STRBUF_INIT, in = LNT_STRBUF_INIT,
                      out = LNT_STRBUF_INIT;
    for (unsigned type = TEXT; type <= BINARY; type++) {
        /* 9.1, 9.2: one frame, 64 KiB to 16 MiB, as reads bring it. */
        for (size_t n = 65536; n <= 16 << 20; n *= 4) {
            make_text(&data, n, type == TEXT);
            lnt_strbuf_clear(&in);
            lnt_strbuf_clear(&out);
            ws_put(&in, FIN | type, data.p, n);
            ws_want(&out, FIN | type, data.p, n);
            ok(echoes(&in, &out, 256 * 1024), "9.%u one frame of %zu bytes",
               type, n);
            ok(echoes(&in, &out, in.n), "... in one read");
        }
        /* 9.3, 9.4: 4 MiB in fragments of 64 bytes to 4 MiB. */
        size_t n = 4 << 20;
        make_text(&data, n, type == TEXT);
        for (size_t part = 64; part <= n; part *= 4) {
            lnt_strbuf_clear(&in);
            lnt_strbuf_clear(&out);
            for (size_t at = 0; at < n; at += part)
                ws_put(&in, at ? CONT : type, data.p + at, part);
            ws_put(&in, FIN | CONT, "", 0);
            ws_want(&out, FIN | type, data.p, n);
            ok(echoes(&in, &out, 256 * 1024), "9.%u %zu fragments", type + 2,
               n / part + 1);
        }
        /* 9.5, 9.6: a frame of 1 MiB in small pieces. */
        n = 1 << 20;
        lnt_strbuf_clear(&in);
        lnt_strbuf_clear(&out);
        ws_put(&in, FIN | type, data.p, n);
        ws_want(&out, FIN | type, data.p, n);
        for (size_t piece = 64; piece <= 2048; piece *= 2)
            ok(echoes(&in, &out, piece), "9.%u 1 MiB in pieces of %zu bytes",
               type + 4, piece);
        ok(echoes(&in, &out, 1), "... byte by byte");
        /* 9.7, 9.8: many messages of one size. */
        for (size_t size = 0; size <= 16384; size = size ? size * 4 : 16) {
            lnt_strbuf_clear(&in);
            lnt_strbuf_clear(&out);
            for (unsigned i = 0; i < 300; i++) {
                ws_put(&in, FIN | type, data.p, size);
                ws_want(&out, FIN | type, data.p, size);
            }
            ok(echoes(&in, &out, 256 * 1024), "9.%u 300 messages of %zu bytes",
               type + 6, size);
            ok(echoes(&in, &out, 1447), "... in pieces of a packet");
        }
        /* 10.1: 64 KiB in fragments of 1,300 bytes. */
        lnt_strbuf_clear(&in);
        lnt_strbuf_clear(&out);
        for (size_t at = 0; at < 65536; at += 1300) {
            size_t len = 65536 - at < 1300 ? 65536 - at : 1300;
            ws_put(&in, (at ? CONT : type) | (at + len == 65536 ? FIN : 0),
                   data.p + at, len);
        }
        ws_want(&out, FIN | type, data.p, 65536);
        ok(echoes(&in, &out, in.n), "10.1 fragments of 1,300 bytes");
    }
    lnt_strbuf_release(&data);
    lnt_strbuf_release(&in);
    lnt_strbuf_release(&out);
}

/* Feeds a head alone, or bytes of one. */
static void
feed_head(struct lnt_session *s, unsigned first, uint64_t n, unsigned form,
          size_t bytes)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    ws_put_head(&in, first, n, form, key);
    ws_feed(s, in.p, bytes ? bytes : in.n);
    lnt_strbuf_release(&in);
}

static void
is_failed(struct lnt_session *s, int code, const char *name)
{
    is_int(s->code, code, "%s: %d", name, code);
    ok(s->end == WS_FINISHED && !s->fault, "... and that is all");
    ok(!s->ws.more, "... nothing is kept");
    ws_free(s);
}

static void
test_limit(void)
{
    char text[128];
    memset(text, 'x', sizeof(text));

    struct lnt_session *s = ws_new(APP_ECHO, 100);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    ws_put(&in, FIN | TEXT, text, 100);
    ws_feed(s, in.p, in.n);
    is_int(s->nmessages, 1, "a message of message_size bytes");
    feed_head(s, FIN | TEXT, 101, 0, 2);
    is_failed(s, 1009, "one byte more, known from two bytes of head");

    s = ws_new(APP_ECHO, 100);
    feed_head(s, FIN | BINARY, 65535, 0, 4);
    is_failed(s, 1009, "a 16-bit length, before the key");
    s = ws_new(APP_ECHO, 65536);
    feed_head(s, FIN | BINARY, UINT64_C(1) << 62, 8, 10);
    is_failed(s, 1009, "2^62");
    s = ws_new(APP_ECHO, 65536);
    feed_head(s, BINARY, UINT64_C(0x7fffffffffffffff), 8, 10);
    is_failed(s, 1009, "2^63 - 1");
    s = ws_new(APP_ECHO, 65536);
    feed_head(s, FIN | BINARY, UINT64_C(1) << 63, 8, 3);
    is_failed(s, 1002, "the top bit");

    /* Fragments count together; the sum must not wrap. */
    s = ws_new(APP_ECHO, 100);
    lnt_strbuf_clear(&in);
    ws_put(&in, TEXT, text, 60);
    ws_put(&in, CONT, text, 40);
    ws_put(&in, CONT, "", 0);
    ws_feed(s, in.p, in.n);
    is_int(s->end, WS_OPEN, "fragments up to the limit");
    feed_head(s, FIN | CONT, 1, 0, 2);
    is_failed(s, 1009, "one byte more in the last fragment");
    s = ws_new(APP_ECHO, 100);
    ws_feed(s, in.p, in.n);
    feed_head(s, FIN | CONT, UINT64_C(0x7fffffffffffffff), 8, 10);
    is_failed(s, 1009, "2^63 - 1 in the last fragment");
    s = ws_new(APP_ECHO, 100);
    ws_feed(s, in.p, in.n);
    uint64_t closed = s->stats.counters[LNT_C_TOO_BIG];
    feed_head(s, FIN | CONT, 2, 0, 0);
    is_int(s->stats.counters[LNT_C_TOO_BIG] - closed, 1, "it is counted");
    ws_free(s);

    /* The limit is one on messages, not on control frames or what comes. */
    s = ws_new(APP_ECHO, 1);
    lnt_strbuf_clear(&in);
    ws_put(&in, FIN | PING, text, 125);
    ws_put(&in, FIN | BINARY, "", 0);
    ws_put(&in, FIN | BINARY, "x", 1);
    ws_feed(s, in.p, in.n);
    is_int(s->nmessages, 2, "control frames have no part in it");
    ws_free(s);
    lnt_strbuf_release(&in);
}

/* Bytes in use; 0 where that cannot be asked, as under a sanitizer, which has
   its own allocator. */
static size_t
used_bytes(void)
{
#ifdef __GLIBC__
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#else
    return 0;
#endif
}

static void
test_memory(void)
{
    static uint8_t some[1000];
    struct lnt_strbuf in = LNT_STRBUF_INIT;

    /* As much as glibc's smallest piece has room for. */
    is_int(sizeof(struct lnt_ws) <= 24, 1, "an idle session takes 24 bytes");

    /* A length that is only claimed. */
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 30);
    size_t before = used_bytes();
    feed_head(s, FIN | BINARY, 1 << 30, 0, 0);
    ws_feed(s, some, sizeof(some));
    size_t grown = used_bytes() - before;
    ok(grown < 16384, "1 GiB claimed, 1,000 bytes come: %zu in use", grown);
    for (unsigned i = 0; i < 1000; i++)
        ws_feed(s, some, sizeof(some));
    grown = used_bytes() - before;
    ok(grown < 3 << 20, "1 MB come: %zu in use", grown);
    ws_free(s);

    s = ws_new(APP_ECHO, 1 << 20);
    before = used_bytes();
    ws_put(&in, TEXT, "", 0);
    for (unsigned i = 0; i < 100000; i++)
        ws_put(&in, CONT, "", 0);
    grown = used_bytes();
    for (size_t at = 0; at < in.n; at += 10000)
        ws_feed(s, in.p + at, in.n - at < 10000 ? in.n - at : 10000);
    ok(used_bytes() < grown + 16384, "100,000 empty fragments: %zu more",
       used_bytes() - grown);
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | CONT, "end");
    ws_feed(s, in.p, in.n);
    is_int(s->nmessages, 1, "... are one message");
    ok(!s->ws.more, "... and nothing is kept of them");
    ws_free(s);

    /* A frame that trickles. */
    s = ws_new(APP_ECHO, 1 << 20);
    lnt_strbuf_clear(&in);
    make_text(&in, 100000, true);
    struct lnt_strbuf frame = LNT_STRBUF_INIT;
    ws_put(&frame, FIN | TEXT, in.p, in.n);
    clock_t start = clock();
    for (size_t i = 0; i + 1 < frame.n; i++)
        ws_feed(s, frame.p + i, 1);
    ok(s->rest.n == 0, "what trickles is taken as it comes");
    ws_feed(s, frame.p + frame.n - 1, 1);
    is_int(s->nmessages, 1, "100,000 reads of a byte: one message");
    ok(clock() - start < 5 * CLOCKS_PER_SEC, "... in linear time");
    ok(!s->fault && !s->ws.more, "... and nothing is kept");
    ws_free(s);
    lnt_strbuf_release(&in);
    lnt_strbuf_release(&frame);
}

/* A small frame that is not complete waits in the input, once. */
static void
test_left_in_input(void)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    ws_puts(&in, FIN | TEXT, "a text of some length");
    ws_feed(s, in.p, 12);
    is_int(s->rest.n, 12, "the first time it stays in the input");
    ok(!s->ws.more, "... and nothing is allocated");
    ws_feed(s, in.p + 12, in.n - 12);
    is_int(s->runs, 1, "complete, it goes back in place");
    ws_feed(s, in.p, 12);
    ws_feed(s, in.p + 12, 3);
    is_int(s->rest.n, 0, "the second time it is taken");
    ws_feed(s, in.p + 15, in.n - 15);
    is_int(s->nmessages, 2, "... and comes together");
    ok(!s->fault && !s->ws.more && s->end == WS_OPEN, "... in order");

    feed_head(s, FIN | BINARY, 65536, 0, 0);
    ws_feed(s, "xyz", 3);
    is_int(s->rest.n, 0, "a large frame is taken at once");
    ws_free(s);
    lnt_strbuf_release(&in);
}

int
main(void)
{
    test_limit();
    test_memory();
    test_left_in_input();
    test_large();
    return done_testing();
}
