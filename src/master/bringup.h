/*
 * Bringing up a generation: all of it or nothing.
 */
#ifndef LNT_MASTER_BRINGUP_H
#define LNT_MASTER_BRINGUP_H

#include <stdbool.h>

struct lnt_asker;
struct lnt_child;
struct lnt_config;
struct lnt_master;
struct lnt_slot;
struct lnt_strbuf;

/*
 * The first generation, from a configuration loaded already (owned from here
 * on).  Its workers are spawned; master state stays STARTING until all are
 * ready.  0, or -1 with errors.
 */
int lnt_bringup_first(struct lnt_master *m, struct lnt_config *config,
                      struct lnt_strbuf *errors);

/*
 * A reload: loads the configuration, opens what is new, spawns all workers and
 * swaps when each of them is ready.  Whatever fails, the old generation goes
 * on.  The asker (or NULL) hears how it ended.  One that comes in the middle
 * of another is run afterwards, once for all that wait.
 */
void lnt_bringup_reload(struct lnt_master *m, struct lnt_asker *a);

/* The store's process of the first generation is ready: spawns the workers. 0,
   or -1 with errors. */
int lnt_bringup_workers(struct lnt_master *m, struct lnt_strbuf *errors);
/* That of the next one is; or the next one comes to nothing, because of it. */
void lnt_bringup_store_ready(struct lnt_master *m);
void lnt_bringup_cancel_for(struct lnt_master *m, const char *why);

/* Events of children of the next generation; false: not one of them. */
bool lnt_bringup_ready(struct lnt_master *m, struct lnt_child *c);
bool lnt_bringup_failed(struct lnt_master *m, struct lnt_child *c,
                        const char *why);
bool lnt_bringup_ended(struct lnt_master *m, struct lnt_child *c, int status);
/* Starts the one that waits, if it can start now. */
void lnt_bringup_next(struct lnt_master *m);
/* Gives up one that goes on, because the server ends. */
void lnt_bringup_cancel(struct lnt_master *m, const char *why);

#endif
