/*
 * Orders: what the master and all other processes of the server are to do now,
 * such as to write to another log file; done when each has said that it has.
 */
#ifndef LNT_MASTER_ORDERS_H
#define LNT_MASTER_ORDERS_H

#include "ipc/channel.h"

struct lnt_master;
struct lnt_waiter;

/*
 * Sends it (type, payload and fds of f count: REOPEN or LEVEL) to all workers
 * that serve or have served, and helpers.  w hears the answer, later or from
 * here: done, when all is well; without one (NULL), the log gets what went
 * wrong.  Who ends meanwhile is not waited for, and not complained of.
 */
void lnt_orders_give(struct lnt_master *m, const struct lnt_frame *f,
                     const char *done, struct lnt_waiter *w);

#endif
