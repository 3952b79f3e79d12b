/*
 * For tests, in debug builds: processes that end at a given step of a move,
 * and bytes that are spoiled on their way.
 *
 * LINNET_TEST_MOVE names a file.  Its one line says what is to happen once:
 *
 *   kill STEP N self|parent    at that step for the N-th time in one process
 *   spoil AT N                 byte AT (from the end when below 0) of the N-th
 *                              connection that has one and arrives in one
 *                              process
 *
 * Whoever does it removes the file first, so that it happens once, and a test
 * knows.
 */
#ifndef LNT_IPC_MOVE_STEP_H
#define LNT_IPC_MOVE_STEP_H

#include "core/str.h"

#define LNT_MOVE_STEPS(X)                                                      \
    X(LINKED)   /* master: one end of a link is out, the other is not */       \
    X(FREEZE)   /* giver: nothing has happened yet */                          \
    X(FROZEN)   /* giver: it is bytes and a descriptor */                      \
    X(SENT)     /* giver: and both are under way */                            \
    X(ANSWERED) /* giver: the taker has answered */                            \
    X(GIVEN)    /* giver: and it is forgotten here */                          \
    X(ARRIVED)  /* taker: here are the bytes */                                \
    X(THAWED)   /* taker: it is a session again */                             \
    X(TAKEN)    /* taker: and the giver is told */

enum lnt_move_step {
#define X(name) LNT_MOVE_##name,
    LNT_MOVE_STEPS(X)
#undef X
};

#ifdef LNT_DEBUG_BUILD
void lnt_move_step(enum lnt_move_step step);
void lnt_move_spoil(struct lnt_str bytes);
#else
static inline void
lnt_move_step(enum lnt_move_step step)
{
    (void)step;
}
static inline void
lnt_move_spoil(struct lnt_str bytes)
{
    (void)bytes;
}
#endif

#endif
