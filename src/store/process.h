/*
 * The process that writes the store.
 */
#ifndef LNT_STORE_PROCESS_H
#define LNT_STORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_config;
struct lnt_zone;

struct lnt_keeper_params {
    const struct lnt_config *config;
    struct lnt_zone *zone;
    const int *doorbells; /* LNT_CELLS eventfds */
    unsigned cell;
    uint32_t incarnation;
    int channel; /* our end */
    bool load;   /* the zone is new: what the store has goes into it */
    bool wait;   /* another process of ours may still be writing: READY does
                    not wait for the end of that one */
    bool strict; /* what cannot be written is an error now, not one that may
                    pass */
};

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
int lnt_keeper_run(const struct lnt_keeper_params *p);

#endif
