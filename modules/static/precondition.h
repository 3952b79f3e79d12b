/*
 * Conditional requests and ranges, RFC 9110 sections 13 and 14.
 */
#ifndef LNT_STATIC_PRECONDITION_H
#define LNT_STATIC_PRECONDITION_H

#include <stdint.h>

#include "core/str.h"

struct lnt_http_request;

/* What is there to be served. */
struct lnt_static_version {
    struct lnt_str etag; /* strong, with its quotes */
    int64_t modified;    /* seconds since the Unix epoch; -1 unknown */
};

/* 0 to go on, 304 or 412. */
int lnt_static_precondition(const struct lnt_http_request *r,
                            const struct lnt_static_version *v);

enum lnt_static_range {
    LNT_STATIC_WHOLE,       /* no range asked, or none that is understood */
    LNT_STATIC_PART,        /* *offset and *n are set */
    LNT_STATIC_OUT_OF_RANGE /* 416 */
};

/* The one range that is asked for of size bytes.  Several at once are
   answered with the whole, as the RFC allows. */
enum lnt_static_range lnt_static_range(const struct lnt_http_request *r,
                                       const struct lnt_static_version *v,
                                       uint64_t size, uint64_t *offset,
                                       uint64_t *n);

#endif
