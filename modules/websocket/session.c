/*
 * What a session keeps while something is unfinished.
 */
#include "modules/websocket/session.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/mem.h"

struct lnt_ws_more *
lnt_ws_need_more(struct lnt_ws_more **more)
{
    if (!*more)
        *more = lnt_calloc(1, sizeof(**more));
    return *more;
}

void
lnt_ws_drop_message(struct lnt_ws_more *more)
{
    if (more->buf)
        lnt_buf_unref(more->buf);
    more->buf = NULL;
    more->opcode = 0;
}

void
lnt_ws_free_more(struct lnt_ws_more *more)
{
    if (!more)
        return;
    lnt_ws_drop_message(more);
    free(more);
}
