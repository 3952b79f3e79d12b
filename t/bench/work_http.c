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
    uint8_t *requests = lnt_malloc(b->o.depth * size);
    for (unsigned i = 0; i < b->o.depth; i++)
        memcpy(requests + i * size, text, size);
    pace_begin(b, requests, size);
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct http *h = b->state;
    (void)p;
    if (!h->body)
        h->body = n;
    if (n == 0 || n != h->body || !pace_answered(b, c))
        b->wrong++;
}

static void
report(struct bench *b, FILE *out)
{
    const struct http *h = b->state;
    fprintf(out, ",\"body\":%zu,\"lost\":%llu", h->body,
            (unsigned long long)b->pace->under_way);
    b->wrong += b->pace->under_way;
}

static void
end(struct bench *b)
{
    struct http *h = b->state;
    pace_end(b);
    free(h);
}

const struct work work_http = {
    .name = "http",
    .help = "GET over connections that are kept",
    .per = "request",
    .http = true,
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
