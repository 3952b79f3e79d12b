/*
 * Connections as operators see them.
 */
#include "worker/conns.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/strbuf.h"
#include "core/units.h"
#include "net/app.h"
#include "net/detached.h"
#include "net/endpoint.h"
#include "net/module.h"
#include "net/net.h"
#include "os/socket.h"

enum { KICKED = 4500 };

void
lnt_conns_head(struct lnt_strbuf *out)
{
    lnt_strbuf_addf(out, "%16s %6s  %-16s %-24s %8s %9s  %s\n", "id", "worker",
                    "endpoint", "peer", "age(s)", "queue(b)", "");
}

/* The peer's address; of one without a connection the last, in parentheses. */
static void
add_peer(struct lnt_strbuf *out, const struct lnt_session *s)
{
    struct lnt_addr peer;
    char text[LNT_ADDR_TEXT] = "?", shown[LNT_ADDR_TEXT + 2];
    bool away = lnt_session_is_detached(s);
    if (lnt_session_peer(s, &peer) == 0)
        (void)lnt_addr_format(&peer, text, sizeof(text));
    snprintf(shown, sizeof(shown), away ? "(%s)" : "%s", text);
    lnt_strbuf_addf(out, "%-24s", shown);
}

void
lnt_conns_list(struct lnt_net *n, unsigned slot, struct lnt_strbuf *out)
{
    size_t at = 0;
    const struct lnt_session *s;
    while ((s = lnt_net_next(n, &at))) {
        const struct lnt_endpoint *e = lnt_session_endpoint(s);
        lnt_strbuf_addf(out, "%16" PRIu64 " %6u  %-16s ", lnt_session_id(s),
                        slot, e->name);
        add_peer(out, s);
        lnt_strbuf_addf(out, " %8" PRIu64 " %9zu  ", lnt_session_age(s) / 1000,
                        lnt_session_queued(s));
        lnt_app_describe(s, out);
        lnt_strbuf_addc(out, '\n');
    }
}

bool
lnt_conns_kick(struct lnt_net *n, struct lnt_str id, struct lnt_strbuf *out)
{
    int64_t number;
    const char *why;
    struct lnt_session *s = NULL;
    if (lnt_parse_int(id, &number, &why) == 0 && number > 0)
        s = lnt_net_session(n, (uint64_t)number);
    if (!s || lnt_session_closing(s)) {
        lnt_strbuf_adds(out, "there is no such connection (any more)");
        return false;
    }
    lnt_session_close(s, KICKED, "kicked");
    lnt_strbuf_adds(out, "kicked");
    return true;
}
