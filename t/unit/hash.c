/* The source itself, to check its inner function against the paper. */
#include "core/hash.c"

#include <stdlib.h>

#include "t/unit/tap.h"

/* SipHash-2-4 of 00 01 .. 0e under the key 00 01 .. 0f: the worked example in
   appendix A of the paper. */
static void
paper(void)
{
    uint8_t message[15];

    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    ok(siphash(2, 4, 0x0706050403020100, 0x0f0e0d0c0b0a0908, message, 15) ==
           0xa129ca6149be45e5,
       "SipHash-2-4 gives the paper's value");
}

static void
properties(void)
{
    uint8_t text[64] = {0};
    uint64_t seen[64 * 8 + 65];
    size_t n = 0;
    bool unique = true;

    ok(lnt_hash(1, "abc", 3) == lnt_hash(1, "abc", 3), "the same again");
    ok(lnt_hash(1, "abc", 3) != lnt_hash(2, "abc", 3), "another key");
    ok(lnt_hash(1, NULL, 0) == lnt_hash(1, "", 0), "nothing, either way");
    /* every length of zeroes, and every single bit */
    for (size_t len = 0; len <= 64; len++)
        seen[n++] = lnt_hash(7, text, len);
    for (size_t bit = 0; bit < 64 * 8; bit++) {
        text[bit / 8] = (uint8_t)(1 << bit % 8);
        seen[n++] = lnt_hash(7, text, 64);
        text[bit / 8] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            unique = unique && seen[i] != seen[j];
    }
    ok(unique, "lengths and single bits all differ");

    /* 65536 keys over 1024 buckets: 64 each on average */
    unsigned buckets[1024] = {0}, most = 0, least = 999;
    for (uint32_t i = 0; i < 65536; i++)
        buckets[lnt_hash(3, &i, sizeof(i)) % 1024]++;
    for (size_t i = 0; i < 1024; i++) {
        most = buckets[i] > most ? buckets[i] : most;
        least = buckets[i] < least ? buckets[i] : least;
    }
    ok(most < 110 && least > 25, "spread: %u to %u a bucket", least, most);
}

static void
alignment(void)
{
    char text[80];
    bool good = true;

    memset(text, 'q', sizeof(text));
    for (size_t at = 0; at < 8; at++) {
        for (size_t n = 0; n < 40; n++)
            good = good && lnt_hash(5, text + at, n) == lnt_hash(5, text, n);
    }
    ok(good, "alignment does not matter");
}

static void
randomness(void)
{
    uint64_t a[64] = {0}, b[64] = {0};

    lnt_random(a, sizeof(a));
    lnt_random(b, sizeof(b));
    ok(memcmp(a, b, sizeof(a)) != 0, "random bytes differ");
    bool zero = false;
    for (size_t i = 0; i < 64; i++)
        zero = zero || a[i] == 0;
    ok(!zero, "and reach everywhere");
    lnt_random(NULL, 0);
    pass("none wanted");
}

int
main(void)
{
    paper();
    properties();
    alignment();
    randomness();
    return done_testing();
}
