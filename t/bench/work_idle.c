/*
 * idle: what a connection costs that does nothing.  The first connections make
 * the server grow its tables, so the memory is that of the others.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "t/bench/bench.h"

struct idle {
    unsigned base; /* connections open at the first look */
    uint64_t before, after;
};

static void
begin(struct bench *b)
{
    struct idle *i = lnt_calloc(1, sizeof(*i));
    if (!b->o.pid)
        usage_error("idle needs --pid");
    if (b->nclients < 100)
        usage_error("idle needs 100 --clients at least");
    b->state = i;
    i->base = b->open_to = b->nclients / 100;
}

static bool
settled(struct bench *b)
{
    struct idle *i = b->state;
    server_find(&b->server, b->o.pid);
    if (b->open_to == i->base) {
        i->before = server_memory(&b->server);
        b->open_to = b->nclients;
        return true;
    }
    i->after = server_memory(&b->server);
    return false;
}

static void
report(struct bench *b, FILE *out)
{
    const struct idle *i = b->state;
    double grown = (double)i->after - (double)i->before;
    fprintf(out, ",\"pss_before\":%llu,\"pss_after\":%llu",
            (unsigned long long)i->before, (unsigned long long)i->after);
    fprintf(out, ",\"pss_each\":%.0f", grown / (b->nclients - i->base));
}

static void
end(struct bench *b)
{
    free(b->state);
}

const struct work work_idle = {
    .name = "idle",
    .help = "memory of connections that do nothing",
    .no_load = true,
    .begin = begin,
    .settled = settled,
    .report = report,
    .end = end,
};
