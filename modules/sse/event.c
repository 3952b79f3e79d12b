/*
 * Events: id, name and data as lines, an empty one at the end.
 *
 * Applications know nothing of them.  Those of JSON objects say in "type" what
 * a message is and in "seq" where it stands in the log; both are found by one
 * look over the members, which as a rule stand in front.
 */
#include "modules/sse/event.h"

#include <string.h>

#include "core/buf.h"

enum {
    ID_MAX = 4 + 20 + 1 + 20 + 1, /* "id: EPOCH:SEQ\n" */
    FIELDS_MAX = ID_MAX + 7 + LNT_SSE_TYPE_MAX + 1,
};

/* ---- a look at JSON ---- */

/* Past the string that begins at p, which is at a quote; end when it does not
   end. */
static const char *
skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\' && p + 1 < end;
    return p < end ? p + 1 : end;
}

static const char *
skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* To the comma or the bracket that ends the value at p. */
static const char *
skip_value(const char *p, const char *end)
{
    unsigned depth = 0;

    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (depth == 0 && (*p == ',' || *p == '}'))
            return p;
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && depth > 0)
            depth--;
        p++;
    }
    return end;
}

static bool
is_name(struct lnt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return s.n > 0 && s.n <= LNT_SSE_TYPE_MAX;
}

static void
take_type(struct lnt_sse_label *label, struct lnt_str value)
{
    struct lnt_str name = {0};

    if (value.n > 2 && value.p[0] == '"')
        name = lnt_str(value.p + 1, value.n - 2);
    if (is_name(name))
        label->type = name;
}

static void
take_seq(struct lnt_sse_label *label, struct lnt_str value)
{
    uint64_t v = 0;

    for (size_t i = 0; i < value.n; i++) {
        unsigned digit = (unsigned)(unsigned char)value.p[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return;
        v = v * 10 + digit;
    }
    label->seq = v;
    label->numbered = value.n > 0;
}

void
lnt_sse_label_read(struct lnt_sse_label *label, struct lnt_str message)
{
    const char *p = message.p, *end = p ? p + message.n : p;

    *label = (struct lnt_sse_label){0};
    if (p)
        p = skip_blanks(p, end);
    if (p == end || *p != '{')
        return;
    while (!label->type.p || !label->numbered) {
        struct lnt_str key, value;
        const char *from = skip_blanks(p + 1, end);

        if (from == end || *from != '"')
            return;
        p = skip_string(from, end);
        key = lnt_str(from, (size_t)(p - from));
        p = skip_blanks(p, end);
        if (p == end || *p != ':')
            return;
        from = skip_blanks(p + 1, end);
        p = skip_value(from, end);
        value = lnt_str_trim(lnt_str(from, (size_t)(p - from)));
        if (lnt_str_eq(key, LNT_STR("\"type\"")))
            take_type(label, value);
        else if (lnt_str_eq(key, LNT_STR("\"seq\"")))
            take_seq(label, value);
        if (p == end || *p != ',')
            return;
    }
}

/* ---- lines ---- */

static void
put(struct lnt_buf *b, struct lnt_str s)
{
    memcpy(b->data + b->len, s.p, s.n);
    b->len += (uint32_t)s.n;
}

static void
put_number(struct lnt_buf *b, uint64_t v)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[sizeof(digits) - ++n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    put(b, lnt_str(digits + sizeof(digits) - n, n));
}

/* The next line of rest, however it ends; false behind the last. */
static bool
next_line(struct lnt_str *rest, struct lnt_str *line)
{
    size_t n = 0, ends = 1;

    if (!rest->p)
        return false;
    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    *line = lnt_str(rest->p, n);
    if (n == rest->n) {
        rest->p = NULL;
        return true;
    }
    if (rest->n - n > 1 && rest->p[n] == '\r' && rest->p[n + 1] == '\n')
        ends = 2;
    *rest = lnt_str(rest->p + n + ends, rest->n - n - ends);
    return true;
}

static size_t
count_lines(struct lnt_str text)
{
    struct lnt_str line;
    size_t n = 0;

    /* JSON is one. */
    if (!memchr(text.p, '\n', text.n) && !memchr(text.p, '\r', text.n))
        return 1;
    while (next_line(&text, &line))
        n++;
    return n;
}

struct lnt_buf *
lnt_sse_event_add(struct lnt_buf *b, uint64_t epoch, struct lnt_str message)
{
    struct lnt_str rest = lnt_str(message.p ? message.p : "", message.n), line;
    struct lnt_str field = LNT_STR("data: "), end = LNT_STR("\n");
    struct lnt_sse_label label;
    size_t lines = count_lines(rest);

    lnt_sse_label_read(&label, message);
    b = lnt_buf_grow(b, FIELDS_MAX + message.n + lines * (field.n + end.n) +
                            end.n);
    if (epoch && label.numbered) {
        put(b, LNT_STR("id: "));
        put_number(b, epoch);
        put(b, LNT_STR(":"));
        put_number(b, label.seq);
        put(b, end);
    }
    if (label.type.p) {
        put(b, LNT_STR("event: "));
        put(b, label.type);
        put(b, end);
    }
    for (; lines > 0; lines--) {
        line = rest;
        if (lines > 1)
            (void)next_line(&rest, &line);
        put(b, field);
        put(b, line);
        put(b, end);
    }
    put(b, end);
    return b;
}
