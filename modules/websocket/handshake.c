/*
 * The opening handshake.  The request itself (its syntax, its route, a body
 * where none belongs) is checked by http.
 *
 * Each refusal says what was expected; browsers do not show it to pages, but
 * people with curl read it.
 */
#include "modules/websocket/handshake.h"

#include <stddef.h>
#include <string.h>

#include "core/log.h"
#include "modules/http/http.h"
#include "modules/websocket/base64.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/sha1.h"
#include "net/module.h"

/* Of Sec-WebSocket-Accept and -Key. */
enum { ACCEPT_SIZE = 28, KEY_SIZE = 24 };

/* A header that may stand once only. */
struct single {
    struct lnt_str value;
    unsigned count;
};

struct offer {
    struct single key, version, origin;
    bool bad_protocols;      /* not a list of tokens */
    struct lnt_str protocol; /* ours that was chosen; p NULL: none */
    size_t rank;             /* its place in our list */
    struct lnt_ws_terms terms;
    size_t terms_n; /* of terms_text; 0: no compression */
    char terms_text[LNT_WS_TERMS_TEXT];
};

static void
take_single(struct single *s, struct lnt_str value)
{
    s->value = value;
    s->count++;
}

/* ---- Sec-WebSocket-Protocol ---- */

bool
lnt_ws_is_token(struct lnt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n > 0;
}

/* Prefers what stands first in our list, whatever the client's order. */
static void
take_protocol(struct offer *o, const struct lnt_strings *ours,
              struct lnt_str name)
{
    for (size_t i = 0; i < o->rank; i++)
        if (lnt_str_eq(lnt_str_c(ours->v[i]), name)) {
            o->protocol = lnt_str_c(ours->v[i]);
            o->rank = i;
            return;
        }
}

static void
take_protocols(struct offer *o, const struct lnt_strings *ours,
               struct lnt_str list)
{
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        struct lnt_str name = lnt_str_trim(lnt_str(list.p, n));
        /* Empty elements are to be ignored (RFC 9110, section 5.6.1). */
        if (name.n > 0 && !lnt_ws_is_token(name))
            o->bad_protocols = true;
        else if (name.n > 0)
            take_protocol(o, ours, name);
        n += comma ? 1 : 0;
        list.p += n;
        list.n -= n;
    }
}

static void
read_offer(struct offer *o, const struct lnt_http_request *r,
           const struct lnt_strings *ours)
{
    memset(o, 0, offsetof(struct offer, terms_text));
    o->rank = ours->n;
    for (size_t i = 0; i < r->nheaders; i++) {
        const struct lnt_http_header *h = &r->headers[i];
        if (lnt_str_ieq(h->name, LNT_STR("Sec-WebSocket-Key")))
            take_single(&o->key, h->value);
        else if (lnt_str_ieq(h->name, LNT_STR("Sec-WebSocket-Version")))
            take_single(&o->version, h->value);
        else if (lnt_str_ieq(h->name, LNT_STR("Origin")))
            take_single(&o->origin, h->value);
        else if (ours->n > 0 &&
                 lnt_str_ieq(h->name, LNT_STR("Sec-WebSocket-Protocol")))
            take_protocols(o, ours, h->value);
    }
}

/* ---- Sec-WebSocket-Extensions ---- */

/* Several headers are one list. */
static void
choose_terms(struct offer *o, const struct lnt_http_request *r,
             const struct lnt_ws_plan *plan)
{
    struct lnt_ws_terms wish = lnt_ws_plan_wish(plan);

    for (size_t i = 0; i < r->nheaders && o->terms_n == 0; i++) {
        const struct lnt_http_header *h = &r->headers[i];
        if (lnt_str_ieq(h->name, LNT_STR("Sec-WebSocket-Extensions")))
            o->terms_n =
                lnt_ws_offers_choose(h->value, &wish, &o->terms, o->terms_text);
    }
}

/* Agrees on compression, if the route and the client want it. */
static void
agree(struct lnt_module_ctx *m, const struct lnt_http_request *r,
      struct offer *o)
{
    const struct lnt_ws_route *route = r->route->conf;

    if (route->compression == LNT_WS_COMPRESSION_OFF)
        return;
    const struct lnt_ws_plan *plan =
        lnt_ws_plan_for(m->data, route->compression == LNT_WS_COMPRESSION_SHARED
                                     ? 0
                                     : route->compression);
    choose_terms(o, r, plan);
    if (o->terms_n > 0)
        lnt_ws_deflate_promise(
            m->data, lnt_ws_deflate_new(m->data, plan, &o->terms,
                                        (uint32_t)route->compression_min));
}

/* ---- the answer ---- */

/* Writes the 28 characters of Sec-WebSocket-Accept. */
static void
put_accept(char accept[ACCEPT_SIZE], struct lnt_str key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_SIZE + sizeof(guid) - 1];
    uint8_t digest[LNT_SHA1_SIZE];

    lnt_assert(key.n == KEY_SIZE);
    memcpy(text, key.p, KEY_SIZE);
    memcpy(text + KEY_SIZE, guid, sizeof(guid) - 1);
    lnt_ws_sha1(text, sizeof(text), digest);
    lnt_ws_base64_encode(accept, digest, sizeof(digest));
}

static char *
put(char *to, struct lnt_str s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

static lnt_verdict
accept_request(struct lnt_http_request *r, const struct offer *o)
{
    static const char begin[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                "Upgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: ";
    char head[sizeof(begin) + ACCEPT_SIZE + LNT_WS_SUBPROTOCOL_MAX +
              LNT_WS_TERMS_TEXT + 128];
    char *p = put(head, lnt_str(begin, sizeof(begin) - 1));

    put_accept(p, o->key.value);
    p += ACCEPT_SIZE;
    if (o->protocol.p) {
        lnt_assert(o->protocol.n <= LNT_WS_SUBPROTOCOL_MAX);
        p = put(p, LNT_STR("\r\nSec-WebSocket-Protocol: "));
        p = put(p, o->protocol);
    }
    if (o->terms_n > 0) {
        p = put(p, LNT_STR("\r\nSec-WebSocket-Extensions: "));
        p = put(p, lnt_str(o->terms_text, o->terms_n));
    }
    p = put(p, LNT_STR("\r\n\r\n"));
    return lnt_http_upgrade(r, lnt_str(head, (size_t)(p - head)));
}

static bool
is_key(struct lnt_str key)
{
    return key.n == KEY_SIZE && lnt_ws_base64_count(key.p, key.n) == 16;
}

lnt_verdict
lnt_ws_handshake(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    const struct lnt_ws_route *route = r->route->conf;
    struct offer o;

    if (r->method != LNT_HTTP_GET)
        return lnt_http_error(r, 405, "Allow: GET\r\n",
                              "A WebSocket begins with GET.");
    if (r->version < 11)
        return lnt_http_error(r, 400, NULL, "A WebSocket needs HTTP/1.1.");
    if (!lnt_http_header_has(r, "Upgrade", "websocket"))
        return lnt_http_error(r, 400, NULL,
                              "This is for WebSockets: the request needs "
                              "\"Upgrade: websocket\".");
    if (!lnt_http_header_has(r, "Connection", "upgrade"))
        return lnt_http_error(r, 400, NULL,
                              "The request needs \"Connection: Upgrade\"; "
                              "does a proxy remove it?");
    read_offer(&o, r, &route->subprotocol);
    if (o.version.count > 1)
        return lnt_http_error(r, 400, "Sec-WebSocket-Version: 13\r\n",
                              "Sec-WebSocket-Version was given twice.");
    if (o.version.count == 0)
        return lnt_http_error(r, 400, "Sec-WebSocket-Version: 13\r\n",
                              "Sec-WebSocket-Version is missing.");
    if (!lnt_str_eq(o.version.value, LNT_STR("13")))
        return lnt_http_error(
            r, 426,
            "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n",
            "Only version 13 of the protocol is spoken here.");
    if (o.key.count != 1 || !is_key(o.key.value))
        return lnt_http_error(r, 400, NULL,
                              "The request needs one Sec-WebSocket-Key: 16 "
                              "bytes in base64.");
    if (o.bad_protocols)
        return lnt_http_error(r, 400, NULL,
                              "Sec-WebSocket-Protocol is no list of names.");
    if (o.origin.count > 1 ||
        (o.origin.count == 1 &&
         !lnt_http_origin_allowed(r->route->origins, o.origin.value,
                                  r->host))) {
        lnt_log_info("websocket refused: origin \"%.*s\" is not allowed",
                     (int)(o.origin.value.n < 200 ? o.origin.value.n : 200),
                     o.origin.value.p);
        return lnt_http_error(r, 403, NULL,
                              "Pages from this origin may not connect.");
    }
    lnt_verdict v;
    if (!lnt_http_admit(r, true, NULL, &v))
        return v;
    agree(m, r, &o);
    v = accept_request(r, &o);
    /* If no session came of it, the next is not to have its terms. */
    if (o.terms_n > 0)
        lnt_ws_deflate_promise(m->data, NULL);
    return v;
}
