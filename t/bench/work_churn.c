/*
 * churn: connect, upgrade, closing handshake, until the server's end; and
 * again.  Latency is that of connect and upgrade.
 */
#include "t/bench/bench.h"
#include "t/bench/client.h"

static void
begin(struct bench *b)
{
    b->open_to = 0;
}

static void
start(struct bench *b)
{
    for (unsigned i = 0; i < b->nclients; i++)
        client_connect(b, &b->clients[i]);
}

static void
opened(struct bench *b, struct client *c)
{
    if (b->phase == PHASE_MEASURE)
        latencies_add(&b->latencies, clock_ns() - c->began);
    client_leave(b, c);
}

static void
left(struct bench *b, struct client *c)
{
    count_unit(b);
    if (b->loading)
        client_connect(b, c);
}

static bool
drained(struct bench *b)
{
    for (unsigned i = 0; i < b->nclients; i++)
        if (b->clients[i].state != CLIENT_CLOSED)
            return false;
    return true;
}

static void
report(struct bench *b, FILE *out)
{
    unsigned stuck = 0;
    for (unsigned i = 0; i < b->nclients; i++)
        stuck += b->clients[i].state != CLIENT_CLOSED;
    fprintf(out, ",\"stuck\":%u", stuck);
    b->wrong += stuck;
}

const struct work work_churn = {
    .name = "churn",
    .help = "connect, upgrade, close, again and again",
    .per = "connection",
    .begin = begin,
    .opened = opened,
    .left = left,
    .start = start,
    .drained = drained,
    .report = report,
};
