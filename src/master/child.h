/*
 * Worker processes as the master sees them: spawned, spoken to, reaped.
 */
#ifndef LNT_MASTER_CHILD_H
#define LNT_MASTER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/loop.h"
#include "ipc/channel.h"

struct lnt_generation;
struct lnt_log_conf;
struct lnt_master;
struct lnt_slot;

enum lnt_child_state {
    LNT_CHILD_STARTING, /* forked */
    LNT_CHILD_READY,    /* set up, waits for START */
    LNT_CHILD_SERVING,
    LNT_CHILD_DRAINING, /* told to end */
};

struct lnt_child {
    struct lnt_child *next;
    struct lnt_master *m;
    pid_t pid;
    unsigned slot, cell;
    unsigned restarts; /* of its slot, when it was spawned */
    uint32_t incarnation, generation;
    enum lnt_child_state state;
    uint64_t started; /* loop time */
    uint64_t grace;   /* ms to drain, as its own configuration says */
    bool giving;      /* its connections are moving to others */
    bool failed;      /* said that it cannot start */
    bool late;        /* was killed for not getting ready or not ending */
    struct lnt_channel channel;
    struct lnt_timer timer; /* to get ready, or to end */
};

/*
 * Forks a worker of that generation for a slot.  In the master: the child, or
 * NULL with errno.  In the new process it does not return.
 */
struct lnt_child *lnt_child_spawn(struct lnt_master *m,
                                  const struct lnt_generation *g,
                                  const struct lnt_slot *s);
/* For other children of the master, too: a free cell that has a doorbell, or
   -1 with errno (EUSERS, or EBUSY: the zone is locked). */
int lnt_child_take_cell(struct lnt_master *m, unsigned slot,
                        uint32_t generation);
/* Releases the cells of processes that have ended, whosever they were: of a
   master that was killed nobody else does. */
void lnt_child_release_dead(struct lnt_master *m);
/* In the process of a generation to come: opens that one's log. */
void lnt_child_log(const struct lnt_log_conf *conf);
/* Lets it accept. */
void lnt_child_start(struct lnt_child *c);
/* QUIT (with shutdown_timeout, then SIGKILL) or STOP (2 s, then SIGKILL). */
void lnt_child_end(struct lnt_child *c, bool at_once);
/* To one that ends: all of shutdown_timeout, from now on. */
void lnt_child_grant(struct lnt_child *c);
/* Collects all that have ended; others (not workers) are given to other(). */
void lnt_children_reap(struct lnt_master *m,
                       void (*other)(struct lnt_master *m, pid_t pid,
                                     int status));
/* "exited with status 1", "was killed by signal 9 (Killed)". */
const char *lnt_child_how(int status, char *out, size_t size);

#endif
