/*
 * What a [route] with handler = static serves.  Shared by the files of this
 * module.
 */
#ifndef LNT_STATIC_STATIC_H
#define LNT_STATIC_STATIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"
#include "modules/http/http.h"

struct lnt_asset;
struct lnt_http_prepared;
struct lnt_static_cache;

/* As configured. */
struct lnt_static_route {
    const char *root;               /* absolute; NULL for assets */
    const struct lnt_asset *assets; /* NULL for a folder */
    size_t nassets;
    const char *index;
    const char *cache_control; /* header line */
    bool gzip;
};

/* An asset of a builtin route in a worker; made when it is first asked for. */
struct lnt_static_page {
    struct lnt_http_prepared *plain, *gzip;
    char *packed; /* what gzip holds; NULL: not smaller than plain */
    char *packed_etag;
    size_t packed_n;
    bool tried; /* to pack */
};

/* A route in a worker. */
struct lnt_static_site {
    const struct lnt_static_route *route;
    struct lnt_static_page *pages; /* one an asset */
    int root;                      /* of a folder, -1 */
    uint64_t root_until;           /* loop time to look at it again */
    uint64_t quiet_until;          /* loop time to log again what is refused */
    struct lnt_static_site *next;
};

struct lnt_static_worker {
    struct lnt_static_site *sites;
    struct lnt_static_cache *cache;
    struct lnt_strbuf headers, path;
};

/* ---- assets.c ---- */
lnt_verdict lnt_static_serve_asset(struct lnt_static_worker *w,
                                   struct lnt_static_site *site,
                                   struct lnt_http_request *r);
void lnt_static_free_pages(struct lnt_static_site *site);

/* ---- files.c ---- */
lnt_verdict lnt_static_serve_file(struct lnt_static_worker *w,
                                  struct lnt_static_site *site,
                                  struct lnt_http_request *r);

#endif
