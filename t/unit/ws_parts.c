/*
 * The parts of the websocket module that have no state: SHA-1, base64,
 * unmasking, heads of frames, close codes.
 */
#include <stdint.h>
#include <string.h>

#include "modules/websocket/base64.h"
#include "modules/websocket/frame.h"
#include "modules/websocket/mask.h"
#include "modules/websocket/sha1.h"
#include "t/unit/tap.h"

static void
is_sha1(const char *text, size_t n, const char *wanted)
{
    uint8_t digest[LNT_SHA1_SIZE];
    char hex[2 * LNT_SHA1_SIZE + 1];
    lnt_ws_sha1(text, n, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    is_str(hex, wanted, "sha1 of %zu bytes", n);
}

static void
test_sha1(void)
{
    static char a[1000000];
    memset(a, 'a', sizeof(a));
    is_sha1("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    is_sha1("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    is_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    is_sha1(a, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    is_sha1(a, 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    is_sha1(a, 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    is_sha1(a, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    is_sha1(a, 65, "11655326c708d70319be2610e8a57d9a5b959d3b");
    is_sha1(a, 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

static void
is_base64(const char *text, const char *wanted)
{
    char out[64] = {0};
    size_t n = strlen(text);
    lnt_ws_base64_encode(out, text, n);
    is_str(out, wanted, "base64: %s", wanted);
    is_int(lnt_ws_base64_size(n), strlen(wanted), "... its size");
    is_int(lnt_ws_base64_count(wanted, strlen(wanted)), (int)n, "... and back");
}

static void
test_base64(void)
{
    is_base64("", "");
    is_base64("f", "Zg==");
    is_base64("fo", "Zm8=");
    is_base64("foo", "Zm9v");
    is_base64("foob", "Zm9vYg==");
    is_base64("fooba", "Zm9vYmE=");
    is_base64("foobar", "Zm9vYmFy");
    is_base64("\xfb\xff\xfe", "+//+");
    static const char *const bad[] = {
        "A",
        "AB",
        "ABC",
        "AB=C",
        "A===",
        "====",
        "=AAA",
        "AAA AAAA",
        "AA*A",
        "AAAAA",
        "Zg==Zg==",
        ("AA\x80"
         "A"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        is_int(lnt_ws_base64_count(bad[i], strlen(bad[i])), -1,
               "text %zu is none", i);
    is_int(lnt_ws_base64_count("dGhlIHNhbXBsZSBub25jZQ==", 24), 16,
           "the key of RFC 6455");
}

/* Every length, every shift of the target, with and without high bytes. */
static void
test_mask(void)
{
    enum { MAX = 700 };
    static uint8_t buf[MAX + 64], plain[MAX], room[MAX + 64];
    const uint8_t k[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint32_t key;
    size_t wrong = 0, wrong_high = 0, spilled = 0;
    memcpy(&key, k, 4);
    for (size_t n = 0; n <= MAX; n++)
        for (size_t shift = 0; shift < 36; shift += n < 80 ? 1 : 5)
            for (unsigned pass = 0; pass < 3; pass++) {
                bool high = false;
                memset(buf, 0xee, sizeof(buf));
                for (size_t i = 0; i < n; i++) {
                    plain[i] = (uint8_t)((i * 7 + n) & 0x7f);
                    if (pass == 1 && i == n / 2)
                        plain[i] |= 0x80;
                    if (pass == 2 && i == n - 1)
                        plain[i] |= 0x80;
                    high |= plain[i] >= 0x80;
                    buf[shift + i] = plain[i] ^ k[i & 3];
                }
                if (lnt_ws_unmask(buf, buf + shift, n, key) != high)
                    wrong_high++;
                wrong += memcmp(buf, plain, n) != 0;
                spilled += buf[n + shift] != 0xee;
                /* Elsewhere, in two pieces. */
                for (size_t i = 0; i < n; i++)
                    buf[i] = plain[i] ^ k[i & 3];
                memset(room, 0xdd, sizeof(room));
                size_t cut = n * (shift + 1) / 40;
                lnt_ws_unmask(room + 1, buf, cut, key);
                lnt_ws_unmask(room + 1 + cut, buf + cut, n - cut,
                              lnt_ws_key_after(key, cut));
                wrong += memcmp(room + 1, plain, n) != 0;
                spilled += room[0] != 0xdd || room[n + 1] != 0xdd;
            }
    is_int(wrong, 0, "unmask: lengths 0 to %d, overlapping and in pieces", MAX);
    is_int(wrong_high, 0, "... says whether all is ASCII");
    is_int(spilled, 0, "... writes nothing else");
}

static void
is_parsed(const char *bytes, size_t n, enum lnt_ws_parsed wanted,
          const char *name)
{
    struct lnt_ws_head h;
    const uint8_t *p = (const uint8_t *)bytes;
    is_int(lnt_ws_head_parse(&h, p, n, 0), wanted, "head: %s", name);
    /* With fewer bytes it is the same, or not known yet. */
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        enum lnt_ws_parsed r = lnt_ws_head_parse(&h, p, i, 0);
        wrong += r != LNT_WS_MORE && r != wanted;
    }
    is_int(wrong, 0, "... byte by byte");
}

static void
test_heads(void)
{
    struct lnt_ws_head h;
    is_parsed("\x81\x85\x01\x02\x03\x04", 6, LNT_WS_DONE, "small");
    is_parsed("\x82\xfe\x01\x02\x01\x02\x03\x04", 8, LNT_WS_DONE, "16 bits");
    is_parsed("\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04", 14, LNT_WS_DONE,
              "64 bits");
    is_parsed("\x81\x05", 2, LNT_WS_BAD_MASK, "not masked");
    is_parsed("\xc1\x85", 2, LNT_WS_BAD_BITS, "RSV1");
    is_parsed("\xa1\x85", 2, LNT_WS_BAD_BITS, "RSV2");
    is_parsed("\x91\x85", 2, LNT_WS_BAD_BITS, "RSV3");
    is_parsed("\x83\x85", 2, LNT_WS_BAD_OPCODE, "opcode 3");
    is_parsed("\x8b\x85", 2, LNT_WS_BAD_OPCODE, "opcode 11");
    is_parsed("\x8f\x85", 2, LNT_WS_BAD_OPCODE, "opcode 15");
    is_parsed("\x09\x80", 2, LNT_WS_BAD_CONTROL, "ping in fragments");
    is_parsed("\x88\xfe", 2, LNT_WS_BAD_CONTROL, "close of 126 bytes");
    is_parsed("\x89\xff", 2, LNT_WS_BAD_CONTROL, "ping with 64 bits");
    is_parsed("\x82\xff\x80", 3, LNT_WS_BAD_LENGTH, "top bit of 64");
    is_parsed("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, LNT_WS_BAD_LENGTH,
              "all bits of 64");
    is_parsed("\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 14, LNT_WS_DONE, "2^62");

    is_int(lnt_ws_head_parse(&h, (const uint8_t *)"\xc1\x80\0\0\0\0", 6, 0x40),
           LNT_WS_DONE, "RSV1 for an extension");
    is_int(lnt_ws_head_parse(&h, (const uint8_t *)"\xe1\x80\0\0\0\0", 6, 0x40),
           LNT_WS_BAD_BITS, "... does not allow RSV2");

    lnt_ws_head_parse(&h, (const uint8_t *)"\x82\xff\x40\0\0\0\0\0\0\x07", 10,
                      0);
    is_int(h.size, 14, "the length is known before the key");
    ok(h.len == (UINT64_C(1) << 62) + 7, "... all 63 bits of it");
    ok(lnt_ws_head_parse(&h, (const uint8_t *)"\x82\xff\x40", 3, 0) ==
               LNT_WS_MORE &&
           h.size == 0,
       "... but not before it is complete");
    /* Lengths need not be minimal. */
    lnt_ws_head_parse(&h, (const uint8_t *)"\x82\xfe\0\x05zzzz", 8, 0);
    is_int(h.len, 5, "5 in 16 bits");

    static const uint64_t sizes[] = {0,   1,     125,   126,
                                     127, 65535, 65536, UINT64_C(0x123456789)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t out[LNT_WS_OUT_HEAD_MAX + 4] = {0};
        size_t n = lnt_ws_head_size(sizes[i]);
        lnt_ws_head_write(out, 0x82, sizes[i]);
        out[1] |= 0x80; /* as if from a client */
        is_int(lnt_ws_head_parse(&h, out, n + 4, 0), LNT_WS_DONE,
               "written and read: %llu", (unsigned long long)sizes[i]);
        ok(h.len == sizes[i] && h.size == n + 4, "... the same");
    }
}

static void
test_codes(void)
{
    char valid[128] = {0};
    size_t n = 0;
    for (unsigned c = 0; c < 3000; c++)
        if (lnt_ws_code_valid(c))
            n += (size_t)snprintf(valid + n, sizeof(valid) - n, "%u ", c);
    is_str(valid,
           "1000 1001 1002 1003 1007 1008 1009 1010 1011 1012 1013 "
           "1014 ",
           "close codes below 3000");
    ok(lnt_ws_code_valid(3000) && lnt_ws_code_valid(4999), "3000 to 4999");
    ok(!lnt_ws_code_valid(2999) && !lnt_ws_code_valid(5000) &&
           !lnt_ws_code_valid(65535),
       "not around them");
}

static void
is_cut(const char *text, size_t max, const char *wanted)
{
    struct lnt_str s = lnt_ws_cut(lnt_str_c(text), max);
    is_mem(s.p, s.n, wanted, strlen(wanted), "%zu bytes cut to %zu",
           strlen(text), max);
}

static void
test_cut(void)
{
    is_cut("abc", 3, "abc");
    is_cut("abc", 2, "ab");
    is_cut("a\xc3\xa4", 3, "a\xc3\xa4");
    is_cut("a\xc3\xa4", 2, "a");
    is_cut("\xf0\x9f\x98\x80", 3, "");
    is_cut("a\xf0\x9f\x98", 9, "a");
    is_cut("a\xff"
           "bcdefg",
           9, "");
    is_cut("", 9, "");
}

int
main(void)
{
    test_sha1();
    test_base64();
    test_mask();
    test_heads();
    test_codes();
    test_cut();
    return done_testing();
}
