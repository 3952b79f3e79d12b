/*
 * When the next message goes.  With a rate, a message has a moment at which it
 * is due, and its latency counts from there: a server that stalls cannot hide
 * it by keeping us from sending.
 */
#include "t/bench/pace.h"

#include <stdlib.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"

/* With a rate, under way on one connection at most. */
enum { UNDER_WAY_MAX = 1024 };

/* What is under way on one connection: when each was sent, oldest first. */
struct line {
    unsigned cap, head, n;
    unsigned owed; /* answers not yet followed by the next message */
    uint64_t sent[];
};

void
pace_begin(struct bench *b, uint8_t *units, size_t size)
{
    unsigned cap = b->o.rate > 0 ? UNDER_WAY_MAX : b->o.depth;
    b->pace = lnt_malloc(sizeof(*b->pace));
    *b->pace = (struct pace){.units = units, .size = size};
    for (unsigned i = 0; i < b->nclients; i++) {
        struct line *l = lnt_calloc(1, sizeof(*l) + cap * sizeof(l->sent[0]));
        l->cap = cap;
        b->clients[i].work = l;
    }
}

void
pace_end(struct bench *b)
{
    for (unsigned i = 0; i < b->nclients; i++) {
        free(b->clients[i].work);
        b->clients[i].work = NULL;
    }
    free(b->pace->units);
    free(b->pace);
    b->pace = NULL;
}

static void
send_units(struct bench *b, struct client *c, unsigned n, uint64_t at)
{
    struct pace *p = b->pace;
    struct line *l = c->work;
    for (unsigned i = 0; i < n; i++)
        l->sent[(l->head + l->n++) % l->cap] = at;
    p->under_way += n;
    client_send(b, c, p->units, n * p->size);
}

void
pace_start(struct bench *b)
{
    struct pace *p = b->pace;
    if (b->o.rate > 0) {
        p->step = (uint64_t)(1e9 / b->o.rate);
        p->due = b->next = b->now + p->step;
        return;
    }
    for (unsigned i = 0; i < b->nclients; i++)
        if (b->clients[i].state == CLIENT_OPEN)
            send_units(b, &b->clients[i], b->o.depth, clock_ns());
}

void
pace_slow(struct bench *b)
{
    struct pace *p = b->pace;
    p->step *= SLOWER;
    if (b->o.rate > 0)
        p->due = b->next = b->now + p->step;
}

void
pace_tick(struct bench *b)
{
    struct pace *p = b->pace;
    for (; p->due <= b->now; p->due += p->step) {
        struct client *c = &b->clients[p->turn++ % b->nclients];
        const struct line *l = c->work;
        if (c->state == CLIENT_OPEN && l->n < l->cap)
            send_units(b, c, 1, p->due);
        else
            p->skipped++;
    }
    b->next = p->due;
}

bool
pace_answered(struct bench *b, struct client *c)
{
    struct line *l = c->work;
    if (l->n == 0)
        return false;
    uint64_t sent = l->sent[l->head];
    l->head = (l->head + 1) % l->cap;
    l->n--;
    l->owed++;
    b->pace->under_way--;
    if (b->phase == PHASE_MEASURE)
        latencies_add(&b->latencies, clock_ns() - sent);
    count_unit(b);
    return true;
}

void
pace_go_on(struct bench *b, struct client *c)
{
    struct line *l = c->work;
    if (b->loading && b->o.rate <= 0 && l->owed > 0)
        send_units(b, c, l->owed, clock_ns());
    l->owed = 0;
}

bool
pace_drained(struct bench *b)
{
    return b->pace->under_way == 0;
}
