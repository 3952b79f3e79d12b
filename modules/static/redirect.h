/*
 * Folders that were asked for without the slash at their end.
 */
#ifndef LNT_STATIC_REDIRECT_H
#define LNT_STATIC_REDIRECT_H

#include "modules/http/http.h"

struct lnt_strbuf;

/* Answers with a redirect to r->path and a slash; b is scratch. */
lnt_verdict lnt_static_redirect(struct lnt_http_request *r,
                                struct lnt_strbuf *b);

#endif
