/*
 * The worker process.
 */
#ifndef LNT_WORKER_WORKER_H
#define LNT_WORKER_WORKER_H

struct lnt_start;

/*
 * Runs in the forked child until it is told to end, or the master is gone and
 * the connections have drained.  Returns the exit status.
 */
int lnt_worker_run(const struct lnt_start *start);

#endif
