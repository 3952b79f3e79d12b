/*
 * A request that is not whole yet: its life.
 */
#include "modules/http/pending.h"

#include <stdlib.h>

#include "core/mem.h"

struct lnt_http_pending *
lnt_http_pending_new(void)
{
    return lnt_calloc(1, sizeof(struct lnt_http_pending));
}

void
lnt_http_pending_free(struct lnt_http_pending *p)
{
    if (!p)
        return;
    free(p->head);
    lnt_http_body_release(&p->body);
    free(p);
}
