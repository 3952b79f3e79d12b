/*
 * A line of the access log: an answer put into the form that is configured.
 *
 * The answer to a request that goes on for long (a large body, a WebSocket) is
 * logged when it ends, but the request is gone by then.  So its line is made
 * at once, with holes: bytes that no value has and that stand for what the
 * end will tell.
 */
#ifndef LNT_HTTP_ACCESS_LINE_H
#define LNT_HTTP_ACCESS_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_http_access_format;
struct lnt_http_exchange;
struct lnt_session;
struct lnt_strbuf;

/* What the end tells. */
struct lnt_http_access_end {
    const struct lnt_session *session;
    int worker;           /* slot */
    uint64_t time_us;     /* of the wall clock */
    uint64_t bytes, body; /* sent: with the head, without */
    uint64_t ms;          /* since the request began */
};

/* Appends the line; with end NULL one with holes. */
void lnt_http_access_line(struct lnt_strbuf *b,
                          const struct lnt_http_access_format *f,
                          const struct lnt_http_exchange *x, int status,
                          const struct lnt_http_access_end *end);

/* Appends a line with holes, which are filled. */
void lnt_http_access_fill(struct lnt_strbuf *b, struct lnt_str line,
                          const struct lnt_http_access_end *end);

/* Whether a line that comes from elsewhere is one with holes, and one line. */
bool lnt_http_access_is_line(struct lnt_str line);

#endif
