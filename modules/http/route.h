/*
 * Which route a request takes.  One table a listener, made by routes.h.
 */
#ifndef LNT_HTTP_ROUTE_H
#define LNT_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/conf.h"
#include "modules/http/http.h"

enum { LNT_HTTP_HOST_MAX = 255 }; /* longer names do not exist */

struct lnt_http_entry {
    struct lnt_http_route route;
    size_t path_len;
    bool folder;              /* the path ends with a slash */
    struct lnt_regexes hosts; /* none: any host */
    unsigned module_index;    /* of route.module, in the list of modules */
    uint32_t methods;         /* bit 1 << enum lnt_http_method */
    const char *allow;        /* header line for 405 and OPTIONS */
};

/* Routes in the order in which they are tried: those with host first, in each
   half patterns in the order of the file, then paths, the longest first. */
struct lnt_http_table {
    const struct lnt_section *listener;
    const struct lnt_http_entry **entries;
    size_t n;
    bool hosts; /* some route has host patterns */
    const struct lnt_http_table *next;
};

const struct lnt_http_table *
lnt_http_table_find(const struct lnt_http_table *tables,
                    const struct lnt_section *listener);

/* The host in lower case, without port and without a dot at its end, in out. */
struct lnt_str lnt_http_fold_host(struct lnt_str host,
                                  char out[LNT_HTTP_HOST_MAX]);

/*
 * The route for r->path and r->host, or NULL.  Sets r->route, r->rest and the
 * captures.  A path /x/ stands for all below it, / for everything, /x for
 * itself and all below it.
 */
const struct lnt_http_entry *lnt_http_route_find(const struct lnt_http_table *t,
                                                 struct lnt_http_request *r);

#endif
