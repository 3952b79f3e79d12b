/*
 * What the header fields of a request mean for the connection: how long the
 * body is, whether the connection stays, which host is meant.  RFC 9112
 * sections 3.2, 6 and 9; RFC 9110 section 10.1.1.
 */
#ifndef LNT_HTTP_HEAD_H
#define LNT_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "modules/http/parse.h"

struct lnt_http_framing {
    uint64_t length; /* of the body, when not chunked; 0 is none */
    bool chunked;
    bool expects; /* the body comes after a 100 (Continue) */
};

static inline bool
lnt_http_has_body(const struct lnt_http_framing *f)
{
    return f->chunked || f->length > 0;
}

/*
 * Looks through the headers of a parsed request once; sets r->host and
 * r->keep_alive.  0, or -1 with *fault: the framing is unsure then, only a
 * closed connection can follow.
 */
int lnt_http_read_fields(struct lnt_http_request *r,
                         struct lnt_http_framing *framing,
                         struct lnt_http_fault *fault);

/* Whether it is the host of a URI with an optional port, or empty. */
bool lnt_http_host_valid(const char *p, size_t n);

#endif
