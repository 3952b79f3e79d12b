/*
 * A request that another worker is to answer: put back into the input, as it
 * came.
 */
#include <errno.h>
#include <stdio.h>

#include "modules/http/exchange.h"
#include "net/handover.h"

static void
unread_body(struct lnt_session *s, const struct lnt_http_exchange *x)
{
    static const char end[] = "\r\n0\r\n\r\n";
    struct lnt_str body = x->r.body;
    char size[24];
    if (!x->framing.chunked) {
        lnt_session_unread(s, body.p, body.n);
        return;
    }
    /* In one chunk, however many there were. */
    if (body.n) {
        int n = snprintf(size, sizeof(size), "%zx\r\n", body.n);
        lnt_session_unread(s, size, (size_t)n);
        lnt_session_unread(s, body.p, body.n);
        lnt_session_unread(s, end, sizeof(end) - 1);
    } else {
        lnt_session_unread(s, end + 2, sizeof(end) - 3);
    }
}

int
lnt_http_hand_over(struct lnt_http_request *r, uint64_t worker,
                   struct lnt_str name)
{
    struct lnt_http_exchange *x = lnt_http_exchange(r);
    struct lnt_session *s = r->session;
    if (x->late) {
        errno = ENOTSUP;
        return -1;
    }
    if (lnt_session_hand_over(s, worker, name) < 0)
        return -1;
    x->handed = true;
    x->conn->requests--; /* it is counted where it is answered */
    lnt_session_unread(s, x->head.p, x->head.n);
    unread_body(s, x);
    return 0;
}
