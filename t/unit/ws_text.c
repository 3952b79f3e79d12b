/*
 * Text must be UTF-8 and is refused at its first bad byte, wherever frames and
 * reads begin and end (Autobahn family 6).
 */
#include "t/unit/ws_cases.h"

enum { FIN = 0x80, CONT = 0, TEXT = 1, BINARY = 2, PING = 9, PONG = 10 };

#define KOSME "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"

static struct ws_case c;

/* In one frame, in one frame a byte, and in every two frames. */
static void
check_text(const char *name, const char *p, size_t n, bool valid)
{
    char title[120];
    for (size_t cut = 0; cut <= n + 1; cut++) {
        if (cut == n + 1) { /* a byte a frame */
            for (size_t i = 0; i < n; i++)
                ws_put(&c.in, i ? CONT : TEXT, p + i, 1);
            ws_put(&c.in, FIN | (n ? CONT : TEXT), "", 0);
        } else if (cut == 0) {
            ws_put(&c.in, FIN | TEXT, p, n);
        } else {
            ws_put(&c.in, TEXT, p, cut);
            ws_put(&c.in, FIN | CONT, p + cut, n - cut);
        }
        if (valid) {
            ws_want(&c.out, FIN | TEXT, p, n);
            ws_close_cleanly(&c);
        } else {
            ws_wants_failure(&c, 1007, "text is not UTF-8");
        }
        snprintf(title, sizeof(title), "%s, %s %zu", name,
                 cut == 0       ? "one frame of"
                 : cut == n + 1 ? "a byte a frame, all"
                                : "two frames, cut at",
                 cut ? cut : n);
        ws_check(&c, title);
    }
}

static void
test_sequences(void)
{
    static const struct {
        const char *name, *text;
        bool valid;
    } rows[] = {
        {"6.1.1 nothing", "", true},
        {"6.2 a text", "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4!!", true},
        {"6.3 a surrogate",
         KOSME "\xed\xa0\x80"
               "edited",
         false},
        {"6.4 beyond U+10FFFF",
         KOSME "\xf4\x90\x80\x80"
               "edited",
         false},
        {"6.5 kosme", KOSME, true},
        {"6.7.2 U+0080", "\xc2\x80", true},
        {"6.7.3 U+0800", "\xe0\xa0\x80", true},
        {"6.7.4 U+10000", "\xf0\x90\x80\x80", true},
        {"6.8.1 five bytes", "\xf8\x88\x80\x80\x80", false},
        {"6.8.2 six bytes", "\xfc\x84\x80\x80\x80\x80", false},
        {"6.9.1 U+007F", "\x7f", true},
        {"6.9.2 U+07FF", "\xdf\xbf", true},
        {"6.9.3 U+FFFF", "\xef\xbf\xbf", true},
        {"6.9.4 U+10FFFF", "\xf4\x8f\xbf\xbf", true},
        {"6.10.1 U+1FFFFF", "\xf7\xbf\xbf\xbf", false},
        {"6.10.2 five bytes, last", "\xfb\xbf\xbf\xbf\xbf", false},
        {"6.10.3 six bytes, last", "\xfd\xbf\xbf\xbf\xbf\xbf", false},
        {"6.11.1 U+D7FF", "\xed\x9f\xbf", true},
        {"6.11.2 U+E000", "\xee\x80\x80", true},
        {"6.11.3 U+FFFD", "\xef\xbf\xbd", true},
        {"6.11.5 U+110000", "\xf4\x90\x80\x80", false},
        {"6.12.1 first continuation", "\x80", false},
        {"6.12.2 last continuation", "\xbf", false},
        {"6.12.8 continuations", "\x80\xbf\x80\xbf\x80\xbf\xbe", false},
        {"6.13.1 leads of two", "\xc2 \xc3 \xdf ", false},
        {"6.13.2 leads of three", "\xe0 \xe1 \xef ", false},
        {"6.13.3 leads of four", "\xf0 \xf1 \xf4 ", false},
        {"6.14.1 two, one missing", "\xc2", false},
        {"6.14.2 three, one missing", "\xe0\xa0", false},
        {"6.14.3 four, one missing", "\xf0\x90\x80", false},
        {"6.14.6 two, one missing, last", "\xdf", false},
        {"6.14.7 three, one missing, last", "\xef\xbf", false},
        {"6.14.8 four, one missing, last", "\xf4\x8f\xbf", false},
        {"6.15 several incomplete", "\xc2\xe0\xa0\xf0\x90\x80", false},
        {"6.16.1 FE", "\xfe", false},
        {"6.16.2 FF", "\xff", false},
        {"6.17.1 slash in two", "\xc0\xaf", false},
        {"6.17.2 slash in three", "\xe0\x80\xaf", false},
        {"6.17.3 slash in four", "\xf0\x80\x80\xaf", false},
        {"6.18.1 overlong U+007F", "\xc1\xbf", false},
        {"6.18.2 overlong U+07FF", "\xe0\x9f\xbf", false},
        {"6.18.3 overlong U+FFFF", "\xf0\x8f\xbf\xbf", false},
        {"6.20.1 U+D800", "\xed\xa0\x80", false},
        {"6.20.7 U+DFFF", "\xed\xbf\xbf", false},
        {"6.21.1 a pair of surrogates", "\xed\xa0\x80\xed\xb0\x80", false},
        {"6.22.1 U+FFFE", "\xef\xbf\xbe", true},
        {"6.22.2 U+FFFF", "\xef\xbf\xbf", true},
        {"6.22.3 U+1FFFE", "\xf0\x9f\xbf\xbe", true},
        {"6.22.33 U+10FFFE", "\xf4\x8f\xbf\xbe", true},
        {"6.23.1 U+FFF9", "\xef\xbf\xb9", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_text(rows[i].name, rows[i].text, strlen(rows[i].text),
                   rows[i].valid);
    check_text("6.19 U+0000", "\0", 1, true);
    /* 6.6: all beginnings of a text, good where a character ends. */
    for (size_t n = 1; n <= strlen(KOSME); n++) {
        char name[40];
        bool whole = n == 2 || n == 5 || n == 7 || n == 9 || n == 11;
        snprintf(name, sizeof(name), "6.6 %zu bytes of kosme", n);
        check_text(name, KOSME, n, whole);
    }
}

/* A bad byte must be answered while the rest of its frame is still to come. */
static void
test_fail_fast(void)
{
    static const struct {
        const char *name;
        size_t declared, first; /* of the payload, at once */
    } rows[] = {
        {"small frame", 100, 20},
        {"small frame, a byte at a time", 100, 1},
        {"large frame", 200000, 20},
        {"large frame, a byte at a time", 200000, 1},
    };
    static const char bad[] = "aaaa" KOSME "\xf4\x90";
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
        for (unsigned fragment = 0; fragment < 2; fragment++) {
            struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
            struct lnt_strbuf in = LNT_STRBUF_INIT;
            const uint8_t key[4] = {0xa1, 0x5b, 0xc2, 0x6d};
            if (fragment)
                ws_puts(&in, TEXT, "before");
            ws_put_head(&in, FIN | (fragment ? CONT : TEXT), rows[r].declared,
                        0, key);
            ws_feed(s, in.p, in.n);
            for (size_t i = 0; i < sizeof(bad) - 1;) {
                char piece[32];
                size_t n = sizeof(bad) - 1 - i;
                if (n > rows[r].first)
                    n = rows[r].first;
                is_int(s->end, WS_OPEN, "%s: fine up to byte %zu", rows[r].name,
                       i);
                for (size_t k = 0; k < n; k++)
                    piece[k] = (char)(bad[i + k] ^ key[(i + k) & 3]);
                ws_feed(s, piece, n);
                i += n;
            }
            is_int(s->end, WS_FINISHED, "%s: refused at once", rows[r].name);
            is_int(s->code, 1007, "... with 1007");
            ok(!s->fault, "... in order");
            lnt_strbuf_release(&in);
            ws_free(s);
        }
}

/* Text long enough for the fast ways, cut everywhere, with a ping inside. */
static void
test_long(void)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    for (unsigned i = 0; i < 600; i++)
        lnt_strbuf_adds(&text, i % 3 ? "\xe2\x82\xac" : "a\xc3\xa4");
    for (size_t cut = 1; cut < text.n; cut += 97) {
        ws_put(&c.in, TEXT, text.p, cut);
        ws_puts(&c.in, FIN | PING, "\xff");
        ws_put(&c.in, FIN | CONT, text.p + cut, text.n - cut);
        ws_want(&c.out, FIN | PONG, "\xff", 1);
        ws_want(&c.out, FIN | TEXT, text.p, text.n);
        ws_put(&c.in, FIN | TEXT, text.p, text.n - 3);
        ws_want(&c.out, FIN | TEXT, text.p, text.n - 3);
        ws_put(&c.in, FIN | TEXT, text.p, text.n - 1);
        ws_wants_failure(&c, 1007, "text is not UTF-8");
        ws_check(&c, "a long text in two frames, whole, and cut short");
    }
    /* The state of one text is none of the next's. */
    ws_puts(&c.in, BINARY, "\xff\xc3");
    ws_puts(&c.in, FIN | CONT, "\xc3");
    ws_wants(&c.out, FIN | BINARY, "\xff\xc3\xc3");
    ws_puts(&c.in, TEXT, "\xc3");
    ws_puts(&c.in, FIN | CONT, "\xa4");
    ws_wants(&c.out, FIN | TEXT, "\xc3\xa4");
    ws_puts(&c.in, TEXT, "abc");
    ws_puts(&c.in, FIN | CONT, "def");
    ws_wants(&c.out, FIN | TEXT, "abcdef");
    ws_close_cleanly(&c);
    ws_check(&c, "binary may be anything, between texts too");
    lnt_strbuf_release(&text);
}

int
main(void)
{
    test_sequences();
    test_fail_fast();
    test_long();
    return done_testing();
}
