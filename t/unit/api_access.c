/*
 * Who may use the API: tokens, and what counts as this machine.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "modules/chat_api/access.h"
#include "modules/http/http.h"
#include "os/socket.h"
#include "t/unit/tap.h"

static const char *peer_text;

int
lnt_session_peer(const struct lnt_session *s, struct lnt_addr *peer)
{
    const char *why;

    (void)s;
    if (!peer_text)
        return -1;
    return lnt_addr_parse(peer, peer_text, &why);
}

/* A request from there with that Host and one more header. */
static enum lnt_api_access
ask(const struct lnt_strings *tokens, const char *peer, const char *host,
    const char *name, const char *value)
{
    struct lnt_http_request *r = calloc(1, sizeof(*r));
    enum lnt_api_access access;

    if (!r)
        abort();
    peer_text = peer;
    r->host = lnt_str_c(host);
    if (name) {
        r->nheaders = 1;
        r->headers[0] =
            (struct lnt_http_header){lnt_str_c(name), lnt_str_c(value)};
    }
    access = lnt_api_access(tokens, r);
    free(r);
    return access;
}

static void
test_tokens(void)
{
    const char *list[] = {"abc", "longer-token"};
    const struct lnt_strings two = {list, 2};
    static const struct {
        const char *value;
        enum lnt_api_access access;
    } rows[] = {
        {"Bearer abc", LNT_API_GRANTED},
        {"Bearer longer-token", LNT_API_GRANTED},
        {"BEARER  abc", LNT_API_GRANTED},
        {"Bearer ab", LNT_API_BAD_TOKEN},
        {"Bearer abcabc", LNT_API_BAD_TOKEN},
        {"Bearer abcd", LNT_API_BAD_TOKEN},
        {"Bearer ABC", LNT_API_BAD_TOKEN},
        {"Bearer abc longer-token", LNT_API_BAD_TOKEN},
        {"Bearer", LNT_API_NO_TOKEN},
        {"Bearer ", LNT_API_NO_TOKEN},
        {"Basic abc", LNT_API_NO_TOKEN},
        {"abc", LNT_API_NO_TOKEN},
        {"", LNT_API_NO_TOKEN},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_int(ask(&two, "10.0.0.1:5", "example.org", "Authorization",
                   rows[i].value),
               rows[i].access, "\"%s\"", rows[i].value);
    is_int(ask(&two, "127.0.0.1:5", "localhost", NULL, NULL), LNT_API_NO_TOKEN,
           "this machine needs one, too");
    ok(lnt_api_is_token(LNT_STR("aZ09-._~+/==")), "a token");
    ok(!lnt_api_is_token(LNT_STR("")), "nothing is none");
    ok(!lnt_api_is_token(LNT_STR("==")), "ends alone are none");
    ok(!lnt_api_is_token(LNT_STR("a=b")), "= is for the end");
    ok(!lnt_api_is_token(LNT_STR("a b")), "a blank");
    ok(!lnt_api_is_token(LNT_STR("a\0b")), "NUL");
    ok(!lnt_api_is_token(LNT_STR("\xc3\xbc")), "no ASCII");
}

static void
test_local(void)
{
    const struct lnt_strings none = {NULL, 0};
    static const struct {
        const char *peer, *host;
        enum lnt_api_access access;
    } rows[] = {
        {"127.0.0.1:5", "localhost", LNT_API_GRANTED},
        {"127.9.9.9:5", "localhost:8080", LNT_API_GRANTED},
        {"[::1]:5", "[::1]:8080", LNT_API_GRANTED},
        {"unix:/x", "LocalHost", LNT_API_GRANTED},
        {"unix:/x", "127.0.0.1", LNT_API_GRANTED},
        {"10.0.0.1:5", "localhost", LNT_API_ELSEWHERE},
        {"[::2]:5", "localhost", LNT_API_ELSEWHERE},
        {"128.0.0.1:5", "127.0.0.1", LNT_API_ELSEWHERE},
        {NULL, "localhost", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", NULL, LNT_API_ELSEWHERE},
        {"127.0.0.1:5", "", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", "[", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", ":8080", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", "example.org", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", "localhost.example.org", LNT_API_ELSEWHERE},
        {"127.0.0.1:5", "127.0.0.1.example.org:80", LNT_API_ELSEWHERE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_int(ask(&none, rows[i].peer, rows[i].host, NULL, NULL),
               rows[i].access, "%s for %s",
               rows[i].peer ? rows[i].peer : "who knows",
               rows[i].host ? rows[i].host : "nobody");
    is_int(ask(&none, "127.0.0.1:5", "localhost", "x-forwarded-for", "1.2.3.4"),
           LNT_API_ELSEWHERE, "a proxy");
    is_int(ask(&none, "127.0.0.1:5", "localhost", "Via", ""), LNT_API_ELSEWHERE,
           "... that says little");
}

/* What "every interface" accepts from v4 looks like v6. */
static void
test_mapped(void)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct lnt_addr a = {.len = sizeof(v6)};

    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff;
    v6.sin6_addr.s6_addr[12] = 127;
    v6.sin6_addr.s6_addr[15] = 1;
    memcpy(&a.ss, &v6, sizeof(v6));
    ok(lnt_addr_is_local(&a), "v4 loopback in v6");
    v6.sin6_addr.s6_addr[12] = 10;
    memcpy(&a.ss, &v6, sizeof(v6));
    ok(!lnt_addr_is_local(&a), "another one");
    memset(&a, 0, sizeof(a));
    ok(!lnt_addr_is_local(&a), "none");
}

int
main(void)
{
    test_tokens();
    test_local();
    test_mapped();
    return done_testing();
}
