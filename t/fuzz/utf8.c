/*
 * The UTF-8 check against RFC 3629 told in another way (by code points), in
 * whatever pieces.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Length of the valid character at p, or 0. */
static size_t
character(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80           ? 1
                 : (p[0] >> 5) == 0x06 ? 2
                 : (p[0] >> 4) == 0x0e ? 3
                 : (p[0] >> 3) == 0x1e ? 4
                                       : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = data[0];
    const uint8_t *p = data + 1;
    size_t n = size - 1, at = 0;
    while (at < n) {
        size_t len = character(p + at, n - at);
        if (len == 0)
            break;
        at += len;
    }
    if (lnt_utf8_valid(p, n) != (at == n))
        abort();
    /* Up to there it is fine, whatever comes behind. */
    if (lnt_utf8_check(0, p, at) != 0)
        abort();

    lnt_utf8_state s = 0, bytewise = 0;
    for (size_t i = 0; i < n; i += piece + 1)
        s = lnt_utf8_check(s, p + i, n - i < piece + 1 ? n - i : piece + 1);
    for (size_t i = 0; i < n; i++) {
        bytewise = lnt_utf8_check(bytewise, p + i, 1);
        if (bytewise == LNT_UTF8_BAD && i < at)
            abort();
    }
    if (s != bytewise || s != lnt_utf8_check(0, p, n))
        abort();
    return 0;
}
