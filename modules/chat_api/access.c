/*
 * Who may use the API: those who know a token, or, where there is none, those
 * who are on this machine anyway.
 *
 * A page in a browser on this machine is there, too, and so is a proxy for all
 * the world.  The one is betrayed by the Host it was reached by (a name that
 * leads here for a moment, or the site's), the other as a rule by a header.
 */
#include "modules/chat_api/access.h"

#include <string.h>

#include "modules/http/http.h"
#include "net/session.h"
#include "os/socket.h"

/* ---- tokens ---- */

/* Takes as long for a token that is nearly right as for one that is not. */
static bool
is_same(struct lnt_str given, struct lnt_str token)
{
    unsigned char differs = given.n != token.n;

    for (size_t i = 0; i < given.n; i++)
        differs |= (unsigned char)(given.p[i] ^ token.p[i % token.n]);
    return !differs;
}

bool
lnt_api_is_token(struct lnt_str s)
{
    size_t n = s.n;

    while (n > 0 && s.p[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~+/", c))))
            return false;
    }
    return n > 0;
}

/* The token of "Bearer TOKEN"; p NULL when it is not that. */
static struct lnt_str
bearer(struct lnt_str value)
{
    struct lnt_str scheme = LNT_STR("Bearer ");

    if (value.n <= scheme.n || !lnt_str_ieq(lnt_str(value.p, scheme.n), scheme))
        return lnt_str(NULL, 0);
    return lnt_str_trim(lnt_str(value.p + scheme.n, value.n - scheme.n));
}

static enum lnt_api_access
check_token(const struct lnt_strings *tokens, const struct lnt_http_request *r)
{
    struct lnt_str given = bearer(lnt_http_header_get(r, "Authorization"));
    bool good = false;

    if (!given.p || lnt_http_header_count(r, "Authorization") != 1)
        return LNT_API_NO_TOKEN;
    for (size_t i = 0; i < tokens->n; i++)
        good |= is_same(given, lnt_str_c(tokens->v[i]));
    return good ? LNT_API_GRANTED : LNT_API_BAD_TOKEN;
}

/* ---- this machine ---- */

/* Whether a Host stands for this machine: localhost, 127.0.0.1, [::1]. */
static bool
is_local_host(struct lnt_str host)
{
    char last = host.n > 0 && host.p[0] == '[' ? ']' : ':';
    const char *end = host.n > 0 ? memchr(host.p, last, host.n) : NULL;

    /* Without the port. */
    if (end)
        host.n = (size_t)(end - host.p) + (last == ']');
    return lnt_str_ieq(host, LNT_STR("localhost")) ||
           lnt_str_eq(host, LNT_STR("127.0.0.1")) ||
           lnt_str_eq(host, LNT_STR("[::1]"));
}

static bool
is_through_proxy(const struct lnt_http_request *r)
{
    static const char *const headers[] = {
        "Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host"};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (lnt_http_header_count(r, headers[i]) > 0)
            return true;
    }
    return false;
}

enum lnt_api_access
lnt_api_access(const struct lnt_strings *tokens,
               const struct lnt_http_request *r)
{
    struct lnt_addr peer;

    if (tokens->n > 0)
        return check_token(tokens, r);
    if (lnt_session_peer(r->session, &peer) == 0 && lnt_addr_is_local(&peer) &&
        is_local_host(r->host) && !is_through_proxy(r))
        return LNT_API_GRANTED;
    return LNT_API_ELSEWHERE;
}
