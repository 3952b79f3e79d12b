/*
 * http: GET of one path over connections that are kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"
#include "t/bench/pace.h"

struct http {
    struct pace pace;
    uint8_t *requests;
    size_t body; /* bytes of the first answer's; all must be as long */
};

static void
begin(struct bench *b)
{
    struct http *h = lnt_calloc(1, sizeof(*h));
    char text[1024];
    int n =
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n",
                 b->o.path, b->o.host, b->o.port);
    if (n < 0 || (size_t)n >= sizeof(text))
        usage_error("the path is too long");
    size_t size = (size_t)n;
    b->state = h;
    h->requests = lnt_malloc(b->o.depth * size);
    for (unsigned i = 0; i < b->o.depth; i++)
        memcpy(h->requests + i * size, text, size);
    pace_begin(b, &h->pace, h->requests, size);
}

static void
start(struct bench *b)
{
    struct http *h = b->state;
    pace_start(b, &h->pace);
}

static void
slow(struct bench *b)
{
    struct http *h = b->state;
    pace_slow(b, &h->pace);
}

static void
tick(struct bench *b)
{
    struct http *h = b->state;
    pace_tick(b, &h->pace);
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct http *h = b->state;
    (void)p;
    if (!h->body)
        h->body = n;
    if (n == 0 || n != h->body || !pace_answered(b, &h->pace, c))
        b->wrong++;
}

static void
after(struct bench *b, struct client *c)
{
    struct http *h = b->state;
    pace_go_on(b, &h->pace, c);
}

static bool
drained(struct bench *b)
{
    const struct http *h = b->state;
    return h->pace.under_way == 0;
}

static void
report(struct bench *b, FILE *out)
{
    const struct http *h = b->state;
    fprintf(out, ",\"body\":%zu,\"lost\":%llu", h->body,
            (unsigned long long)h->pace.under_way);
    b->wrong += h->pace.under_way;
}

static void
end(struct bench *b)
{
    struct http *h = b->state;
    pace_end(b);
    free(h->requests);
    free(h);
}

const struct work work_http = {
    .name = "http",
    .help = "GET over connections that are kept",
    .per = "request",
    .http = true,
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
