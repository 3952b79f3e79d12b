/*
 * Compressed messages that come in (RFC 7692, section 7.2): all the ways to
 * make them, where the bit may stand, what is wrong with them, how large they
 * may get.
 */
#include <malloc.h>

#include "t/unit/ws_cases.h"
#include "t/unit/ws_zip.h"

enum { FIN = 0x80, CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9 };

static const struct lnt_ws_terms fresh = {15, 15, true, true};
static const struct lnt_ws_terms taking_over = {15, 15, false, false};
static const struct lnt_ws_terms narrow = {9, 8, false, false};

static struct ws_case
zip_case(const struct lnt_ws_terms *terms)
{
    return (struct ws_case){.terms = terms,
                            .budget = terms->in_fresh ? 0 : 256 << 10};
}

/* ---- good ones ---- */

static void
test_rfc(void)
{
    static const struct {
        const char *name, *payload;
        size_t n;
        const char *text;
    } rows[] = {
        {"one block", "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},
        {"a block that is not compressed",
         "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"},
        {"a last block", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"},
        {"two blocks", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
         13, "Hello"},
        {"nothing", "\x00", 1, ""},
        {"nothing in a block", "\x02\x00", 2, ""},
        /* Not as the RFC has it, but without a doubt. */
        {"no payload at all", "", 0, ""},
        {"a last block and nothing behind it", "\xf3\x48\xcd\xc9\xc9\x07\x00",
         7, "Hello"},
        {"the tail was left on", "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff",
         11, "Hello"},
        {"an empty block too many",
         "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x00", 12, "Hello"},
        {"last blocks, several",
         "\x03\x00\x03\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x03\x00\x00", 14,
         "Hello"},
    };
    for (size_t t = 0; t < 2; t++) {
        struct ws_case all = zip_case(t ? &taking_over : &fresh);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct ws_case c = zip_case(t ? &taking_over : &fresh);
            for (unsigned twice = 0; twice < 2; twice++) {
                ws_put(&c.in, FIN | ZIP | TEXT, rows[i].payload, rows[i].n);
                ws_wants(&c.out, FIN | TEXT, rows[i].text);
            }
            for (size_t cut = 0; cut <= rows[i].n; cut++) {
                ws_put(&all.in, ZIP | BINARY, rows[i].payload, cut);
                ws_puts(&all.in, FIN | PING, "between");
                ws_wants(&all.out, 0x8a, "between");
                ws_put(&all.in, FIN | CONT, rows[i].payload + cut,
                       rows[i].n - cut);
                ws_wants(&all.out, FIN | BINARY, rows[i].text);
            }
            ws_close_cleanly(&c);
            ws_check(&c, rows[i].name);
        }
        ws_close_cleanly(&all);
        ws_check(&all, "all of them in two fragments, cut anywhere");
    }
    /* The second refers to the first (section 7.2.3.2). */
    struct ws_case c = zip_case(&taking_over);
    ws_put(&c.in, FIN | ZIP | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ws_puts(&c.in, FIN | TEXT, "not part of it");
    ws_put(&c.in, FIN | ZIP | TEXT, "\xf2\x00\x11\x00\x00", 5);
    ws_wants(&c.out, FIN | TEXT, "Hello");
    ws_wants(&c.out, FIN | TEXT, "not part of it");
    ws_wants(&c.out, FIN | TEXT, "Hello");
    ws_check(&c, "a message that refers to the one before");
}

/* Real messages, whole and in fragments, among others. */
static void
test_messages(void)
{
    static const struct lnt_ws_terms *const terms[] = {&fresh, &taking_over,
                                                       &narrow};
    char text[400];
    for (size_t t = 0; t < 3; t++) {
        struct ws_case c = zip_case(terms[t]);
        struct zip_client *z = zip_client_new(*terms[t], 6);
        for (unsigned i = 0; i < 60; i++) {
            size_t n = zip_json(text, sizeof(text), i), at = 0;
            struct lnt_str p = zip_pack(z, text, n);
            unsigned first = ZIP | (i % 4 ? TEXT : BINARY);
            for (size_t piece = 1 + i % 29; i % 3 && at < p.n; at += piece) {
                ws_put(&c.in, first, p.p + at,
                       p.n - at < piece ? p.n - at : piece);
                first = CONT;
                if (i % 5 == 0)
                    ws_put(&c.in, CONT, "", 0);
                if (i % 7 == 0) {
                    ws_puts(&c.in, FIN | PING, "?");
                    ws_wants(&c.out, 0x8a, "?");
                }
            }
            ws_put(&c.in, FIN | first, p.p, at ? 0 : p.n);
            ws_want(&c.out, FIN | (i % 4 ? TEXT : BINARY), text, n);
            if (i % 6 == 0) {
                ws_puts(&c.in, FIN | TEXT, "plain");
                ws_wants(&c.out, FIN | TEXT, "plain");
            }
        }
        ws_close_cleanly(&c);
        ws_check(&c, t == 0   ? "each for itself"
                     : t == 1 ? "with what was before"
                              : "with as little as possible of it");
        zip_client_free(z);
    }
}

/* All levels, so all kinds of blocks; windows of all sizes, used to the last
   byte. */
static void
test_windows(void)
{
    char *data = malloc(100000);
    if (!data)
        abort();
    uint32_t seed = 99;
    for (size_t i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (char)('a' + (seed >> 24) % 26);
    }
    size_t wrong = 0;
    for (unsigned bits = 9; bits <= 15; bits++)
        for (int level = 0; level <= 9; level += 3) {
            struct lnt_ws_terms terms = {15, (uint8_t)bits, false, false};
            struct lnt_session *s = ws_new(APP_SWALLOW, 1 << 20);
            struct zip_client *z = zip_client_new(terms, level);
            struct lnt_strbuf in = LNT_STRBUF_INIT, want = LNT_STRBUF_INIT;
            ws_agree(s, 64 << 10, terms, 1);
            size_t window = (size_t)1 << bits;
            for (unsigned i = 0; i < 20; i++) {
                /* What is repeated is just within reach. */
                size_t n = i % 2 ? window / 2 - 131 : 262;
                const char *p = data + (i % 2 ? i * 1000 : 0);
                zip_put(z, &in, FIN | ZIP | TEXT, p, n);
                lnt_strbuf_addf(&want, "t%zu:", n);
                lnt_strbuf_add(&want, p, n);
            }
            for (size_t at = 0; at < in.n; at += 777)
                ws_feed(s, in.p + at, in.n - at < 777 ? in.n - at : 777);
            wrong += s->fault || !lnt_str_eq(lnt_strbuf_str(&s->messages),
                                             lnt_strbuf_str(&want));
            lnt_strbuf_release(&in);
            lnt_strbuf_release(&want);
            zip_client_free(z);
            ws_free(s);
        }
    is_int(wrong, 0, "windows of 9 to 15 bits, levels 0 to 9");
    free(data);
}

/* Sizes that fill every buffer to the byte. */
static void
test_sizes(void)
{
    static const size_t around[] = {512, 4096, 8192, 16384, 32768, 65536};
    char *data = malloc(1 << 17);
    size_t wrong = 0, tries = 0;
    if (!data)
        abort();
    for (size_t i = 0; i < 1 << 17; i++)
        data[i] = (char)(i * i >> 7);
    for (size_t i = 0; i < 6; i++)
        for (size_t n = around[i] - 12; n <= around[i] + 3; n++)
            for (unsigned how = 0; how < 6; how++, tries++) {
                struct lnt_session *s = ws_new(APP_SWALLOW, 1 << 20);
                struct zip_client *z = zip_client_new(fresh, how % 2 ? 6 : 0);
                struct lnt_strbuf in = LNT_STRBUF_INIT;
                ws_agree(s, 0, fresh, 1);
                struct lnt_str p = zip_pack(z, data, n);
                /* With the tail left on it must be seen that all is there. */
                if (how >= 2)
                    p.n += 4;
                ws_put(&in, FIN | ZIP | BINARY, p.p, p.n);
                size_t piece = how < 4 ? in.n : in.n - 1;
                for (size_t at = 0; at < in.n; at += piece)
                    ws_feed(s, in.p + at,
                            in.n - at < piece ? in.n - at : piece);
                wrong += s->fault || s->nmessages != 1 || s->messages.n < n ||
                         memcmp(s->messages.p + s->messages.n - n, data, n);
                lnt_strbuf_release(&in);
                zip_client_free(z);
                ws_free(s);
            }
    is_int(wrong, 0, "%zu sizes around powers of two", tries);
    free(data);
}

/* ---- bad ones ---- */

static void
test_bits(void)
{
    static const struct {
        const char *name;
        unsigned before, first;
        const char *why;
    } rows[] = {
        {"on a ping", 0, FIN | ZIP | PING,
         "reserved bits set without an "
         "extension"},
        {"on a pong", 0, FIN | ZIP | 10,
         "reserved bits set without an "
         "extension"},
        {"on a close", 0, FIN | ZIP | CLOSE,
         "reserved bits set without an "
         "extension"},
        {"on a ping inside a message", ZIP | TEXT, FIN | ZIP | PING,
         "reserved bits set without an extension"},
        {"on a continuation", ZIP | TEXT, FIN | ZIP | CONT,
         "reserved bits set without an extension"},
        {"on a continuation of a message that is not", TEXT, FIN | ZIP | CONT,
         "reserved bits set without an extension"},
        {"on a continuation of nothing", 0, FIN | ZIP | CONT,
         "reserved bits set without an extension"},
        {"with bit 2", 0, FIN | 0x60 | TEXT,
         "reserved bits set without an "
         "extension"},
        {"bit 2 alone", 0, FIN | 0x20 | TEXT,
         "reserved bits set without an "
         "extension"},
        {"bit 3 alone", 0, FIN | 0x10 | TEXT,
         "reserved bits set without an "
         "extension"},
        {"on an unknown opcode", 0, FIN | ZIP | 3, "unknown opcode"},
        {"on an unknown control frame", 0, FIN | ZIP | 11,
         "reserved bits set without an extension"},
        {"on a message inside a message", TEXT, FIN | ZIP | TEXT,
         "new message inside a fragmented one"},
        {"on one inside a compressed one", ZIP | TEXT, FIN | ZIP | TEXT,
         "new message inside a fragmented one"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ws_case c = zip_case(i % 2 ? &fresh : &taking_over);
        if (rows[i].before)
            ws_put(&c.in, rows[i].before, "", 0);
        ws_put(&c.in, rows[i].first, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
        ws_wants_failure(&c, 1002, rows[i].why);
        ws_check(&c, rows[i].name);
    }
}

static void
test_corrupt(void)
{
    static const struct {
        const char *name, *payload;
        size_t n;
    } rows[] = {
        {"a kind of block that does not exist", "\x06", 1},
        {"lengths that do not agree", "\x00\x05\x00\xfa\xfe", 5},
        {"a code that does not exist", "\xf2\x48\xcd\xc9\xfb\xff\xff\xff", 8},
        {"a table of codes that is none", "\x04\xff\xff\xff\xff\xff", 6},
        {"a reference to what was never there", "\xf2\x00\x11\x00\x00", 5},
        {"cut inside a block", "\xf2\x48\xcd\xc9", 4},
        {"cut inside lengths", "\x00\x05", 2},
        {"cut inside a block as it is", "\x00\x05\x00\xfa\xffHe", 7},
        {"cut inside a table", "\x04\xc0\x81", 3},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned part = 0; part < 2; part++) {
            struct ws_case c = zip_case(i % 2 ? &fresh : &taking_over);
            size_t cut = part ? rows[i].n / 2 : 0;
            if (part)
                ws_put(&c.in, ZIP | BINARY, rows[i].payload, cut);
            ws_put(&c.in, FIN | (part ? CONT : ZIP | BINARY),
                   rows[i].payload + cut, rows[i].n - cut);
            ws_puts(&c.in, FIN | TEXT, "too late");
            ws_wants_failure(&c, 1007, "compressed data is corrupt");
            ws_check(&c, rows[i].name);
        }
    /* Who has agreed not to refer back may not. */
    struct ws_case c = zip_case(&fresh);
    ws_put(&c.in, FIN | ZIP | TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ws_put(&c.in, FIN | ZIP | TEXT, "\xf2\x00\x11\x00\x00", 5);
    ws_wants(&c.out, FIN | TEXT, "Hello");
    ws_wants_failure(&c, 1007, "compressed data is corrupt");
    ws_check(&c, "a reference to the message before, against the terms");
}

static void
test_text(void)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {"gr\xc3\xbc\xc3\x9f"
         "e \xe2\x82\xac \xf0\x9f\x98\x80",
         true},
        {"abc\xc0\xaf", false},
        {"abc\xed\xa0\x80xyz", false},
        {"abc\xf4\x90\x80\x80", false},
        {"abc\xf0\x9f\x98", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t piece = 1; piece < 100; piece += 33) {
            struct ws_case c = zip_case(&fresh);
            struct zip_client *z = zip_client_new(fresh, 6);
            struct lnt_str p = zip_pack(z, rows[i].text, strlen(rows[i].text));
            for (size_t at = 0; at < p.n; at += piece)
                ws_put(&c.in, at ? CONT : ZIP | TEXT, p.p + at,
                       p.n - at < piece ? p.n - at : piece);
            ws_put(&c.in, FIN | CONT, "", 0);
            if (rows[i].good)
                ws_wants(&c.out, FIN | TEXT, rows[i].text);
            else
                ws_wants_failure(&c, 1007, "text is not UTF-8");
            ws_check(&c, rows[i].good ? "text" : "text that is none");
            zip_client_free(z);
        }
    /* Seen at the byte, not at the end. */
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    ws_agree(s, 0, fresh, 1);
    ws_put(&in, ZIP | TEXT,
           "\x00\x08\x00\xf7\xff"
           "abc\xed\xa0",
           10);
    ws_feed(s, in.p, in.n - 1);
    is_int(s->end, WS_OPEN, "a character that may still be good");
    ws_feed(s, in.p + in.n - 1, 1);
    is_int(s->code, 1007, "... fails at its first bad byte");
    ok(s->end == WS_FINISHED && !s->ws.more, "... and nothing is kept");
    ws_free(s);
    lnt_strbuf_release(&in);
}

/* ---- sizes ---- */

/* Bytes in use; 0 under a sanitizer, which has its own allocator. */
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
test_limit(void)
{
    char *data = calloc(1, 11 << 20);
    if (!data)
        abort();
    for (unsigned over = 0; over < 2; over++)
        for (unsigned cut = 0; cut < 2; cut++) {
            struct ws_case c = zip_case(&taking_over);
            struct zip_client *z = zip_client_new(taking_over, 6);
            c.size = 5000;
            struct lnt_str p = zip_pack(z, data, c.size + over);
            if (cut) {
                ws_put(&c.in, ZIP | BINARY, p.p, 9);
                ws_put(&c.in, FIN | CONT, p.p + 9, p.n - 9);
            } else {
                ws_put(&c.in, FIN | ZIP | BINARY, p.p, p.n);
            }
            if (over) {
                ws_wants_failure(&c, 1009, "message too big");
            } else {
                ws_want(&c.out, FIN | BINARY, data, c.size);
                ws_close_cleanly(&c);
            }
            ws_check(&c, over ? "one byte more than message_size"
                              : "message_size, to the byte");
            zip_client_free(z);
        }

    /* 10 MB in 10 KB. */
    struct zip_client *z = zip_client_new(fresh, 9);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    struct lnt_str bomb = zip_pack(z, data, 10 << 20);
    for (unsigned how = 0; how < 3; how++) {
        struct lnt_session *s = ws_new(APP_ECHO, 64 << 10);
        ws_agree(s, how ? 0 : 64 << 10, how ? fresh : taking_over, 1);
        lnt_strbuf_clear(&in);
        ws_put(&in, (how == 2 ? 0u : FIN) | ZIP | TEXT, bomb.p, bomb.n);
        size_t before = used_bytes(), most = 0;
        size_t piece = how == 0 ? in.n : 100;
        for (size_t at = 0; at < in.n && s->end == WS_OPEN; at += piece) {
            size_t now = used_bytes();
            most = now > most ? now : most;
            ws_feed(s, in.p + at, in.n - at < piece ? in.n - at : piece);
        }
        most = most > used_bytes() ? most : used_bytes();
        is_int(s->code, 1009, "a bomb of 10 MB in %zu bytes", bomb.n);
        is_int(s->nmessages, 0, "... does not go off");
        ok(most < before + (300 << 10), "... in %zu bytes of memory",
           most - before);
        is_int(s->stats.counters[LNT_C_TOO_BIG], 1, "... and is counted");
        ok(!s->ws.more && !s->fault, "... nothing is kept");
        ws_free(s);
    }

    /* What a head claims. */
    struct lnt_session *s = ws_new(APP_ECHO, 1000);
    static const uint8_t key[4] = {1, 2, 3, 4};
    ws_agree(s, 0, fresh, 1);
    lnt_strbuf_clear(&in);
    ws_put_head(&in, FIN | ZIP | BINARY, 1000 + 125 + 1024, 0, key);
    ws_feed(s, in.p, in.n);
    is_int(s->end, WS_OPEN, "what may be a bad compressor's");
    ws_free(s);
    for (unsigned i = 0; i < 2; i++) {
        s = ws_new(APP_ECHO, 1000);
        ws_agree(s, 0, fresh, 1);
        lnt_strbuf_clear(&in);
        ws_put_head(&in, FIN | ZIP | BINARY,
                    i ? UINT64_C(1) << 62 : 1000 + 125 + 1025, 0, key);
        ws_feed(s, in.p, in.n);
        is_int(s->code, 1009, "what cannot be: known from the head");
        ws_free(s);
    }
    lnt_strbuf_release(&in);
    zip_client_free(z);
    free(data);
}

static void
test_memory(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    ws_agree(s, 0, fresh, 1);
    size_t before = used_bytes();
    ws_put(&in, ZIP | TEXT, "", 0);
    for (unsigned i = 0; i < 100000; i++)
        ws_put(&in, CONT, "\0\0\0\xff\xff", i % 2 ? 5 : 0);
    size_t with = used_bytes() - before;
    for (size_t at = 0; at < in.n; at += 10000)
        ws_feed(s, in.p + at, in.n - at < 10000 ? in.n - at : 10000);
    ok(used_bytes() - before - with < 128 << 10,
       "100,000 fragments without a byte: %zu more",
       used_bytes() - before - with);
    lnt_strbuf_clear(&in);
    ws_put(&in, FIN | CONT, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    ws_feed(s, in.p, in.n);
    ok(s->nmessages == 1 && !s->ws.more && s->end == WS_OPEN,
       "... are one message, and nothing is kept of them");
    is_mem(s->messages.p, s->messages.n, "t5:Hello", 8, "... which is right");

    /* Many in the middle of one share nothing and leave nothing. */
    struct lnt_session *many[20];
    size_t wrong = 0;
    for (unsigned i = 0; i < 20; i++) {
        many[i] = ws_new(APP_ECHO, 1 << 20);
        many[i]->module.data = s->module.data;
        ws_agree(many[i], i % 2 ? 0 : 8 << 10, i % 2 ? fresh : taking_over, 1);
        lnt_strbuf_clear(&in);
        ws_put(&in, ZIP | TEXT, "\xf2\x48\xcd\xc9", 4);
        ws_feed(many[i], in.p, in.n);
    }
    for (unsigned i = 0; i < 20; i++) {
        lnt_strbuf_clear(&in);
        ws_put(&in, FIN | CONT, "\xc9\x07\x00", 3);
        if (i % 4 == 0)
            ws_close(many[i], 1001, "bye");
        if (i % 4 == 1)
            ws_feed_eof(many[i], NULL, 0, true);
        else
            ws_feed(many[i], in.p, in.n);
        wrong += many[i]->nmessages != (i % 4 > 1) || many[i]->fault ||
                 (many[i]->ws.more && i % 4 > 0);
        many[i]->module.data = NULL;
        ws_free(many[i]);
    }
    is_int(wrong, 0, "20 unfinished at once, some ended by us or by them");
    lnt_strbuf_release(&in);
    ws_free(s);
}

int
main(void)
{
    test_rfc();
    test_messages();
    test_windows();
    test_sizes();
    test_bits();
    test_corrupt();
    test_text();
    test_limit();
    test_memory();
    return done_testing();
}
