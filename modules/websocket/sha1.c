/*
 * SHA-1 over bytes that are all there.  The handshake needs one hash of 60
 * bytes: two blocks, so plain loops are good enough.
 */
#include "modules/websocket/sha1.h"

#include <string.h>

enum { BLOCK = 64 };

static inline uint32_t
rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static inline uint32_t
load_be(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static inline void
store_be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void
add_block(uint32_t h[5], const uint8_t *p)
{
    uint32_t w[80];
    for (unsigned i = 0; i < 16; i++)
        w[i] = load_be(p + 4 * i);
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);

    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = d ^ (b & (c ^ d));
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (d & (b | c));
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = t;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void
lnt_ws_sha1(const void *data, size_t n, uint8_t digest[LNT_SHA1_SIZE])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                     0xc3d2e1f0};
    const uint8_t *p = data;
    size_t left = n;
    for (; left >= BLOCK; p += BLOCK, left -= BLOCK)
        add_block(h, p);

    /* The rest, a one bit, zeroes, and the length in bits. */
    uint8_t tail[2 * BLOCK] = {0};
    size_t end = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    if (left > 0)
        memcpy(tail, p, left);
    tail[left] = 0x80;
    store_be(tail + end - 8, (uint32_t)((uint64_t)n >> 29));
    store_be(tail + end - 4, (uint32_t)((uint64_t)n << 3));
    for (size_t i = 0; i < end; i += BLOCK)
        add_block(h, tail + i);

    for (unsigned i = 0; i < 5; i++)
        store_be(digest + 4 * i, h[i]);
}
