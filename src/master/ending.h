/*
 * The end of the server: workers first, then the store, then the master.
 */
#ifndef LNT_MASTER_ENDING_H
#define LNT_MASTER_ENDING_H

#include <stdbool.h>

struct lnt_master;

enum { LNT_ENDING_FAILED = 1 }; /* exit status of a start that failed */

/* Drains, or ends at once. */
void lnt_ending_begin(struct lnt_master *m, bool at_once);
/* Goes on with what comes next, once those have ended that come before. */
void lnt_ending_step(struct lnt_master *m);
/* The first start did not work out. */
void lnt_ending_give_up(struct lnt_master *m, const char *why);

#endif
