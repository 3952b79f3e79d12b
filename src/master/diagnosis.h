/*
 * What is wrong with a binary that ended before it served, and gave no reason:
 * it is run once more, alone, to test itself and its configuration ("-t"), and
 * what it prints is kept.  So programs that know nothing of an upgrade, or do
 * not even start, are understood, too.
 */
#ifndef LNT_MASTER_DIAGNOSIS_H
#define LNT_MASTER_DIAGNOSIS_H

#include <stdbool.h>
struct lnt_child;
struct lnt_diagnosis;
struct lnt_master;

/* text: what was found, to follow a semicolon; good: nothing is wrong.  The
   diagnosis is over and is to be freed, by this call or later. */
typedef void lnt_diagnosis_fn(void *arg, bool good, const char *text);

/* Runs m->binary; fn is called within some seconds, not from here.  NULL with
   errno when it cannot. */
struct lnt_diagnosis *lnt_diagnosis_start(struct lnt_master *m,
                                          lnt_diagnosis_fn *fn, void *arg);
/* The child of the diagnosis (LNT_KIND_TEST) has ended. */
void lnt_diagnosis_ended(struct lnt_diagnosis *d, const struct lnt_child *c);
/* Kills what still runs; fn is not called any more.  NULL is fine. */
void lnt_diagnosis_free(struct lnt_diagnosis *d);

#endif
