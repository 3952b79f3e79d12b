/*
 * The processes that the master has started, as it sees them: workers, helpers
 * (the store's process), the binary that is to take over, the test of one.
 *
 * What happens to a child is only recorded here (that it is ready, has failed,
 * has ended); what follows from that is decided in master.c, once a turn of the
 * loop.  Until then one that has ended stays in the list.
 */
#ifndef LNT_MASTER_CHILD_H
#define LNT_MASTER_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/list.h"
#include "event/loop.h"
#include "ipc/channel.h"

struct lnt_generation;
struct lnt_master;
struct lnt_slot;

/* Each has a row in child.c; those that are forked without another program have
   their main function in start.c. */
enum lnt_child_kind {
    LNT_KIND_WORKER,
    LNT_KIND_STORE,  /* the first of the helpers, see helpers.h */
    LNT_KIND_BINARY, /* a master to be; from here on no channel, no cell */
    LNT_KIND_TEST,   /* of a binary that failed */
    LNT_KINDS
};

enum lnt_child_state {
    LNT_CHILD_STARTING, /* forked */
    LNT_CHILD_READY,    /* set up, waits for START */
    LNT_CHILD_SERVING,
    LNT_CHILD_DRAINING, /* told to end */
    LNT_CHILD_ENDED,
};

struct lnt_child {
    struct lnt_list_node node;
    struct lnt_master *m;
    enum lnt_child_kind kind;
    char name[32]; /* "worker 1", for people */
    pid_t pid;
    unsigned slot, cell;
    unsigned restarts; /* of its slot, when it was spawned */
    uint32_t incarnation, generation;
    uint64_t started; /* loop time */
    uint64_t grace;   /* ms to drain, as its own configuration says */
    struct lnt_channel channel;
    struct lnt_timer timer; /* to get ready, or to end */
    uint64_t end_by;        /* loop time; 0: it was not told to end */
    unsigned stopped;       /* looks in a row that found it stopped */
    bool giving;            /* its connections are moving to others */
    bool late;              /* was killed for not getting ready or not ending */
    bool stuck;             /* as it was stopped while it was to end */

    /* What the master decides from. */
    enum lnt_child_state state;
    bool was_ready;
    char *failed; /* why it cannot start, in its own words; NULL: it can */
    bool judged;  /* the master knows that it failed */
    int status;   /* once it has ended, as waitpid tells it */
};

/* How a helper is to begin; see struct lnt_start. */
enum { LNT_START_LOAD = 1, LNT_START_WAIT = 2, LNT_START_STRICT = 4 };

/*
 * Forks a process of that generation for a slot.  In the master: the child, or
 * NULL with errno (EUSERS: there is no cell, or none with a doorbell; EBUSY: the
 * zone is locked).  In the new process it does not return.
 */
struct lnt_child *lnt_child_spawn(struct lnt_master *m,
                                  const struct lnt_generation *g,
                                  const struct lnt_slot *s, unsigned how);
/* A process that was forked elsewhere: it is reaped with the others. */
struct lnt_child *lnt_child_add(struct lnt_master *m, enum lnt_child_kind kind,
                                pid_t pid);
/* Releases the cells of processes that have ended, whosever they were: of a
   master that was killed nobody else does. */
void lnt_child_release_dead(struct lnt_master *m);
/* Lets one that is ready begin; else nothing. */
void lnt_child_begin(struct lnt_child *c);
/* QUIT (a worker has shutdown_timeout, then SIGKILL) or STOP (2 s); a helper
   has 20 s in both cases. */
void lnt_child_end(struct lnt_child *c, bool at_once);
/* Collects all that have ended. */
void lnt_children_reap(struct lnt_master *m);
/* For one that has ended, when that has been judged. */
void lnt_child_free(struct lnt_child *c);
/* "worker 1", "the store's process". */
void lnt_child_name(enum lnt_child_kind kind, unsigned number, char *out,
                    size_t size);
/* "exited with status 1", "was killed by signal 9 (Killed)". */
const char *lnt_child_how(int status, char *out, size_t size);

#endif
