/*
 * Unmasking, as wide as the processor can, and a look at the bytes while they
 * are at hand: text without a byte above 7F needs no further check.
 *
 * Every variant reads the last (overlapping) block before it writes anything,
 * so that no odd bytes are left for the end and nothing is unmasked twice.
 */
#include "modules/websocket/mask.h"

#include <string.h>

static const uint64_t HIGH_BITS = 0x8080808080808080u;

static bool
unmask_few(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    uint8_t k[4], high = 0;
    memcpy(k, &key, sizeof(k));
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)(src[i] ^ k[i & 3]);
        high |= c;
        dst[i] = c;
    }
    return high >= 0x80;
}

/* 8 bytes and more. */
static bool
unmask_words(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    uint64_t k = (uint64_t)key << 32 | key;
    uint32_t end_key = lnt_ws_key_after(key, n);
    uint64_t end_k = (uint64_t)end_key << 32 | end_key;
    uint64_t v, last, high;

    memcpy(&last, src + n - 8, 8);
    last ^= end_k;
    high = last;
    for (size_t i = 0; i + 8 < n; i += 8) {
        memcpy(&v, src + i, 8);
        v ^= k;
        high |= v;
        memcpy(dst + i, &v, 8);
    }
    memcpy(dst + n - 8, &last, 8);
    return (high & HIGH_BITS) != 0;
}

typedef uint64_t words_16 __attribute__((vector_size(16)));

/* 32 bytes and more. */
static bool
unmask_16(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    uint64_t word = (uint64_t)key << 32 | key;
    uint32_t end_key = lnt_ws_key_after(key, n);
    uint64_t end_word = (uint64_t)end_key << 32 | end_key;
    words_16 k = {word, word};
    words_16 end_k = {end_word, end_word};
    words_16 a, b, last_a, last_b, high;

    memcpy(&last_a, src + n - 32, 16);
    memcpy(&last_b, src + n - 16, 16);
    last_a ^= end_k;
    last_b ^= end_k;
    high = last_a | last_b;
    for (size_t i = 0; i + 32 < n; i += 32) {
        memcpy(&a, src + i, 16);
        memcpy(&b, src + i + 16, 16);
        a ^= k;
        b ^= k;
        high |= a | b;
        memcpy(dst + i, &a, 16);
        memcpy(dst + i + 16, &b, 16);
    }
    memcpy(dst + n - 32, &last_a, 16);
    memcpy(dst + n - 16, &last_b, 16);
    return ((high[0] | high[1]) & HIGH_BITS) != 0;
}

#if defined(__x86_64__) && defined(__GNUC__)

enum { WIDE_MIN = 256 };

typedef uint64_t words_32 __attribute__((vector_size(32)));

/* 64 bytes and more. */
__attribute__((target("avx2"))) static bool
unmask_32(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    uint64_t word = (uint64_t)key << 32 | key;
    uint32_t end_key = lnt_ws_key_after(key, n);
    uint64_t end_word = (uint64_t)end_key << 32 | end_key;
    words_32 k = {word, word, word, word};
    words_32 end_k = {end_word, end_word, end_word, end_word};
    words_32 a, b, last_a, last_b, high;

    memcpy(&last_a, src + n - 64, 32);
    memcpy(&last_b, src + n - 32, 32);
    last_a ^= end_k;
    last_b ^= end_k;
    high = last_a | last_b;
    for (size_t i = 0; i + 64 < n; i += 64) {
        memcpy(&a, src + i, 32);
        memcpy(&b, src + i + 32, 32);
        a ^= k;
        b ^= k;
        high |= a | b;
        memcpy(dst + i, &a, 32);
        memcpy(dst + i + 32, &b, 32);
    }
    memcpy(dst + n - 64, &last_a, 32);
    memcpy(dst + n - 32, &last_b, 32);
    return ((high[0] | high[1] | high[2] | high[3]) & HIGH_BITS) != 0;
}

static bool
can_go_wide(size_t n)
{
    return n >= WIDE_MIN && __builtin_cpu_supports("avx2");
}

#else

static bool
unmask_32(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    return unmask_16(dst, src, n, key);
}

static bool
can_go_wide(size_t n)
{
    (void)n;
    return false;
}

#endif

bool
lnt_ws_unmask(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    if (n >= 32)
        return can_go_wide(n) ? unmask_32(dst, src, n, key)
                              : unmask_16(dst, src, n, key);
    if (n >= 8)
        return unmask_words(dst, src, n, key);
    return unmask_few(dst, src, n, key);
}
