/*
 * Content codings: which a client takes, and answers compressed for it.
 */
#ifndef LNT_HTTP_ENCODING_H
#define LNT_HTTP_ENCODING_H

#include <stdbool.h>

#include "core/str.h"
#include "modules/http/exchange.h"

struct lnt_http_packer;

void lnt_http_packer_free(struct lnt_http_packer *p); /* NULL is fine */

/*
 * What becomes of an answer with that body.  Where it depends on what the
 * client takes, *headers is replaced by one that says so; where the client
 * takes it and it becomes shorter, *body is the compressed one.  Both are the
 * worker's and valid until its next answer.
 */
void lnt_http_encode(struct lnt_http_exchange *x, int status,
                     const char *content_type, const char **headers,
                     struct lnt_str *body);

#endif
