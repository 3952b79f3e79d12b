/*
 * A worker's connections, for operators.
 */
#ifndef LNT_WORKER_CONNS_H
#define LNT_WORKER_CONNS_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_net;
struct lnt_strbuf;

/* A line for each: id, endpoint, peer, age in seconds, bytes queued, and what
   the application says of it. */
void lnt_conns_list(struct lnt_net *n, unsigned slot, struct lnt_strbuf *out);
/* The head for these lines. */
void lnt_conns_head(struct lnt_strbuf *out);
/* Closes the one with that id (decimal) with 4500, which tells clients not to
   come back; false with why in out. */
bool lnt_conns_kick(struct lnt_net *n, struct lnt_str id,
                    struct lnt_strbuf *out);

#endif
