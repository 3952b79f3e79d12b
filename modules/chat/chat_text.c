/*
 * Pieces of JSON for programs, and text as a terminal may see it for people.
 */
#include <stdarg.h>

#include "modules/chat/chat.h"

void
chat_begin(struct lnt_strbuf *out, const char *type)
{
    lnt_strbuf_adds(out, "{\"type\":\"");
    lnt_strbuf_adds(out, type);
    lnt_strbuf_addc(out, '"');
}

static void
add_key(struct lnt_strbuf *out, const char *key)
{
    lnt_strbuf_adds(out, ",\"");
    lnt_strbuf_adds(out, key);
    lnt_strbuf_adds(out, "\":");
}

void
chat_add_text(struct lnt_strbuf *out, const char *key, struct lnt_str value)
{
    add_key(out, key);
    lnt_strbuf_add_json(out, value);
}

void
chat_add_number(struct lnt_strbuf *out, const char *key, uint64_t value)
{
    add_key(out, key);
    lnt_strbuf_addu(out, value);
}

void
chat_add_seconds(struct lnt_strbuf *out, uint64_t ms)
{
    char digits[] = {'.', (char)('0' + ms / 100 % 10),
                     (char)('0' + ms / 10 % 10), (char)('0' + ms % 10)};
    size_t n = sizeof(digits);

    lnt_strbuf_addu(out, ms / 1000);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    lnt_strbuf_add(out, digits, n > 1 ? n : 0);
}

/*
 * Bytes of the character at p that a terminal must not get, 0 when it may: C0
 * but the tab, DEL, C1, and what turns the direction of writing, which would
 * go on behind the text it came in.
 */
static size_t
unfit(const unsigned char *p, size_t n)
{
    if ((p[0] < 0x20 && p[0] != '\t') || p[0] == 0x7f)
        return 1;
    if (n > 1 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
        return 2;
    if (n < 3 || p[0] != 0xe2)
        return 0;
    if (p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) /* U+2028..202E */
        return 3;
    if (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9) /* U+2066..2069 */
        return 3;
    return 0;
}

bool
chat_is_plain(struct lnt_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0; i < s.n; i++) {
        if (p[i] == ' ' || p[i] == '\t' || unfit(p + i, s.n - i) > 0)
            return false;
    }
    return true;
}

void
chat_add_plain(struct lnt_strbuf *out, struct lnt_str prefix,
               struct lnt_str text)
{
    const unsigned char *p = (const unsigned char *)text.p;

    lnt_strbuf_add_str(out, prefix);
    for (size_t i = 0; i < text.n;) {
        size_t from = i, skip = 0;

        while (i < text.n && (skip = unfit(p + i, text.n - i)) == 0)
            i++;
        lnt_strbuf_add(out, p + from, i - from);
        if (i < text.n && p[i] == '\n') {
            lnt_strbuf_addc(out, '\n');
            lnt_strbuf_add_str(out, prefix);
        }
        i += skip;
    }
}

enum chat_code
chat_refuse(struct chat *c, enum chat_code code, const char *fmt, ...)
{
    va_list ap;

    lnt_strbuf_clear(&c->why);
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&c->why, fmt, ap);
    va_end(ap);
    c->retry_ms = 0;
    return code;
}
