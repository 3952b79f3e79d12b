/*
 * Helpers: processes beside the workers, one of a kind.  Of each there is one at
 * a time that works; one that is to follow, or that is ending, may be there
 * beside it.  A further kind is a value in child.h with its row in child.c, its
 * main function in start.c, and what helpers.c asks of every kind.
 */
#ifndef LNT_MASTER_HELPERS_H
#define LNT_MASTER_HELPERS_H

#include <stdbool.h>

#include "ipc/requests.h"
#include "master/slots.h"

struct lnt_config;
struct lnt_generation;
struct lnt_master;
struct lnt_strbuf;

/* By kind, from LNT_KIND_STORE on. */
enum { LNT_HELPERS = LNT_KIND_BINARY - LNT_KIND_STORE };

struct lnt_helper {
    struct lnt_slot slot;     /* of this generation */
    struct lnt_child *coming; /* of the next one, when that needs another */
    bool used;                /* this generation's has been ready once */
    bool ended;               /* the last ones were told to end */
    bool again;               /* and another one after one of them died */
};

void lnt_helpers_init(struct lnt_master *m);
/* The one that c is of; NULL: c is no helper. */
struct lnt_helper *lnt_helpers_find(struct lnt_master *m,
                                    const struct lnt_child *c);

/* For the first generation, before any worker: spawns what it needs.  load: the
   zone is new.  0, or -1 with why. */
int lnt_helpers_first(struct lnt_master *m, bool load, struct lnt_strbuf *why);
/* Whether these are ready, or have been once: workers may come. */
bool lnt_helpers_are_ready(const struct lnt_master *m);

/* For a generation to come: spawns what it needs.  0, or -1 with why. */
int lnt_helpers_prepare(struct lnt_master *m, const struct lnt_generation *g,
                        struct lnt_strbuf *why);
bool lnt_helpers_prepared(const struct lnt_master *m);
void lnt_helpers_abandon(struct lnt_master *m);
/* That generation is the current one now; before: the configuration until
   then. */
void lnt_helpers_swap(struct lnt_master *m, const struct lnt_config *before);

/* Lets those of this generation that are ready begin. */
void lnt_helpers_begin(struct lnt_master *m);
/* One has ended; true: it was this generation's, and nobody has its place. */
bool lnt_helpers_ended(struct lnt_master *m, struct lnt_child *c);
/* All workers have ended: the last word is written.  true when that is done. */
bool lnt_helpers_end(struct lnt_master *m);
/* Another master's go on. */
void lnt_helpers_let_go(struct lnt_master *m);

/* Has the store written now; fn is called when it is, or cannot be.  false:
   there is none, or (logged) its process cannot be told; fn is not called. */
bool lnt_helpers_sync(struct lnt_master *m, lnt_reply_fn *fn, void *arg);

#endif
