/*
 * The access log: one line a request, in the combined format that log readers
 * know (times in UTC), or one JSON object.
 *
 * Lines are collected and written once a loop turn, whole lines only.  What
 * cannot be written (disk full) is counted and said once a minute.
 */
#include "modules/http/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "event/loop.h"
#include "modules/http/date.h"
#include "modules/http/http.h"
#include "net/server_info.h"
#include "os/clock.h"
#include "os/socket.h"

enum {
    FLUSH_AT = 64 * 1024,  /* bytes collected in one turn */
    COMPLAINT = 60 * 1000, /* ms between two about the same thing */
};

struct lnt_http_access {
    struct lnt_loop *loop;
    const struct lnt_server_info *server;
    struct lnt_timer flush; /* due at once: fires when this turn's work ends */
    struct lnt_strbuf text;
    uint64_t complained; /* loop time, 0 never */
    uint64_t lost;       /* lines */
};

static uint64_t
count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void
complain(struct lnt_http_access *a, const char *p, size_t n)
{
    uint64_t now = lnt_loop_now(a->loop);
    a->lost += count_lines(p, n);
    if (a->complained && now - a->complained < COMPLAINT)
        return;
    a->complained = now;
    lnt_log_error("access log: %s; %llu lines lost so far", strerror(errno),
                  (unsigned long long)a->lost);
}

static void
write_out(struct lnt_http_access *a)
{
    size_t done = 0, n = a->text.n;
    while (done < n && a->server->access_fd >= 0) {
        ssize_t got = write(a->server->access_fd, a->text.p + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            complain(a, a->text.p + done, n - done);
            break;
        }
        done += (size_t)got;
    }
    lnt_strbuf_clear(&a->text);
}

static void
on_flush(struct lnt_timer *t)
{
    write_out(
        (struct lnt_http_access *)((char *)t -
                                   offsetof(struct lnt_http_access, flush)));
}

struct lnt_http_access *
lnt_http_access_new(struct lnt_loop *loop, const struct lnt_server_info *server)
{
    struct lnt_http_access *a = lnt_calloc(1, sizeof(*a));
    a->loop = loop;
    a->server = server;
    a->flush.fn = on_flush;
    return a;
}

void
lnt_http_access_free(struct lnt_http_access *a)
{
    if (!a)
        return;
    lnt_timer_stop(a->loop, &a->flush);
    write_out(a);
    lnt_strbuf_release(&a->text);
    free(a);
}

/* Without the port; "unix" for peers that have no address. */
static void
add_peer(struct lnt_strbuf *b, const struct lnt_http_request *r)
{
    char text[LNT_ADDR_TEXT];
    struct lnt_addr peer;
    if (lnt_session_peer(r->session, &peer) < 0) {
        lnt_strbuf_addc(b, '-');
        return;
    }
    if (lnt_addr_is_unix(&peer)) {
        lnt_strbuf_adds(b, "unix");
        return;
    }
    lnt_addr_format(&peer, text, sizeof(text));
    char *end = strrchr(text, ':');
    if (end)
        *end = '\0';
    lnt_strbuf_adds(b, text);
}

/* What a client chose must not forge a line or move a terminal. */
static void
add_quoted(struct lnt_strbuf *b, struct lnt_str s)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            lnt_strbuf_addc(b, (char)c);
        } else {
            char e[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
            lnt_strbuf_add(b, e, sizeof(e));
        }
    }
}

static void
add_field(struct lnt_strbuf *b, struct lnt_str s)
{
    lnt_strbuf_adds(b, " \"");
    if (s.n == 0)
        lnt_strbuf_addc(b, '-');
    add_quoted(b, s);
    lnt_strbuf_addc(b, '"');
}

/* 21/Nov/2026:22:14:05 +0000, out of "Sat, 21 Nov 2026 22:14:05 GMT". */
static void
add_time(struct lnt_strbuf *b)
{
    char d[LNT_HTTP_DATE_LEN + 1];
    lnt_http_date_format((int64_t)(lnt_clock_wall_us() / 1000000), d);
    lnt_strbuf_addf(b, "%.2s/%.3s/%.4s:%.8s +0000", d + 5, d + 8, d + 12,
                    d + 17);
}

/* "-" where there was no request line that could be read. */
static void
add_request(struct lnt_strbuf *b, const struct lnt_http_request *r)
{
    if (r->target.n == 0) {
        lnt_strbuf_addc(b, '-');
        return;
    }
    add_quoted(b, r->method_text);
    lnt_strbuf_addc(b, ' ');
    add_quoted(b, r->target);
    lnt_strbuf_addf(b, " HTTP/1.%d", r->version - 10);
}

static void
add_line(struct lnt_strbuf *b, const struct lnt_http_request *r, int status,
         uint64_t n)
{
    add_peer(b, r);
    lnt_strbuf_adds(b, " - - [");
    add_time(b);
    lnt_strbuf_adds(b, "] \"");
    add_request(b, r);
    lnt_strbuf_addf(b, "\" %d ", status);
    lnt_strbuf_addu(b, n);
    add_field(b, lnt_http_header_get(r, "referer"));
    add_field(b, lnt_http_header_get(r, "user-agent"));
    lnt_strbuf_addc(b, '\n');
}

static void
add_member(struct lnt_strbuf *b, const char *name, struct lnt_str s)
{
    lnt_strbuf_addf(b, ",\"%s\":", name);
    if (lnt_utf8_valid(s.p, s.n)) {
        lnt_strbuf_add_json(b, s);
        return;
    }
    struct lnt_strbuf plain = LNT_STRBUF_INIT;
    add_quoted(&plain, s);
    lnt_strbuf_add_json(b, lnt_strbuf_str(&plain));
    lnt_strbuf_release(&plain);
}

static void
add_object(struct lnt_strbuf *b, const struct lnt_http_request *r, int status,
           uint64_t n)
{
    uint64_t now = lnt_clock_wall_us();
    lnt_strbuf_addf(b, "{\"time\":%llu.%06llu,\"peer\":\"",
                    (unsigned long long)(now / 1000000),
                    (unsigned long long)(now % 1000000));
    add_peer(b, r);
    lnt_strbuf_addf(b, "\",\"connection\":%llu",
                    (unsigned long long)lnt_session_id(r->session));
    add_member(b, "method", r->method_text);
    add_member(b, "target", r->target);
    add_member(b, "host", r->host);
    lnt_strbuf_addf(b, ",\"version\":\"1.%d\",\"status\":%d,\"bytes\":%llu",
                    r->version - 10, status, (unsigned long long)n);
    add_member(b, "referer", lnt_http_header_get(r, "referer"));
    add_member(b, "user_agent", lnt_http_header_get(r, "user-agent"));
    lnt_strbuf_adds(b, "}\n");
}

void
lnt_http_access_add(struct lnt_http_access *a, const struct lnt_http_request *r,
                    int status, uint64_t n)
{
    if (a->server->access_fd < 0)
        return;
    if (a->server->access_json)
        add_object(&a->text, r, status, n);
    else
        add_line(&a->text, r, status, n);
    if (a->text.n >= FLUSH_AT)
        write_out(a);
    else if (!lnt_timer_active(&a->flush))
        lnt_timer_at(a->loop, &a->flush, lnt_loop_now(a->loop));
}
