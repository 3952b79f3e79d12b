/*
 * Request bodies: counted and chunked, whole and in pieces of every size.
 */
#include "modules/http/body.h"

#include "modules/http/parse.h"
#include "t/unit/tap.h"

struct result {
    enum lnt_http_parse got;
    int status;
    size_t used;
    char text[256];
    size_t n;
};

static struct result
feed(const char *p, size_t n, size_t step, struct lnt_http_framing f,
     uint64_t max)
{
    struct lnt_http_body b;
    struct lnt_http_fault fault = {0};
    struct result r = {.got = LNT_HTTP_MORE};
    lnt_http_body_init(&b, &f, max);
    while (r.used < n && r.got == LNT_HTTP_MORE) {
        size_t piece = n - r.used < step ? n - r.used : step, used = 0;
        char *copy = malloc(piece);
        memcpy(copy, p + r.used, piece);
        r.got = lnt_http_body_feed(&b, copy, piece, &used, &fault);
        free(copy);
        r.used += used;
    }
    r.status = fault.status;
    r.n = b.data.n < sizeof(r.text) ? b.data.n : sizeof(r.text);
    if (r.n > 0)
        memcpy(r.text, b.data.p, r.n);
    lnt_http_body_release(&b);
    return r;
}

static const struct lnt_http_framing chunked = {.chunked = true};

static void
taken(const char *text, const char *wanted, size_t left, const char *name)
{
    size_t n = strlen(text);
    for (size_t step = n; step > 0; step--) {
        struct result r = feed(text, n, step, chunked, 100);
        if (r.got == LNT_HTTP_DONE && n - r.used == left &&
            r.n == strlen(wanted) && memcmp(r.text, wanted, r.n) == 0)
            continue;
        fail("%s, in pieces of %zu: %d %d used %zu", name, step, r.got,
             r.status, r.used);
        return;
    }
    pass("%s", name);
}

static void
refused(int status, const char *text, const char *name)
{
    size_t n = strlen(text);
    for (size_t step = n; step > 0; step--) {
        struct result r = feed(text, n, step, chunked, 100);
        if (r.got == LNT_HTTP_BAD && r.status == status)
            continue;
        fail("%s, in pieces of %zu: %d %d", name, step, r.got, r.status);
        return;
    }
    pass("%d: %s", status, name);
}

static void
test_counted(void)
{
    struct lnt_http_framing f = {.length = 5};
    for (size_t step = 1; step <= 8; step++) {
        struct result r = feed("helloGET", 8, step, f, 5);
        ok(r.got == LNT_HTTP_DONE && r.used == 5 && r.n == 5 &&
               memcmp(r.text, "hello", 5) == 0,
           "counted, in pieces of %zu", step);
    }
    is_int(feed("hell", 4, 4, f, 5).got, LNT_HTTP_MORE, "one byte is missing");
    is_int(feed("hello", 5, 5, f, 4).status, 413, "over the limit");
}

static void
test_chunked(void)
{
    taken("5\r\nhello\r\n0\r\n\r\n", "hello", 0, "one chunk");
    taken("5\r\nhello\r\n1\r\n \r\n00005\r\nworld\r\n000\r\n\r\nGET",
          "hello world", 3, "three chunks and a request behind");
    taken("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
          "01234567890123456789", 0, "sizes in hexadecimal");
    taken("0\r\n\r\n", "", 0, "nothing");
    taken("2;a=b;c=\"d\"\r\nhi\r\n0;x\r\n\r\n", "hi", 0, "extensions");
    taken("2\r\nhi\r\n0\r\nX-Sum: 1\r\nB:\r\n\r\n", "hi", 0, "trailers");
    taken("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0, "line ends as data");
    refused(400, "g\r\n", "not a number");
    refused(400, "\r\n", "no number");
    refused(400, ";a\r\n", "extension without a number");
    refused(400, "-1\r\n", "negative");
    refused(400, "+1\r\n", "sign");
    refused(400, "0x1\r\n", "prefix");
    refused(400, " 1\r\n", "blank before");
    refused(400, "1 \r\n", "blank behind");
    refused(400, "1\n", "LF alone");
    refused(400, "1\rx", "CR alone");
    refused(400, "1;\n", "LF in an extension");
    refused(400, "1;\x01\r\n", "control in an extension");
    refused(400, "1\r\naX", "data longer than said");
    refused(400, "1\r\na\n", "LF behind data");
    refused(400, "1\r\na\r\r", "CR CR behind data");
    refused(400, "0\r\nX\r\n", "trailer without a colon");
    refused(400, "0\r\n: a\r\n", "trailer without a name");
    refused(400, "0\r\nA : a\r\n", "blank before the colon");
    refused(400, "0\r\n A: a\r\n", "folded trailer");
    refused(400, "0\r\nA: a\n", "LF alone in a trailer");
    refused(400, "0\r\nA: a\rb", "CR alone in a trailer");
    refused(400, "0\r\n\n", "LF alone at the end");
    refused(400, "0\r\n\r\r", "CR CR at the end");
}

static void
test_limits(void)
{
    static char text[40000];
    refused(413, "65\r\n", "one byte over the limit");
    refused(413,
            "64\r\n"
            "0123456789012345678901234567890123456789012345678901234567"
            "890123456789012345678901234567890123456789\r\n1\r\n",
            "the sum is over the limit");
    refused(413, "ffffffffffffffff\r\n", "2^64 - 1");
    refused(413, "10000000000000001\r\n", "2^64 + 1");
    refused(413, "0000000000000000000000001\r\n", "a number without end");
    strcpy(text, "1;");
    memset(text + 2, 'a', 9000);
    is_int(feed(text, 9002, 9002, chunked, 100).status, 431,
           "an extension without end");
    strcpy(text, "0\r\nA: ");
    memset(text + 6, 'a', 9000);
    is_int(feed(text, 9006, 500, chunked, 100).status, 431,
           "a trailer without end");
    char *p = text + sprintf(text, "0\r\n");
    for (int i = 0; i < 5000; i++)
        p += sprintf(p, "A:b\r\n");
    size_t n = (size_t)(p - text);
    is_int(feed(text, n, n, chunked, 100).status, 431, "trailers without end");
}

int
main(void)
{
    test_counted();
    test_chunked();
    test_limits();
    return done_testing();
}
