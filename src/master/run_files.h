/*
 * What makes a run_dir the one of a server: a lock on the folder, the pidfile
 * and the control socket.  Whichever of them is removed, the others still tell
 * a second server that it must not start, and a reload brings them back.
 */
#ifndef LNT_MASTER_RUN_FILES_H
#define LNT_MASTER_RUN_FILES_H

#include <stdbool.h>

struct lnt_config;
struct lnt_master;
struct lnt_strbuf;

struct lnt_run_files {
    int lock; /* of the folder; -1: it cannot be locked, or another holds it */
    int pidfile; /* holds the lock of that; -1 */
    char *pid_path;
    bool ours; /* we have served: there is nobody that we got the lock from */
};

#define LNT_RUN_FILES_INIT ((struct lnt_run_files){.lock = -1, .pidfile = -1})

/*
 * At the start: makes the folder, locks it and writes the pidfile.  -1 with
 * why when another server is there.  A new binary gets the lock from the
 * environment.
 */
int lnt_run_files_take(struct lnt_master *m, const struct lnt_config *c,
                       struct lnt_strbuf *why);
/* Whatever is gone comes back, and a line in the log says so. */
void lnt_run_files_restore(struct lnt_master *m);
/* The same for the pidfile alone, whoever has written it. */
void lnt_run_files_retake(struct lnt_master *m);
/* In the child that will be the new binary: lets it have the lock, too. */
void lnt_run_files_hand_on(const struct lnt_master *m);
/* The new binary has taken over: the lock is its alone, so that another start
   can have it when that one is killed, although this process still drains. */
void lnt_run_files_let_go(struct lnt_master *m);
/* Removes the pidfile and unlocks the folder, as far as they are ours. */
void lnt_run_files_release(struct lnt_master *m);

#endif
