/*
 * Requests out of a connection: keep-alive, pipelining, bodies, refusals,
 * large answers, upgrades, deadlines.
 */
#include "t/unit/http_harness.h"
#include "t/unit/tap.h"

#define H "Host: a\r\n"

/* The answers as "200 text|404 ...|", Connection: close as "!". */
static const char *
answers(const struct lnt_session *s)
{
    static char text[65536];
    char *out = text;
    const char *p = s->out.p ? s->out.p : "", *end = p + s->out.n;
    *out = '\0';
    while (p < end) {
        const char *body = strstr(p, "\r\n\r\n");
        if (!body || strncmp(p, "HTTP/1.1 ", 9) != 0)
            return "no answer";
        body += 4;
        const char *length = strstr(p, "Content-Length: ");
        long n = length && length < body ? atol(length + 16) : 0;
        const char *closing = strstr(p, "Connection: close");
        if (body + n > end)
            n = end - body; /* of a HEAD */
        out += sprintf(out, "%.3s%s %.*s|", p + 9,
                       closing && closing < body ? "!" : "",
                       n > 100 ? 5 : (int)n, n > 100 ? "large" : body);
        p = body + n;
    }
    return text;
}

static void
check(const char *in, const char *wanted, const char *name)
{
    size_t n = strlen(in);
    static const size_t steps[] = {1 << 20, 1, 2, 3, 7, 50};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct lnt_session *s = http_open();
        lnt_verdict v = http_feed(s, in, n, steps[i], true);
        const char *got = answers(s);
        bool closes = strchr(wanted, '!') != NULL;
        bool good = v == LNT_GO_ON && strcmp(got, wanted) == 0 && !s->fault &&
                    s->finished == closes;
        if (!good) {
            fail("%s, %zu bytes at a time", name, steps[i]);
            diag("got %s%s%s", got, s->fault ? ", " : "",
                 s->fault ? s->fault : "");
            diag("wanted %s, finished %d", wanted, s->finished);
        }
        http_free(s);
        if (!good)
            return;
    }
    pass("%s", name);
}

static void
test_requests(void)
{
    check("GET /box HTTP/1.1\r\n" H "\r\n", "200 GET /box []|", "a request");
    check("GET /box/1 HTTP/1.1\r\n" H "\r\nGET /box/2 HTTP/1.1\r\n" H
          "\r\nGET /none HTTP/1.1\r\n" H "\r\nGET /box/3 HTTP/1.1\r\n" H "\r\n",
          "200 GET /box/1 []|200 GET /box/2 []|404 404 Not Found: there is "
          "nothing here\n|200 GET /box/3 []|",
          "four in a row, one of them in vain");
    check("GET /box HTTP/1.1\r\n" H "Connection: close\r\n\r\nGET /box "
          "HTTP/1.1\r\n" H "\r\n",
          "200! GET /box []|", "nothing is answered behind the last");
    check("GET /box HTTP/1.0\r\n\r\n", "200! GET /box []|", "HTTP/1.0");
    check("GET /box HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /box "
          "HTTP/1.0\r\n\r\n",
          "200 GET /box []|200! GET /box []|", "HTTP/1.0 with keep-alive");
    check("\r\nGET /box HTTP/1.1\r\n" H "\r\n\r\nGET /box HTTP/1.1\r\n" H
          "\r\n",
          "200 GET /box []|200 GET /box []|", "an empty line before each");
    check("\r\n\r\nGET /box HTTP/1.1\r\n" H "\r\n",
          "400! 400 Bad Request: not an HTTP request: it begins with a "
          "method, one blank, a target\n|",
          "two empty lines");
    check("GET /box/../box/%41 HTTP/1.1\r\n" H "\r\n", "200 GET /box/A []|",
          "a path that is decoded");
    check("DELETE /box HTTP/1.1\r\n" H "\r\nGET /box HTTP/1.1\r\n" H "\r\n",
          "405 405 Method Not Allowed: the method is not allowed here\n|"
          "200 GET /box []|",
          "a method that is not allowed");
    check("BREW /box HTTP/1.1\r\n" H "\r\n",
          "501 501 Not Implemented: the method is not known\n|",
          "a method that is not known");
    check("OPTIONS /box HTTP/1.1\r\n" H "\r\nOPTIONS * HTTP/1.1\r\n" H "\r\n",
          "204 |204 |", "OPTIONS");
    check("OPTIONS /up HTTP/1.1\r\n" H "\r\nHEAD /up HTTP/1.1\r\n" H "\r\n",
          "405 405 Method Not Allowed: the method is not allowed here\n|405 |",
          "but not where another protocol begins");
    check("GET /../x HTTP/1.1\r\n" H "\r\n",
          "400 400 Bad Request: the path leaves the root\n|",
          "out of the root");
    check("GET /box HTTP/1.1\r\n\r\nGET /box HTTP/1.1\r\n" H "\r\n",
          "400! 400 Bad Request: HTTP/1.1 requests need a Host\n|",
          "a fault ends the connection");
    check("GET /none HTTP/1.1\r\n" H "Accept: application/json\r\n\r\n",
          "404 {\"error\":{\"code\":\"not_found\",\"message\":\"there is "
          "nothing here\"}}\n|",
          "errors in JSON");
}

static void
test_bodies(void)
{
    check("POST /box HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhelloGET /box "
          "HTTP/1.1\r\n" H "\r\n",
          "200 POST /box [hello]|200 GET /box []|", "a counted body");
    check("POST /box HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
          "3\r\nhel\r\n2;x\r\nlo\r\n0\r\nA: b\r\n\r\nGET /box HTTP/1.1\r\n" H
          "\r\n",
          "200 POST /box [hello]|200 GET /box []|", "a chunked body");
    check("POST /box HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
          "200 POST /box []|", "an empty body");
    check("POST /box HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nx",
          "400! 400 Bad Request: bad chunked coding\n|", "a bad chunk");
    check("POST /box HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
          "3e9\r\n",
          "413! 413 Content Too Large: the body is too big\n|",
          "a chunk too many");
    check("POST /box HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n",
          "413! 413 Content Too Large: the body is too big\n|",
          "a body too big");
    check("GET /large HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx",
          "413! 413 Content Too Large: no body is taken here\n|",
          "a body where none is taken");
    check("GET /up HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx",
          "413! 413 Content Too Large: no body is taken here\n|",
          "a body with an upgrade");
    check("POST /none HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
          "404! 404 Not Found: there is nothing here\n|", "a body for nobody");
    check("BREW /box HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
          "501! 501 Not Implemented: the method is not known\n|",
          "a body with an unknown method");
    check("OPTIONS /box HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
          "204! |", "a body with OPTIONS");
}

static void
test_expect(void)
{
    static const char head[] =
        "POST /box HTTP/1.1\r\n" H "Content-Length: 2\r\nExpect: 100-continue"
        "\r\n\r\n";
    struct lnt_session *s = http_open();
    http_feed(s, head, sizeof(head) - 1, 1 << 20, true);
    is_str(s->out.p, "HTTP/1.1 100 Continue\r\n\r\n", "100 is said");
    lnt_strbuf_clear(&s->out);
    http_feed(s, "ab", 2, 1, true);
    is_str(answers(s), "200 POST /box [ab]|", "then the answer");
    http_free(s);
    s = http_open();
    static const char whole[] =
        "POST /box HTTP/1.1\r\n" H "Content-Length: 2\r\nExpect: 100-continue"
        "\r\n\r\nab";
    http_feed(s, whole, sizeof(whole) - 1, 1 << 20, true);
    is_str(answers(s), "200 POST /box [ab]|",
           "100 is not said when the body is there");
    http_free(s);
    check("POST /box HTTP/1.1\r\n" H "Content-Length: 2000\r\n"
          "Expect: 100-continue\r\n\r\n",
          "413! 413 Content Too Large: the body is too big\n|",
          "nor when it is too big");
}

static void
test_large(void)
{
    memset(http_big, 'x', sizeof(http_big));
    check("GET /large HTTP/1.1\r\n" H "\r\nGET /box HTTP/1.1\r\n" H "\r\n",
          "200 large|200 GET /box []|", "a large answer and a small");
    check("GET /large HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
          "200! large|", "a large answer and the end");
    check("HEAD /large HTTP/1.1\r\n" H "\r\n", "200 |", "the head of it");

    static const char text[] =
        "GET /large HTTP/1.1\r\n" H "\r\nGET /box HTTP/1.1\r\n" H "\r\n";
    struct lnt_session *s = http_open();
    http_feed(s, text, sizeof(text) - 1, 1 << 20, false);
    ok(s->held && s->out.n < 140000,
       "a reader that does not read: %zu bytes queued", s->out.n);
    is_int(s->rest.n, strlen("GET /box HTTP/1.1\r\n" H "\r\n"),
           "the next request waits");
    s->eof = true;
    http_drain(s);
    is_str(answers(s), "200 large|200 GET /box []|",
           "all comes, also when the client has nothing more to say");
    http_free(s);

    s = http_open();
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    for (int i = 0; i < 5000; i++)
        lnt_strbuf_adds(&b, "GET /box HTTP/1.1\r\n" H "\r\n");
    http_feed(s, b.p, b.n, 200000, false);
    ok(s->held && s->out.n < 70000,
       "5000 requests: %zu bytes of answers "
       "queued ahead",
       s->out.n);
    http_drain(s);
    size_t n = 0;
    for (const char *p = s->out.p; (p = strstr(p, "HTTP/1.1 200")); p++)
        n++;
    is_int(n, 5000, "all are answered");
    lnt_strbuf_release(&b);
    http_free(s);
}

static void
test_upgrade(void)
{
    static const char text[] = "GET /box HTTP/1.1\r\n" H
                               "\r\nGET /up HTTP/1.1\r\n" H "\r\nfirst frame";
    for (size_t step = 1; step < sizeof(text); step++) {
        struct lnt_session *s = http_open();
        http_feed(s, text, sizeof(text) - 1, step, true);
        bool good = !s->conn && s->other.n == 11 &&
                    memcmp(s->other.p, "first frame", 11) == 0 &&
                    strstr(s->out.p, "HTTP/1.1 101 Up\r\n\r\n");
        http_free(s);
        if (!good) {
            fail("upgrade, %zu bytes at a time", step);
            return;
        }
    }
    pass("upgrade: what follows the head reaches the other protocol");
}

static void
test_time(void)
{
    struct lnt_session *s = http_open();
    http_feed(s, "GET /bo", 7, 1, true);
    is_int(s->deadline, 6000, "a head has handshake_timeout from its start");
    ok(!s->ready, "until then the handshake's own holds");
    s->now = 5500;
    http_feed(s, "x HTTP/1.1\r\n" H, 21, 1, true);
    is_int(s->deadline, 6000, "more bytes do not move it");
    http_feed(s, "\r\n", 2, 1, true);
    is_int(s->deadline, 0, "none between requests");
    ok(s->ready, "the first head was the handshake");
    static const char post[] =
        "POST /box HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel";
    http_feed(s, post, sizeof(post) - 1, 100, true);
    is_int(s->deadline, 8500, "a body has body_timeout");
    lnt_strbuf_clear(&s->out);
    is_int(lnt_http_protocol.timeout(s, LNT_TIMEOUT_OWN), 0, "it passes");
    is_str(answers(s),
           "408! 408 Request Timeout: the body did not come in "
           "time\n|",
           "408");
    ok(s->finished, "and the end");
    http_free(s);

    s = http_open();
    is_int(lnt_http_protocol.timeout(s, LNT_TIMEOUT_HANDSHAKE), 0,
           "nothing was said at all");
    ok(s->finished && s->out.n == 0, "nothing is answered");
    http_free(s);
    s = http_open();
    http_feed(s, "GET", 3, 1, true);
    lnt_http_protocol.timeout(s, LNT_TIMEOUT_HANDSHAKE);
    is_str(answers(s),
           "408! 408 Request Timeout: the request head did not "
           "come in time\n|",
           "half a head: 408");
    http_free(s);
    s = http_open();
    http_feed(s, "GET /large HTTP/1.1\r\n" H "\r\n", 32, 100, false);
    lnt_http_protocol.timeout(s, LNT_TIMEOUT_IDLE);
    ok(s->cut, "an answer that nobody reads is cut");
    http_free(s);
}

static void
test_drain(void)
{
    struct lnt_session *s = http_open();
    http_feed(s, "GET /box HTTP/1.1\r\n" H "\r\n", 30, 100, true);
    ok(lnt_http_protocol.drain(s), "an idle connection may end at once");
    http_free(s);
    s = http_open();
    http_feed(s, "GET /box HTTP/1.1\r\n" H, 28, 100, true);
    ok(!lnt_http_protocol.drain(s), "half a request may not");
    ok(lnt_http_protocol.goodbye(s, LNT_CLOSE_AWAY, NULL), "it is waited for");
    http_feed(s, "\r\n", 2, 1, true);
    is_str(answers(s), "200! GET /box []|", "and answered as the last");
    http_free(s);
    s = http_open();
    http_feed(s, "GET /large HTTP/1.1\r\n" H "\r\n", 32, 100, false);
    ok(!lnt_http_protocol.drain(s) &&
           lnt_http_protocol.goodbye(s, LNT_CLOSE_AWAY, NULL),
       "a large answer goes on");
    http_drain(s);
    is_str(answers(s), "200 large|", "to its end");
    ok(s->finished, "and then it ends");
    http_free(s);
    s = http_open();
    is_int(http_feed(s, "GET /bye HTTP/1.1\r\n" H "\r\n", 30, 100, true),
           LNT_CLOSE_POLICY, "the verdict of a handler is passed on");
    ok(!lnt_http_protocol.goodbye(s, LNT_CLOSE_POLICY, NULL),
       "and there is nothing to wait for");
    http_free(s);
}

int
main(void)
{
    ok(sizeof(struct lnt_http_conn) <= 24, "an idle connection: %zu bytes",
       sizeof(struct lnt_http_conn));
    test_requests();
    test_bodies();
    test_expect();
    test_large();
    test_upgrade();
    test_time();
    test_drain();
    return done_testing();
}
