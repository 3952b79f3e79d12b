/*
 * Answers that are given again and again.  For a body that is not large head
 * and body lie ready in one buffer, of which an answer queues a reference; a
 * new date is put in once a second, into a copy when the buffer is in use.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "modules/http/respond.h"
#include "net/limits.h"

struct lnt_http_prepared {
    int status;
    char *content_type, *headers; /* NULL: none */
    struct lnt_str body;          /* in the image, when there is one */
    struct lnt_buf *image;        /* NULL: too large for it */
    size_t date_at;               /* where the date stands in it */
    uint32_t date_serial;         /* which one that is */
};

static void
find_body(struct lnt_http_prepared *p)
{
    p->body.p = (const char *)p->image->data + p->image->len - p->body.n;
}

static void
build_image(struct lnt_http_prepared *p)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&b, "HTTP/1.1 %d %s\r\nServer: linnet\r\nDate: ", p->status,
                    lnt_http_reason(p->status));
    p->date_at = b.n;
    char date[LNT_HTTP_DATE_LEN + 1];
    lnt_http_date_format(0, date);
    lnt_strbuf_adds(&b, date);
    if (p->content_type)
        lnt_strbuf_addf(&b, "\r\nContent-Type: %s", p->content_type);
    lnt_strbuf_addf(&b, "\r\nContent-Length: %zu\r\n%s\r\n", p->body.n,
                    p->headers ? p->headers : "");
    lnt_strbuf_add_str(&b, p->body);
    p->image = lnt_buf_new(b.n);
    memcpy(p->image->data, b.p, b.n);
    p->image->len = (uint32_t)b.n;
    lnt_strbuf_release(&b);
    find_body(p);
}

struct lnt_http_prepared *
lnt_http_prepare(int status, const char *content_type, const char *headers,
                 struct lnt_str body)
{
    struct lnt_http_prepared *p = lnt_calloc(1, sizeof(*p));
    p->status = status;
    p->content_type = content_type ? lnt_strdup(content_type) : NULL;
    p->headers = headers ? lnt_strdup(headers) : NULL;
    p->body = body;
    if (body.n <= LNT_HTTP_COPY_MAX && status != 204 && status != 304)
        build_image(p);
    return p;
}

void
lnt_http_prepared_free(struct lnt_http_prepared *p)
{
    if (!p)
        return;
    if (p->image)
        lnt_buf_unref(p->image);
    free(p->content_type);
    free(p->headers);
    free(p);
}

static void
refresh(struct lnt_http_prepared *p, struct lnt_http_worker *w)
{
    if (p->image->refs > 1) {
        struct lnt_buf *copy = lnt_buf_new(p->image->len);
        memcpy(copy->data, p->image->data, p->image->len);
        copy->len = p->image->len;
        lnt_buf_unref(p->image);
        p->image = copy;
        find_body(p);
    }
    memcpy(p->image->data + p->date_at, w->date, LNT_HTTP_DATE_LEN);
    p->date_serial = w->date_serial;
}

lnt_verdict
lnt_http_respond_prepared(struct lnt_http_request *r,
                          struct lnt_http_prepared *p)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    struct lnt_http_worker *w = x->worker;
    if (!p->image || r->method == LNT_HTTP_HEAD || r->version != 11 ||
        !lnt_http_keeps(x))
        return lnt_http_respond_static(r, p->status, p->content_type,
                                       p->headers, p->body);
    lnt_http_worker_date(w, lnt_session_now(r->session));
    if (p->date_serial != w->date_serial)
        refresh(p, w);
    lnt_http_answered(x, p->status);
    return lnt_http_send(x, lnt_buf_ref(p->image), NULL, p->body.n);
}
