/*
 * UTF-8: against a second, slow and obvious validator, over all short
 * sequences, at every place in a block, with every split.
 */
#include "core/utf8.h"

#include <string.h>

#include "t/unit/tap.h"

enum verdict { GOOD, CUT, BAD }; /* CUT: the start of something good */

/*
 * The slow one: by the table of RFC 3629, section 4.  Says how the character
 * at p ends, and its length.
 */
static enum verdict
slow_character(const uint8_t *p, size_t n, size_t *len)
{
    static const struct {
        uint8_t low[4], high[4];
        size_t n;
    } rows[] = {
        {{0x00}, {0x7f}, 1},
        {{0xc2, 0x80}, {0xdf, 0xbf}, 2},
        {{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
        {{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
        {{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
        {{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
        {{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
        {{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        size_t i = 0;
        while (i < n && i < rows[r].n && p[i] >= rows[r].low[i] &&
               p[i] <= rows[r].high[i])
            i++;
        *len = i;
        if (i == rows[r].n)
            return GOOD;
        if (i == n)
            return CUT;
    }
    return BAD;
}

static enum verdict
slow(const uint8_t *p, size_t n)
{
    while (n > 0) {
        size_t len;
        enum verdict v = slow_character(p, n, &len);
        if (v != GOOD)
            return v;
        p += len;
        n -= len;
    }
    return GOOD;
}

static enum verdict
verdict_of(lnt_utf8_state s)
{
    return s == 0 ? GOOD : s == LNT_UTF8_BAD ? BAD : CUT;
}

static enum verdict
whole(const uint8_t *p, size_t n)
{
    return verdict_of(lnt_utf8_check(0, p, n));
}

static enum verdict
bytewise(const uint8_t *p, size_t n)
{
    lnt_utf8_state s = 0;
    for (size_t i = 0; i < n; i++)
        s = lnt_utf8_check(s, p + i, 1);
    return verdict_of(s);
}

/* Surrounded by text before and behind, so that the faster ways see it. */
static bool
agrees_in_text(const uint8_t *p, size_t n, const char *filler)
{
    size_t unit = strlen(filler);
    for (size_t at = 0; at < 68; at += unit) {
        uint8_t text[256];
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (uint8_t)filler[i % unit];
        memcpy(text + at, p, n);
        size_t tail = 96 / unit * unit;
        for (size_t i = 0; i < tail; i++)
            text[at + n + i] = (uint8_t)filler[i % unit];
        size_t total = at + n + tail;
        if (whole(text, total) != slow(text, total))
            return false;
        /* ... and with it at the very end. */
        memmove(text + 96 / unit * unit, p, n);
        for (size_t i = 0; i < 96 / unit * unit; i++)
            text[i] = (uint8_t)filler[i % unit];
        if (whole(text, 96 / unit * unit + n) !=
            slow(text, 96 / unit * unit + n))
            return false;
    }
    return true;
}

static void
test_short(void)
{
    size_t bad1 = 0, bad2 = 0, bad3 = 0;
    for (unsigned a = 0; a < 256; a++) {
        uint8_t t[3] = {(uint8_t)a, 0, 0};
        bad1 += whole(t, 1) != slow(t, 1);
        for (unsigned b = 0; b < 256; b++) {
            t[1] = (uint8_t)b;
            bad2 += whole(t, 2) != slow(t, 2) || bytewise(t, 2) != slow(t, 2);
            for (unsigned c = 0; c < 256; c++) {
                t[2] = (uint8_t)c;
                bad3 += whole(t, 3) != slow(t, 3);
            }
        }
    }
    is_int(bad1, 0, "all sequences of one byte");
    is_int(bad2, 0, "all sequences of two bytes");
    is_int(bad3, 0, "all sequences of three bytes");
}

/* Four bytes: every lead, every second byte, the edges of the others. */
static void
test_four(void)
{
    static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x81, 0x8f,
                                    0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
                                    0xe0, 0xed, 0xf0, 0xf4, 0xff};
    size_t bad = 0, wrong_bytewise = 0;
    for (unsigned a = 0xe0; a < 256; a++)
        for (unsigned b = 0; b < 256; b++)
            for (size_t c = 0; c < sizeof(edges); c++)
                for (size_t d = 0; d < sizeof(edges); d++) {
                    uint8_t t[4] = {(uint8_t)a, (uint8_t)b, edges[c], edges[d]};
                    bad += whole(t, 4) != slow(t, 4);
                    wrong_bytewise += bytewise(t, 4) != slow(t, 4);
                }
    is_int(bad, 0, "sequences of four bytes");
    is_int(wrong_bytewise, 0, "... byte by byte");
}

static void
test_in_text(void)
{
    static const char *const fillers[] = {"a", "\xc3\xa4", "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80"};
    static const uint8_t leads[] = {0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2,
                                    0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0,
                                    0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    static const uint8_t edges[] = {0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                    0xbf, 0xc1, 0xc3, 0xe1, 0xf1, 0xf5};
    for (size_t f = 0; f < 4; f++) {
        size_t bad = 0;
        for (size_t a = 0; a < sizeof(leads); a++)
            for (size_t b = 0; b < sizeof(edges); b++)
                for (size_t c = 0; c < sizeof(edges); c++) {
                    uint8_t t[4] = {leads[a], edges[b], edges[c], 0x80};
                    bad += !agrees_in_text(t, 3, fillers[f]);
                    bad += !agrees_in_text(t, 4, fillers[f]);
                }
        is_int(bad, 0, "at every place among characters of %zu bytes", f + 1);
    }
}

static size_t
encode(uint32_t c, uint8_t *p)
{
    if (c < 0x80) {
        p[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (uint8_t)(0xc0 | c >> 6);
        p[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (uint8_t)(0xe0 | c >> 12);
        p[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        p[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    p[0] = (uint8_t)(0xf0 | c >> 18);
    p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    p[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    p[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

static void
test_all_characters(void)
{
    static uint8_t text[5 * 1024 * 1024];
    size_t n = 0, wrong = 0;
    for (uint32_t c = 0; c <= 0x1fffff; c++) {
        uint8_t t[4];
        size_t len = encode(c, t);
        bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        wrong += lnt_utf8_valid(t, len) != good;
        if (good) {
            memcpy(text + n, t, len);
            n += len;
        }
    }
    is_int(wrong, 0, "every code point up to 1FFFFF, surrogates among them");
    ok(lnt_utf8_valid(text, n), "all characters in one text of %zu bytes", n);
    size_t caught = 0, tries = 0;
    for (size_t i = 0; i < n; i += 4999, tries++) {
        uint8_t keep = text[i];
        text[i] = 0xff;
        size_t from = i > 4096 ? i - 4096 : 0;
        while (from > 0 && (text[from] & 0xc0) == 0x80)
            from--;
        caught += lnt_utf8_check(0, text + from, 8192) == LNT_UTF8_BAD;
        text[i] = keep;
    }
    is_int(caught, tries, "a bad byte anywhere in it is found");
}

static void
test_splits(void)
{
    static const char *const texts[] = {
        "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc-UTF-8!!",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80 edited",
        "\xed\xa0\x80",
        "\xf8\x88\x80\x80\x80",
        "\xc0\xaf",
        "a\x80",
    };
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        const uint8_t *p = (const uint8_t *)texts[t];
        size_t n = strlen(texts[t]), wrong = 0;
        for (size_t i = 0; i <= n; i++)
            for (size_t j = i; j <= n; j++) {
                lnt_utf8_state s = lnt_utf8_check(0, p, i);
                s = lnt_utf8_check(s, p + i, j - i);
                s = lnt_utf8_check(s, p + j, n - j);
                wrong += verdict_of(s) != slow(p, n);
            }
        is_int(wrong, 0, "text %zu in three pieces, every split", t);
        for (size_t i = 0; i <= n; i++)
            wrong += bytewise(p, i) != slow(p, i);
        is_int(wrong, 0, "... and fails at its first bad byte");
    }
}

static void
test_state(void)
{
    is_int(lnt_utf8_check(0, "", 0), 0, "nothing is fine");
    lnt_utf8_state s = lnt_utf8_check(0, "\xff", 1);
    is_int(s, LNT_UTF8_BAD, "FF is bad");
    is_int(lnt_utf8_check(s, "a", 1), LNT_UTF8_BAD, "bad stays bad");
    is_int(lnt_utf8_check(s, "", 0), LNT_UTF8_BAD, "... also without bytes");
    s = lnt_utf8_check(0, "\xf0\x9f", 2);
    is_int(lnt_utf8_check(s, "", 0), s, "an empty piece changes nothing");
    ok(s < 256, "a state fits a byte");
    ok(!lnt_utf8_valid("\xf0\x9f", 2), "a cut character is not valid");
}

int
main(void)
{
    test_state();
    test_short();
    test_four();
    test_in_text();
    test_all_characters();
    test_splits();
    return done_testing();
}
