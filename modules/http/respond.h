/*
 * How answers are put together; what handlers use of it is in http.h.
 */
#ifndef LNT_HTTP_RESPOND_H
#define LNT_HTTP_RESPOND_H

#include <stdbool.h>
#include <stdint.h>

#include "modules/http/exchange.h"

struct lnt_buf;
struct lnt_http_source;

/* Refreshes worker->date when the second it stands for is over. */
void lnt_http_worker_date(struct lnt_http_worker *w, uint64_t now);

/* Whether the connection stays after this answer. */
bool lnt_http_keeps(const struct lnt_http_exchange *x);

/* The answer was made: counts it. */
void lnt_http_answered(struct lnt_http_exchange *x, int status);

/* Sends b (a reference is taken over), then source, then ends the connection
   unless it stays; logs it, body being how much of it is no head. */
lnt_verdict lnt_http_send(struct lnt_http_exchange *x, struct lnt_buf *b,
                          const struct lnt_http_source *source, uint64_t body);

#endif
