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

/* The work's state is the payload. */

static void
begin(struct bench *b)
{
    size_t n = b->o.size, size = 0;
    unsigned opcode = b->o.binary ? FRAME_BINARY : FRAME_TEXT;
    uint8_t *payload = lnt_malloc(n);
    b->state = payload;
    for (size_t i = 0; i < n; i++)
        payload[i] = (uint8_t)('a' + frame_random() % 26);
    /* Each with its own mask, so that no server gets used to one. */
    uint8_t *frames = lnt_malloc(b->o.depth * (n + FRAME_HEAD_MAX));
    for (unsigned i = 0; i < b->o.depth; i++)
        size = frame_write(frames + i * size, opcode, payload, n);
    pace_begin(b, frames, size);
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    if (!b->loading && b->phase != PHASE_DRAIN)
        return; /* a greeting */
    if (n != b->o.size || memcmp(p, b->state, n) != 0 || !pace_answered(b, c))
        b->wrong++;
}

static void
report(struct bench *b, FILE *out)
{
    fprintf(out, ",\"lost\":%llu,\"skipped\":%llu",
            (unsigned long long)b->pace->under_way,
            (unsigned long long)b->pace->skipped);
    b->wrong += b->pace->under_way;
}

static void
end(struct bench *b)
{
    pace_end(b);
    free(b->state);
}

const struct work work_echo = {
    .name = "echo",
    .help = "each message comes back as it is",
    .per = "message",
    .begin = begin,
    .message = message,
    .after = pace_go_on,
    .start = pace_start,
    .slow = pace_slow,
    .tick = pace_tick,
    .drained = pace_drained,
    .report = report,
    .end = end,
};
