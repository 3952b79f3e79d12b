/*
 * The master and the lock of the zone.  Nothing here waits: what needs the lock
 * and cannot have it is done later, and a process that was stopped while it held
 * the lock is killed after [server] lock_timeout.
 */
#ifndef LNT_MASTER_LOCK_WATCH_H
#define LNT_MASTER_LOCK_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/loop.h"
#include "master/doorbells.h"

struct lnt_master;
struct lnt_strbuf;

struct lnt_lock_watch {
    struct lnt_timer timer;
    /* The process that holds the lock, and since which turn; 0 nobody. */
    pid_t holder;
    uint64_t turn;
    bool close;      /* it held it at two looks: look often */
    char state;      /* of the process, as of the last look; 0 unknown */
    uint64_t looked; /* when that was, ms */
    uint64_t held;   /* ms since the first close look */
    uint64_t stood;  /* ms for which it was stopped, as far as we ran */
    bool told;       /* in the log */
    bool killed;
    uint64_t again, complain; /* ms: not before, when it could not be killed */
    /* Cells of processes that are gone, by index; the incarnation, 0 none. */
    uint32_t *owed;
    unsigned nowed;
    bool wanted; /* something waits for lnt_lock_ready */
    struct lnt_late late;
    uint64_t rung; /* when they were looked at, loop time */
};

/* Begins to watch the lock of m->zone; sets this process's patience. */
void lnt_lock_watch_start(struct lnt_master *m);
void lnt_lock_watch_stop(struct lnt_master *m);
/* In a process that the master has forked: it waits for the lock again. */
void lnt_lock_watch_forked(const struct lnt_master *m);

/* Whether the lock can be had.  If not, the loop has a turn as soon as it can. */
bool lnt_lock_ready(struct lnt_master *m);
/* Releases the cell of a process that is gone, now or as soon as the lock can
   be had, and wakes the sleeping readers. */
void lnt_lock_release(struct lnt_master *m, unsigned cell,
                      uint32_t incarnation);
/* Whether there are cells that are still to be released. */
bool lnt_lock_owes(const struct lnt_master *m);

/* Appends "the zone is locked by worker 1 (pid 12), which is stopped". */
void lnt_lock_text(const struct lnt_master *m, struct lnt_strbuf *out);
/* Why a process could not be started, from errno. */
void lnt_lock_why_not(const struct lnt_master *m, int error,
                      struct lnt_strbuf *out);
/* For status, only while a process holds the lock for long: a line for people;
   an object or null. */
void lnt_lock_status_text(const struct lnt_master *m, struct lnt_strbuf *out);
void lnt_lock_status_json(const struct lnt_master *m, struct lnt_strbuf *out);

#endif
