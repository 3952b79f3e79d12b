/*
 * The process that writes the store.
 */
#ifndef LNT_STORE_PROCESS_H
#define LNT_STORE_PROCESS_H

struct lnt_start;

/*
 * Runs in the forked child.  Says READY when the store is open (or another one
 * still has it), writes from START on, and ends when told
 *
 *   QUIT  nobody publishes any more: the next server may go on from here
 *   STOP  another process goes on with the same zone
 *
 * or when the master is gone: with the last worker then, at the latest 2 s
 * afterwards.  In each case what there is has been written.  Returns the exit
 * status.
 */
int lnt_store_run(const struct lnt_start *start);

#endif
