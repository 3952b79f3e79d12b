/*
 * Pages compiled into the binary.  Answers are prepared when an asset is first
 * asked for, compressed if that makes it smaller.
 *
 * The policy for pages is strict: nothing from elsewhere, nothing inline.
 * connect-src 'self' covers WebSocket connections to the same host in every
 * browser since 2022.
 */
#include "modules/static/static.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/mem.h"
#include "modules/static/mime.h"
#include "modules/static/precondition.h"
#include "modules/static/redirect.h"
#include "net/module.h"

enum { PACK_MIN = 512 }; /* bytes worth compressing */

static const char page_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; "
    "style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

/* ---- compression ---- */

static bool
pack(const struct lnt_asset *a, char **out, size_t *n)
{
    z_stream z = {0};
    if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, (uLong)a->size);
    unsigned char *copy = lnt_malloc(a->size), *p = lnt_malloc(bound);
    memcpy(copy, a->data, a->size); /* next_in is not const in every zlib */
    z.next_in = copy;
    z.avail_in = (uInt)a->size;
    z.next_out = p;
    z.avail_out = (uInt)bound;
    bool good = deflate(&z, Z_FINISH) == Z_STREAM_END && z.total_out < a->size;
    *n = z.total_out;
    deflateEnd(&z);
    free(copy);
    if (!good) {
        free(p);
        return false;
    }
    *out = lnt_realloc(p, *n);
    return true;
}

/* The tag of a representation is its own: "x" becomes "x-gz". */
static char *
packed_etag(const char *etag)
{
    size_t n = strlen(etag);
    char *out = lnt_malloc(n + 4);
    memcpy(out, etag, n - 1);
    memcpy(out + n - 1, "-gz\"", 5);
    return out;
}

static bool
has_packed(struct lnt_static_page *p, const struct lnt_asset *a)
{
    if (p->tried)
        return p->packed != NULL;
    p->tried = true;
    if (a->size < PACK_MIN ||
        !lnt_static_mime_is_text(lnt_static_mime(a->path)) ||
        !pack(a, &p->packed, &p->packed_n))
        return false;
    p->packed_etag = packed_etag(a->etag);
    return true;
}

/* ---- headers ---- */

static void
add_headers(struct lnt_strbuf *b, const struct lnt_static_site *site,
            const struct lnt_asset *a, const char *etag)
{
    const char *type = lnt_static_mime(a->path);
    lnt_strbuf_clear(b);
    lnt_strbuf_addf(b, "ETag: %s\r\n%s", etag, site->route->cache_control);
    if (site->route->gzip && a->size >= PACK_MIN &&
        lnt_static_mime_is_text(type))
        lnt_strbuf_adds(b, "Vary: Accept-Encoding\r\n");
}

static void
add_content_headers(struct lnt_strbuf *b, const struct lnt_asset *a,
                    bool packed)
{
    lnt_strbuf_adds(b, packed ? "Content-Encoding: gzip\r\n"
                              : "Accept-Ranges: bytes\r\n");
    lnt_strbuf_adds(b, "X-Content-Type-Options: nosniff\r\n");
    if (strncmp(lnt_static_mime(a->path), "text/html", 9) == 0)
        lnt_strbuf_adds(b, page_headers);
}

static struct lnt_http_prepared *
prepare_page(struct lnt_strbuf *b, const struct lnt_static_site *site,
             const struct lnt_asset *a, const struct lnt_static_page *p,
             bool packed)
{
    add_headers(b, site, a, packed ? p->packed_etag : a->etag);
    add_content_headers(b, a, packed);
    struct lnt_str body = {(const char *)a->data, a->size};
    if (packed)
        body = lnt_str(p->packed, p->packed_n);
    return lnt_http_prepare(200, lnt_static_mime(a->path), b->p, body);
}

void
lnt_static_free_pages(struct lnt_static_site *site)
{
    for (size_t i = 0; site->pages && i < site->route->nassets; i++) {
        struct lnt_static_page *p = &site->pages[i];
        lnt_http_prepared_free(p->plain);
        lnt_http_prepared_free(p->gzip);
        free(p->packed);
        free(p->packed_etag);
    }
    free(site->pages);
    site->pages = NULL;
}

/* ---- answers ---- */

static lnt_verdict
serve_range(struct lnt_static_worker *w, const struct lnt_static_site *site,
            struct lnt_http_request *r, const struct lnt_asset *a,
            uint64_t offset, uint64_t n)
{
    struct lnt_strbuf *b = &w->headers;
    add_headers(b, site, a, a->etag);
    add_content_headers(b, a, false);
    lnt_strbuf_addf(b, "Content-Range: bytes %llu-%llu/%zu\r\n",
                    (unsigned long long)offset,
                    (unsigned long long)(offset + n - 1), a->size);
    return lnt_http_respond_static(r, 206, lnt_static_mime(a->path), b->p,
                                   lnt_str((const char *)a->data + offset,
                                           (size_t)n));
}

static lnt_verdict
serve_page(struct lnt_static_worker *w, struct lnt_static_site *site,
           struct lnt_http_request *r, const struct lnt_asset *a)
{
    struct lnt_static_page *p = &site->pages[a - site->route->assets];
    bool ranged = lnt_http_header_get(r, "range").p != NULL;
    bool packed = !ranged && site->route->gzip && lnt_http_takes_gzip(r) &&
                  has_packed(p, a);
    struct lnt_static_version v = {
        .etag = lnt_str_c(packed ? p->packed_etag : a->etag), .modified = -1};
    int status = lnt_static_precondition(r, &v);
    if (status == 304) {
        add_headers(&w->headers, site, a, v.etag.p);
        return lnt_http_respond(r, 304, NULL, w->headers.p, lnt_str("", 0));
    }
    if (status != 0)
        return lnt_http_error(r, status, NULL, "it has changed");
    uint64_t offset, n;
    switch (ranged ? lnt_static_range(r, &v, a->size, &offset, &n)
                   : LNT_STATIC_WHOLE) {
    case LNT_STATIC_PART:
        return serve_range(w, site, r, a, offset, n);
    case LNT_STATIC_OUT_OF_RANGE:
        lnt_strbuf_clear(&w->headers);
        lnt_strbuf_addf(&w->headers, "Content-Range: bytes */%zu\r\n", a->size);
        return lnt_http_error(r, 416, w->headers.p, "it is not so long");
    case LNT_STATIC_WHOLE:
        break;
    }
    struct lnt_http_prepared **slot = packed ? &p->gzip : &p->plain;
    if (!*slot)
        *slot = prepare_page(&w->headers, site, a, p, packed);
    return lnt_http_respond_prepared(r, *slot);
}

static const struct lnt_asset *
find(const struct lnt_static_route *route, struct lnt_str path)
{
    for (size_t i = 0; i < route->nassets; i++)
        if (lnt_str_eq(lnt_str_c(route->assets[i].path), path))
            return &route->assets[i];
    return NULL;
}

/* Whether some asset lies in the folder of that name. */
static bool
is_folder(const struct lnt_static_route *route, struct lnt_str path)
{
    for (size_t i = 0; i < route->nassets; i++) {
        const char *p = route->assets[i].path;
        if (strncmp(p, path.p, path.n) == 0 && p[path.n] == '/')
            return true;
    }
    return false;
}

lnt_verdict
lnt_static_serve_asset(struct lnt_static_worker *w,
                       struct lnt_static_site *site, struct lnt_http_request *r)
{
    struct lnt_str path = r->rest;
    if (path.n == 0 || path.p[path.n - 1] == '/') {
        if (path.n == 0 && r->path.p[r->path.n - 1] != '/')
            return lnt_static_redirect(r, &w->headers);
        lnt_strbuf_clear(&w->path);
        lnt_strbuf_add_str(&w->path, path);
        lnt_strbuf_adds(&w->path, site->route->index);
        path = lnt_strbuf_str(&w->path);
    }
    if (!site->pages)
        site->pages =
            lnt_calloc(site->route->nassets + 1, sizeof(*site->pages));
    const struct lnt_asset *a = find(site->route, path);
    if (a)
        return serve_page(w, site, r, a);
    if (is_folder(site->route, path))
        return lnt_static_redirect(r, &w->headers);
    return lnt_http_error(r, 404, NULL, "there is no such page");
}
