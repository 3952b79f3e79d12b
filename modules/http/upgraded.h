/*
 * Sessions that began as a request and are another protocol's now: their
 * lines in the access log, which are written when they end.
 */
#ifndef LNT_HTTP_UPGRADED_H
#define LNT_HTTP_UPGRADED_H

#include <stdint.h>

struct lnt_http_line;
struct lnt_http_upgraded;

struct lnt_http_upgraded *lnt_http_upgraded_new(void);
void lnt_http_upgraded_free(struct lnt_http_upgraded *u); /* NULL is fine */

/* Keeps a line (owned from here on) for the session of that id. */
void lnt_http_upgraded_add(struct lnt_http_upgraded *u, uint64_t id,
                           struct lnt_http_line *line);

#endif
