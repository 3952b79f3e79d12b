/*
 * What a client asks to listen to: the query of its request, and the id of the
 * last event that it had.
 */
#ifndef LNT_SSE_QUERY_H
#define LNT_SSE_QUERY_H

#include <stdbool.h>

#include "core/str.h"
#include "core/strbuf.h"
#include "net/module.h"

enum { LNT_SSE_NAME_MAX = 256 }; /* bytes of a room's name, decoded */

struct lnt_sse_query {
    struct lnt_interest listen; /* rooms points to names */
    struct lnt_str names[LNT_INTEREST_MAX];
    struct lnt_strbuf text; /* the names are in it */
    size_t ends[LNT_INTEREST_MAX];
};

/*
 * Reads room=R (may repeat), since=EPOCH:SEQ and limit=N out of query (without
 * the "?", p NULL: none); other names are not looked at.  true, or false with a
 * text for the client in *why.  q must be zeroed, or have been used before;
 * what it has is valid until the next call.
 */
bool lnt_sse_query_read(struct lnt_sse_query *q, struct lnt_str query,
                        const char **why);
void lnt_sse_query_release(struct lnt_sse_query *q);

/* "EPOCH:SEQ", as in the id of an event; false when it is not that. */
bool lnt_sse_id_read(struct lnt_str text, uint64_t *epoch, uint64_t *seq);

#endif
