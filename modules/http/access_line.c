/*
 * A line of the access log.  What a client chose must neither forge a line nor
 * move a terminal: in text all but plain characters is written as \xXX, in
 * JSON what is not UTF-8, too.
 */
#include "modules/http/access_line.h"

#include <inttypes.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "modules/http/access_format.h"
#include "modules/http/exchange.h"
#include "modules/http/route.h"
#include "net/endpoint.h"
#include "os/socket.h"

/* Bytes of holes: HOLE + (var - LNT_HTTP_VAR_LATE).  Control characters that
   are escaped wherever they might come from. */
enum {
    HOLE = 0x0e,
    HOLES = LNT_HTTP_VARS - LNT_HTTP_VAR_LATE,
};
_Static_assert(HOLE + HOLES <= 0x20, "holes are control characters");

/* ---- values ---- */

static void
add_hex(struct lnt_strbuf *b, const char *prefix, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    char e[2] = {digits[c >> 4], digits[c & 15]};
    lnt_strbuf_adds(b, prefix);
    lnt_strbuf_add(b, e, 2);
}

static bool
is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void
add_text(struct lnt_strbuf *b, struct lnt_str s)
{
    for (size_t i = 0, from = 0; i <= s.n; i++) {
        if (i < s.n && is_plain((unsigned char)s.p[i]))
            continue;
        lnt_strbuf_add(b, s.p + from, i - from);
        from = i + 1;
        if (i < s.n)
            add_hex(b, "\\x", (unsigned char)s.p[i]);
    }
}

/* Inside quotes.  What is no text is written as in text, \ and all, so that
   the two cannot be mistaken for each other.  C1 controls (U+0080 to U+009F) move terminals, too. */
static void
add_json(struct lnt_strbuf *b, struct lnt_str s)
{
    bool utf8 = lnt_utf8_valid(s.p, s.n);
    for (size_t i = 0, from = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : 0;
        bool control = utf8 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0;
        if (i < s.n && (is_plain(c) || (c >= 0x80 && utf8 && !control)))
            continue;
        lnt_strbuf_add(b, s.p + from, i - from);
        from = i + 1;
        if (i == s.n)
            break;
        if (control) {
            add_hex(b, "\\u00", (unsigned char)s.p[++i]);
            from = i + 1;
        } else if (!utf8) {
            add_hex(b, "\\\\x", c);
        } else if (c == '"' || c == '\\') {
            lnt_strbuf_addc(b, '\\');
            lnt_strbuf_addc(b, (char)c);
        } else {
            add_hex(b, "\\u00", c);
        }
    }
}

/* A hyphen for nothing, where nothing could not be seen. */
static void
add_value(struct lnt_strbuf *b, bool json, struct lnt_str s)
{
    if (s.n == 0) {
        if (!json)
            lnt_strbuf_addc(b, '-');
    } else if (json) {
        add_json(b, s);
    } else {
        add_text(b, s);
    }
}

/* Without the port; "unix" for peers that have no address. */
static void
add_peer(struct lnt_strbuf *b, const struct lnt_http_request *r, bool port)
{
    char text[LNT_ADDR_TEXT];
    struct lnt_addr peer;
    bool known = lnt_session_peer(r->session, &peer) == 0;
    if (!known || lnt_addr_is_unix(&peer)) {
        lnt_strbuf_adds(b, port ? "0" : known ? "unix" : "-");
        return;
    }
    lnt_addr_format(&peer, text, sizeof(text));
    char *end = strrchr(text, ':');
    if (!end)
        end = text + strlen(text);
    if (port) {
        lnt_strbuf_adds(b, *end ? end + 1 : "0");
        return;
    }
    bool literal = text[0] == '[' && end[-1] == ']';
    lnt_strbuf_add(b, text + literal, (size_t)(end - text) - (literal ? 2 : 0));
}

/* "-" where there was no request line that could be read. */
static void
add_request(struct lnt_strbuf *b, bool json, const struct lnt_http_request *r)
{
    if (r->target.n == 0) {
        lnt_strbuf_addc(b, '-');
        return;
    }
    add_value(b, json, r->method_text);
    lnt_strbuf_addc(b, ' ');
    add_value(b, json, r->target);
    lnt_strbuf_adds(b, r->version == 10 ? " HTTP/1.0" : " HTTP/1.1");
}

static void
add_host(struct lnt_strbuf *b, bool json, const struct lnt_http_request *r)
{
    char room[LNT_HTTP_HOST_MAX];
    add_value(b, json, lnt_http_fold_host(r->host, room));
}

static void
add_early(struct lnt_strbuf *b, bool json,
          const struct lnt_http_access_item *item,
          const struct lnt_http_exchange *x, int status)
{
    const struct lnt_http_request *r = &x->r;
    bool read = r->target.n > 0;
    switch (item->var) {
    case LNT_HTTP_VAR_TEXT:
        lnt_strbuf_add_str(b, item->text);
        break;
    case LNT_HTTP_VAR_HEADER:
        add_value(b, json, lnt_http_header_get(r, item->text.p));
        break;
    case LNT_HTTP_VAR_REMOTE_ADDR:
        add_peer(b, r, false);
        break;
    case LNT_HTTP_VAR_REMOTE_PORT:
        add_peer(b, r, true);
        break;
    case LNT_HTTP_VAR_REQUEST:
        add_request(b, json, r);
        break;
    case LNT_HTTP_VAR_METHOD:
        add_value(b, json, r->method_text);
        break;
    case LNT_HTTP_VAR_URI:
        add_value(b, json, r->path);
        break;
    case LNT_HTTP_VAR_REQUEST_URI:
        add_value(b, json, r->target);
        break;
    case LNT_HTTP_VAR_ARGS:
        add_value(b, json, r->query);
        break;
    case LNT_HTTP_VAR_PROTOCOL:
        add_value(b, json,
                  lnt_str_c(!read              ? ""
                            : r->version == 10 ? "HTTP/1.0"
                                               : "HTTP/1.1"));
        break;
    case LNT_HTTP_VAR_VERSION:
        lnt_strbuf_adds(b, r->version == 10 ? "1.0" : "1.1");
        break;
    case LNT_HTTP_VAR_HOST:
        add_host(b, json, r);
        break;
    case LNT_HTTP_VAR_AUTHORITY:
        add_value(b, json, r->host);
        break;
    case LNT_HTTP_VAR_STATUS:
        lnt_strbuf_addu(b, (uint64_t)status);
        break;
    case LNT_HTTP_VAR_ROUTE:
        add_value(b, json,
                  lnt_str_c(r->route && r->route->section
                                ? r->route->section->name
                                : ""));
        break;
    case LNT_HTTP_VAR_LISTEN:
        add_value(b, json,
                  lnt_str_c(lnt_session_endpoint(r->session)->section->name));
        break;
    case LNT_HTTP_VAR_CONNECTION_REQUESTS:
        lnt_strbuf_addu(b, x->conn->requests);
        break;
    case LNT_HTTP_VAR_TIME_LOCAL:
    case LNT_HTTP_VAR_TIME_ISO8601:
    case LNT_HTTP_VAR_MSEC:
    case LNT_HTTP_VAR_BYTES_SENT:
    case LNT_HTTP_VAR_BODY_BYTES_SENT:
    case LNT_HTTP_VAR_REQUEST_TIME:
    case LNT_HTTP_VAR_WORKER:
    case LNT_HTTP_VAR_PID:
    case LNT_HTTP_VAR_CONNECTION:
    case LNT_HTTP_VARS:
        break; /* late */
    }
}

/* ---- what the end tells ---- */

/* 21/Nov/2026:22:14:05 +0000, out of "Sat, 21 Nov 2026 22:14:05 GMT". */
static void
add_time_local(struct lnt_strbuf *b, uint64_t seconds)
{
    char d[LNT_HTTP_DATE_LEN + 1];
    lnt_http_date_format((int64_t)seconds, d);
    d[7] = d[11] = '/';
    d[16] = ':';
    lnt_strbuf_add(b, d + 5, 20);
    lnt_strbuf_adds(b, " +0000");
}

static void
add_time_iso8601(struct lnt_strbuf *b, uint64_t seconds)
{
    char d[LNT_HTTP_STAMP_LEN + 1];
    lnt_http_stamp_format((int64_t)seconds, d);
    lnt_strbuf_add(b, d, LNT_HTTP_STAMP_LEN);
}

/* 12.345 */
static void
add_milliseconds(struct lnt_strbuf *b, uint64_t ms)
{
    unsigned part = (unsigned)(ms % 1000);
    char p[4] = {'.', (char)('0' + part / 100), (char)('0' + part / 10 % 10),
                 (char)('0' + part % 10)};
    lnt_strbuf_addu(b, ms / 1000);
    lnt_strbuf_add(b, p, 4);
}

static void
add_late(struct lnt_strbuf *b, int var, const struct lnt_http_access_end *end)
{
    switch (var) {
    case LNT_HTTP_VAR_TIME_LOCAL:
        add_time_local(b, end->time_us / 1000000);
        break;
    case LNT_HTTP_VAR_TIME_ISO8601:
        add_time_iso8601(b, end->time_us / 1000000);
        break;
    case LNT_HTTP_VAR_MSEC:
        add_milliseconds(b, end->time_us / 1000);
        break;
    case LNT_HTTP_VAR_BYTES_SENT:
        lnt_strbuf_addu(b, end->bytes);
        break;
    case LNT_HTTP_VAR_BODY_BYTES_SENT:
        lnt_strbuf_addu(b, end->body);
        break;
    case LNT_HTTP_VAR_REQUEST_TIME:
        add_milliseconds(b, end->ms);
        break;
    case LNT_HTTP_VAR_WORKER:
        lnt_strbuf_addu(b, end->worker < 0 ? 0 : (uint64_t)end->worker);
        break;
    case LNT_HTTP_VAR_PID:
        lnt_strbuf_addu(b, (uint64_t)getpid());
        break;
    case LNT_HTTP_VAR_CONNECTION:
        lnt_strbuf_addu(b, lnt_session_id(end->session));
        break;
    default:
        break;
    }
}

void
lnt_http_access_line(struct lnt_strbuf *b,
                     const struct lnt_http_access_format *f,
                     const struct lnt_http_exchange *x, int status,
                     const struct lnt_http_access_end *end)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct lnt_http_access_item *item = &f->items[i];
        if (item->var < LNT_HTTP_VAR_LATE)
            add_early(b, f->json, item, x, status);
        else if (end)
            add_late(b, (int)item->var, end);
        else
            lnt_strbuf_addc(
                b, (char)(HOLE + ((int)item->var - LNT_HTTP_VAR_LATE)));
    }
}

static bool
is_hole(char c)
{
    return c >= HOLE && c < HOLE + HOLES;
}

void
lnt_http_access_fill(struct lnt_strbuf *b, struct lnt_str line,
                     const struct lnt_http_access_end *end)
{
    for (size_t i = 0, from = 0; i <= line.n; i++) {
        if (i < line.n && !is_hole(line.p[i]))
            continue;
        lnt_strbuf_add(b, line.p + from, i - from);
        from = i + 1;
        if (i < line.n)
            add_late(b, line.p[i] - HOLE + LNT_HTTP_VAR_LATE, end);
    }
}

bool
lnt_http_access_is_line(struct lnt_str line)
{
    if (line.n == 0 || line.p[line.n - 1] != '\n')
        return false;
    for (size_t i = 0; i + 1 < line.n; i++)
        if ((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t' &&
            !is_hole(line.p[i]))
            return false;
    return true;
}
