/*
 * Requests that go through the master: those of workers to each other, and those
 * of operators that workers answer.
 */
#ifndef LNT_MASTER_REQUESTS_H
#define LNT_MASTER_REQUESTS_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_child;
struct lnt_frame;
struct lnt_master;
struct lnt_waiter;

/* REQUEST, SET and RESTARTED frames of a worker; false: another one. */
bool lnt_master_requests_frame(struct lnt_master *m, struct lnt_child *c,
                               const struct lnt_frame *f);

/* Commands of operators; the waiter hears the answer. */
void lnt_master_conns(struct lnt_master *m, struct lnt_waiter *w);
void lnt_master_kick(struct lnt_master *m, struct lnt_str id,
                     struct lnt_waiter *w);
void lnt_master_publish(struct lnt_master *m, struct lnt_str room,
                        struct lnt_str text, struct lnt_waiter *w);

#endif
