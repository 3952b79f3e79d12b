/*
 * The end of the server: workers first, then the store, then the master.
 */
#ifndef LNT_MASTER_ENDING_H
#define LNT_MASTER_ENDING_H

#include <stdbool.h>

struct lnt_asker;
struct lnt_master;

enum { LNT_ENDING_FAILED = 1 }; /* exit status of a start that failed */

/* Drains, or ends at once; the asker (or NULL) hears when nothing is left. */
void lnt_ending_begin(struct lnt_master *m, bool at_once, struct lnt_asker *a);
/* A child has ended: goes on with what comes next. */
void lnt_ending_check(struct lnt_master *m);
/* The first start did not work out. */
void lnt_ending_give_up(struct lnt_master *m, const char *why);

#endif
