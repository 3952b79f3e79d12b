/*
 * Compression of what is sent: what a budget buys and never exceeds, sessions
 * that share, messages that are better sent as they are; and whole
 * conversations with a client that has agreed to as little window as may be.
 */
#include "t/unit/tap.h"
#include "t/unit/ws_zip.h"

enum { FIN = 0x80, TEXT = 1, BINARY = 2 };

static const struct lnt_ws_terms fresh = {15, 15, true, true};

static struct lnt_ws_deflate *
deflate_of(struct lnt_session *s)
{
    return s->ws.deflate;
}

/* The terms that a plan wishes for and the client agrees to. */
static struct lnt_session *
session_with(uint64_t budget, struct lnt_ws_terms *terms, uint32_t min)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 22);
    s->module.data = lnt_ws_streams_new(&s->stats);
    *terms = lnt_ws_plan_wish(lnt_ws_plan_for(s->module.data, budget));
    ws_agree(s, budget, *terms, min);
    return s;
}

/* What the client makes of the next message. */
static bool
gets(struct zip_client *c, struct lnt_str *out, unsigned want,
     struct lnt_str text)
{
    unsigned first = 0;
    if (!zip_message(c, out, &first) || first != want) {
        diag("%zu bytes left, first byte %02x, wanted %02x", out->n, first,
             want);
        return false;
    }
    return lnt_str_eq(lnt_strbuf_str(&c->payload), text);
}

/* A conversation: every message is echoed, in pieces of any size. */
static size_t
converse(struct lnt_session *s, struct zip_client *c, unsigned count)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    char text[400];
    size_t wrong = 0, at = 0;
    uint32_t seed = 7;
    for (unsigned i = 0; i < count; i++)
        zip_put(c, &in, FIN | TEXT, text, zip_json(text, sizeof(text), i));
    while (at < in.n) {
        seed = seed * 1664525 + 1013904223;
        size_t n = 1 + (seed >> 16) % 2000;
        n = n < in.n - at ? n : in.n - at;
        ws_feed(s, in.p + at, n);
        at += n;
    }
    struct lnt_str out = lnt_strbuf_str(&s->out);
    for (unsigned i = 0; i < count; i++) {
        size_t n = zip_json(text, sizeof(text), i);
        wrong += !gets(c, &out, FIN | TEXT | ZIP, lnt_str(text, n));
    }
    wrong += out.n != 0 || s->nmessages != count || s->fault || s->ws.more;
    lnt_strbuf_release(&in);
    return wrong;
}

static void
test_plans(void)
{
    static const uint64_t budgets[] = {4 << 10,  8 << 10,   16 << 10, 32 << 10,
                                       64 << 10, 128 << 10, 256 << 10};
    double last = 1;
    for (size_t i = 0; i < 7; i++) {
        struct lnt_ws_terms terms;
        struct lnt_session *s = session_with(budgets[i], &terms, 1);
        struct zip_client *c = zip_client_new(terms, 6);
        uint32_t before = deflate_of(s)->bytes;
        ok(before < 128, "%zuk: %u bytes before the first message",
           (size_t)budgets[i] >> 10, before);
        is_int(converse(s, c, 2000), 0, "... 2,000 messages each way");
        uint32_t after = deflate_of(s)->bytes;
        ok(after <= budgets[i], "... %u bytes behind them", after);
        double ratio = (double)s->stats.counters[LNT_C_COMPRESS_AFTER] /
                       (double)s->stats.counters[LNT_C_COMPRESS_BEFORE];
        diag("%zuk: %u bytes, windows %u and %u bits, ratio %.3f",
             (size_t)budgets[i] >> 10, after, terms.out_bits, terms.in_bits,
             ratio);
        ok(ratio < 0.35 && ratio < last + 0.05,
           "... compressed to a third or less");
        last = ratio;
        is_int(s->stats.counters[LNT_C_COMPRESSED], 2000, "... all counted");
        zip_client_free(c);
        ws_free(s);
    }

    struct lnt_ws_streams *w = lnt_ws_streams_new(NULL);
    ok(lnt_ws_plan_for(w, 4096) == lnt_ws_plan_for(w, 8191),
       "between two sizes: the smaller one");
    ok(lnt_ws_plan_for(w, 100000) == lnt_ws_plan_for(w, 65536), "... 100,000");
    ok(lnt_ws_plan_for(w, 1 << 30) == lnt_ws_plan_for(w, 256 << 10),
       "more than the largest");
    lnt_ws_streams_free(w);
}

/* Every combination of terms, whatever the plan would like. */
static void
test_terms(void)
{
    static const uint64_t budgets[] = {4 << 10, 16 << 10, 256 << 10};
    size_t wrong = 0, tries = 0;
    for (size_t b = 0; b < 3; b++)
        for (unsigned bits = 9; bits <= 15; bits += b ? 3 : 1)
            for (unsigned how = 0; how < 4; how++, tries++) {
                struct lnt_ws_terms terms = {
                    .out_bits = (uint8_t)bits,
                    .in_bits = (uint8_t)(how & 2 ? 15 : 23 - bits),
                    .out_fresh = how & 1,
                    .in_fresh = how & 2,
                };
                struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
                ws_agree(s, budgets[b], terms, 1);
                struct zip_client *c = zip_client_new(terms, 9);
                size_t bad = converse(s, c, 300);
                if (bad)
                    diag("%u bits, %u: %zu", bits, how, bad);
                wrong += bad;
                zip_client_free(c);
                ws_free(s);
            }
    is_int(wrong, 0, "%zu conversations on all kinds of terms", tries);
}

/* Data that refers back as far as it may, and that does not shrink. */
static void
test_data(void)
{
    static const uint64_t budgets[] = {0, 4 << 10, 16 << 10, 256 << 10};
    char *data = malloc(300000);
    if (!data)
        abort();
    for (size_t b = 0; b < 4; b++) {
        struct lnt_ws_terms terms;
        struct lnt_session *s = session_with(budgets[b], &terms, 1);
        struct zip_client *c = zip_client_new(terms, 6);
        size_t wrong = 0;
        uint32_t seed = 1;
        for (unsigned i = 0; i < 60; i++) {
            static const size_t sizes[] = {1,     5,     100,   511,  1024,
                                           5000,  32768, 33000, 2047, 100000,
                                           65536, 3,     300000};
            size_t n = sizes[i % 13];
            for (size_t k = 0; k < n; k++) {
                /* random, or again what was there some KiB before */
                seed = seed * 1664525 + 1013904223;
                if (i % 3 == 0 || k < 1000)
                    data[k] = (char)(seed >> 24);
                else if (i % 3 == 1)
                    data[k] = data[k - 1000 + (seed >> 30)];
            }
            lnt_strbuf_clear(&s->out);
            lnt_ws_send(s, LNT_BINARY, data, n);
            struct lnt_str out = lnt_strbuf_str(&s->out);
            unsigned first = out.n ? (unsigned char)out.p[0] : 0;
            wrong += !gets(c, &out, first, lnt_str(data, n)) || out.n ||
                     (first & ~(unsigned)ZIP) != (FIN | BINARY);
        }
        is_int(wrong, 0, "data of all kinds, %zu bytes", (size_t)budgets[b]);
        zip_client_free(c);
        ws_free(s);
    }
    free(data);
}

static size_t
sent_size(struct lnt_session *s, const void *p, size_t n)
{
    lnt_strbuf_clear(&s->out);
    lnt_ws_send(s, LNT_TEXT, p, n);
    return s->out.n;
}

static void
test_as_they_are(void)
{
    struct lnt_ws_terms terms;
    struct lnt_session *s = session_with(0, &terms, 128);
    char text[2000];
    memset(text, 'x', sizeof(text));
    is_int(sent_size(s, text, 127), 131, "below the threshold: as it is");
    ok(sent_size(s, text, 128) < 20, "at the threshold: compressed");
    is_int((unsigned char)s->out.p[0], FIN | ZIP | TEXT, "... and marked");
    is_int(sent_size(s, text, 0), 2, "an empty one");
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * i * 2654435761u >> 24);
    is_int(sent_size(s, text, 2000), 2004, "what gets longer: as it is");
    is_int((unsigned char)s->out.p[0], FIN | TEXT, "... not marked");
    is_int(s->stats.counters[LNT_C_COMPRESSED], 1, "... nor counted");

    /* An echo of what came compressed, back in place or not. */
    struct zip_client *c = zip_client_new(terms, 6);
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    zip_put(c, &in, FIN | TEXT, "short", 5);
    ws_puts(&in, FIN | TEXT, "plain");
    zip_put(c, &in, FIN | TEXT, "again", 5);
    lnt_strbuf_clear(&s->out);
    ws_feed(s, in.p, in.n);
    is_mem(s->out.p, s->out.n,
           "\x81\x05short\x81\x05plain\x81\x05"
           "again",
           21, "short ones are echoed as they are");
    is_int(s->runs, 1, "... one of them in place");
    ok(!s->fault, "... in order");
    lnt_strbuf_release(&in);
    zip_client_free(c);
    ws_free(s);

    s = session_with(0, &terms, 0);
    is_int(sent_size(s, "", 0), 2, "without a threshold: an empty one");
    is_int((unsigned char)s->out.p[0], FIN | TEXT, "... is never compressed");
    s->ws.flags |= LNT_WS_CLOSE_SENT;
    memset(text, 'x', sizeof(text));
    is_int(sent_size(s, text, 2000), 0, "nothing behind our close");
    ws_free(s);
}

/* A session that is offered random data does not lose its place. */
static void
test_not_shorter(void)
{
    struct lnt_ws_terms terms;
    struct lnt_session *s = session_with(4096, &terms, 1);
    struct zip_client *c = zip_client_new(terms, 6);
    char text[400], noise[300];
    size_t wrong = 0, plain = 0;
    uint32_t seed = 2463534242;
    for (unsigned i = 0; i < 500; i++) {
        size_t n = zip_json(text, sizeof(text), i);
        for (size_t k = 0; k < sizeof(noise); k++) {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            noise[k] = (char)(seed >> 24);
        }
        lnt_strbuf_clear(&s->out);
        lnt_ws_send(s, LNT_TEXT, text, n);
        lnt_ws_send(s, LNT_BINARY, noise, sizeof(noise));
        struct lnt_str out = lnt_strbuf_str(&s->out);
        wrong += !gets(c, &out, FIN | ZIP | TEXT, lnt_str(text, n));
        unsigned first = out.n ? (unsigned char)out.p[0] : 0;
        wrong += !gets(c, &out, first, lnt_str(noise, sizeof(noise)));
        plain += first == (FIN | BINARY);
    }
    is_int(wrong, 0, "text and noise by turns");
    ok(plain > 400, "... noise goes as it is");
    zip_client_free(c);
    ws_free(s);
}

static void
test_variants(void)
{
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    struct lnt_session plain = {.limits = {0}};
    struct lnt_stats *stats = &s->stats;
    struct lnt_module_ctx *m = &s->module;
    struct lnt_ws_terms narrow = {10, 15, true, true},
                        own = {15, 15, false, true},
                        half = {10, 12, true, false};

    is_int(lnt_ws_variant(&plain), LNT_WS_VARIANT_PLAIN, "without compression");
    ws_agree(s, 0, fresh, 100);
    struct lnt_ws_deflate *first = s->ws.deflate;
    is_int(lnt_ws_variant(s), 1, "the first that share");
    ws_agree(s, 0, fresh, 100);
    ok(s->ws.deflate == first, "the same terms: the same");
    ws_agree(s, 0, fresh, 200);
    is_int(lnt_ws_variant(s), 2, "another threshold");
    ws_agree(s, 0, narrow, 100);
    is_int(lnt_ws_variant(s), 3, "another window");
    ws_agree(s, 16384, half, 100);
    is_int(lnt_ws_variant(s), 3, "one that remembers only what it gets");
    ok(!s->ws.deflate->shared, "... is not the others', though");
    lnt_ws_deflate_free(s->ws.deflate);
    ws_agree(s, 65536, fresh, 100);
    ok(s->ws.deflate == first, "a budget that is not needed");
    ws_agree(s, 65536, own, 100);
    is_int(lnt_ws_variant(s), LNT_WS_VARIANT_OWN, "one of its own");
    ok(!lnt_ws_encode(m, LNT_WS_VARIANT_OWN, LNT_TEXT, LNT_STR("x")),
       "... is sent to alone");

    /* One buffer for all, again and again. */
    char text[400];
    struct zip_client *a = zip_client_new(fresh, 6),
                      *b = zip_client_new(fresh, 6),
                      *n = zip_client_new(narrow, 6);
    size_t wrong = 0;
    uint64_t compressed = stats->counters[LNT_C_COMPRESSED];
    struct lnt_buf *run = NULL;
    for (unsigned i = 0; i < 100; i++) {
        struct lnt_str t = lnt_str(text, zip_json(text, sizeof(text), i));
        run = run ? lnt_ws_append(m, 1, run, LNT_TEXT, t)
                  : lnt_ws_encode(m, 1, LNT_TEXT, t);
        run = lnt_ws_append(m, 1, run, LNT_BINARY, LNT_STR("short"));
    }
    is_int(stats->counters[LNT_C_COMPRESSED] - compressed, 100,
           "100 messages for all are 100 compressions");
    struct lnt_str at = lnt_str(run->data, run->len), late = at;
    for (unsigned i = 0; i < 100; i++) {
        struct lnt_str t = lnt_str(text, zip_json(text, sizeof(text), i));
        wrong += !gets(a, &at, FIN | ZIP | TEXT, t) ||
                 !gets(a, &at, FIN | BINARY, LNT_STR("short"));
        /* Somebody who came later. */
        if (i < 50) {
            struct zip_frame f;
            wrong += !zip_next(&late, &f) || !zip_next(&late, &f);
        } else {
            wrong += !gets(b, &late, FIN | ZIP | TEXT, t) ||
                     !gets(b, &late, FIN | BINARY, LNT_STR("short"));
        }
    }
    is_int(wrong + at.n + late.n, 0, "... which everybody can read");
    lnt_buf_unref(run);

    memset(text, 'n', sizeof(text));
    run = lnt_ws_encode(m, 3, LNT_BINARY, lnt_str(text, sizeof(text)));
    at = lnt_str(run->data, run->len);
    ok(gets(n, &at, FIN | ZIP | BINARY, lnt_str(text, sizeof(text))),
       "another variant");
    is_int(run->cap, run->len, "... in a buffer of that size");
    lnt_buf_unref(run);
    zip_client_free(a);
    zip_client_free(b);
    zip_client_free(n);
    ws_free(s);
}

int
main(void)
{
    test_plans();
    test_terms();
    test_data();
    test_as_they_are();
    test_not_shorter();
    test_variants();
    return done_testing();
}
