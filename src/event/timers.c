/*
 * A binary heap of timers.  Each timer knows its place, so that moving and
 * stopping one costs log n and needs no search.
 */
#include "event/timers.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "event/loop.h"

static void
place(struct lnt_timers *h, size_t i, struct lnt_timer_entry e)
{
    h->heap[i] = e;
    e.timer->pos = (uint32_t)i + 1;
}

static void
sift_up(struct lnt_timers *h, size_t i, struct lnt_timer_entry e)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->heap[parent].at <= e.at)
            break;
        place(h, i, h->heap[parent]);
        i = parent;
    }
    place(h, i, e);
}

static void
sift_down(struct lnt_timers *h, size_t i, struct lnt_timer_entry e)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->heap[child + 1].at < h->heap[child].at)
            child++;
        if (h->heap[child].at >= e.at)
            break;
        place(h, i, h->heap[child]);
        i = child;
    }
    place(h, i, e);
}

void
lnt_timers_set(struct lnt_timers *h, struct lnt_timer *t, uint64_t at)
{
    struct lnt_timer_entry e = {at, t};
    if (t->pos == 0) {
        if (h->n == h->cap) {
            h->cap = h->cap ? h->cap + h->cap / 2 : 16;
            h->heap = lnt_realloc(h->heap, h->cap * sizeof(h->heap[0]));
        }
        h->n++;
        sift_up(h, h->n - 1, e);
        return;
    }
    size_t i = t->pos - 1;
    lnt_assert(i < h->n && h->heap[i].timer == t);
    if (at < h->heap[i].at)
        sift_up(h, i, e);
    else
        sift_down(h, i, e);
}

void
lnt_timers_remove(struct lnt_timers *h, struct lnt_timer *t)
{
    if (t->pos == 0)
        return;
    size_t i = t->pos - 1;
    lnt_assert(i < h->n && h->heap[i].timer == t);
    uint64_t old = h->heap[i].at;
    t->pos = 0;
    struct lnt_timer_entry last = h->heap[--h->n];
    if (i == h->n)
        return;
    if (last.at < old)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

struct lnt_timer *
lnt_timers_due(struct lnt_timers *h, uint64_t now)
{
    if (h->n == 0 || h->heap[0].at > now)
        return NULL;
    struct lnt_timer *t = h->heap[0].timer;
    lnt_timers_remove(h, t);
    return t;
}

uint64_t
lnt_timers_next(const struct lnt_timers *h)
{
    return h->n ? h->heap[0].at : UINT64_MAX;
}

void
lnt_timers_release(struct lnt_timers *h)
{
    for (size_t i = 0; i < h->n; i++)
        h->heap[i].timer->pos = 0;
    free(h->heap);
    h->heap = NULL;
    h->n = h->cap = 0;
}
