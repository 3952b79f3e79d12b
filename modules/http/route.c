/*
 * Which route a request takes: the first of the table that fits.
 */
#include "modules/http/route.h"

#include "core/regex.h"

const struct lnt_http_table *
lnt_http_table_find(const struct lnt_http_table *tables,
                    const struct lnt_section *listener)
{
    while (tables && tables->listener != listener)
        tables = tables->next;
    return tables;
}

struct lnt_str
lnt_http_fold_host(struct lnt_str host, char out[LNT_HTTP_HOST_MAX])
{
    size_t n = 0;
    bool literal = host.n > 0 && host.p[0] == '[';
    for (size_t i = 0; i < host.n && n < LNT_HTTP_HOST_MAX; i++) {
        char c = host.p[i];
        if (c == ':' && !literal)
            break;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        out[n++] = c;
        if (c == ']')
            break;
    }
    if (n > 1 && out[n - 1] == '.')
        n--;
    return lnt_str(out, n);
}

static bool
host_fits(const struct lnt_http_entry *e, struct lnt_str host)
{
    if (e->hosts.n == 0)
        return true;
    for (size_t i = 0; i < e->hosts.n; i++)
        if (lnt_regex_match(e->hosts.v[i], host, NULL, NULL))
            return true;
    return false;
}

static struct lnt_str
without_slash(struct lnt_str s)
{
    if (s.n > 0 && s.p[0] == '/')
        return lnt_str(s.p + 1, s.n - 1);
    return s;
}

static bool
path_fits(const struct lnt_http_entry *e, struct lnt_http_request *r)
{
    size_t n = e->path_len;
    if (r->path.n < n || memcmp(r->path.p, e->route.path, n) != 0)
        return false;
    if (!e->folder && r->path.n > n && r->path.p[n] != '/')
        return false;
    r->rest = without_slash(lnt_str(r->path.p + n, r->path.n - n));
    return true;
}

static bool
entry_fits(const struct lnt_http_entry *e, struct lnt_http_request *r,
           struct lnt_str host)
{
    if (!e->route.match)
        return path_fits(e, r) && host_fits(e, host);
    if (!host_fits(e, host) ||
        !lnt_regex_match(e->route.match, r->path, r->captures, &r->ncaptures))
        return false;
    r->rest = without_slash(r->path);
    return true;
}

const struct lnt_http_entry *
lnt_http_route_find(const struct lnt_http_table *t, struct lnt_http_request *r)
{
    char folded[LNT_HTTP_HOST_MAX];
    struct lnt_str host = {folded, 0};
    r->route = NULL;
    r->rest = lnt_str("", 0);
    r->ncaptures = 0;
    if (!t)
        return NULL;
    if (t->hosts)
        host = lnt_http_fold_host(r->host, folded);
    for (size_t i = 0; i < t->n; i++) {
        if (entry_fits(t->entries[i], r, host)) {
            r->route = &t->entries[i]->route;
            return t->entries[i];
        }
    }
    r->ncaptures = 0;
    return NULL;
}
