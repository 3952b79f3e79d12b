/*
 * Offers of permessage-deflate: their syntax, what is agreed on, the answer.
 */
#include "core/strbuf.h"
#include "modules/http/http.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/handshake.h"
#include "net/module.h"
#include "t/unit/tap.h"

static char text[LNT_WS_TERMS_TEXT + 1];
static struct lnt_ws_terms terms;

static const struct lnt_ws_terms shared = {15, 15, true, true};
static const struct lnt_ws_terms large = {15, 15, false, false};
static const struct lnt_ws_terms small = {11, 10, false, false};

/* The answer behind the name, "no" when the offer is declined. */
static const char *
answer(const struct lnt_ws_terms *wish, const char *offer)
{
    size_t n = strlen(offer);
    /* In memory of just its size, so that reading beyond it is seen. */
    char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, offer, n);
    n = lnt_ws_offers_choose(lnt_str(copy, n), wish, &terms, text);
    free(copy);
    if (n == 0)
        return "no";
    text[n] = '\0';
    if (strncmp(text, "permessage-deflate", 18) != 0)
        return "another name";
    return text + 18;
}

#define PMD "permessage-deflate"
#define OUT_FRESH "; server_no_context_takeover"
#define IN_FRESH "; client_no_context_takeover"
#define OUT(n) "; server_max_window_bits=" n
#define IN(n) "; client_max_window_bits=" n
#define IN_ANY "; client_max_window_bits"

static void
test_terms(void)
{
    static const struct {
        const char *offer, *shared, *large, *small;
    } rows[] = {
        {PMD, OUT_FRESH IN_FRESH, "", IN_FRESH},
        /* Chromium */
        {PMD IN_ANY, OUT_FRESH IN_FRESH, "", IN("10")},
        {PMD IN("15"), OUT_FRESH IN_FRESH, "", IN("10")},
        {PMD IN("12"), OUT_FRESH IN_FRESH, IN("12"), IN("10")},
        {PMD IN("9"), OUT_FRESH IN_FRESH, IN("9"), IN("9")},
        {PMD IN("8"), OUT_FRESH IN_FRESH, IN("8"), IN("8")},
        {PMD IN_FRESH, OUT_FRESH IN_FRESH, IN_FRESH, IN_FRESH},
        {PMD IN_FRESH IN_ANY, OUT_FRESH IN_FRESH, IN_FRESH, IN_FRESH},
        {PMD OUT_FRESH, OUT_FRESH IN_FRESH, OUT_FRESH, OUT_FRESH IN_FRESH},
        {PMD OUT_FRESH IN_ANY, OUT_FRESH IN_FRESH, OUT_FRESH,
         OUT_FRESH IN("10")},
        {PMD OUT_FRESH IN_FRESH, OUT_FRESH IN_FRESH, OUT_FRESH IN_FRESH,
         OUT_FRESH IN_FRESH},
        {PMD OUT("15"), OUT_FRESH IN_FRESH OUT("15"), OUT("15"),
         IN_FRESH OUT("11")},
        {PMD OUT("10"), OUT_FRESH IN_FRESH OUT("10"), OUT("10"),
         IN_FRESH OUT("10")},
        {PMD OUT("9") IN("9") OUT_FRESH IN_FRESH, OUT_FRESH IN_FRESH OUT("9"),
         OUT_FRESH IN_FRESH OUT("9"), OUT_FRESH IN_FRESH OUT("9")},
        /* zlib cannot */
        {PMD OUT("8"), "no", "no", "no"},
        {PMD OUT("8") ", " PMD, OUT_FRESH IN_FRESH, "", IN_FRESH},
        {PMD OUT("8") ", " PMD OUT("9"), OUT_FRESH IN_FRESH OUT("9"), OUT("9"),
         IN_FRESH OUT("9")},
        /* the first that fits */
        {PMD OUT("10") "," PMD, OUT_FRESH IN_FRESH OUT("10"), OUT("10"),
         IN_FRESH OUT("10")},
        {"x-webkit-deflate-frame, " PMD IN_ANY, OUT_FRESH IN_FRESH, "",
         IN("10")},
        {"mux; max-channels=4; flow-control, " PMD, OUT_FRESH IN_FRESH, "",
         IN_FRESH},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_str(answer(&shared, rows[i].offer), rows[i].shared, "shared: %s",
               rows[i].offer);
        is_str(answer(&large, rows[i].offer), rows[i].large, "256k: %s",
               rows[i].offer);
        is_str(answer(&small, rows[i].offer), rows[i].small, "4k: %s",
               rows[i].offer);
    }

    /* What is not said counts, too. */
    answer(&small, PMD);
    ok(terms.out_bits == 11 && !terms.out_fresh && terms.in_fresh,
       "a client that cannot make its window smaller is not to look back");
    answer(&large, PMD OUT_FRESH IN_ANY);
    ok(terms.out_bits == 15 && terms.out_fresh && !terms.in_fresh &&
           terms.in_bits == 15,
       "each side for itself");
    answer(&small, PMD OUT_FRESH);
    is_int(terms.out_bits, 15, "a window that is not kept may be large");
    answer(&small, PMD OUT("9") IN("8"));
    ok(terms.out_bits == 9 && terms.in_bits == 8, "the client's own limits");
}

/* Each is declined, wherever it stands, and the next one taken. */
static void
test_declined(void)
{
    static const char *const offers[] = {
        "",
        " ",
        ",",
        ";",
        "permessage-deflate2",
        "permessage-deflat",
        "PERMESSAGE-DEFLATE",
        "x",
        PMD "; unknown",
        PMD "; unknown=1",
        PMD "; Client_max_window_bits",
        PMD OUT_FRESH OUT_FRESH,
        PMD IN_FRESH IN_FRESH,
        PMD OUT("10") OUT("10"),
        PMD IN_ANY IN_ANY,
        PMD IN_ANY IN("10"),
        PMD OUT_FRESH "=1",
        PMD OUT_FRESH "=\"\"",
        PMD IN_FRESH "=true",
        PMD "; server_max_window_bits",
        PMD OUT(""),
        PMD OUT("\"\""),
        PMD OUT("7"),
        PMD OUT("16"),
        PMD OUT("08"),
        PMD OUT("010"),
        PMD OUT("-9"),
        PMD OUT("+9"),
        PMD OUT("9.0"),
        PMD OUT("0x9"),
        PMD OUT("1000000000000000000000000000000000010"),
        PMD OUT("100000000"),
        PMD OUT("ten"),
        PMD IN("0"),
        PMD IN("7"),
        PMD IN("16"),
        PMD IN("09"),
        PMD IN("\"7\""),
        PMD IN("\"1 0\""),
        PMD IN("\"10"),
        PMD IN("\"1\\"),
        PMD IN("10\""),
        PMD IN("10 10"),
        PMD IN("=10"),
        PMD ";",
        PMD "; ",
        PMD ";;" IN_ANY,
        PMD "=1",
        PMD " x",
        PMD "; client_max_window_bits; =10",
        PMD " client_max_window_bits",
        PMD "/1",
        "\"" PMD "\"",
        "(" PMD ")",
        PMD "; a=\"x, " PMD,
    };
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        char list[400];
        is_str(answer(&large, offers[i]), "no", "declined: \"%s\"", offers[i]);
        snprintf(list, sizeof(list), PMD IN("12") ", %s", offers[i]);
        is_str(answer(&large, list), IN("12"), "... behind a good one");
        /* A quote without an end swallows what follows. */
        size_t quotes = 0;
        for (const char *p = offers[i]; *p; p++)
            quotes += *p == '"';
        if (quotes % 2)
            continue;
        snprintf(list, sizeof(list), "%s, " PMD IN("11"), offers[i]);
        is_str(answer(&large, list), IN("11"), "... before a good one");
    }
    is_str(answer(&large, PMD "; a\0b"), "no", "NUL");
    is_str(answer(&large, PMD "; a=\"b, c\", " PMD IN("9")), IN("9"),
           "a comma in quotes ends nothing");
    is_str(answer(&large, PMD "; a=\"b\\\", c\", " PMD IN("9")), IN("9"),
           "... nor does a quote behind a backslash");
}

static void
test_syntax(void)
{
    is_str(answer(&large, PMD IN("\"10\"")), IN("10"), "a value in quotes");
    is_str(answer(&large, PMD OUT("\"\\1\\0\"")), OUT("10"),
           "... with escapes");
    is_str(answer(&large, " \t" PMD " \t;\tclient_max_window_bits = 10 \t"),
           IN("10"), "blanks");
    is_str(answer(&large, PMD ";client_max_window_bits=10;"
                              "server_no_context_takeover"),
           OUT_FRESH IN("10"), "no blanks");
    is_str(answer(&large, ",, ," PMD ",,"), "", "empty elements");

    char *many = malloc(100000);
    if (!many)
        abort();
    size_t n = 0;
    while (n < 99000)
        n += (size_t)sprintf(many + n, "x; y=\"%zu\", ", n);
    sprintf(many + n, PMD);
    is_str(answer(&large, many), "", "99 KB of others in front of it");
    free(many);
}

/* ---- with the handshake ---- */

static char head[1024];
static struct lnt_ws_streams *streams;
static struct lnt_ws_deflate *claimed; /* by the session that opened */
static bool fails;                     /* none opens */

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
    (void)code;
    (void)headers;
    snprintf(head, sizeof(head), "%s", message);
    return LNT_GO_ON;
}

lnt_verdict
lnt_http_upgrade(struct lnt_http_request *r, struct lnt_str h)
{
    (void)r;
    snprintf(head, sizeof(head), "%.*s", LNT_STR_ARG(h));
    claimed = fails ? NULL : lnt_ws_deflate_claim(streams);
    return LNT_GO_ON;
}

static struct lnt_http_header
header(const char *name, const char *value)
{
    return (struct lnt_http_header){lnt_str_c(name), lnt_str_c(value)};
}

/* The answer to these two headers; "" when there is none. */
static const char *
handshake(struct lnt_module_ctx *m, uint64_t compression, const char *first,
          const char *second)
{
    struct lnt_ws_route conf = {.compression = compression,
                                .compression_min = 100};
    struct lnt_http_route route = {.conf = &conf};
    struct lnt_http_request *r = calloc(1, sizeof(*r));
    const char *name = "Sec-WebSocket-Extensions: ";
    static char line[200];
    if (!r)
        abort();
    r->route = &route;
    r->version = 11;
    r->host = LNT_STR("x");
    r->headers[0] = header("Upgrade", "websocket");
    r->headers[1] = header("Connection", "Upgrade");
    r->headers[2] = header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    r->headers[3] = header("Sec-WebSocket-Version", "13");
    r->headers[4] = header("Sec-WebSocket-Extensions", first);
    r->headers[5] = header("sec-websocket-extensions", second);
    r->nheaders = 6;
    lnt_ws_handshake(m, r);
    free(r);
    const char *at = strstr(head, name);
    snprintf(line, sizeof(line), "%.*s",
             at ? (int)strcspn(at + strlen(name), "\r") : 0,
             at ? at + strlen(name) : "");
    return line;
}

static void
test_handshake(void)
{
    struct lnt_module_ctx m = {.data = lnt_ws_streams_new(NULL)};

    streams = m.data;
    is_str(handshake(&m, LNT_WS_COMPRESSION_OFF, PMD, PMD), "", "off");
    ok(!claimed, "... for the session, too");
    is_str(handshake(&m, LNT_WS_COMPRESSION_SHARED, "x, y", PMD OUT("12")),
           PMD OUT_FRESH IN_FRESH OUT("12"), "shared, in the second header");
    ok(strstr(head, "\r\n\r\n") == head + strlen(head) - 4,
       "... the head is whole");
    struct lnt_ws_deflate *d = claimed;
    ok(d && d->variant == 1 && d->min == 100, "... and there for the session");
    ok(!lnt_ws_deflate_claim(m.data), "... once");
    lnt_ws_deflate_free(d);
    is_str(handshake(&m, LNT_WS_COMPRESSION_SHARED, PMD OUT("12"), PMD),
           PMD OUT_FRESH IN_FRESH OUT("12"), "another of the same");
    ok(claimed == d, "... shares it");
    handshake(&m, LNT_WS_COMPRESSION_SHARED, PMD, "");
    is_int(claimed->variant, 2, "one of another window");
    is_str(handshake(&m, 4096, PMD IN_ANY, "..."), PMD IN("10"), "4k");
    is_int(claimed->variant, LNT_WS_VARIANT_OWN, "... is its own");
    lnt_ws_deflate_free(claimed);
    is_str(handshake(&m, 4096, PMD OUT("8"), PMD "; ="), "", "none fits");
    ok(strncmp(head, "HTTP/1.1 101 ", 13) == 0, "... which is no failure");
    ok(!claimed, "... just no compression");
    fails = true;
    handshake(&m, 65536, PMD, "");
    ok(!lnt_ws_deflate_claim(m.data),
       "a session that did not open leaves its terms to nobody");
    lnt_ws_streams_free(m.data);
}

int
main(void)
{
    test_terms();
    test_declined();
    test_syntax();
    test_handshake();
    return done_testing();
}
