/*
 * fanout: what publishers say must reach every subscriber: once, and in the
 * order in which each of them said it.
 *
 * A payload is "@NUMBER.PUBLISHER@" and filler.  It may come inside something
 * else (JSON); publishers may get it, too, which is counted but not checked.
 *
 * What is published next waits for what was published before, a second at
 * most: else a server that was kept from the CPU for a while would find
 * several messages waiting, deliver them together, and look cheaper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"
#include "t/bench/frame.h"

enum { TIMES = 65536, NUMBER_MAX = 32, PATIENCE = 1000000000 };

/* What a subscriber has seen of a publisher. */
struct seen {
    uint64_t *bits; /* by number */
    uint32_t words;
    uint32_t next; /* one more than the highest number */
    uint32_t n;    /* different ones */
};

struct publisher {
    uint32_t published;
    uint64_t sent[TIMES]; /* when, by number */
};

struct fanout {
    struct publisher *publishers;
    struct seen *seen; /* by subscriber, then by publisher */
    char *text;        /* room for one message */
    uint8_t *frames;   /* room for a burst */
    char *filler;
    uint64_t step, due; /* ns */
    unsigned turn;
    uint64_t last;        /* when something was published */
    uint64_t wanted, got; /* deliveries of what was published */
    uint64_t twice, late, missing;
};

/* As compressible as what programs say; nothing that JSON would escape.  There
   must be some bytes of room behind it. */
static void
fill(char *text, size_t n)
{
    for (size_t i = 0; i < n;)
        i += (size_t)sprintf(text + i, "item=%u value=%u; ",
                             frame_random() % 1000, frame_random() % 100000);
}

static void
begin(struct bench *b)
{
    struct fanout *f = lnt_calloc(1, sizeof(*f));
    const struct options *o = &b->o;
    size_t text = strlen(o->publish_text) + o->size;
    b->state = f;
    f->publishers = lnt_calloc(o->publishers, sizeof(*f->publishers));
    f->seen = lnt_calloc((size_t)o->clients * o->publishers, sizeof(*f->seen));
    f->text = lnt_malloc(text + 1);
    f->frames = lnt_malloc(o->burst * (text + FRAME_HEAD_MAX));
    f->filler = lnt_malloc(o->size + NUMBER_MAX);
    fill(f->filler, o->size);
    if (o->size < NUMBER_MAX)
        usage_error("fanout needs a --size of %d at least", NUMBER_MAX);
}

/* ---- publishing ---- */

/* One message into f->text; returns its length. */
static size_t
make_text(const struct bench *b, unsigned publisher, uint32_t number)
{
    struct fanout *f = b->state;
    const char *around = b->o.publish_text;
    const char *place = strstr(around, "%p");
    size_t before = (size_t)(place - around);
    char *at = f->text;
    memcpy(at, around, before);
    at += before;
    int n = sprintf(at, "@%u.%u@", number, publisher);
    memcpy(at + n, f->filler, b->o.size - (size_t)n);
    at += b->o.size;
    strcpy(at, place + 2);
    return (size_t)(at - f->text) + strlen(at);
}

static void
publish(struct bench *b, unsigned i)
{
    struct fanout *f = b->state;
    struct publisher *p = &f->publishers[i];
    struct client *c = &b->clients[b->o.clients + i];
    unsigned opcode = b->o.binary ? FRAME_BINARY : FRAME_TEXT;
    size_t size = 0;
    for (unsigned k = 0; k < b->o.burst; k++) {
        size_t n = make_text(b, i, p->published);
        size += frame_write(f->frames + size, opcode, f->text, n);
        p->sent[p->published++ % TIMES] = b->now;
    }
    f->wanted += (uint64_t)b->o.clients * b->o.burst;
    f->last = b->now;
    client_send(b, c, f->frames, size);
}

static void
start(struct bench *b)
{
    struct fanout *f = b->state;
    f->step = (uint64_t)(1e9 * b->o.burst / b->o.rate);
    f->due = b->next = b->now + f->step;
}

static void
slow(struct bench *b)
{
    struct fanout *f = b->state;
    f->step *= SLOWER;
    f->due = b->next = b->now + f->step;
}

/* One after the other, their moments evenly apart. */
static void
tick(struct bench *b)
{
    struct fanout *f = b->state;
    uint64_t apart = f->step / b->o.publishers;
    if (f->got < f->wanted && b->now - f->last < PATIENCE) {
        b->next = b->now + apart / 4;
        return;
    }
    f->wanted = f->got;
    publish(b, f->turn++ % b->o.publishers);
    f->due += apart;
    if (f->due <= b->now)
        f->due = b->now + apart;
    b->next = f->due;
}

/* ---- what comes ---- */

static void
grow(struct seen *s, uint32_t number)
{
    uint32_t words = s->words ? s->words * 2 : 4;
    while (number / 64 >= words)
        words *= 2;
    s->bits = lnt_realloc(s->bits, words * sizeof(s->bits[0]));
    memset(s->bits + s->words, 0, (words - s->words) * sizeof(s->bits[0]));
    s->words = words;
}

static void
note(struct fanout *f, struct seen *s, uint32_t number)
{
    if (number / 64 >= s->words)
        grow(s, number);
    uint64_t *word = &s->bits[number / 64];
    uint64_t bit = (uint64_t)1 << number % 64;
    if (*word & bit) {
        f->twice++;
        return;
    }
    *word |= bit;
    s->n++;
    f->got++;
    if (number < s->next)
        f->late++;
    else
        s->next = number + 1;
}

static const uint8_t *
read_number(const uint8_t *p, const uint8_t *end, uint8_t stop, uint32_t *n)
{
    uint64_t v = 0;
    for (*n = 0; p < end && *p >= '0' && *p <= '9' && v < UINT32_MAX; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *n = (uint32_t)v;
    return p < end && *p == stop ? p + 1 : NULL;
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct fanout *f = b->state;
    const uint8_t *end = p + n, *at = memchr(p, '@', n), *begin_at = at;
    uint32_t number, who;
    /* Answers to what was said first, and the like. */
    if (!at || (!b->loading && b->phase != PHASE_DRAIN))
        return;
    at = read_number(at + 1, end, '.', &number);
    if (at)
        at = read_number(at, end, '@', &who);
    if (!at || who >= b->o.publishers ||
        number >= f->publishers[who].published) {
        b->wrong++;
        return;
    }
    size_t filler = b->o.size - (size_t)(at - begin_at);
    if ((size_t)(end - at) < filler || memcmp(at, f->filler, filler) != 0)
        b->wrong++;
    count_unit(b);
    if (c->publisher)
        return;
    if (b->phase == PHASE_MEASURE)
        latencies_add(&b->latencies,
                      clock_ns() - f->publishers[who].sent[number % TIMES]);
    note(f, &f->seen[c->index * b->o.publishers + who], number);
}

/* ---- the end ---- */

static uint64_t
count_missing(const struct bench *b)
{
    const struct fanout *f = b->state;
    uint64_t missing = 0;
    for (unsigned i = 0; i < b->o.clients; i++)
        for (unsigned k = 0; k < b->o.publishers; k++)
            missing +=
                f->publishers[k].published - f->seen[i * b->o.publishers + k].n;
    return missing;
}

static bool
drained(struct bench *b)
{
    return count_missing(b) == 0;
}

static void
report(struct bench *b, FILE *out)
{
    struct fanout *f = b->state;
    uint64_t published = 0;
    f->missing = count_missing(b);
    for (unsigned k = 0; k < b->o.publishers; k++)
        published += f->publishers[k].published;
    fprintf(out,
            ",\"published\":%llu,\"lost\":%llu,\"twice\":%llu,"
            "\"out_of_order\":%llu",
            (unsigned long long)published, (unsigned long long)f->missing,
            (unsigned long long)f->twice, (unsigned long long)f->late);
    b->wrong += f->missing + f->twice + f->late;
}

static void
end(struct bench *b)
{
    struct fanout *f = b->state;
    for (size_t i = 0; i < (size_t)b->o.clients * b->o.publishers; i++)
        free(f->seen[i].bits);
    free(f->publishers);
    free(f->seen);
    free(f->text);
    free(f->frames);
    free(f->filler);
    free(f);
}

const struct work work_fanout = {
    .name = "fanout",
    .help = "each message reaches all subscribers: once, in order",
    .per = "delivery",
    .needs_rate = true,
    .publishers = true,
    .begin = begin,
    .message = message,
    .start = start,
    .slow = slow,
    .tick = tick,
    .drained = drained,
    .report = report,
    .end = end,
};
