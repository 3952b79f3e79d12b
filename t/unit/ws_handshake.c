/*
 * The opening handshake: every refusal with its status, the answer, origins,
 * subprotocols.  The request's syntax is http's and tested there.
 */
#include <string.h>

#include "core/arena.h"
#include "core/regex.h"
#include "core/strbuf.h"
#include "modules/http/http.h"
#include "modules/websocket/handshake.h"
#include "t/unit/tap.h"

static int status;
static char answer[1024];

bool
lnt_http_admit(struct lnt_http_request *r, bool waits, const char *headers,
               lnt_verdict *v)
{
    (void)r;
    (void)waits;
    (void)headers;
    (void)v;
    return true;
}

lnt_verdict
lnt_http_error(struct lnt_http_request *r, int code, const char *headers,
               const char *message)
{
    (void)r;
    status = code;
    snprintf(answer, sizeof(answer), "%s|%s", headers ? headers : "", message);
    return LNT_GO_ON;
}

lnt_verdict
lnt_http_upgrade(struct lnt_http_request *r, struct lnt_str head)
{
    (void)r;
    status = 101;
    snprintf(answer, sizeof(answer), "%.*s", LNT_STR_ARG(head));
    return LNT_GO_ON;
}

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
#define VERSION "Sec-WebSocket-Version: 13\n"
#define UPGRADE "Upgrade: websocket\nConnection: Upgrade\n"

static struct lnt_ws_route conf;
static struct lnt_regexes origins;

/* Asks with these headers, "Name: value" a line. */
static int
ask_as(enum lnt_http_method method, int version, const char *headers)
{
    static char text[8192];
    struct lnt_http_route route = {.conf = &conf, .origins = &origins};
    struct lnt_http_request *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->route = &route;
    r->method = method;
    r->version = version;
    r->host = LNT_STR("example.com:8080");
    snprintf(text, sizeof(text), "%s", headers);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char *colon = strchr(line, ':');
        struct lnt_http_header *h = &r->headers[r->nheaders++];
        h->name = lnt_str(line, (size_t)(colon - line));
        h->value = lnt_str_trim(lnt_str_c(colon + 1));
        if (lnt_str_ieq(h->name, LNT_STR("Host")))
            r->host = h->value;
    }
    status = 0;
    answer[0] = '\0';
    lnt_ws_handshake(NULL, r);
    free(r);
    return status;
}

static int
ask(const char *headers)
{
    return ask_as(LNT_HTTP_GET, 11, headers);
}

static void
test_refusals(void)
{
    is_int(ask(UPGRADE KEY VERSION), 101, "a good request");
    is_str(answer,
           "HTTP/1.1 101 Switching Protocols\r\n"
           "Upgrade: websocket\r\n"
           "Connection: Upgrade\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
           "... its answer, with the key of RFC 6455");
    is_int(ask_as(LNT_HTTP_POST, 11, UPGRADE KEY VERSION), 405, "POST");
    ok(strstr(answer, "Allow: GET\r\n"), "... says what is allowed");
    is_int(ask_as(LNT_HTTP_HEAD, 11, UPGRADE KEY VERSION), 405, "HEAD");
    is_int(ask_as(LNT_HTTP_GET, 10, UPGRADE KEY VERSION), 400, "HTTP/1.0");

    static const struct {
        const char *headers;
        int status;
        const char *name;
    } rows[] = {
        {"", 400, "a plain request"},
        {"Connection: Upgrade\n" KEY VERSION, 400, "no Upgrade"},
        {"Upgrade: h2c\nConnection: Upgrade\n" KEY VERSION, 400,
         "Upgrade to something else"},
        {"Upgrade: websockets\nConnection: Upgrade\n" KEY VERSION, 400,
         "Upgrade that looks alike"},
        {"Upgrade: h2c, WebSocket\nConnection: Upgrade\n" KEY VERSION, 101,
         "Upgrade with a choice"},
        {"Upgrade: websocket\n" KEY VERSION, 400, "no Connection"},
        {"Upgrade: websocket\nConnection: keep-alive\n" KEY VERSION, 400,
         "Connection without upgrade"},
        {"Upgrade: websocket\nConnection: keep-alive, UPGRADE\n" KEY VERSION,
         101, "Connection as Firefox says it"},
        {"Upgrade: websocket\nConnection: keep-alive\nConnection: upgrade\n" KEY
             VERSION,
         101, "Connection twice"},
        {UPGRADE VERSION, 400, "no key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: \n", 400, "an empty key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\n", 400,
         "a key too short"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQQ=\n", 400,
         "a key of 17 bytes"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\n", 400,
         "a key of 18 bytes"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j_Q==\n", 400,
         "a key not in base64"},
        {UPGRADE VERSION KEY KEY, 400, "two keys"},
        {UPGRADE KEY, 400, "no version"},
        {UPGRADE KEY VERSION VERSION, 400, "two versions"},
        {UPGRADE KEY "Sec-WebSocket-Version: 8\n", 426, "version 8"},
        {UPGRADE KEY "Sec-WebSocket-Version: 14\n", 426, "version 14"},
        {UPGRADE KEY "Sec-WebSocket-Version: 013\n", 426, "version 013"},
        {UPGRADE KEY "Sec-WebSocket-Version: 13, 8\n", 426, "a choice of two"},
        {UPGRADE KEY "Sec-WebSocket-Version: \n", 426, "an empty version"},
        {UPGRADE KEY VERSION "Origin: http://evil.com\n", 403, "an origin"},
        {UPGRADE KEY VERSION "Origin: http://example.com:8080\n", 101,
         "our own origin"},
        {UPGRADE KEY VERSION "Origin: http://example.com:8080\n"
                             "Origin: http://example.com:8080\n",
         403, "two origins"},
        {UPGRADE KEY VERSION "Origin: \n", 403, "an empty origin"},
        {UPGRADE KEY VERSION
         "Sec-WebSocket-Extensions: "
         "permessage-deflate; client_max_window_bits, x-foo;;;\n",
         101, "extensions are declined"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_int(ask(rows[i].headers), rows[i].status, "%s", rows[i].name);
    ok(!strstr(answer, "Extensions"), "... silently");
    ask(UPGRADE KEY "Sec-WebSocket-Version: 14\n");
    ok(strstr(answer, "Sec-WebSocket-Version: 13\r\n"),
       "426 says which version");
    ok(strstr(answer, "Upgrade: websocket\r\n"), "... and which protocol");
}

static struct lnt_arena *arena;

/* origins become these patterns. */
static void
set_origins(const char *const *patterns, size_t n)
{
    struct lnt_strbuf error = LNT_STRBUF_INIT;
    origins.v = lnt_arena_alloc(arena, n * sizeof(struct lnt_regex *));
    origins.n = n;
    for (size_t i = 0; i < n; i++)
        origins.v[i] = lnt_regex_compile(arena, patterns[i], &error);
}

static bool
allowed(const char *origin, const char *host)
{
    return lnt_http_origin_allowed(&origins, lnt_str_c(origin),
                                   lnt_str_c(host));
}

static void
test_same_host(void)
{
    static const struct {
        const char *origin, *host;
        bool good;
    } rows[] = {
        {"http://example.com", "example.com", true},
        {"https://example.com", "example.com", true},
        {"HTTP://EXAMPLE.com", "eXample.COM", true},
        {"http://example.com:80", "example.com", true},
        {"http://example.com", "example.com:80", true},
        {"https://example.com", "example.com:443", true},
        {"http://localhost:8080", "localhost:8080", true},
        {"http://127.0.0.1:8080", "127.0.0.1:8080", true},
        {"http://[::1]:8080", "[::1]:8080", true},
        {"http://[::1]", "[::1]", true},
        {"https://example.com", "example.com:80", false},
        {"http://example.com:443", "example.com", false},
        {"http://localhost:3000", "localhost:8080", false},
        {"http://localhost", "localhost:8080", false},
        {"http://localhost:8080", "localhost", false},
        {"http://[::1]:8080", "[::2]:8080", false},
        {"http://[::1]:8080", "[::1]:8081", false},
        {"http://example.com.evil.com", "example.com", false},
        {"http://evilexample.com", "example.com", false},
        {"http://sub.example.com", "example.com", false},
        {"http://example.com@evil.com", "example.com", false},
        {"http://evil.com/example.com", "example.com", false},
        {"http://example.com/", "example.com", false},
        {"http://evil.com http://example.com", "example.com", false},
        {"ftp://example.com", "example.com", false},
        {"file://", "", false},
        {"http://", "", false},
        {"null", "null", false},
        {"null", "example.com", false},
        {"example.com", "example.com", false},
        {"http://ex\xc3\xa4mple.com", "ex\xc3\xa4mple.com", false},
        {"", "", false},
    };
    origins.n = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        is_int(allowed(rows[i].origin, rows[i].host), rows[i].good,
               "origin %zu for %s", i, i == 30 ? "umlaut" : rows[i].host);
}

static void
test_patterns(void)
{
    static const char *const patterns[] = {
        "^https?://localhost(:\\d+)?$",
        "^https://([a-z0-9-]+\\.)?example\\.org$"};
    set_origins(patterns, 2);
    ok(allowed("http://localhost:3000", "x"), "first pattern");
    ok(allowed("HTTP://LocalHost", "x"), "... in other case");
    ok(allowed("https://www.example.org", "x"), "second pattern");
    ok(!allowed("https://example.org.evil.com", "x"), "a longer host");
    ok(!allowed("https://evil.com/https://example.org", "x"), "a path");
    ok(!allowed("http://example.com", "example.com"),
       "the same host is not enough then");
    ok(!allowed("null", "x"), "null is refused");
    static const char *const null[] = {"^null$"};
    set_origins(null, 1);
    ok(allowed("null", "x"), "... unless a pattern says so");
    static const char *const any[] = {""};
    set_origins(any, 1);
    ok(allowed("http://whatever", "x"), "a pattern for all");
    ok(!allowed("http://a http://b", "x"), "... is not for two at once");
    char *huge = malloc(5000);
    if (!huge)
        abort();
    memset(huge, 'a', 4999);
    huge[4999] = '\0';
    ok(!allowed(huge, "x"), "... nor for what no browser sends");
    free(huge);
    is_int(ask(UPGRADE KEY VERSION), 101, "without Origin: no browser");
    origins.n = 0;
}

static bool
chose(const char *headers, const char *wanted)
{
    char line[200], text[1024];
    snprintf(text, sizeof(text), UPGRADE KEY VERSION "%s", headers);
    ask(text);
    if (status != 101)
        return false;
    if (!wanted)
        return !strstr(answer, "Sec-WebSocket-Protocol");
    snprintf(line, sizeof(line), "Sec-WebSocket-Protocol: %s\r\n\r\n", wanted);
    return strstr(answer, line) != NULL;
}

static void
test_subprotocols(void)
{
    static const char *ours[] = {"v2.chat", "v1.chat", "mqtt"};
    ok(chose("Sec-WebSocket-Protocol: a, b\n", NULL), "none of ours: ignored");
    ok(chose("Sec-WebSocket-Protocol: (nonsense)\n", NULL),
       "... whatever it says");
    conf.subprotocol = (struct lnt_strings){ours, 3};
    ok(chose("", NULL), "not asked for");
    ok(chose("Sec-WebSocket-Protocol: other\n", NULL), "another one");
    ok(chose("Sec-WebSocket-Protocol: mqtt\n", "mqtt"), "one");
    ok(chose("Sec-WebSocket-Protocol: mqtt,v1.chat , v2.chat\n", "v2.chat"),
       "our order counts");
    ok(chose("Sec-WebSocket-Protocol: mqtt\nsec-websocket-protocol: x, "
             "v1.chat\n",
             "v1.chat"),
       "in two headers");
    ok(chose("Sec-WebSocket-Protocol: MQTT, V2.chat\n", NULL), "case counts");
    ok(chose("Sec-WebSocket-Protocol: ,, mqtt,\n", "mqtt"),
       "empty elements do not");
    ok(chose("Sec-WebSocket-Protocol: mqtt, mqtt\n", "mqtt"), "twice the same");
    is_int(ask(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a b\n"), 400,
           "not a list of names");
    is_int(ask(UPGRADE KEY VERSION "Sec-WebSocket-Protocol: mqtt, \"x\"\n"),
           400, "quotes are none");
    conf.subprotocol.n = 0;

    ok(lnt_ws_is_token(LNT_STR("v2.chat!#$%&'*+-^_`|~09AZ")), "a token");
    ok(!lnt_ws_is_token(LNT_STR("")), "nothing is none");
    ok(!lnt_ws_is_token(LNT_STR("a\0b")), "NUL is none");
    ok(!lnt_ws_is_token(LNT_STR("a/b")), "a/b is none");
}

int
main(void)
{
    arena = lnt_arena_new();
    test_refusals();
    test_same_host();
    test_patterns();
    test_subprotocols();
    lnt_arena_free(arena);
    return done_testing();
}
