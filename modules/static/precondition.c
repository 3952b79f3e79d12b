/*
 * Conditional requests and ranges.
 */
#include "modules/static/precondition.h"

#include <stdbool.h>
#include <string.h>

#include "modules/http/date.h"
#include "modules/http/http.h"

/* Whether a list of entity tags has ours.  Tags are compared by their opaque
   part; weak ones count only where weak is true. */
static bool
list_has(struct lnt_str list, struct lnt_str etag, bool weak)
{
    const char *p = list.p, *end = list.p + list.n;
    if (lnt_str_eq(lnt_str_trim(list), LNT_STR("*")))
        return true;
    while (p < end) {
        bool is_weak = end - p > 2 && p[0] == 'W' && p[1] == '/';
        const char *start = is_weak ? p + 2 : p;
        if (*start != '"') {
            p++; /* blanks, commas, and what is no tag */
            continue;
        }
        const char *stop = memchr(start + 1, '"', (size_t)(end - start - 1));
        if (!stop)
            return false;
        struct lnt_str tag = {start, (size_t)(stop + 1 - start)};
        if ((weak || !is_weak) && lnt_str_eq(tag, etag))
            return true;
        p = stop + 1;
    }
    return false;
}

/* -1 when the header is missing or no date. */
static int64_t
header_date(const struct lnt_http_request *r, const char *name)
{
    int64_t t = -1;
    struct lnt_str s = lnt_http_header_get(r, name);
    if (!s.p || lnt_http_date_parse(s, &t) < 0)
        return -1;
    return t;
}

/* Any header of that name: a list may be spread over several. */
static int
headers_have(const struct lnt_http_request *r, const char *name,
             struct lnt_str etag, bool weak)
{
    int found = -1; /* no such header */
    struct lnt_str n = lnt_str_c(name);
    for (size_t i = 0; i < r->nheaders; i++) {
        if (!lnt_str_ieq(r->headers[i].name, n))
            continue;
        if (list_has(r->headers[i].value, etag, weak))
            return 1;
        found = 0;
    }
    return found;
}

int
lnt_static_precondition(const struct lnt_http_request *r,
                        const struct lnt_static_version *v)
{
    int match = headers_have(r, "if-match", v->etag, false);
    if (match == 0)
        return 412;
    if (match < 0 && v->modified >= 0) {
        int64_t t = header_date(r, "if-unmodified-since");
        if (t >= 0 && v->modified > t)
            return 412;
    }
    int none = headers_have(r, "if-none-match", v->etag, true);
    if (none == 1)
        return 304;
    if (none < 0 && v->modified >= 0) {
        int64_t t = header_date(r, "if-modified-since");
        if (t >= 0 && v->modified <= t)
            return 304;
    }
    return 0;
}

/* ---- ranges ---- */

/* Digits up to the first other character; false when there are none or too
   many. */
static bool
take_number(struct lnt_str *s, uint64_t *v)
{
    size_t i = 0;
    *v = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        if (i >= 18)
            return false;
        *v = *v * 10 + (uint64_t)(s->p[i] - '0');
    }
    s->p += i;
    s->n -= i;
    return i > 0;
}

/* If-Range: is it still the version of which parts were fetched before? */
static bool
is_same(const struct lnt_http_request *r, const struct lnt_static_version *v)
{
    struct lnt_str s = lnt_http_header_get(r, "if-range");
    if (!s.p)
        return true;
    if (s.n > 0 && s.p[0] == '"')
        return lnt_str_eq(s, v->etag);
    int64_t t = -1;
    return v->modified >= 0 && lnt_http_date_parse(s, &t) == 0 &&
           t == v->modified;
}

/* -500: the last 500 */
static enum lnt_static_range
read_suffix(struct lnt_str s, uint64_t size, uint64_t *offset, uint64_t *n)
{
    uint64_t last;
    s.p++;
    s.n--;
    if (!take_number(&s, &last) || s.n > 0)
        return LNT_STATIC_WHOLE;
    if (last == 0 || size == 0)
        return LNT_STATIC_OUT_OF_RANGE;
    *n = last < size ? last : size;
    *offset = size - *n;
    return LNT_STATIC_PART;
}

enum lnt_static_range
lnt_static_range(const struct lnt_http_request *r,
                 const struct lnt_static_version *v, uint64_t size,
                 uint64_t *offset, uint64_t *n)
{
    struct lnt_str s = lnt_http_header_get(r, "range");
    uint64_t first, last;
    if (r->method != LNT_HTTP_GET || s.n < 7 ||
        strncasecmp(s.p, "bytes=", 6) != 0 ||
        lnt_http_header_count(r, "range") > 1 || !is_same(r, v))
        return LNT_STATIC_WHOLE;
    s = lnt_str_trim(lnt_str(s.p + 6, s.n - 6));
    if (s.n > 0 && s.p[0] == '-')
        return read_suffix(s, size, offset, n);
    if (!take_number(&s, &first) || s.n == 0 || s.p[0] != '-')
        return LNT_STATIC_WHOLE;
    s.p++;
    s.n--;
    last = UINT64_MAX;
    if (s.n > 0 && (!take_number(&s, &last) || s.n > 0 || last < first))
        return LNT_STATIC_WHOLE;
    if (first >= size)
        return LNT_STATIC_OUT_OF_RANGE;
    *offset = first;
    *n = (last < size - 1 ? last : size - 1) - first + 1;
    return LNT_STATIC_PART;
}
