/*
 * UTF-8 checked as it streams.
 *
 * Three speeds: blocks of 32 bytes with AVX2 where the processor has it, whole
 * characters in plain C, and single bytes through a small automaton where a
 * piece begins or ends inside a character.  Only the automaton has a state.
 */
#include "core/utf8.h"

#include <string.h>

/* What must come next.  UTF8_START and UTF8_BAD are 0 and LNT_UTF8_BAD. */
enum utf8_state {
    UTF8_START,
    UTF8_BAD = LNT_UTF8_BAD,
    UTF8_MORE_1,   /* one continuation byte */
    UTF8_MORE_2,   /* two */
    UTF8_MORE_3,   /* three */
    UTF8_AFTER_E0, /* not below A0 (overlong), then one */
    UTF8_AFTER_ED, /* not above 9F (surrogates), then one */
    UTF8_AFTER_F0, /* not below 90 (overlong), then two */
    UTF8_AFTER_F4, /* not above 8F (beyond U+10FFFF), then two */
};

/* The continuation byte that a state accepts, and the state behind it. */
static const struct {
    uint8_t low, high, next;
} continuations[] = {
    [UTF8_MORE_1] = {0x80, 0xbf, UTF8_START},
    [UTF8_MORE_2] = {0x80, 0xbf, UTF8_MORE_1},
    [UTF8_MORE_3] = {0x80, 0xbf, UTF8_MORE_2},
    [UTF8_AFTER_E0] = {0xa0, 0xbf, UTF8_MORE_1},
    [UTF8_AFTER_ED] = {0x80, 0x9f, UTF8_MORE_1},
    [UTF8_AFTER_F0] = {0x90, 0xbf, UTF8_MORE_2},
    [UTF8_AFTER_F4] = {0x80, 0x8f, UTF8_MORE_2},
};

static lnt_utf8_state check_first(uint8_t c);
static lnt_utf8_state check_byte(lnt_utf8_state s, uint8_t c);
static const uint8_t *skip_characters(const uint8_t *p, const uint8_t *end);
static const uint8_t *skip_blocks(const uint8_t *p, const uint8_t *end);

lnt_utf8_state
lnt_utf8_check(lnt_utf8_state s, const void *data, size_t n)
{
    if (s == UTF8_BAD || n == 0)
        return s;
    const uint8_t *p = data;
    const uint8_t *end = p + n;
    while (s != UTF8_START && p < end) {
        s = check_byte(s, *p++);
        if (s == UTF8_BAD)
            return s;
    }
    p = skip_blocks(p, end);
    p = skip_characters(p, end);
    /* What is left is a piece of a character, or bad. */
    while (p < end) {
        s = check_byte(s, *p++);
        if (s == UTF8_BAD)
            return s;
    }
    return s;
}

static lnt_utf8_state
check_first(uint8_t c)
{
    if (c < 0x80)
        return UTF8_START;
    if (c < 0xc2 || c > 0xf4)
        return UTF8_BAD;
    if (c < 0xe0)
        return UTF8_MORE_1;
    if (c < 0xf0)
        return c == 0xe0   ? UTF8_AFTER_E0
               : c == 0xed ? UTF8_AFTER_ED
                           : UTF8_MORE_2;
    return c == 0xf0 ? UTF8_AFTER_F0 : c == 0xf4 ? UTF8_AFTER_F4 : UTF8_MORE_3;
}

static lnt_utf8_state
check_byte(lnt_utf8_state s, uint8_t c)
{
    if (s == UTF8_START)
        return check_first(c);
    if (c < continuations[s].low || c > continuations[s].high)
        return UTF8_BAD;
    return continuations[s].next;
}

static inline bool
is_ascii8(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return (v & 0x8080808080808080u) == 0;
}

static inline bool
is_continuation(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/*
 * Skips valid whole characters from p, which is at the start of one.  Stops in
 * front of the first that is bad, or that may not be complete before end.
 */
static const uint8_t *
skip_characters(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8) {
        uint8_t c = p[0];
        if (c < 0x80) {
            p += is_ascii8(p) ? 8 : 1;
        } else if (c < 0xe0) {
            if (c < 0xc2 || !is_continuation(p[1]))
                return p;
            p += 2;
        } else if (c < 0xf0) {
            if (!is_continuation(p[1]) || !is_continuation(p[2]) ||
                (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
                return p;
            p += 3;
        } else {
            if (c > 0xf4 || !is_continuation(p[1]) || !is_continuation(p[2]) ||
                !is_continuation(p[3]) || (c == 0xf0 && p[1] < 0x90) ||
                (c == 0xf4 && p[1] > 0x8f))
                return p;
            p += 4;
        }
    }
    return p;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { BLOCK = 32 };

/*
 * What can be wrong with two neighbouring bytes, one bit each.  A pair is bad
 * when the tables for the first byte's high half, its low half and the second
 * byte's high half agree on a bit (the method of Keiser and Lemire,
 * "Validating UTF-8 in less than one instruction per byte", 2020).
 */
enum {
    LEAD_NO_CONT = 1, /* a lead byte, then no continuation */
    ASCII_CONT = 2,   /* ASCII, then a continuation */
    OVERLONG_3 = 4,   /* E0 80..9F */
    TOO_LARGE = 8,    /* F4 90.., F5.. and above */
    SURROGATE = 16,   /* ED A0..BF */
    OVERLONG_2 = 32,  /* C0, C1 */
    OVERLONG_4 = 64,  /* F0 80..8F, and F5.. 80..8F */
    TWO_CONTS = 128,  /* right only as third or fourth byte */
    ANY_LOW = LEAD_NO_CONT | ASCII_CONT | TWO_CONTS,
    ANY_CONT = ASCII_CONT | TWO_CONTS,
};

static const uint8_t first_high[16] = {
    [0x0] = ASCII_CONT,
    [0x1] = ASCII_CONT,
    [0x2] = ASCII_CONT,
    [0x3] = ASCII_CONT,
    [0x4] = ASCII_CONT,
    [0x5] = ASCII_CONT,
    [0x6] = ASCII_CONT,
    [0x7] = ASCII_CONT,
    [0x8] = TWO_CONTS,
    [0x9] = TWO_CONTS,
    [0xa] = TWO_CONTS,
    [0xb] = TWO_CONTS,
    [0xc] = LEAD_NO_CONT | OVERLONG_2,
    [0xd] = LEAD_NO_CONT,
    [0xe] = LEAD_NO_CONT | OVERLONG_3 | SURROGATE,
    [0xf] = LEAD_NO_CONT | TOO_LARGE | OVERLONG_4,
};

static const uint8_t first_low[16] = {
    [0x0] = ANY_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    [0x1] = ANY_LOW | OVERLONG_2,
    [0x2] = ANY_LOW,
    [0x3] = ANY_LOW,
    [0x4] = ANY_LOW | TOO_LARGE,
    [0x5] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0x6] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0x7] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0x8] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0x9] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0xa] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0xb] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0xc] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0xd] = ANY_LOW | TOO_LARGE | OVERLONG_4 | SURROGATE,
    [0xe] = ANY_LOW | TOO_LARGE | OVERLONG_4,
    [0xf] = ANY_LOW | TOO_LARGE | OVERLONG_4,
};

static const uint8_t second_high[16] = {
    [0x0] = LEAD_NO_CONT,
    [0x1] = LEAD_NO_CONT,
    [0x2] = LEAD_NO_CONT,
    [0x3] = LEAD_NO_CONT,
    [0x4] = LEAD_NO_CONT,
    [0x5] = LEAD_NO_CONT,
    [0x6] = LEAD_NO_CONT,
    [0x7] = LEAD_NO_CONT,
    [0x8] = ANY_CONT | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    [0x9] = ANY_CONT | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,
    [0xa] = ANY_CONT | OVERLONG_2 | SURROGATE | TOO_LARGE,
    [0xb] = ANY_CONT | OVERLONG_2 | SURROGATE | TOO_LARGE,
    [0xc] = LEAD_NO_CONT,
    [0xd] = LEAD_NO_CONT,
    [0xe] = LEAD_NO_CONT,
    [0xf] = LEAD_NO_CONT,
};

__attribute__((target("avx2"))) static inline __m256i
load_table(const uint8_t table[16])
{
    __m128i half;
    memcpy(&half, table, sizeof(half));
    return _mm256_broadcastsi128_si256(half);
}

/* Looks up each byte by its high or its low half. */
__attribute__((target("avx2"))) static inline __m256i
look_up_high(__m256i table, __m256i bytes)
{
    __m256i high =
        _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
    return _mm256_shuffle_epi8(table, high);
}

__attribute__((target("avx2"))) static inline __m256i
look_up_low(__m256i table, __m256i bytes)
{
    return _mm256_shuffle_epi8(table,
                               _mm256_and_si256(bytes, _mm256_set1_epi8(15)));
}

/*
 * Checks the blocks of [p, end) as if a character began at p.  Returns the
 * start of the last character begun in them, or NULL when they are bad.
 */
__attribute__((target("avx2"))) static const uint8_t *
check_blocks(const uint8_t *p, const uint8_t *end)
{
    const __m256i t1h = load_table(first_high);
    const __m256i t1l = load_table(first_low);
    const __m256i t2h = load_table(second_high);
    __m256i before = _mm256_setzero_si256();
    __m256i bad = before;

    for (; end - p >= BLOCK; p += BLOCK) {
        __m256i now;
        memcpy(&now, p, sizeof(now));
        /* For each byte the one, two and three bytes in front of it. */
        __m256i joint = _mm256_permute2x128_si256(before, now, 0x21);
        __m256i back1 = _mm256_alignr_epi8(now, joint, 15);
        __m256i back2 = _mm256_alignr_epi8(now, joint, 14);
        __m256i back3 = _mm256_alignr_epi8(now, joint, 13);
        __m256i pair = _mm256_and_si256(
            look_up_high(t2h, now), _mm256_and_si256(look_up_high(t1h, back1),
                                                     look_up_low(t1l, back1)));
        /* The top bit is set exactly where a third or fourth byte belongs;
           there, and only there, two continuations are right. */
        __m256i third =
            _mm256_subs_epu8(back2, _mm256_set1_epi8((char)(0xe0 - 0x80)));
        __m256i fourth =
            _mm256_subs_epu8(back3, _mm256_set1_epi8((char)(0xf0 - 0x80)));
        __m256i belongs = _mm256_and_si256(_mm256_or_si256(third, fourth),
                                           _mm256_set1_epi8((char)0x80));
        bad = _mm256_or_si256(bad, _mm256_xor_si256(belongs, pair));
        before = now;
    }
    if (!_mm256_testz_si256(bad, bad))
        return NULL;
    /* The last character may go on behind the blocks. */
    for (int back = 1; back <= 3; back++)
        if (p[-back] >= 0xc0)
            return p - back;
    return p;
}

static const uint8_t *
skip_blocks(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 2 * BLOCK || !__builtin_cpu_supports("avx2"))
        return p;
    const uint8_t *next = check_blocks(p, end);
    /* The slower ways find the bad byte. */
    return next ? next : p;
}

#else

static const uint8_t *
skip_blocks(const uint8_t *p, const uint8_t *end)
{
    (void)end;
    return p;
}

#endif
