/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"):
 * one round a word, three at the end.  Who guesses no key finds no collisions;
 * keeping the key from strangers is left to callers.
 */
#include "core/hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "core/log.h"

static inline uint64_t
rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static inline uint64_t
little_endian(const uint8_t *p, size_t n)
{
    uint64_t x = 0;

    if (n == 8) {
        memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        x = __builtin_bswap64(x);
#endif
        return x;
    }
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

/* The family, so that tests can check it against the paper's own values. */
static inline uint64_t
siphash(unsigned rounds, unsigned final_rounds, uint64_t k0, uint64_t k1,
        const uint8_t *p, size_t n)
{
    uint64_t v[4] = {
        k0 ^ 0x736f6d6570736575,
        k1 ^ 0x646f72616e646f6d,
        k0 ^ 0x6c7967656e657261,
        k1 ^ 0x7465646279746573,
    };
    size_t left = n;

    for (;; left -= 8, p += 8) {
        bool last = left < 8;
        uint64_t m = last ? little_endian(p, left) | (uint64_t)n << 56
                          : little_endian(p, 8);

        v[3] ^= m;
        for (unsigned i = 0; i < rounds; i++)
            sip_round(v);
        v[0] ^= m;
        if (last)
            break;
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < final_rounds; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
lnt_hash(uint64_t key, const void *p, size_t n)
{
    /* One word of key is enough for tables; the second is made from it. */
    return siphash(1, 3, key, rotl(key, 29) * 0x9e3779b97f4a7c15, p, n);
}

void
lnt_random(void *p, size_t n)
{
    uint8_t *to = p;

    while (n) {
        ssize_t got = getrandom(to, n, 0);

        if (got < 0) {
            /* No weaker source instead: keys and ids could be guessed. */
            bool kernel_has_random_bytes = errno == EINTR;

            lnt_assert(kernel_has_random_bytes);
            continue;
        }
        to += got;
        n -= (size_t)got;
    }
}
