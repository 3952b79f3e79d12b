/*
 * Orders: what the master and all other processes of the server are to do now,
 * such as to write to another log file; done when each has said that it has.
 */
#ifndef LNT_MASTER_ORDERS_H
#define LNT_MASTER_ORDERS_H

#include <stddef.h>

#include "core/str.h"
#include "ipc/channel.h"

struct lnt_asker;
struct lnt_master;

struct lnt_order {
    enum lnt_frame_type type; /* REOPEN or LEVEL */
    struct lnt_str payload;
    const int *fds; /* stay the caller's */
    size_t nfds;
    const char *done; /* what the asker hears when all is well */
};

/*
 * Sends it to all workers that serve or have served, and store processes.  The
 * asker hears the answer, later or from here; without one (NULL), the log gets
 * what went wrong.  Who ends meanwhile is not waited for, and not complained
 * of.
 */
void lnt_orders_give(struct lnt_master *m, const struct lnt_order *o,
                     struct lnt_asker *a);

#endif
