/*
 * Which content codings a client takes.  Only gzip is of interest; "*" is not
 * taken for it.
 */
#include "modules/static/encoding.h"

#include <string.h>
#include <strings.h>

#include "modules/http/http.h"

/* What follows the name: nothing, or ";q=" and a weight. */
static bool
has_weight(struct lnt_str s)
{
    s = lnt_str_trim(s);
    if (s.n == 0)
        return true;
    const char *equals = s.p[0] == ';' ? memchr(s.p, '=', s.n) : NULL;
    if (!equals)
        return false;
    for (const char *p = equals + 1; p < s.p + s.n; p++)
        if (*p >= '1' && *p <= '9')
            return true;
    return false;
}

bool
lnt_static_takes_gzip(const struct lnt_http_request *r)
{
    struct lnt_str s = lnt_http_header_get(r, "accept-encoding");
    while (s.n > 0) {
        const char *comma = memchr(s.p, ',', s.n);
        size_t n = comma ? (size_t)(comma - s.p) : s.n;
        struct lnt_str e = lnt_str_trim(lnt_str(s.p, n));
        if (e.n >= 4 && strncasecmp(e.p, "gzip", 4) == 0 &&
            has_weight(lnt_str(e.p + 4, e.n - 4)))
            return true;
        s.p += comma ? n + 1 : n;
        s.n -= comma ? n + 1 : n;
    }
    return false;
}
