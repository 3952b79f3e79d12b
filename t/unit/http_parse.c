/*
 * The parser of request heads: what is taken, what is refused and with which
 * status, whole and in every way of cutting it, and that its cost is linear.
 */
#include "modules/http/parse.h"

#include <time.h>

#include "modules/http/head.h"
#include "modules/http/http.h"
#include "t/unit/tap.h"

static const struct lnt_http_head_limits limits = {8192, 16384, 100};

struct result {
    enum lnt_http_parse got;
    size_t size;
    struct lnt_http_fault fault;
    struct lnt_http_framing framing;
};

static struct lnt_http_request req;

static void
finish(struct result *res)
{
    if (res->got == LNT_HTTP_DONE &&
        lnt_http_read_fields(&req, &res->framing, &res->fault) < 0)
        res->got = LNT_HTTP_BAD;
}

static struct result
whole(const char *p, size_t n)
{
    struct lnt_http_parser ps = {0};
    struct result res = {0};
    res.got =
        lnt_http_parse_head(&ps, &limits, p, n, &req, &res.size, &res.fault);
    finish(&res);
    return res;
}

/* step bytes at a time, each time in another place and without a byte more
   than there is. */
static struct result
pieces(const char *p, size_t n, size_t step)
{
    static char *at;
    struct lnt_http_parser ps = {0};
    struct result res = {0};
    for (size_t have = step < n ? step : n;; have += step) {
        if (have > n)
            have = n;
        free(at);
        at = malloc(have);
        memcpy(at, p, have);
        res.got = lnt_http_parse_head(&ps, &limits, at, have, &req, &res.size,
                                      &res.fault);
        if (res.got != LNT_HTTP_MORE || have == n)
            break;
    }
    finish(&res);
    return res;
}

static void
refused(int status, const char *text, const char *name)
{
    size_t n = strlen(text);
    struct result a = whole(text, n), b = pieces(text, n, 1),
                  c = pieces(text, n, 7);
    bool good = a.got == LNT_HTTP_BAD && a.fault.status == status &&
                b.got == LNT_HTTP_BAD && b.fault.status == status &&
                c.got == LNT_HTTP_BAD && c.fault.status == status;
    if (!ok(good, "%d: %s", status, name))
        diag("whole: %d %d, bytes: %d %d (%s)", a.got, a.fault.status, b.got,
             b.fault.status, b.fault.message ? b.fault.message : "");
}

static void
waits(const char *text, const char *name)
{
    size_t n = strlen(text);
    ok(whole(text, n).got == LNT_HTTP_MORE &&
           pieces(text, n, 1).got == LNT_HTTP_MORE,
       "more: %s", name);
}

static bool
taken(const char *text, const char *name)
{
    size_t n = strlen(text);
    struct result a = whole(text, n), b = pieces(text, n, 1);
    if (ok(a.got == LNT_HTTP_DONE && b.got == LNT_HTTP_DONE && a.size == n &&
               b.size == n,
           "taken: %s", name))
        return true;
    diag("whole: %d %d %s; bytes: %d %d %s", a.got, a.fault.status,
         a.fault.message ? a.fault.message : "", b.got, b.fault.status,
         b.fault.message ? b.fault.message : "");
    return false;
}

static void
is_slice(struct lnt_str s, const char *wanted, const char *name)
{
    is_mem(s.p, s.n, wanted, strlen(wanted), "%s", name);
}

static void
test_good(void)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\n"
                               "Host: example.com:80\r\n"
                               "Empty:\r\n"
                               "X-Tab:\t a \t b\t\r\n"
                               "accept: */*\r\n"
                               "X-High: caf\xc3\xa9\r\n\r\n";
    struct result r = whole(text, sizeof(text) - 1);
    is_int(r.got, LNT_HTTP_DONE, "a plain request");
    is_int(req.method, LNT_HTTP_GET, "method");
    is_slice(req.target, "/a?b=c", "target");
    is_int(req.version, 11, "version");
    is_slice(req.host, "example.com:80", "host");
    ok(req.keep_alive, "stays");
    is_int(req.nheaders, 5, "headers");
    is_slice(req.headers[1].value, "", "empty value");
    is_slice(req.headers[2].value, "a \t b", "blanks around a value");
    is_slice(req.headers[3].name, "accept", "name as sent");
    is_slice(req.headers[4].value, "caf\xc3\xa9", "bytes above ASCII");

    for (size_t step = 1; step < sizeof(text); step++) {
        r = pieces(text, sizeof(text) - 1, step);
        if (r.got != LNT_HTTP_DONE || r.size != sizeof(text) - 1 ||
            req.nheaders != 5 || req.target.n != 6)
            fail("in pieces of %zu", step);
    }
    pass("in pieces of every size");

    static const char two[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2";
    r = whole(two, sizeof(two) - 1);
    is_int(r.size, 27, "a second request behind it is left");
    taken("GET / HTTP/1.0\r\n\r\n", "1.0 without Host");
    ok(!req.keep_alive && req.version == 10, "does not stay");
    taken("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "1.0 that asks");
    ok(req.keep_alive, "stays");
    taken("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
          "Connection: close in a list");
    ok(!req.keep_alive, "does not stay");
    taken("GET / HTTP/1.9\r\nHost: a\r\n\r\n", "a later 1.x");
    is_int(req.version, 11, "is 1.1 to us");
    taken("BREW / HTTP/1.1\r\nHost:\r\n\r\n", "unknown method, empty Host");
    is_int(req.method, LNT_HTTP_OTHER, "is other");
    taken("GET http://h/ HTTP/1.1\r\nHost: a\r\n\r\n", "absolute form");
    taken("OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "asterisk form");
}

static void
test_framing(void)
{
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
    struct result r = whole(POST "Content-Length: 17\r\n\r\n",
                            strlen(POST "Content-Length: 17\r\n\r\n"));
    ok(r.got == LNT_HTTP_DONE && r.framing.length == 17 && !r.framing.chunked,
       "Content-Length");
    static const char chunked[] =
        POST "transfer-encoding: , Chunked\r\nExpect: 100-Continue\r\n\r\n";
    r = whole(chunked, sizeof(chunked) - 1);
    ok(r.got == LNT_HTTP_DONE && r.framing.chunked && r.framing.expects,
       "chunked with Expect");
    refused(400, POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "Content-Length twice");
    refused(400, POST "Content-Length: 1, 1\r\n\r\n", "Content-Length list");
    refused(400, POST "Content-Length: +1\r\n\r\n", "signed length");
    refused(400, POST "Content-Length: 0x10\r\n\r\n", "hexadecimal length");
    refused(400, POST "Content-Length: 1 1\r\n\r\n", "blank in a length");
    refused(400, POST "Content-Length:\r\n\r\n", "empty length");
    refused(400, POST "Content-Length: 18446744073709551616\r\n\r\n",
            "length over 64 bits");
    refused(400, POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both framings");
    refused(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
            "both framings, the other way round");
    refused(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n",
            "chunked twice");
    refused(400,
            POST "Transfer-Encoding: chunked\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n",
            "chunked in two fields");
    refused(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
            "another coding");
    refused(501, POST "Transfer-Encoding: identity\r\n\r\n", "identity");
    refused(501, POST "Transfer-Encoding: xchunked\r\n\r\n", "xchunked");
    refused(400, POST "Transfer-Encoding:\r\n\r\n", "no coding");
    refused(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "chunked in 1.0");
    refused(417, POST "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n",
            "unknown expectation");
}

static void
test_host(void)
{
    refused(400, "GET / HTTP/1.1\r\n\r\n", "no Host");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "two Hosts");
    refused(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "blank in Host");
    refused(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "slash in Host");
    refused(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "user in Host");
    refused(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "port not a number");
    refused(400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "two ports");
    refused(400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "port alone");
    refused(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "open bracket");
    refused(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n", "empty brackets");
    refused(400, "GET / HTTP/1.1\r\nHost: a,b\"\r\n\r\n", "quote in Host");
}

static void
test_syntax(void)
{
    refused(400, "\r\n\r\n", "nothing but line ends");
    refused(400, " GET / HTTP/1.1\r\n", "blank first");
    refused(400, "GET  / HTTP/1.1\r\n", "two blanks");
    refused(400, "GET /  HTTP/1.1\r\n", "two blanks before the version");
    refused(400, "GET / HTTP/1.1 \r\n", "blank behind the version");
    refused(400, "GET /\r\n", "HTTP/0.9");
    refused(400, "GET\r\n", "method alone");
    refused(400, "GET / http/1.1\r\n", "version in small letters");
    refused(400, "GET / HTTP/1\r\n", "short version");
    refused(400, "GET / HTTP/1.1x\r\n", "long version");
    refused(400, "GET / HTTP/a.1\r\n", "version without digits");
    refused(505, "GET / HTTP/2.0\r\n", "version 2");
    refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 preface");
    refused(505, "GET / HTTP/0.9\r\n", "version 0.9");
    refused(400, "GET /a\tb HTTP/1.1\r\n", "tab in the target");
    refused(400, "GET /\x80 HTTP/1.1\r\n", "high byte in the target");
    refused(400, "GET /#a HTTP/1.1\r\n", "fragment");
    refused(400, "G@T / HTTP/1.1\r\n", "bad method");
    refused(400, "\x16\x03\x01\x02", "TLS");
    refused(501, "AVERYLONGMETHODTHATNOBODYHAS / HTTP/1.1\r\n", "long method");
    refused(400, "GET / HTTP/1.1\nHost: a\n\n", "LF alone");
    refused(400, "GET / HTTP/1.1\r\nHost: a\n\r\n", "LF alone in a header");
    refused(400, "GET / HTTP/1.1\r\nHost: a\r\n\n", "LF alone at the end");
    refused(400, "GET / HTTP/1.1\rHost: a\r\n\r\n", "CR alone");
    refused(400, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "CR in a value");
    refused(400, "GET / HTTP/1.1\r\nA: b\r\n c\r\nHost: a\r\n\r\n", "folding");
    refused(400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "blank first in line");
    refused(400, "GET / HTTP/1.1\r\n\tA: b\r\nHost: a\r\n\r\n", "tab first");
    refused(400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "blank before colon");
    refused(400, "GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "tab before colon");
    refused(400, "GET / HTTP/1.1\r\n: a\r\n\r\n", "no name");
    refused(400, "GET / HTTP/1.1\r\nHost\r\n\r\n", "no colon");
    refused(400, "GET / HTTP/1.1\r\nH\xc3st: a\r\n\r\n", "high byte in a name");
    refused(400, "GET / HTTP/1.1\r\nA: \x01\r\nHost: a\r\n\r\n", "control");
    refused(400, "GET / HTTP/1.1\r\nA: 12345678\x7f\r\n\r\n", "DEL");
    static const char nul[] = "GET / HTTP/1.1\r\nA: 1234567\0a\r\n\r\n";
    ok(whole(nul, sizeof(nul) - 1).got == LNT_HTTP_BAD, "400: NUL");
    waits("G", "a letter");
    waits("GET / HT", "half a version");
    waits("GET / HTTP/1.1\r", "CR to come with LF");
    waits("GET / HTTP/1.1\r\nHost: a\r\n", "no empty line yet");
    waits("GET / HTTP/1.1\r\nHost: a\r\n\r", "CR of the empty line");
}

static char *
fill(char *out, const char *before, char c, size_t n, const char *after)
{
    size_t b = strlen(before);
    memcpy(out, before, b);
    memset(out + b, c, n);
    strcpy(out + b + n, after);
    return out;
}

static void
test_limits(void)
{
    static char text[128 * 1024];
    fill(text, "GET /", 'a', 8192 - 14, " HTTP/1.1\r\nHost: a\r\n\r\n");
    taken(text, "a request line of exactly the limit");
    fill(text, "GET /", 'a', 8192 - 13, " HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(414, text, "one byte more");
    refused(414, fill(text, "GET /", 'a', 65536, ""), "64 KiB of target");
    size_t lines = strlen("GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n");
    fill(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 'b', 16384 - lines,
         "\r\n\r\n");
    taken(text, "a head of exactly the limit");
    fill(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 'b', 16385 - lines,
         "\r\n\r\n");
    refused(431, text, "one byte more");
    refused(431, fill(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 'b', 65536, ""),
            "64 KiB of header");
    char *p = text + sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < 100; i++)
        p += sprintf(p, "a%d: b\r\n", i);
    strcpy(p, "\r\n");
    taken(text, "100 headers");
    for (int i = 100; i < 2000; i++)
        p += sprintf(p, "a%d: b\r\n", i);
    refused(431, text, "2000 headers");
}

static double
cost(const char *p, size_t n)
{
    struct timespec a, b;
    struct lnt_http_parser ps = {0};
    struct result res = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    for (size_t have = 1; have <= n; have++)
        res.got = lnt_http_parse_head(&ps, &limits, p, have, &req, &res.size,
                                      &res.fault);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    ok(res.got == LNT_HTTP_DONE, "%zu bytes, one at a time", n);
    return (double)(b.tv_sec - a.tv_sec) * 1e9 +
           (double)(b.tv_nsec - a.tv_nsec);
}

/* Four times the size must not be sixteen times the work. */
static void
test_linear(void)
{
    static char text[32 * 1024];
    double small = 0, large = 0;
    for (int i = 0; i < 5; i++) {
        fill(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 'b', 4000, "\r\n\r\n");
        double s = cost(text, strlen(text));
        fill(text, "GET / HTTP/1.1\r\nHost: a\r\nA: ", 'b', 16000, "\r\n\r\n");
        double l = cost(text, strlen(text));
        small = i == 0 || s < small ? s : small;
        large = i == 0 || l < large ? l : large;
    }
    if (!ok(large < small * 8, "the cost of single bytes is linear"))
        diag("4 KB: %.0f ns, 16 KB: %.0f ns", small, large);
}

int
main(void)
{
    test_good();
    test_framing();
    test_host();
    test_syntax();
    test_limits();
    test_linear();
    return done_testing();
}
