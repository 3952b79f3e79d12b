/*
 * A request that is not whole yet.  Exists from its first byte that had to be
 * waited behind until it is handled; between requests there is none.
 */
#ifndef LNT_HTTP_PENDING_H
#define LNT_HTTP_PENDING_H

#include <stddef.h>
#include <stdint.h>

#include "modules/http/body.h"
#include "modules/http/parse.h"

struct lnt_http_pending {
    uint64_t begun;                /* when its first byte came */
    struct lnt_http_parser parser; /* while head is NULL */
    char *head;                    /* a copy, when the body is awaited */
    size_t head_n;
    struct lnt_http_body body;
    const struct lnt_http_route *route; /* with head */
};

struct lnt_http_pending *lnt_http_pending_new(void);
void lnt_http_pending_free(struct lnt_http_pending *p); /* NULL is fine */

#endif
