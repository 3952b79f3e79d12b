/*
 * The heap of timers, against a plain list: whatever is set, moved and
 * stopped, they come due in order.
 */
#include "event/timers.h"

#include "event/loop.h"
#include "t/unit/tap.h"

enum { TIMERS = 500, ROUNDS = 20000 };

static struct lnt_timer timers[TIMERS];
static uint64_t due[TIMERS]; /* 0: not set */

static uint32_t
next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static uint64_t
first_due(void)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (due[i] && due[i] < first)
            first = due[i];
    return first;
}

int
main(void)
{
    struct lnt_timers h = {0};
    int wrong_next = 0, wrong_due = 0, fired = 0;
    uint64_t now = 1;
    is_int(lnt_timers_next(&h) == UINT64_MAX, 1, "an empty heap is never due");
    ok(lnt_timers_due(&h, UINT64_MAX) == NULL, "and gives nothing");
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t i = next_random() % TIMERS;
        if (next_random() % 4 == 0) {
            lnt_timers_remove(&h, &timers[i]);
            due[i] = 0;
        } else {
            due[i] = now + 1 + next_random() % 1000;
            lnt_timers_set(&h, &timers[i], due[i]);
        }
        wrong_next += lnt_timers_next(&h) != first_due();
        if (round % 7 == 0)
            now += next_random() % 50;
        struct lnt_timer *t;
        while ((t = lnt_timers_due(&h, now))) {
            long n = t - timers;
            wrong_due +=
                due[n] != first_due() || due[n] > now || lnt_timer_active(t);
            due[n] = 0;
            fired++;
        }
        wrong_due += first_due() <= now;
    }
    is_int(wrong_next, 0, "the first is always the first");
    is_int(wrong_due, 0, "they come due in order, each once, none late");
    ok(fired > 1000, "%d fired", fired);
    lnt_timers_release(&h);
    int active = 0;
    for (int i = 0; i < TIMERS; i++)
        active += lnt_timer_active(&timers[i]);
    is_int(active, 0, "a released heap leaves no timer active");
    return done_testing();
}
