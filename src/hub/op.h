/*
 * One operation, and doing it.  Private to the hub.
 */
#ifndef LNT_HUB_OP_H
#define LNT_HUB_OP_H

#include "hub/result.h"
#include "zone/types.h"

struct lnt_hub;

enum lnt_op_kind {
    LNT_OP_AFTER, /* nothing but its turn */
    LNT_OP_ENTER,
    LNT_OP_RENAME,
    LNT_OP_EXIT,
    LNT_OP_JOIN,
    LNT_OP_LISTEN,
    LNT_OP_LEAVE,
    LNT_OP_PUBLISH, /* also to one session */
    LNT_OP_POST,
};

struct lnt_op {
    enum lnt_op_kind kind;
    uint64_t session; /* id, 0 none */
    struct lnt_module_ctx *m;
    struct lnt_str what; /* nick, name of a room, data */
    struct lnt_completion done;
    int error; /* what it was begun with is wrong: told at its turn */
    uint32_t user, member;
    unsigned format, announce_max;
    struct lnt_event event;      /* of what is published; without data */
    struct lnt_str room_name;    /* of lnt_hub_post */
    const struct lnt_keep *keep; /* the same; may be NULL */
};

/* Whether it concerns the order of the whole server.  What does not is done as
   soon as its turn comes. */
static inline bool
lnt_op_is_ordered(const struct lnt_op *op)
{
    return op->kind != LNT_OP_AFTER && op->kind != LNT_OP_LEAVE &&
           op->kind != LNT_OP_EXIT;
}

/* Whether several of its kind may be under way together. */
static inline bool
lnt_op_streams(const struct lnt_op *op)
{
    return op->kind == LNT_OP_PUBLISH || op->kind == LNT_OP_POST;
}

/* What most operations are, done without being written down first: a message
   that nothing stands in the way of. */
void lnt_op_publish(struct lnt_hub *h, struct lnt_session *s,
                    struct lnt_event *e, const struct lnt_completion *done);
/* Does it, unless error says why it cannot be, and tells the completion.  s:
   the session, NULL when it is not open any more. */
void lnt_op_run(struct lnt_hub *h, const struct lnt_op *op,
                struct lnt_session *s, int error, bool later);

#endif
