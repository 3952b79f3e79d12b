/*
 * What handlers ask of a request: its headers.
 */
#include "modules/http/http.h"

struct lnt_str
lnt_http_header_get(const struct lnt_http_request *r, const char *name)
{
    struct lnt_str n = lnt_str_c(name);
    for (size_t i = 0; i < r->nheaders; i++)
        if (lnt_str_ieq(r->headers[i].name, n))
            return r->headers[i].value;
    return lnt_str(NULL, 0);
}

size_t
lnt_http_header_count(const struct lnt_http_request *r, const char *name)
{
    struct lnt_str n = lnt_str_c(name);
    size_t count = 0;
    for (size_t i = 0; i < r->nheaders; i++)
        count += lnt_str_ieq(r->headers[i].name, n);
    return count;
}

static bool
has_token(struct lnt_str list, struct lnt_str token)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        if (lnt_str_ieq(lnt_str_trim(lnt_str(list.p, n)), token))
            return true;
        if (!comma)
            break;
        list.p += n + 1;
        list.n -= n + 1;
    }
    return false;
}

bool
lnt_http_header_has(const struct lnt_http_request *r, const char *name,
                    const char *token)
{
    struct lnt_str n = lnt_str_c(name), t = lnt_str_c(token);
    for (size_t i = 0; i < r->nheaders; i++)
        if (lnt_str_ieq(r->headers[i].name, n) &&
            has_token(r->headers[i].value, t))
            return true;
    return false;
}
