/*
 * Content codings, RFC 9110 sections 8.4 and 12.5.3.  Only gzip is of
 * interest; "*" is not taken for it.
 */
#include "modules/http/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "modules/http/http.h"

/* What is compressed once is compressed fast; a small window is enough for
   text that repeats itself at once, and 64 KB for a worker. */
enum { LEVEL = 2, WINDOW_BITS = 13, MEMORY = 6, GZIP = 16 };

struct lnt_http_packer {
    z_stream z;
    struct lnt_strbuf headers;
    char *out;
    size_t cap;
};

/* ---- what a client takes ---- */

enum { UNNAMED = -1, BAD = -2, WEIGHT_MAX = 1000 };

/* 0, 0.5, 1.000 in thousandths; BAD when it is none. */
static int
read_weight(struct lnt_str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') ||
        (s.n > 1 && s.p[1] != '.'))
        return BAD;
    int weight = (s.p[0] - '0') * WEIGHT_MAX, unit = WEIGHT_MAX / 10;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return BAD;
        weight += (s.p[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : BAD;
}

/* "gzip;q=0.5" gives gzip and 500. */
static int
read_coding(struct lnt_str element, struct lnt_str *name)
{
    const char *mark = memchr(element.p, ';', element.n);
    *name = lnt_str_trim(
        lnt_str(element.p, mark ? (size_t)(mark - element.p) : element.n));
    if (!mark)
        return WEIGHT_MAX;
    size_t rest = element.n - (size_t)(mark + 1 - element.p);
    struct lnt_str q = lnt_str_trim(lnt_str(mark + 1, rest));
    if (q.n < 2 || (q.p[0] != 'q' && q.p[0] != 'Q') || q.p[1] != '=')
        return BAD;
    return read_weight(lnt_str(q.p + 2, q.n - 2));
}

static void
read_codings(struct lnt_str list, int *gzip, int *identity)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        struct lnt_str name;
        int weight = read_coding(lnt_str(list.p, n), &name);
        if (lnt_str_ieq(name, LNT_STR("gzip")) ||
            lnt_str_ieq(name, LNT_STR("x-gzip")))
            *gzip = weight;
        else if (lnt_str_ieq(name, LNT_STR("identity")))
            *identity = weight;
        n += comma ? 1 : 0;
        list.p += n;
        list.n -= n;
    }
}

bool
lnt_http_takes_gzip(const struct lnt_http_request *r)
{
    int gzip = UNNAMED, identity = UNNAMED;
    for (size_t i = 0; i < r->nheaders; i++)
        if (lnt_str_ieq(r->headers[i].name, LNT_STR("Accept-Encoding")))
            read_codings(r->headers[i].value, &gzip, &identity);
    return gzip > 0 && gzip >= identity;
}

/* ---- compressing ---- */

void
lnt_http_packer_free(struct lnt_http_packer *p)
{
    if (!p)
        return;
    deflateEnd(&p->z);
    lnt_strbuf_release(&p->headers);
    free(p->out);
    free(p);
}

static struct lnt_http_packer *
packer_of(struct lnt_http_worker *w)
{
    if (w->packer)
        return w->packer;
    struct lnt_http_packer *p = lnt_calloc(1, sizeof(*p));
    int rc = deflateInit2(&p->z, LEVEL, Z_DEFLATED, WINDOW_BITS + GZIP, MEMORY,
                          Z_DEFAULT_STRATEGY);
    lnt_assert(rc == Z_OK); /* as with all memory */
    return w->packer = p;
}

/* false when it gets no shorter. */
static bool
pack(struct lnt_http_packer *p, struct lnt_str *body)
{
    z_stream *z = &p->z;
    if (p->cap < body->n) {
        free(p->out);
        p->cap = body->n;
        p->out = lnt_malloc(p->cap);
    }
    deflateReset(z);
    z->next_in = (Bytef *)(uintptr_t)body->p; /* not const in every zlib */
    z->avail_in = (uInt)body->n;
    z->next_out = (Bytef *)p->out;
    z->avail_out = (uInt)body->n - 1;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return false;
    *body = lnt_str(p->out, (size_t)z->total_out);
    return true;
}

static bool
is_text(const char *type)
{
    return strncmp(type, "text/", 5) == 0 ||
           strncmp(type, "application/json", 16) == 0;
}

/* What speaks of one representation alone: its handler knows better. */
static bool
is_fixed(const char *headers)
{
    return headers &&
           (strcasestr(headers, "Content-Encoding:") ||
            strcasestr(headers, "Content-Range:") ||
            strcasestr(headers, "ETag:") || strcasestr(headers, "Vary:"));
}

void
lnt_http_encode(struct lnt_http_exchange *x, int status,
                const char *content_type, const char **headers,
                struct lnt_str *body)
{
    enum { BODY_MAX = 64 << 20 }; /* in one go, in the middle of a turn */
    const struct lnt_http_route *route = x->r.route;
    if (status != 200 || !content_type || !route || !route->gzip ||
        body->n < x->worker->conf->gzip_min || body->n > BODY_MAX ||
        !is_text(content_type) || is_fixed(*headers))
        return;
    struct lnt_http_packer *p = packer_of(x->worker);
    lnt_strbuf_clear(&p->headers);
    lnt_strbuf_adds(&p->headers, *headers ? *headers : "");
    lnt_strbuf_adds(&p->headers, "Vary: Accept-Encoding\r\n");
    if (lnt_http_takes_gzip(&x->r) && pack(p, body))
        lnt_strbuf_adds(&p->headers, "Content-Encoding: gzip\r\n");
    *headers = p->headers.p;
}
