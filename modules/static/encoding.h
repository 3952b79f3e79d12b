/*
 * Which content codings a client takes, RFC 9110 section 12.5.3.
 */
#ifndef LNT_STATIC_ENCODING_H
#define LNT_STATIC_ENCODING_H

#include <stdbool.h>

struct lnt_http_request;

/* Whether gzip is named in Accept-Encoding, and not with weight 0. */
bool lnt_static_takes_gzip(const struct lnt_http_request *r);

#endif
