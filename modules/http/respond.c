/*
 * Answers: head and body into one buffer, sent in one piece where they are
 * small.  Bodies that are large go out by transfer.h.
 */
#include "modules/http/respond.h"

#include <errno.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "modules/http/access.h"
#include "modules/http/encoding.h"
#include "modules/http/transfer.h"
#include "modules/http/upgraded.h"
#include "net/stats.h"
#include "os/clock.h"

enum {
    HEAD_ROOM = 256, /* for all that build_head writes of its own */
    /*
     * Files: one read and one write up to here, more by sendfile behind a
     * first piece that fills the packets of the head.  Measured (CPU a
     * request, by hand and by sendfile): 34 KB 20 and 22 us, 64 KB 38 and 23,
     * 256 KB 71 and 45.
     */
    WHOLE_MAX = 40 * 1024,
    FIRST_PIECE = 8 * 1024,
    NO_LENGTH = -1,
};

void
lnt_http_worker_date(struct lnt_http_worker *w, uint64_t now)
{
    if (now < w->date_until)
        return;
    uint64_t wall = lnt_clock_wall_us();
    w->date_until = now + (1000000 - wall % 1000000) / 1000 + 1;
    w->date_serial++;
    lnt_http_date_format((int64_t)(wall / 1000000), w->date);
}

bool
lnt_http_keeps(const struct lnt_http_exchange *x)
{
    return x->r.keep_alive && !(x->conn->flags & LNT_HTTP_F_CLOSE);
}

void
lnt_http_answered(struct lnt_http_exchange *x, int status)
{
    struct lnt_stats *stats = lnt_session_stats(x->r.session);
    lnt_assert(!x->answered);
    x->answered = true;
    x->status = status;
    lnt_count(stats, LNT_C_REQUESTS);
    if (status >= 400 && status < 500)
        lnt_count(stats, LNT_C_BAD_REQUESTS);
    if (status == 414 || status == 431)
        lnt_count(stats, LNT_C_HEAD_TOO_BIG);
    else if (status == 413)
        lnt_count(stats, LNT_C_BODY_TOO_BIG);
}

/* The answer was put off: what waits behind it goes on when it is out. */
static void
end_wait(struct lnt_http_exchange *x)
{
    if (!x->late)
        return;
    x->conn->flags &= (uint16_t)~LNT_HTTP_F_ANSWERING;
    lnt_session_deadline(x->r.session, 0);
    lnt_session_unpark(x->r.session);
}

lnt_verdict
lnt_http_send(struct lnt_http_exchange *x, struct lnt_buf *b,
              const struct lnt_http_source *source, uint64_t body)
{
    struct lnt_session *s = x->r.session;
    struct lnt_http_access *access = x->worker->access;
    bool last = !lnt_http_keeps(x);
    end_wait(x);
    /* Nothing comes of an upgrade that it asked for; the next request must not
       find it. */
    if (x->conn->flags & LNT_HTTP_F_ASKED)
        lnt_session_forget_admission(s);
    x->conn->flags &= (uint16_t)~LNT_HTTP_F_ASKED;
    if (last)
        x->conn->flags |= LNT_HTTP_F_DONE;
    if (!access) {
        lnt_http_transfer(s, x->conn, b, source, last);
        return LNT_GO_ON;
    }
    uint64_t base = lnt_http_access_base(s);
    uint64_t bytes = b->len + (source ? source->left : 0);
    lnt_http_transfer(s, x->conn, b, source, last);
    if (x->conn->flags & LNT_HTTP_F_TRANSFER)
        lnt_http_transfer_log(x->conn,
                              lnt_http_access_begin(access, x, x->status, base,
                                                    bytes - body));
    else
        lnt_http_access_add(access, x, x->status, bytes, bytes - body);
    return LNT_GO_ON;
}

/* ---- the head ---- */

static void
put(struct lnt_buf *b, const void *p, size_t n)
{
    lnt_assert(n <= b->cap - b->len);
    memcpy(b->data + b->len, p, n);
    b->len += (uint32_t)n;
}

static void
put_text(struct lnt_buf *b, const char *text)
{
    put(b, text, strlen(text));
}

static void
put_number(struct lnt_buf *b, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[sizeof(digits) - ++n] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    put(b, digits + sizeof(digits) - n, n);
}

/* A buffer with the head in it and room for more bytes behind. */
static struct lnt_buf *
build_head(struct lnt_http_exchange *x, int status, const char *content_type,
           const char *headers, int64_t length, size_t more)
{
    struct lnt_http_worker *w = x->worker;
    size_t texts = (content_type ? strlen(content_type) : 0) +
                   (headers ? strlen(headers) : 0);
    struct lnt_buf *b = lnt_buf_new(HEAD_ROOM + texts + more);
    put_text(b, "HTTP/1.1 ");
    put_number(b, (uint64_t)status);
    put_text(b, " ");
    put_text(b, lnt_http_reason(status));
    lnt_http_worker_date(w, lnt_session_now(x->r.session));
    put_text(b, "\r\nServer: linnet\r\nDate: ");
    put(b, w->date, LNT_HTTP_DATE_LEN);
    if (content_type) {
        put_text(b, "\r\nContent-Type: ");
        put_text(b, content_type);
    }
    if (length != NO_LENGTH) {
        put_text(b, "\r\nContent-Length: ");
        put_number(b, (uint64_t)length);
    }
    if (!lnt_http_keeps(x))
        put_text(b, "\r\nConnection: close");
    else if (x->r.version == 10)
        put_text(b, "\r\nConnection: keep-alive");
    put_text(b, "\r\n");
    if (headers)
        put_text(b, headers);
    put_text(b, "\r\n");
    return b;
}

/* 204 and 304 have no body and, with us, no length. */
static bool
has_content(int status)
{
    return status != 204 && status != 304;
}

static lnt_verdict
respond_head(struct lnt_http_exchange *x, int status, const char *content_type,
             const char *headers, uint64_t length)
{
    bool content = has_content(status);
    lnt_http_answered(x, status);
    return lnt_http_send(x,
                         build_head(x, status, content ? content_type : NULL,
                                    headers,
                                    content ? (int64_t)length : NO_LENGTH, 0),
                         NULL, 0);
}

lnt_verdict
lnt_http_respond(struct lnt_http_request *r, int status,
                 const char *content_type, const char *headers,
                 struct lnt_str body)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    /* For HEAD, too: its head is that of GET. */
    lnt_http_encode(x, status, content_type, &headers, &body);
    if (r->method == LNT_HTTP_HEAD || !has_content(status))
        return respond_head(x, status, content_type, headers, body.n);
    struct lnt_buf *b =
        build_head(x, status, content_type, headers, (int64_t)body.n, body.n);
    if (body.n > 0)
        put(b, body.p, body.n);
    lnt_http_answered(x, status);
    return lnt_http_send(x, b, NULL, body.n);
}

static lnt_verdict
respond_source(struct lnt_http_request *r, int status, const char *content_type,
               const char *headers, struct lnt_http_source *source)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    uint64_t n = source->left;
    if (r->method == LNT_HTTP_HEAD || !has_content(status)) {
        lnt_http_source_close(source);
        return respond_head(x, status, content_type, headers, n);
    }
    uint64_t whole = source->fd < 0 ? LNT_HTTP_PIECE : WHOLE_MAX;
    uint64_t first = source->fd < 0 ? LNT_HTTP_PIECE : FIRST_PIECE;
    size_t more = (size_t)(n <= whole ? n : first);
    struct lnt_buf *b =
        build_head(x, status, content_type, headers, (int64_t)n, more);
    if (lnt_http_source_fill(source, b) < 0) {
        lnt_log_error("a file could not be read: %s", strerror(errno));
        lnt_buf_unref(b);
        lnt_http_source_close(source);
        return lnt_http_error(r, 500, NULL, "the file cannot be read");
    }
    lnt_http_answered(x, status);
    return lnt_http_send(x, b, source, n);
}

lnt_verdict
lnt_http_respond_file(struct lnt_http_request *r, int status,
                      const char *content_type, const char *headers, int fd,
                      uint64_t offset, uint64_t n)
{
    struct lnt_http_source source = {.fd = fd, .offset = offset, .left = n};
    return respond_source(r, status, content_type, headers, &source);
}

lnt_verdict
lnt_http_respond_static(struct lnt_http_request *r, int status,
                        const char *content_type, const char *headers,
                        struct lnt_str body)
{
    struct lnt_http_source source = {.fd = -1, .p = body.p, .left = body.n};
    return respond_source(r, status, content_type, headers, &source);
}

/* ---- errors ---- */

static bool
wants_json(const struct lnt_http_request *r)
{
    if (r->route && r->route->handler->json)
        return true;
    struct lnt_str accept = lnt_http_header_get(r, "accept");
    static const char json[] = "application/json";
    const size_t n = sizeof(json) - 1;
    for (size_t i = 0; i + n <= accept.n; i++)
        if (strncasecmp(accept.p + i, json, n) == 0)
            return true;
    return false;
}

/* The words of the status as programs like them: not_found. */
static void
add_code(struct lnt_strbuf *b, int status)
{
    for (const char *p = lnt_http_reason(status); *p; p++) {
        char c = *p;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        lnt_strbuf_addc(b, c == ' ' ? '_' : c);
    }
}

lnt_verdict
lnt_http_error(struct lnt_http_request *r, int status, const char *headers,
               const char *message)
{
    struct lnt_strbuf *b = &lnt_http_exchange(r)->worker->text;
    bool json = wants_json(r);
    lnt_strbuf_clear(b);
    if (json) {
        lnt_strbuf_adds(b, "{\"error\":{\"code\":\"");
        add_code(b, status);
        lnt_strbuf_adds(b, "\",\"message\":");
        lnt_strbuf_add_json(b, lnt_str_c(message));
        lnt_strbuf_adds(b, "}}\n");
    } else {
        lnt_strbuf_addf(b, "%d %s: %s\n", status, lnt_http_reason(status),
                        message);
    }
    return lnt_http_respond(
        r, status, json ? "application/json" : "text/plain; charset=utf-8",
        headers, lnt_strbuf_str(b));
}

/* ---- another protocol ---- */

/* b (a reference is taken over) has the head. */
static lnt_verdict
become(struct lnt_http_request *r, int status, struct lnt_buf *b)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    lnt_assert(r->route && r->route->endpoint);
    switch (lnt_session_admits(r->session, r->route->endpoint)) {
    case LNT_ADMITTED:
        break;
    case LNT_TOO_MANY:
        lnt_buf_unref(b);
        return lnt_http_error(r, 503, "Retry-After: 10\r\n",
                              "There are too many connections at the moment.");
    case LNT_TOO_MANY_FROM_THERE:
        lnt_buf_unref(b);
        return lnt_http_error(r, 429, NULL,
                              "There are too many connections from your "
                              "address.");
    }
    lnt_http_answered(x, status);
    end_wait(x);
    x->upgraded = true;
    if (x->worker->upgraded)
        lnt_http_upgraded_add(
            x->worker->upgraded, lnt_session_id(r->session),
            lnt_http_access_begin(x->worker->access, x, status,
                                  lnt_http_access_base(r->session), b->len));
    lnt_session_write_buf(r->session, b);
    lnt_buf_unref(b);
    lnt_verdict v = lnt_session_become(r->session, r->route->endpoint);
    if (!x->late || v == LNT_GO_ON)
        return v;
    /* There is no data() whose verdict that could be. */
    lnt_session_close(r->session, v, NULL);
    return LNT_GO_ON;
}

lnt_verdict
lnt_http_upgrade(struct lnt_http_request *r, struct lnt_str head)
{
    struct lnt_buf *b = lnt_buf_new(head.n);
    put(b, head.p, head.n);
    return become(r, 101, b);
}

lnt_verdict
lnt_http_stream(struct lnt_http_request *r, const char *content_type,
                const char *headers)
{
    r->keep_alive = false;
    return become(r, 200,
                  build_head(lnt_http_exchange(r), 200, content_type, headers,
                             NO_LENGTH, 0));
}
