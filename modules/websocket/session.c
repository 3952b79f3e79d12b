/*
 * What a session keeps while something is unfinished.
 */
#include "modules/websocket/session.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/mem.h"
#include "modules/websocket/deflate.h"

enum { ZIPPED_MAX = 64 * 1024 };

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
    if (more->inflater)
        lnt_ws_inflate_drop(more->inflater);
    lnt_strbuf_release(&more->zipped);
    more->buf = NULL;
    more->inflater = NULL;
    more->stuck = false;
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

void
lnt_ws_note_zipped(struct lnt_ws_more *more, const uint8_t *p, size_t n)
{
    if (more->stuck)
        return;
    if (n > ZIPPED_MAX - more->zipped.n) {
        more->stuck = true;
        lnt_strbuf_release(&more->zipped);
        return;
    }
    lnt_strbuf_add(&more->zipped, p, n);
}
