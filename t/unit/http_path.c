/*
 * Targets and paths: forms, decoding, normalisation, and that nothing leaves
 * the root.
 */
#include "modules/http/path.h"

#include "core/strbuf.h"
#include "modules/http/http.h"
#include "t/unit/tap.h"

static void
path_is(const char *in, const char *wanted)
{
    char out[256];
    const char *why = NULL;
    long n = lnt_http_path_normalise(lnt_str_c(in), out, &why);
    if (n < 0)
        is_str(NULL, wanted, "%s (%s)", in, why);
    else
        is_str(out, wanted, "%s", in);
}

static void
refused(const char *in, size_t n, const char *part)
{
    char out[256];
    const char *why = "";
    long got = lnt_http_path_normalise(lnt_str(in, n), out, &why);
    ok(got < 0 && strstr(why, part), "refused: %s (%s)", in, why);
}
#define REFUSED(in, part) refused(in, sizeof(in) - 1, part)

static void
test_paths(void)
{
    path_is("/", "/");
    path_is("/a/b", "/a/b");
    path_is("/a/b/", "/a/b/");
    path_is("//", "/");
    path_is("//a///b//", "/a/b/");
    path_is("/.", "/");
    path_is("/./", "/");
    path_is("/a/.", "/a/");
    path_is("/a/./b", "/a/b");
    path_is("/a/..", "/");
    path_is("/a/../", "/");
    path_is("/a/b/..", "/a/");
    path_is("/a/b/../c", "/a/c");
    path_is("/a/b/../../c", "/c");
    path_is("/a//../b", "/b");
    path_is("/...", "/...");
    path_is("/..a", "/..a");
    path_is("/a..", "/a..");
    path_is("/.a/.b", "/.a/.b");
    path_is("/%61%62", "/ab");
    path_is("/a%20b", "/a b");
    path_is("/%2e/a", "/a");
    path_is("/a/%2E%2e/b", "/b");
    path_is("/a/.%2e/b", "/b");
    path_is("/%25", "/%");
    path_is("/%252e%252e", "/%2e%2e");
    path_is("/caf%C3%A9", "/caf\xc3\xa9");
    path_is("/a\\..\\b", "/a\\..\\b");
    REFUSED("/..", "root");
    REFUSED("/../", "root");
    REFUSED("/../etc/passwd", "root");
    REFUSED("/a/../../b", "root");
    REFUSED("/a/../..", "root");
    REFUSED("//..", "root");
    REFUSED("/./..", "root");
    REFUSED("/%2e%2e/", "root");
    REFUSED("/%2e%2e", "root");
    REFUSED("/a/%2e%2e/%2E./b", "root");
    REFUSED("/a%2fb", "slash");
    REFUSED("/..%2f..%2fetc/passwd", "slash");
    REFUSED("/%2F", "slash");
    REFUSED("/%00", "control");
    REFUSED("/a%00.html", "control");
    REFUSED("/a%0d%0ab", "control");
    REFUSED("/%7f", "control");
    REFUSED("/%", "hexadecimal");
    REFUSED("/%4", "hexadecimal");
    REFUSED("/%zz", "hexadecimal");
    REFUSED("/%4g", "hexadecimal");
    REFUSED("/%u0041", "hexadecimal");
    REFUSED("/%c0%ae%c0%ae/", "UTF-8");
    REFUSED("/%ff", "UTF-8");
    REFUSED("/%c3", "UTF-8");
    REFUSED("/%ed%a0%80", "UTF-8");
    REFUSED("", "starts with");
    REFUSED("a", "starts with");
}

/* Every string over a nasty alphabet: accepted ones are clean. */
static void
test_all(void)
{
    static const char alphabet[] = "/.a%2ef";
    enum { LETTERS = sizeof(alphabet) - 1, LENGTH = 7 };
    long total = 1, bad = 0, good = 0;
    for (int i = 0; i < LENGTH; i++)
        total *= LETTERS;
    for (long v = 0; v < total; v++) {
        char in[LENGTH + 2] = "/", out[LENGTH + 2];
        long x = v;
        for (int i = 1; i <= LENGTH; i++, x /= LETTERS)
            in[i] = alphabet[x % LETTERS];
        const char *why;
        long n = lnt_http_path_normalise(lnt_str(in, LENGTH + 1), out, &why);
        if (n < 0)
            continue;
        good++;
        if (out[0] != '/' || strstr(out, "//") || strstr(out, "/./") ||
            strstr(out, "/../") || strlen(out) != (size_t)n ||
            (n >= 3 && strcmp(out + n - 3, "/..") == 0) ||
            (n >= 2 && strcmp(out + n - 2, "/.") == 0))
            bad++;
    }
    ok(bad == 0 && good > 0, "all strings of %d letters: %ld clean paths",
       LENGTH, good);
}

static struct lnt_http_request r;
static char room[256];

static int
target(enum lnt_http_method method, const char *text)
{
    struct lnt_http_fault fault = {0};
    r.method = method;
    r.target = lnt_str_c(text);
    r.host = lnt_str_c("header");
    int got = lnt_http_read_target(&r, room, &fault);
    return got < 0 ? fault.status : 200;
}

static void
is_slice(struct lnt_str s, const char *wanted, const char *name)
{
    is_mem(s.p, s.n, wanted, strlen(wanted), "%s", name);
}

static void
test_targets(void)
{
    is_int(target(LNT_HTTP_GET, "/a/b?c=/../d"), 200, "origin form");
    is_slice(r.path, "/a/b", "path");
    ok(r.path.p == r.target.p, "is not copied");
    is_slice(r.query, "c=/../d", "query as sent");
    is_slice(r.host, "header", "host of the header");
    is_int(target(LNT_HTTP_GET, "/a?"), 200, "empty query");
    ok(r.query.p && r.query.n == 0, "is there");
    is_int(target(LNT_HTTP_GET, "/%41/../b"), 200, "decoded");
    is_slice(r.path, "/b", "path");
    ok(!r.query.p, "no query");
    is_int(target(LNT_HTTP_GET, "http://h:8/x?y"), 200, "absolute form");
    is_slice(r.host, "h:8", "its host wins");
    is_slice(r.path, "/x", "path");
    is_slice(r.query, "y", "query");
    is_int(target(LNT_HTTP_GET, "HTTPS://h"), 200, "no path");
    is_slice(r.path, "/", "is the root");
    is_int(target(LNT_HTTP_GET, "http://h?q"), 200, "query without path");
    is_slice(r.query, "q", "query");
    is_int(target(LNT_HTTP_GET, "http://u@h/"), 400, "user in the target");
    is_int(target(LNT_HTTP_GET, "http:///x"), 400, "no host");
    is_int(target(LNT_HTTP_GET, "ftp://h/x"), 400, "another scheme");
    is_int(target(LNT_HTTP_GET, "h:80"), 400, "authority form");
    is_int(target(LNT_HTTP_GET, "a"), 400, "no slash");
    is_int(target(LNT_HTTP_GET, "*"), 400, "* for GET");
    is_int(target(LNT_HTTP_OPTIONS, "*"), 200, "* for OPTIONS");
    is_slice(r.path, "*", "is itself");
    is_int(target(LNT_HTTP_GET, "/../x"), 400, "out of the root");
}

int
main(void)
{
    test_paths();
    test_all();
    test_targets();
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_http_path_encode(&b, lnt_str_c("/a b/\xc3\xa9\"<%\r\n"));
    is_str(b.p, "/a%20b/%C3%A9%22%3C%25%0D%0A", "encoded");
    lnt_strbuf_release(&b);
    return done_testing();
}
