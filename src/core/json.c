/*
 * JSON text: one pass, no recursion, no memory.
 */
#include "core/json.h"

#include <stdint.h>
#include <string.h>

#include "core/strbuf.h"
#include "core/utf8.h"

struct reader {
    const char *p, *end;
    unsigned depth;
    uint8_t objects[LNT_JSON_DEPTH / 8]; /* a bit for each level */
};

static void
skip_blanks(struct reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool
is_next(const struct reader *r, char c)
{
    return r->p < r->end && *r->p == c;
}

static bool
take_char(struct reader *r, char c)
{
    if (!is_next(r, c))
        return false;
    r->p++;
    return true;
}

/* ---- values without others in them ---- */

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
take_hex(struct reader *r)
{
    for (int i = 0; i < 4; i++, r->p++) {
        if (r->p == r->end || hex_digit(*r->p) < 0)
            return false;
    }
    return true;
}

static bool
take_escape(struct reader *r)
{
    char c;

    if (r->p == r->end)
        return false;
    c = *r->p++;
    if (c == 'u')
        return take_hex(r);
    return c != '\0' && strchr("\"\\/bfnrt", c);
}

static bool
take_string(struct reader *r)
{
    const char *from = r->p;

    if (!take_char(r, '"'))
        return false;
    while (r->p < r->end) {
        unsigned char c = (unsigned char)*r->p++;

        if (c == '"')
            return lnt_utf8_valid(from, (size_t)(r->p - from));
        if (c < 0x20 || (c == '\\' && !take_escape(r)))
            return false;
    }
    return false;
}

static bool
take_digits(struct reader *r)
{
    const char *from = r->p;

    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return r->p > from;
}

static bool
take_number(struct reader *r)
{
    (void)take_char(r, '-');
    if (!take_char(r, '0') && !take_digits(r))
        return false;
    if (take_char(r, '.') && !take_digits(r))
        return false;
    if (take_char(r, 'e') || take_char(r, 'E')) {
        if (!take_char(r, '+'))
            (void)take_char(r, '-');
        return take_digits(r);
    }
    return true;
}

static bool
take_word(struct reader *r, struct lnt_str word)
{
    if ((size_t)(r->end - r->p) < word.n || memcmp(r->p, word.p, word.n) != 0)
        return false;
    r->p += word.n;
    return true;
}

static bool
take_scalar(struct reader *r)
{
    if (r->p == r->end)
        return false;
    switch (*r->p) {
    case '"':
        return take_string(r);
    case 't':
        return take_word(r, LNT_STR("true"));
    case 'f':
        return take_word(r, LNT_STR("false"));
    case 'n':
        return take_word(r, LNT_STR("null"));
    default:
        return take_number(r);
    }
}

/* ---- arrays and objects ---- */

static bool
in_object(const struct reader *r)
{
    unsigned level = r->depth - 1;

    return r->objects[level / 8] & (1u << level % 8);
}

static bool
enter(struct reader *r, bool object)
{
    unsigned level = r->depth, bit = 1u << level % 8;
    uint8_t *byte;

    if (level == LNT_JSON_DEPTH)
        return false;
    byte = &r->objects[level / 8];
    *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
    r->depth++;
    r->p++;
    skip_blanks(r);
    return true;
}

/* What stands in front of a member's value. */
static bool
take_key(struct reader *r)
{
    if (!take_string(r))
        return false;
    skip_blanks(r);
    if (!take_char(r, ':'))
        return false;
    skip_blanks(r);
    return true;
}

/* Behind a value: leaves what ends here.  false: malformed.  *done: the value
   that was asked for has ended, else another one is next. */
static bool
go_on(struct reader *r, bool *done)
{
    while (r->depth > 0) {
        skip_blanks(r);
        if (take_char(r, ',')) {
            skip_blanks(r);
            *done = false;
            return !in_object(r) || take_key(r);
        }
        if (!take_char(r, in_object(r) ? '}' : ']'))
            return false;
        r->depth--;
    }
    *done = true;
    return true;
}

static bool
take_value(struct reader *r)
{
    bool done = false;

    while (!done) {
        bool object = is_next(r, '{');

        if (object || is_next(r, '[')) {
            if (!enter(r, object))
                return false;
            if (!is_next(r, object ? '}' : ']')) {
                if (object && !take_key(r))
                    return false;
                continue;
            }
        } else if (!take_scalar(r)) {
            return false;
        }
        if (!go_on(r, &done))
            return false;
    }
    return true;
}

bool
lnt_json_take(struct lnt_str *rest, struct lnt_str *value)
{
    struct reader r = {.p = rest->p, .end = rest->p + rest->n};
    const char *from;

    skip_blanks(&r);
    from = r.p;
    if (!take_value(&r))
        return false;
    if (value)
        *value = lnt_str(from, (size_t)(r.p - from));
    skip_blanks(&r);
    *rest = lnt_str(r.p, (size_t)(r.end - r.p));
    return true;
}

bool
lnt_json_valid(struct lnt_str text)
{
    return lnt_json_take(&text, NULL) && text.n == 0;
}

bool
lnt_json_element(struct lnt_str *rest, struct lnt_str *value)
{
    /* In front stands the bracket or a comma; behind the last one a bracket. */
    if (rest->n < 2)
        return false;
    *rest = lnt_str(rest->p + 1, rest->n - 1);
    return lnt_json_take(rest, value);
}

/* ---- what a string says ---- */

static unsigned
hex4(const char *p)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 4 | (unsigned)hex_digit(p[i]);
    return v;
}

static void
add_character(struct lnt_strbuf *out, unsigned c)
{
    if (c < 0x80) {
        lnt_strbuf_addc(out, (char)c);
        return;
    }
    if (c < 0x800) {
        lnt_strbuf_addc(out, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            lnt_strbuf_addc(out, (char)(0xe0 | c >> 12));
        } else {
            lnt_strbuf_addc(out, (char)(0xf0 | c >> 18));
            lnt_strbuf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
        }
        lnt_strbuf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
    }
    lnt_strbuf_addc(out, (char)(0x80 | (c & 0x3f)));
}

/* p is behind "\u"; returns where it goes on. */
static const char *
add_unicode(struct lnt_strbuf *out, const char *p, const char *end)
{
    unsigned c = hex4(p), low;

    p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' &&
        p[1] == 'u' && (low = hex4(p + 2)) >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    add_character(out, c);
    return p;
}

bool
lnt_json_string(struct lnt_str text, struct lnt_strbuf *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *p, *end;

    if (text.n < 2 || text.p[0] != '"')
        return false;
    p = text.p + 1;
    end = text.p + text.n - 1;
    lnt_strbuf_reserve(out, text.n);
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        const char *known;

        lnt_strbuf_add(out, p, (size_t)((escape ? escape : end) - p));
        if (!escape)
            break;
        p = escape + 2;
        if (escape[1] == 'u') {
            p = add_unicode(out, p, end);
            continue;
        }
        known = strchr(from, escape[1]);
        lnt_strbuf_addc(out, known ? to[known - from] : escape[1]);
    }
    return true;
}
