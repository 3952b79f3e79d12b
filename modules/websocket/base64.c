/*
 * Base64.  Nothing needs decoding: of a client's key only its form matters.
 */
#include "modules/websocket/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
lnt_ws_base64_encode(char *out, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (; n >= 3; p += 3, n -= 3, out += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (n == 0)
        return;
    uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
    out[0] = alphabet[v >> 18];
    out[1] = alphabet[v >> 12 & 63];
    out[2] = n == 2 ? alphabet[v >> 6 & 63] : '=';
    out[3] = '=';
}

static int
is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '+' || c == '/';
}

ptrdiff_t
lnt_ws_base64_count(const char *p, size_t n)
{
    if (n % 4 != 0)
        return -1;
    size_t padding = 0;
    while (padding < 2 && padding < n && p[n - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < n - padding; i++)
        if (!is_letter(p[i]))
            return -1;
    return (ptrdiff_t)(n / 4 * 3 - padding);
}
