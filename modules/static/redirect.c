/*
 * Folders that were asked for without the slash at their end.  The new place
 * is made of the normalised path, which begins with one slash: it cannot name
 * another host.
 */
#include "modules/static/redirect.h"

#include "core/strbuf.h"
#include "modules/http/path.h"

lnt_verdict
lnt_static_redirect(struct lnt_http_request *r, struct lnt_strbuf *b)
{
    lnt_strbuf_clear(b);
    lnt_strbuf_adds(b, "Location: ");
    lnt_http_path_encode(b, r->path);
    lnt_strbuf_addc(b, '/');
    if (r->query.p) {
        lnt_strbuf_addc(b, '?');
        lnt_strbuf_add_str(b, r->query);
    }
    lnt_strbuf_adds(b, "\r\n");
    return lnt_http_respond(r, 301, "text/plain; charset=utf-8", b->p,
                            LNT_STR("This is a folder: add a slash.\n"));
}
