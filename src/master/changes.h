/*
 * Changes of the server: what is going on, and what waits for its turn.  Signals,
 * the control socket and workers ask; master.c begins them, one at a time, when
 * nothing else moves.
 */
#ifndef LNT_MASTER_CHANGES_H
#define LNT_MASTER_CHANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"

struct lnt_master;
struct lnt_waiter;

enum lnt_change_kind {
    LNT_CHANGE_REOPEN, /* of the logs, for processes that did not exist then */
    LNT_CHANGE_RELOAD,
    LNT_CHANGE_UPGRADE,
    LNT_CHANGE_REPLACE, /* of one worker; begins at once or not at all */
    LNT_CHANGE_END,     /* of the server; waits for nothing */
};

struct lnt_change {
    struct lnt_change *next;
    enum lnt_change_kind kind;
    int64_t workers; /* RELOAD: so many; 0: as the configuration says */
    bool new_zone;   /* UPGRADE: the zone need not be kept */
    bool at_once;    /* END */
    struct lnt_list waiters;
};

struct lnt_changes {
    struct lnt_change *now;     /* RELOAD or UPGRADE; NULL: none */
    struct lnt_change *waiting; /* the oldest first; one of a kind */
    struct lnt_change *end;     /* asked for; stays until the process ends */
};

/*
 * Asks for a change like c; w (NULL: nobody) hears when it is done, or why it is
 * not, which may be from here.  One that waits already becomes this one, too.
 */
void lnt_changes_ask(struct lnt_master *m, const struct lnt_change *c,
                     struct lnt_waiter *w);
/* Why no change like that can begin now or later; NULL: it can. */
const char *lnt_changes_refusal(const struct lnt_master *m,
                                const struct lnt_change *c);
/* Whether one goes on, or waits. */
bool lnt_changes_any(const struct lnt_master *m);
/* Takes one of that kind out of those that wait, to be freed or to become the one
   that goes on; NULL: there is none. */
struct lnt_change *lnt_changes_take(struct lnt_master *m,
                                    enum lnt_change_kind kind);
/* The one that goes on is over: whoever waits for it is told. */
void lnt_changes_done(struct lnt_master *m, bool ok, const char *text);
/* Those that wait will not begin. */
void lnt_changes_cancel(struct lnt_master *m, const char *why);
/* The process ends: tells those who have asked for that. */
void lnt_changes_release(struct lnt_master *m);

#endif
