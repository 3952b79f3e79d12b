/*
 * Broadcasts: a small message for modules, to all workers in one order.
 */
#ifndef LNT_MASTER_BROADCAST_H
#define LNT_MASTER_BROADCAST_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_child;
struct lnt_master;
struct lnt_strbuf;

/*
 * To that module (all, when empty) in every worker: those that serve, those
 * that drain, and those to come, which hear it when their modules have started.
 * true, or false with why: a worker that lives does not take it, or there is
 * none.  A worker that ends in that moment needs none.
 */
bool lnt_broadcast(struct lnt_master *m, struct lnt_str module,
                   struct lnt_str text, struct lnt_strbuf *why);

/* One of a worker, to all of them, itself included. */
void lnt_broadcast_pass_on(struct lnt_master *m, const struct lnt_child *from,
                           struct lnt_str payload);

/* One that came from another master. */
void lnt_broadcast_take(struct lnt_master *m, struct lnt_str payload);

#endif
