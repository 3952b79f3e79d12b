/*
 * The target of a request: its form, and the path in it.
 */
#include "modules/http/path.h"

#include <stdbool.h>
#include <string.h>

#include "core/strbuf.h"
#include "core/utf8.h"
#include "modules/http/head.h"
#include "modules/http/http.h"

/* The character behind a '%' with left bytes after it; -1 with *why. */
static int
decode_char(const char *p, size_t left, const char **why)
{
    int high = left >= 2 ? lnt_hex_digit(p[0]) : -1;
    int low = left >= 2 ? lnt_hex_digit(p[1]) : -1;
    if (high < 0 || low < 0) {
        *why = "% in the path without two hexadecimal digits";
        return -1;
    }
    int c = high * 16 + low;
    if (c == '/') {
        *why = "encoded slash in the path";
        return -1;
    }
    if (c < 0x20 || c == 0x7f) {
        *why = "encoded control character in the path";
        return -1;
    }
    return c;
}

static long
decode(struct lnt_str in, char *out, const char **why)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int got = decode_char(in.p + i + 1, in.n - i - 1, why);
            if (got < 0)
                return -1;
            c = (char)got;
            i += 2;
        }
        out[n++] = c;
    }
    if (!lnt_utf8_valid(out, n)) {
        *why = "the path is not UTF-8";
        return -1;
    }
    return (long)n;
}

/* Removes the last segment of out[0, n), which ends in a slash; 0 when there
   is none. */
static size_t
step_up(const char *out, size_t n)
{
    if (n <= 1)
        return 0;
    for (n--; n > 0 && out[n - 1] != '/'; n--)
        ;
    return n;
}

/* In place; p starts with a slash. */
static long
resolve(char *p, size_t n, const char **why)
{
    size_t out = 1; /* p[0, out) is done and ends in a slash */
    for (size_t i = 1; i < n;) {
        const char *slash = memchr(p + i, '/', n - i);
        size_t len = slash ? (size_t)(slash - (p + i)) : n - i;
        if (len == 2 && p[i] == '.' && p[i + 1] == '.') {
            out = step_up(p, out);
            if (out == 0) {
                *why = "the path leaves the root";
                return -1;
            }
        } else if (len > 0 && !(len == 1 && p[i] == '.')) {
            memmove(p + out, p + i, len);
            out += len;
            if (slash)
                p[out++] = '/';
        }
        i += len + 1;
    }
    return (long)out;
}

long
lnt_http_path_normalise(struct lnt_str in, char *out, const char **why)
{
    if (in.n == 0 || in.p[0] != '/') {
        *why = "a path starts with /";
        return -1;
    }
    long n = decode(in, out, why);
    if (n > 0)
        n = resolve(out, (size_t)n, why);
    if (n >= 0)
        out[n] = '\0';
    return n;
}

/* Nothing to decode, nothing to resolve: most paths. */
static bool
is_plain(struct lnt_str path)
{
    char before = 0;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == '%' || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return true;
}

static int
refuse(struct lnt_http_fault *fault, const char *message)
{
    lnt_http_bad(fault, 400, message);
    return -1;
}

/* http://host:port/path?query; text is what follows the scheme. */
static int
split_absolute(struct lnt_http_request *r, struct lnt_str *text,
               struct lnt_http_fault *fault)
{
    size_t n = 0;
    while (n < text->n && text->p[n] != '/' && text->p[n] != '?')
        n++;
    if (n == 0 || !lnt_http_host_valid(text->p, n))
        return refuse(fault, "bad host in the request target");
    r->host = lnt_str(text->p, n);
    text->p += n;
    text->n -= n;
    return 0;
}

static bool
skip_scheme(struct lnt_str *t, const char *scheme)
{
    size_t n = strlen(scheme);
    if (t->n < n || strncasecmp(t->p, scheme, n) != 0)
        return false;
    t->p += n;
    t->n -= n;
    return true;
}

static int
read_path(struct lnt_http_request *r, struct lnt_str path, char *room,
          struct lnt_http_fault *fault)
{
    if (is_plain(path)) {
        r->path = path;
        return 0;
    }
    const char *why = NULL;
    long n = lnt_http_path_normalise(path, room, &why);
    if (n < 0)
        return refuse(fault, why);
    r->path = lnt_str(room, (size_t)n);
    return 0;
}

int
lnt_http_read_target(struct lnt_http_request *r, char *room,
                     struct lnt_http_fault *fault)
{
    struct lnt_str t = r->target;
    r->query = lnt_str(NULL, 0);
    if (lnt_str_eq(t, LNT_STR("*"))) {
        if (r->method != LNT_HTTP_OPTIONS)
            return refuse(fault, "the target * is for OPTIONS alone");
        r->path = t;
        return 0;
    }
    if (t.n == 0 || t.p[0] != '/') {
        if (!skip_scheme(&t, "http://") && !skip_scheme(&t, "https://"))
            return refuse(fault, "bad request target, /path was expected");
        if (split_absolute(r, &t, fault) < 0)
            return -1;
    }
    const char *mark = t.n > 0 ? memchr(t.p, '?', t.n) : NULL;
    if (mark) {
        r->query = lnt_str(mark + 1, t.n - (size_t)(mark - t.p) - 1);
        t.n = (size_t)(mark - t.p);
    }
    if (t.n == 0)
        t = LNT_STR("/"); /* http://host, http://host?query */
    return read_path(r, t, room, fault);
}

void
lnt_http_path_encode(struct lnt_strbuf *out, struct lnt_str path)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c >= '0' && c <= '9') ||
                     (c > 0x20 && c < 0x7f && strchr("-._~!$&'()*+,;=:@/", c));
        if (plain) {
            lnt_strbuf_addc(out, (char)c);
        } else {
            char e[3] = {'%', digits[c >> 4], digits[c & 15]};
            lnt_strbuf_add(out, e, 3);
        }
    }
}
