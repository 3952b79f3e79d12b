/*
 * Requests whose answer is put off: what the connection does with them.  What
 * handlers use is in http.h.
 */
#ifndef LNT_HTTP_LATER_H
#define LNT_HTTP_LATER_H

#include "core/str.h"
#include "modules/http/exchange.h"

struct lnt_strbuf;

/* The handler answers now.  c may be gone afterwards, when it has upgraded. */
void lnt_http_later_due(struct lnt_http_conn *c, enum lnt_http_due why);
/* Nobody is there to be answered, or another process will do it. */
void lnt_http_later_gone(struct lnt_http_conn *c);
/* 0, or -1: the handler has answered instead. */
int lnt_http_later_freeze(struct lnt_http_conn *c, struct lnt_strbuf *out);
/* 0, or -1 with errno as of a protocol's thaw. */
int lnt_http_later_thaw(struct lnt_session *s, struct lnt_http_conn *c,
                        struct lnt_str state);

#endif
