/*
 * Operations under way.  Private to the hub.
 *
 * A session has a queue while it has something under way, and none else.  In it
 * stand those that were sent to whoever puts them in order, and behind them those
 * that wait until they may be.
 */
#ifndef LNT_HUB_QUEUE_H
#define LNT_HUB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/result.h"

struct lnt_hub;
struct lnt_op;
struct lnt_queues;
struct lnt_session;

struct lnt_queues *lnt_queues_new(struct lnt_hub *h);
/* Nothing may be under way. */
void lnt_queues_free(struct lnt_queues *t);

/* s may be NULL.  Done when this returns if nothing stands in its way. */
void lnt_queues_begin(struct lnt_queues *t, struct lnt_session *s,
                      const struct lnt_op *op);
/* Whether whatever is begun is done at once. */
bool lnt_queues_idle(const struct lnt_queues *t);
/* What a session has under way. */
enum lnt_under_way lnt_queues_state(const struct lnt_queues *t,
                                    uint64_t session);
/* Ends all with that error, and further ones at once. */
void lnt_queues_cancel(struct lnt_queues *t, int error);
/* Once: when nothing is under way, perhaps now. */
void lnt_queues_when_idle(struct lnt_queues *t, void (*fn)(void *arg),
                          void *arg);

/* From now on what is begun stays under way until it is released. */
void lnt_queues_hold(struct lnt_queues *t, bool hold);
/* Ends the first n that were sent, in the order in which they were; returns how
   many there were. */
size_t lnt_queues_release(struct lnt_queues *t, size_t n);
/* How many were sent and are under way. */
size_t lnt_queues_sent(const struct lnt_queues *t);

#endif
