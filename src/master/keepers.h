/*
 * The store's process as the master sees it: spawned, replaced, ended.  There
 * is one at a time that writes; one that is to follow, or that is ending, may
 * be there beside it.
 */
#ifndef LNT_MASTER_KEEPERS_H
#define LNT_MASTER_KEEPERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "event/loop.h"
#include "ipc/channel.h"
#include "ipc/requests.h"

struct lnt_config;
struct lnt_generation;
struct lnt_master;
struct lnt_strbuf;

enum lnt_keeper_state {
    LNT_KEEPER_STARTING, /* forked */
    LNT_KEEPER_READY,    /* can write, waits for START */
    LNT_KEEPER_SERVING,
    LNT_KEEPER_ENDING, /* told to */
};

struct lnt_keeper {
    struct lnt_keeper *next;
    struct lnt_master *m;
    pid_t pid;
    unsigned cell;
    uint32_t incarnation;
    enum lnt_keeper_state state;
    uint64_t started; /* loop time */
    bool failed;      /* said that it cannot start */
    bool late;        /* was killed for not getting ready or not ending */
    struct lnt_channel channel;
    struct lnt_timer timer; /* to get ready, or to end */
    uint64_t end_by;        /* loop time; 0: it was not told to end */
    unsigned stopped;       /* looks in a row that found it stopped */
};

struct lnt_keepers {
    struct lnt_keeper *all;    /* alive */
    struct lnt_keeper *now;    /* of this generation; NULL: none, or none now */
    struct lnt_keeper *coming; /* of the next one, when that has another file */
    bool used;                 /* this generation's has been ready once */
    bool ended;                /* the last ones were told to end */
    bool again;                /* and another one after one of them died */
    unsigned restarts;
    uint64_t delay; /* ms before the next spawn */
    struct lnt_timer timer;
};

/* Which one it was. */
enum lnt_keeper_role {
    LNT_KEEPER_NOW,
    LNT_KEEPER_COMING,
    LNT_KEEPER_FORMER, /* of a generation that is over or was given up */
};

/* What they report; set by master.c, see store_events.c. */
struct lnt_keeper_events {
    void (*ready)(struct lnt_master *m, struct lnt_keeper *k);
    /* It cannot start, for this reason; it ends by itself. */
    void (*failed)(struct lnt_master *m, struct lnt_keeper *k, const char *why);
    /* It has ended, how: in words. */
    void (*ended)(struct lnt_master *m, enum lnt_keeper_role role,
                  uint64_t lived, const char *how);
};

/*
 * For the first generation, before any worker: 1 when there is a store, whose
 * process will be ready or fail; 0 when there is none; -1 with why.  load: the
 * zone is new.
 */
int lnt_keepers_first(struct lnt_master *m, bool load, struct lnt_strbuf *why);

/* For a generation to come: spawns what it needs.  0, or -1 with why. */
int lnt_keepers_prepare(struct lnt_master *m, const struct lnt_generation *g,
                        struct lnt_strbuf *why);
bool lnt_keepers_prepared(const struct lnt_master *m);
void lnt_keepers_abandon(struct lnt_master *m);
/* That generation is the current one now; before: the configuration until
   then. */
void lnt_keepers_swap(struct lnt_master *m, const struct lnt_config *before);

/* Lets it write. */
void lnt_keeper_start(struct lnt_keeper *k);
/* Spawns another one after a delay, as with workers. */
void lnt_keepers_retry(struct lnt_master *m, uint64_t lived);
/* All workers have ended: the last word is written.  true when that is done. */
bool lnt_keepers_end(struct lnt_master *m);
/* Has the store written now; fn is called when it is, or cannot be.  false:
   there is none, or (logged) its process cannot be told; fn is not called. */
bool lnt_keepers_sync(struct lnt_master *m, lnt_reply_fn *fn, void *arg);
/* Another master's goes on with the store. */
void lnt_keepers_let_go(struct lnt_master *m);
/* A child that is no worker has ended; false: not one of ours either. */
bool lnt_keepers_reap(struct lnt_master *m, pid_t pid, int status);

/* A line on the store for people; and as JSON, null when there is none. */
void lnt_keepers_text(const struct lnt_master *m, struct lnt_strbuf *out);
void lnt_keepers_json(const struct lnt_master *m, struct lnt_strbuf *out);

#endif
