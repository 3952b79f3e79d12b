/*
 * The loop's timers: a binary heap ordered by due time.  Private to event/.
 */
#ifndef LNT_EVENT_TIMERS_H
#define LNT_EVENT_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct lnt_timer;

struct lnt_timers {
    struct lnt_timer_entry {
        uint64_t at;
        struct lnt_timer *timer;
    } * heap;
    size_t n, cap;
};

void lnt_timers_set(struct lnt_timers *h, struct lnt_timer *t, uint64_t at);
void lnt_timers_remove(struct lnt_timers *h, struct lnt_timer *t);
/* Takes the first timer due at now out of the heap, or NULL. */
struct lnt_timer *lnt_timers_due(struct lnt_timers *h, uint64_t now);
/* Due time of the first, UINT64_MAX when there is none. */
uint64_t lnt_timers_next(const struct lnt_timers *h);
void lnt_timers_release(struct lnt_timers *h);

#endif
