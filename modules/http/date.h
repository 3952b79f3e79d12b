/*
 * Dates of HTTP, RFC 9110 section 5.6.7.
 */
#ifndef LNT_HTTP_DATE_H
#define LNT_HTTP_DATE_H

#include <stdint.h>

#include "core/str.h"

enum { LNT_HTTP_DATE_LEN = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL; seconds since the Unix epoch. */
void lnt_http_date_format(int64_t t, char out[LNT_HTTP_DATE_LEN + 1]);

/* "1994-11-06T08:49:37+00:00" and a NUL: ISO 8601, for logs. */
enum { LNT_HTTP_STAMP_LEN = 25 };
void lnt_http_stamp_format(int64_t t, char out[LNT_HTTP_STAMP_LEN + 1]);

/* Any of the three forms that the RFC wants understood.  0, or -1. */
int lnt_http_date_parse(struct lnt_str s, int64_t *t);

#endif
