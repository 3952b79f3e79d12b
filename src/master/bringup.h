/*
 * Bringing up a generation: all of it or nothing.
 */
#ifndef LNT_MASTER_BRINGUP_H
#define LNT_MASTER_BRINGUP_H

#include <stdint.h>

struct lnt_config;
struct lnt_master;
struct lnt_strbuf;

/*
 * The first generation, from a configuration loaded already (owned from here
 * on).  Its helpers are spawned, or when it has none its workers; the state of
 * the master stays STARTING until all are ready.  0, or -1 with errors.
 */
int lnt_bringup_first(struct lnt_master *m, struct lnt_config *config,
                      struct lnt_strbuf *errors);
/* Its helpers are ready: spawns the workers.  0, or -1 with errors. */
int lnt_bringup_workers(struct lnt_master *m, struct lnt_strbuf *errors);

/*
 * A reload, which m->changes.now is: loads the configuration, opens what is new,
 * spawns all workers (so many; 0: as the configuration says) and swaps when each
 * of them is ready.  Whatever fails, the old generation goes on.
 */
void lnt_bringup_begin(struct lnt_master *m, int64_t workers);
/* Goes on with it, after what has happened to its processes. */
void lnt_bringup_step(struct lnt_master *m);
/* Gives it up, if one goes on. */
void lnt_bringup_cancel(struct lnt_master *m, const char *why);

#endif
