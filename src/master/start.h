/*
 * The beginning of a process that the master has forked.
 */
#ifndef LNT_MASTER_START_H
#define LNT_MASTER_START_H

struct lnt_child;
struct lnt_generation;
struct lnt_master;
struct lnt_slot;

/* Ends with the process: c's kind says which main function it runs.  channel is
   its end; how as for lnt_child_spawn. */
_Noreturn void lnt_start(const struct lnt_master *m,
                         const struct lnt_generation *g,
                         const struct lnt_slot *s, const struct lnt_child *c,
                         int channel, unsigned how);

#endif
