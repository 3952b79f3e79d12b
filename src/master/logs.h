/*
 * The files of the log and of the access log.
 */
#ifndef LNT_MASTER_LOGS_H
#define LNT_MASTER_LOGS_H

#include "core/log.h"

struct lnt_config;
struct lnt_generation;
struct lnt_master;
struct lnt_strbuf;
struct lnt_waiter;

/* Opens the log of that configuration for this process.  0, or -1 with errors. */
int lnt_logs_open(const struct lnt_config *c, struct lnt_strbuf *errors);
/* Whether it could be opened: that of a new generation is only switched to when
   that one takes over.  0, or -1 with errors. */
int lnt_logs_try(const struct lnt_config *c, struct lnt_strbuf *errors);
/* Opens the access log into g->access_fd, in place of what was there; -1 stands
   for off.  0, or -1 with errors. */
int lnt_logs_open_access(struct lnt_generation *g, struct lnt_strbuf *errors);

/* All processes write to new files.  w (NULL: the log) hears how it went.  Those
   that only begin now are told when that change is over. */
void lnt_logs_reopen(struct lnt_master *m, struct lnt_waiter *w);
/* The level, in all processes, until the next reload. */
void lnt_logs_level(struct lnt_master *m, enum lnt_level level,
                    struct lnt_waiter *w);

#endif
