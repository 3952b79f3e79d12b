/*
 * echo: messages that must come back as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"
#include "t/bench/frame.h"
#include "t/bench/pace.h"

struct echo {
    struct pace pace;
    uint8_t *payload, *frames;
};

static void
begin(struct bench *b)
{
    struct echo *e = lnt_calloc(1, sizeof(*e));
    size_t n = b->o.size, size = 0;
    unsigned opcode = b->o.binary ? FRAME_BINARY : FRAME_TEXT;
    b->state = e;
    e->payload = lnt_malloc(n);
    for (size_t i = 0; i < n; i++)
        e->payload[i] = (uint8_t)('a' + frame_random() % 26);
    /* Each with its own mask, so that no server gets used to one. */
    e->frames = lnt_malloc(b->o.depth * (n + FRAME_HEAD_MAX));
    for (unsigned i = 0; i < b->o.depth; i++)
        size = frame_write(e->frames + i * size, opcode, e->payload, n);
    pace_begin(b, &e->pace, e->frames, size);
}

static void
start(struct bench *b)
{
    struct echo *e = b->state;
    pace_start(b, &e->pace);
}

static void
slow(struct bench *b)
{
    struct echo *e = b->state;
    pace_slow(b, &e->pace);
}

static void
tick(struct bench *b)
{
    struct echo *e = b->state;
    pace_tick(b, &e->pace);
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct echo *e = b->state;
    if (!b->loading && b->phase != PHASE_DRAIN)
        return; /* a greeting */
    if (n != b->o.size || memcmp(p, e->payload, n) != 0 ||
        !pace_answered(b, &e->pace, c))
        b->wrong++;
}

static void
after(struct bench *b, struct client *c)
{
    struct echo *e = b->state;
    pace_go_on(b, &e->pace, c);
}

static bool
drained(struct bench *b)
{
    const struct echo *e = b->state;
    return e->pace.under_way == 0;
}

static void
report(struct bench *b, FILE *out)
{
    const struct echo *e = b->state;
    fprintf(out, ",\"lost\":%llu,\"skipped\":%llu",
            (unsigned long long)e->pace.under_way,
            (unsigned long long)e->pace.skipped);
    b->wrong += e->pace.under_way;
}

static void
end(struct bench *b)
{
    struct echo *e = b->state;
    pace_end(b);
    free(e->payload);
    free(e->frames);
    free(e);
}

const struct work work_echo = {
    .name = "echo",
    .help = "each message comes back as it is",
    .per = "message",
    .begin = begin,
    .message = message,
    .after = after,
    .start = start,
    .slow = slow,
    .tick = tick,
    .drained = drained,
    .report = report,
    .end = end,
};
