/*
 * What an operation of the hub came to, and who is told.
 *
 * Whatever needs the server's one order (a nick that nobody else has, the place
 * of a message, the moment from which a joiner gets events) is begun by one call
 * and answered by another: the completion.  On one machine it is called before
 * the first call returns.  In a cluster the answer takes a round trip, and it is
 * called later, from the worker's loop.
 *
 *   - It is called exactly once for each operation, whatever happens.
 *   - Operations of one session complete in the order in which they were begun.
 *     What is begun within a completion goes before all that still waits.
 *   - Messages that follow each other are under way together; everything else
 *     of a session begins when all before it is over.
 *   - An operation is over after LNT_OP_TIME at the latest, with ETIMEDOUT: then
 *     it may or may not happen.  What is begun within a completion that came
 *     later has only what its cause had left.
 *   - Of one session LNT_OPS_MAX operations may be under way, with
 *     LNT_OPS_BYTES; further ones end at once with EAGAIN.  (One is always
 *     taken, and so is what is begun within a completion.)
 *   - When the session closes meanwhile, messages that were begun are published
 *     all the same, and it leaves its rooms behind them.  All else does not
 *     happen any more: ECANCELED.  The completion finds session NULL.
 *   - A session is not frozen for a move while any of this is under way.
 */
#ifndef LNT_HUB_RESULT_H
#define LNT_HUB_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_module_ctx;
struct lnt_room_info;
struct lnt_session;
struct lnt_sub;

enum {
    LNT_OP_TIME = 10000,        /* ms */
    LNT_OPS_MAX = 64,           /* under way, of one session */
    LNT_OPS_BYTES = 256 * 1024, /* of what they are about, and their arg */
    LNT_POSTS_MAX = 4096,       /* those without a session, of a worker */
    LNT_POSTS_BYTES = 16 * 1024 * 1024,
    LNT_OP_ARG_MAX = 2048, /* bytes */
};

struct lnt_result {
    struct lnt_module_ctx *m;    /* who began it */
    struct lnt_session *session; /* open, or NULL: it has closed meanwhile, or
                                    there never was one (lnt_hub_post) */
    uint64_t session_id;         /* as it was */
    int error;                   /* 0, or an errno */
    bool later;                  /* the call that began it has returned */
    uint64_t seq, time_us;       /* of what was published */
    uint32_t user;               /* of lnt_hub_enter */
    struct lnt_sub *sub;         /* of lnt_hub_join and lnt_hub_listen */
    const struct lnt_room_info *info; /* the same; valid during the call */
    struct lnt_str what; /* the nick, the room's name or the data that it was
                            begun with; valid during the call, until something
                            else is begun */
    struct lnt_str arg;  /* of the completion; valid during the call */
};

/*
 * fn may be NULL.  arg are plain bytes of the caller, at most LNT_OP_ARG_MAX:
 * they are copied if the operation completes later, to a place that is aligned
 * as malloc does it, and else are the very same.
 */
struct lnt_completion {
    void (*fn)(const struct lnt_result *r);
    struct lnt_str arg;
};
#define LNT_NO_COMPLETION ((struct lnt_completion){0})

/* What a session has under way. */
enum lnt_under_way {
    LNT_NOTHING,
    LNT_ONLY_MESSAGES, /* published, to rooms or to one session */
    LNT_MORE,
};

#endif
