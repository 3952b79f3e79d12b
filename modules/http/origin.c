/*
 * Which pages may use a route: their Origin against the patterns of the route,
 * or against the host that the request is for.
 */
#include "modules/http/http.h"

#include <string.h>

#include "core/conf.h"
#include "core/regex.h"

enum { ORIGIN_MAX = 512 };

/* host:port, [v6]:port; port is empty when there is none or the default. */
struct authority {
    struct lnt_str host, port;
};

static struct authority
split_authority(struct lnt_str s, struct lnt_str default_port)
{
    struct authority a = {.host = s, .port = lnt_str("", 0)};
    for (size_t i = s.n; i > 0 && s.p[i - 1] != ']'; i--) {
        if (s.p[i - 1] != ':')
            continue;
        a.host.n = i - 1;
        a.port = lnt_str(s.p + i, s.n - i);
        break;
    }
    if (lnt_str_eq(a.port, default_port))
        a.port.n = 0;
    return a;
}

static bool
starts_with(struct lnt_str s, struct lnt_str prefix)
{
    return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

/*
 * A Host without a port may be one behind a proxy that speaks TLS, so the
 * scheme's own port is no difference.
 */
static bool
is_same_host(struct lnt_str origin, struct lnt_str host)
{
    struct lnt_str scheme = LNT_STR("https://"), port = LNT_STR("443");
    if (!starts_with(origin, scheme)) {
        scheme = LNT_STR("http://");
        port = LNT_STR("80");
        if (!starts_with(origin, scheme))
            return false;
    }
    struct lnt_str rest = lnt_str(origin.p + scheme.n, origin.n - scheme.n);
    struct authority a = split_authority(rest, port);
    struct authority b = split_authority(host, port);
    return a.host.n > 0 && lnt_str_ieq(a.host, b.host) &&
           lnt_str_eq(a.port, b.port);
}

bool
lnt_http_origin_allowed(const struct lnt_regexes *patterns,
                        struct lnt_str origin, struct lnt_str host)
{
    char text[ORIGIN_MAX];

    if (origin.n == 0 || origin.n > sizeof(text))
        return false;
    for (size_t i = 0; i < origin.n; i++) {
        char c = origin.p[i];
        /* No blanks: a list of origins is none of them. */
        if (c <= ' ' || c > '~')
            return false;
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    struct lnt_str lower = lnt_str(text, origin.n);
    if (!patterns || patterns->n == 0)
        return is_same_host(lower, host);
    for (size_t i = 0; i < patterns->n; i++)
        if (lnt_regex_match(patterns->v[i], lower, NULL, NULL))
            return true;
    return false;
}

bool
lnt_http_origin_fits(const struct lnt_http_request *r)
{
    size_t n = lnt_http_header_count(r, "Origin");

    return n == 0 ||
           (n == 1 &&
            lnt_http_origin_allowed(r->route->origins,
                                    lnt_http_header_get(r, "Origin"), r->host));
}
