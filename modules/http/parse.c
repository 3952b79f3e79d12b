/*
 * The head of a request, from bytes to slices.
 *
 * Lines end in CRLF and in nothing else, fields are not folded, names have no
 * blank before the colon: whatever two programs could read in two ways is
 * refused.  A head that is there whole is read in one pass; one that comes in
 * pieces is looked through once for line ends, each line is checked when it
 * is complete, and the slices are made in a second pass at the end.
 */
#include "modules/http/parse.h"

#include <stdbool.h>
#include <string.h>

#include "modules/http/http.h"

enum { METHOD_MAX = 24 }; /* longer than any method that anybody uses */

const uint8_t lnt_http_token_chars[256] = {
    ['!'] = 1,         ['#'] = 1,         ['$'] = 1, ['%'] = 1,
    ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1,
    ['-'] = 1,         ['.'] = 1,         ['^'] = 1, ['_'] = 1,
    ['`'] = 1,         ['|'] = 1,         ['~'] = 1, ['0' ... '9'] = 1,
    ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

/* What a target may be written with.  RFC 3986 allows less, but browsers send
   the rest of the visible ones in queries as they are. */
static const uint8_t target_chars[256] = {
    [0x21 ... 0x22] = 1,
    [0x24 ... 0x7e] = 1,
};

/* Field content: visible characters, blank, tab, and bytes above ASCII. */
static const uint8_t value_chars[256] = {
    ['\t'] = 1,
    [0x20 ... 0x7e] = 1,
    [0x80 ... 0xff] = 1,
};

/* What is being read; p moves forward. */
struct text {
    const char *p, *end;
    struct lnt_http_fault *fault;
};

enum lnt_http_parse
lnt_http_bad(struct lnt_http_fault *fault, int status, const char *message)
{
    fault->status = status;
    fault->message = message;
    return LNT_HTTP_BAD;
}

static enum lnt_http_parse
read_line_end(struct text *t)
{
    if (t->p == t->end)
        return LNT_HTTP_MORE;
    if (*t->p == '\n')
        return lnt_http_bad(t->fault, 400,
                            "a line ends in LF alone, CRLF was expected");
    if (*t->p != '\r')
        return lnt_http_bad(t->fault, 400, "control character in the head");
    if (t->p + 1 == t->end)
        return LNT_HTTP_MORE;
    if (t->p[1] != '\n')
        return lnt_http_bad(t->fault, 400, "CR without LF in the head");
    t->p += 2;
    return LNT_HTTP_DONE;
}

static enum lnt_http_method
find_method(struct lnt_str m)
{
    static const struct {
        struct lnt_str name;
        enum lnt_http_method method;
    } methods[] = {
        {{"GET", 3}, LNT_HTTP_GET},       {{"HEAD", 4}, LNT_HTTP_HEAD},
        {{"POST", 4}, LNT_HTTP_POST},     {{"PUT", 3}, LNT_HTTP_PUT},
        {{"DELETE", 6}, LNT_HTTP_DELETE}, {{"OPTIONS", 7}, LNT_HTTP_OPTIONS},
        {{"PATCH", 5}, LNT_HTTP_PATCH},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
        if (lnt_str_eq(m, methods[i].name))
            return methods[i].method;
    return LNT_HTTP_OTHER;
}

static enum lnt_http_parse
read_method(struct text *t, struct lnt_http_request *r)
{
    const char *start = t->p;
    while (t->p < t->end && lnt_http_token_chars[(uint8_t)*t->p])
        t->p++;
    r->method_text = lnt_str(start, (size_t)(t->p - start));
    if (r->method_text.n > METHOD_MAX)
        return lnt_http_bad(t->fault, 501, "no such method");
    if (t->p == t->end)
        return LNT_HTTP_MORE;
    if (*t->p != ' ' || t->p == start)
        return lnt_http_bad(t->fault, 400,
                            "not an HTTP request: it begins with a method, "
                            "one blank, a target");
    t->p++;
    r->method = find_method(r->method_text);
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
read_target(struct text *t, struct lnt_http_request *r)
{
    const char *start = t->p;
    while (t->p < t->end && target_chars[(uint8_t)*t->p])
        t->p++;
    r->target = lnt_str(start, (size_t)(t->p - start));
    if (t->p == t->end)
        return LNT_HTTP_MORE;
    if (*t->p == '\r' || *t->p == '\n')
        return lnt_http_bad(t->fault, 400,
                            "the request line ends without a version");
    if (*t->p != ' ' || t->p == start)
        return lnt_http_bad(t->fault, 400,
                            "bad character in the request target");
    t->p++;
    return LNT_HTTP_DONE;
}

/* HTTP/1.x with a later x is answered as the 1.1 that it contains. */
static enum lnt_http_parse
read_version(struct text *t, struct lnt_http_request *r)
{
    static const char name[] = "HTTP/";
    size_t left = (size_t)(t->end - t->p);
    size_t n = left < 5 ? left : 5;
    if (memcmp(t->p, name, n) != 0)
        return lnt_http_bad(t->fault, 400, "bad HTTP version");
    if (left < 8) {
        for (size_t i = 5; i < left; i++)
            if (i == 6 ? t->p[i] != '.' : t->p[i] < '0' || t->p[i] > '9')
                return lnt_http_bad(t->fault, 400, "bad HTTP version");
        return LNT_HTTP_MORE;
    }
    char major = t->p[5], minor = t->p[7];
    if (major < '0' || major > '9' || t->p[6] != '.' || minor < '0' ||
        minor > '9')
        return lnt_http_bad(t->fault, 400, "bad HTTP version");
    if (major != '1')
        return lnt_http_bad(t->fault, 505, "HTTP/1.1 is spoken here");
    r->version = minor == '0' ? 10 : 11;
    t->p += 8;
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
read_request_line(struct text *t, struct lnt_http_request *r)
{
    enum lnt_http_parse got = read_method(t, r);
    if (got == LNT_HTTP_DONE)
        got = read_target(t, r);
    if (got == LNT_HTTP_DONE)
        got = read_version(t, r);
    return got == LNT_HTTP_DONE ? read_line_end(t) : got;
}

static enum lnt_http_parse
read_name(struct text *t, struct lnt_str *name)
{
    const char *start = t->p;
    while (t->p < t->end && lnt_http_token_chars[(uint8_t)*t->p])
        t->p++;
    *name = lnt_str(start, (size_t)(t->p - start));
    if (t->p == t->end)
        return LNT_HTTP_MORE;
    if (*t->p == ':' && t->p > start) {
        t->p++;
        return LNT_HTTP_DONE;
    }
    if (*t->p != ' ' && *t->p != '\t')
        return lnt_http_bad(t->fault, 400,
                            "bad header line, \"name: value\" was expected");
    if (t->p == start)
        return lnt_http_bad(t->fault, 400, "header lines must not be folded");
    return lnt_http_bad(t->fault, 400, "blank before the colon of a header");
}

/* Eight at a time as long as none of them needs a closer look. */
static const char *
skip_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u;
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        uint64_t del = x ^ (ones * 0x7f);
        uint64_t below = (x - ones * 0x20) & ~x;
        uint64_t is_del = (del - ones) & ~del;
        if ((below | is_del) & (ones * 0x80))
            break;
        p += 8;
    }
    return p;
}

static enum lnt_http_parse
read_value(struct text *t, struct lnt_str *value)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t'))
        t->p++;
    const char *start = t->p;
    t->p = skip_plain(t->p, t->end);
    while (t->p < t->end && value_chars[(uint8_t)*t->p])
        t->p++;
    const char *stop = t->p;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *value = lnt_str(start, (size_t)(stop - start));
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
read_header(struct text *t, struct lnt_http_header *h)
{
    enum lnt_http_parse got = read_name(t, &h->name);
    if (got == LNT_HTTP_DONE)
        got = read_value(t, &h->value);
    return got == LNT_HTTP_DONE ? read_line_end(t) : got;
}

static enum lnt_http_parse
too_big(struct lnt_http_fault *fault, bool in_line)
{
    if (in_line)
        return lnt_http_bad(fault, 414, "the request line is too long");
    return lnt_http_bad(fault, 431, "the request head is too big");
}

/* An unfinished line: is there still room for the rest of it? */
static enum lnt_http_parse
wait_for_more(struct lnt_http_parser *ps,
              const struct lnt_http_head_limits *limits, size_t n,
              struct lnt_http_fault *fault)
{
    if (ps->lines == 0 && n - ps->line > (size_t)limits->line + 1)
        return too_big(fault, true);
    if (n >= limits->head)
        return too_big(fault, ps->lines == 0);
    ps->seen = (uint32_t)n;
    return LNT_HTTP_MORE;
}

/* The line at ps->line; t->p is behind it when DONE. */
static enum lnt_http_parse
read_line(const struct lnt_http_parser *ps,
          const struct lnt_http_head_limits *limits, struct text *t,
          struct lnt_http_request *r, bool *last)
{
    if (ps->lines == 0)
        return read_request_line(t, r);
    if (t->p == t->end)
        return LNT_HTTP_MORE;
    if (*t->p == '\r' || *t->p == '\n') {
        *last = true;
        return read_line_end(t);
    }
    size_t at = ps->lines - 1;
    if (at >= limits->headers || at >= LNT_HTTP_HEADERS_MAX)
        return lnt_http_bad(t->fault, 431, "too many headers");
    enum lnt_http_parse got = read_header(t, &r->headers[at]);
    if (got == LNT_HTTP_DONE)
        r->nheaders = at + 1;
    return got;
}

static enum lnt_http_parse
read_lines(struct lnt_http_parser *ps,
           const struct lnt_http_head_limits *limits, const char *p, size_t n,
           struct lnt_http_request *r, size_t *size,
           struct lnt_http_fault *fault)
{
    struct text t = {p + ps->line, p + n, fault};
    for (bool last = false;;) {
        /* A line that was looked at before is not read again until its end
           is there: this is what keeps the whole linear. */
        if (ps->seen > ps->line && !memchr(p + ps->seen, '\n', n - ps->seen))
            return wait_for_more(ps, limits, n, fault);
        enum lnt_http_parse got = read_line(ps, limits, &t, r, &last);
        if (got == LNT_HTTP_BAD)
            return got;
        if (got == LNT_HTTP_MORE)
            return wait_for_more(ps, limits, n, fault);
        size_t end = (size_t)(t.p - p);
        if (ps->lines == 0 && end - 2 > limits->line)
            return too_big(fault, true);
        if (end > limits->head)
            return too_big(fault, ps->lines == 0);
        if (last) {
            *size = end;
            return LNT_HTTP_DONE;
        }
        ps->line = (uint32_t)end;
        ps->lines++;
    }
}

enum lnt_http_parse
lnt_http_parse_head(struct lnt_http_parser *ps,
                    const struct lnt_http_head_limits *limits, const char *p,
                    size_t n, struct lnt_http_request *r, size_t *size,
                    struct lnt_http_fault *fault)
{
    bool again = ps->lines > 0;
    if (!again) {
        r->method = LNT_HTTP_OTHER;
        r->method_text = r->target = lnt_str(NULL, 0);
        r->version = 11;
    }
    r->nheaders = 0;
    enum lnt_http_parse got = read_lines(ps, limits, p, n, r, size, fault);
    if (!again)
        return got;
    /* The slices of earlier lines are of another time. */
    r->nheaders = 0;
    if (got != LNT_HTTP_DONE)
        return got;
    struct lnt_http_parser fresh = {0};
    return read_lines(&fresh, limits, p, *size, r, size, fault);
}
