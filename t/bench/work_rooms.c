/*
 * rooms: members of many chat rooms hear what publishers say in them, while
 * something is done to the server.  Everybody must get everything that is said
 * in his room once and in order, with rising seq; every publisher an answer to
 * everything, in order.
 *
 * What publisher and room have in common is a stream: there are as many as the
 * larger of the two numbers.  A payload is "@NUMBER.STREAM@".
 *
 * The measured time is cut into windows by lines on standard input: "calm" or
 * "move" ends one and begins the next of that kind, end of file ends the last.
 * A pause is the longest that one client waited for a message in one window:
 * from the moment at which the publisher wrote it to its arrival in the
 * receiver's socket, as the kernel noted it, so that this process may be late
 * without harm.  How late it was is told, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"
#include "t/bench/frame.h"

enum { TIMES = 8192, PAYLOAD = 64, TEXT_MAX = 256, LINE_MAX_N = 64 };

enum kind { CALM, MOVE, KINDS };
static const char *const kind_names[KINDS] = {"calm", "move"};

struct stream {
    uint32_t published;
    uint64_t sent[TIMES]; /* when, by number; of the wall clock */
};

/* What one of them has seen. */
struct member {
    uint64_t seq;            /* of the last message */
    uint32_t asked, acked;   /* publishers */
    uint32_t window;         /* longest in this window, us */
    uint32_t longest[KINDS]; /* of all windows */
    uint32_t next[];         /* by stream */
};

struct figures {
    unsigned windows;
    struct latencies all, window;
};

struct rooms {
    unsigned streams;
    struct stream *stream;
    struct member **members; /* by connection */
    unsigned *population;    /* by room */
    unsigned to_join, joined;
    uint64_t step, due; /* ns */
    uint64_t turn;
    uint64_t wanted, got;
    uint64_t lost, twice, disorder, refused;
    uint64_t late, late_max; /* ns that a message lay in our socket */
    uint64_t window_begin, window_got;
    enum kind kind;
    struct latencies window;
    struct figures figures[KINDS];
    char line[LINE_MAX_N];
    size_t line_n;
};

static void
begin(struct bench *b)
{
    const struct options *o = &b->o;
    struct rooms *r = lnt_calloc(1, sizeof(*r));
    b->state = r;
    r->streams = o->rooms > o->publishers ? o->rooms : o->publishers;
    r->stream = lnt_calloc(r->streams, sizeof(*r->stream));
    r->population = lnt_calloc(o->rooms, sizeof(*r->population));
    r->members = lnt_calloc(b->nclients, sizeof(*r->members));
    for (unsigned i = 0; i < b->nclients; i++)
        r->members[i] = lnt_calloc(1, sizeof(struct member) +
                                          r->streams * sizeof(uint32_t));
    if (fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) < 0)
        give_up("standard input: %s", strerror(errno));
    setvbuf(stdout, NULL, _IOLBF, 0);
}

/* ---- joining ---- */

static void
join(struct bench *b, struct client *c, unsigned room)
{
    struct rooms *r = b->state;
    char text[TEXT_MAX];
    int n = snprintf(text, sizeof(text),
                     "{\"type\":\"join\",\"room\":\"bench-%u\"}", room);
    r->population[room]++;
    r->to_join++;
    client_say(b, c, text, (size_t)n);
}

static void
opened(struct bench *b, struct client *c)
{
    const struct rooms *r = b->state;
    const struct options *o = &b->o;
    if (!c->publisher) {
        join(b, c, c->index % o->rooms);
        return;
    }
    for (unsigned i = c->index - o->clients; i < r->streams; i += o->publishers)
        join(b, c, i % o->rooms);
}

/* Until all have joined there is something to wait for. */
static bool
settled(struct bench *b)
{
    const struct rooms *r = b->state;
    return r->joined < r->to_join && b->errors == 0;
}

/* ---- windows ---- */

static void
print_figures(const char *name, const struct latencies *l)
{
    printf(",\"%s\":{\"n\":%llu,\"p50_ms\":%.1f,\"p99_ms\":%.1f,"
           "\"max_ms\":%.1f}",
           name, (unsigned long long)l->n, latencies_at(l, 0.5) / 1000,
           latencies_at(l, 0.99) / 1000, (double)l->max / 1e6);
}

static void
end_window(struct bench *b)
{
    struct rooms *r = b->state;
    struct figures *f = &r->figures[r->kind];
    struct latencies pause = {0};
    f->windows++;
    for (unsigned i = 0; i < b->nclients; i++) {
        struct member *m = r->members[i];
        if (m->window == 0)
            continue; /* nothing was said to it */
        latencies_add(&pause, (uint64_t)m->window * 1000);
        latencies_add(&f->window, (uint64_t)m->window * 1000);
        if (m->window > m->longest[r->kind])
            m->longest[r->kind] = m->window;
        m->window = 0;
    }
    printf("{\"event\":\"window\",\"kind\":\"%s\",\"seconds\":%.3f,"
           "\"deliveries\":%llu",
           kind_names[r->kind], seconds_of(b->now - r->window_begin),
           (unsigned long long)(r->got - r->window_got));
    print_figures("delivery", &r->window);
    print_figures("pause", &pause);
    printf(",\"late_ms\":%.1f}\n", (double)r->late / 1e6);
    r->window = (struct latencies){0};
    r->late = 0;
    r->window_begin = b->now;
    r->window_got = r->got;
}

static void
take_line(struct bench *b)
{
    struct rooms *r = b->state;
    enum kind kind = strcmp(r->line, kind_names[MOVE]) == 0 ? MOVE : CALM;
    end_window(b);
    r->kind = kind;
    r->line_n = 0;
}

static void
read_lines(struct bench *b)
{
    struct rooms *r = b->state;
    char text[LINE_MAX_N];
    ssize_t n = read(STDIN_FILENO, text, sizeof(text));
    if (n == 0 && !b->stopping) {
        end_window(b);
        b->stopping = true;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            r->line[r->line_n] = '\0';
            take_line(b);
        } else if (r->line_n + 1 < sizeof(r->line)) {
            r->line[r->line_n++] = text[i];
        }
    }
}

/* ---- publishing ---- */

static void
publish(struct bench *b, unsigned n)
{
    struct rooms *r = b->state;
    const struct options *o = &b->o;
    struct stream *s = &r->stream[n];
    struct client *c = &b->clients[o->clients + n % o->publishers];
    struct member *m = r->members[c->index];
    char text[TEXT_MAX], payload[PAYLOAD];
    if (c->state != CLIENT_OPEN)
        return;
    snprintf(payload, sizeof(payload), "@%u.%u@", s->published, n);
    int size = snprintf(text, sizeof(text),
                        "{\"type\":\"message\",\"room\":\"bench-%u\","
                        "\"text\":\"%-32s\",\"id\":%u}",
                        n % o->rooms, payload, m->asked++);
    s->sent[s->published++ % TIMES] = clock_wall_ns();
    r->wanted += r->population[n % o->rooms];
    client_say(b, c, text, (size_t)size);
}

static void
start(struct bench *b)
{
    struct rooms *r = b->state;
    r->step = (uint64_t)(1e9 / b->o.rate);
    r->due = b->next = b->now + r->step;
    r->window_begin = b->now;
    printf("{\"event\":\"ready\"}\n");
}

static void
tick(struct bench *b)
{
    struct rooms *r = b->state;
    read_lines(b);
    for (; r->due <= b->now && !b->stopping; r->due += r->step)
        publish(b, (unsigned)(r->turn++ % r->streams));
    b->next = r->due > b->now ? r->due : b->now + r->step;
}

/* ---- what comes ---- */

/* The digits behind a word; NULL: it does not occur. */
static const uint8_t *
number_after(const uint8_t *p, size_t n, const char *word, uint64_t *v)
{
    const uint8_t *limit = p + n, *at = memmem(p, n, word, strlen(word));
    if (!at)
        return NULL;
    *v = 0;
    for (at += strlen(word); at < limit && *at >= '0' && *at <= '9'; at++)
        *v = *v * 10 + (uint64_t)(*at - '0');
    return at;
}

static void
note_time(struct bench *b, struct member *m, uint64_t sent)
{
    struct rooms *r = b->state;
    uint64_t now = clock_wall_ns();
    uint64_t at = b->arrived ? b->arrived : now;
    uint64_t took = at > sent ? at - sent : 1;
    uint64_t late = now > at ? now - at : 0;
    if (late > r->late)
        r->late = late;
    if (late > r->late_max)
        r->late_max = late;
    latencies_add(&r->window, took);
    latencies_add(&r->figures[r->kind].all, took);
    if (took / 1000 >= m->window)
        m->window = (uint32_t)(took / 1000) + 1;
}

static void
hear(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct rooms *r = b->state;
    struct member *m = r->members[c->index];
    uint64_t number, stream, seq;
    const uint8_t *limit = p + n;
    const uint8_t *at = number_after(p, n, "\"text\":\"@", &number);
    if (at)
        at = number_after(at, (size_t)(limit - at), ".", &stream);
    if (!at || stream >= r->streams || number >= r->stream[stream].published ||
        !number_after(p, n, "\"seq\":", &seq)) {
        b->wrong++;
        return;
    }
    uint32_t *next = &m->next[stream];
    if (number < *next) {
        r->twice++;
        return;
    }
    r->lost += number - *next;
    *next = (uint32_t)number + 1;
    r->disorder += seq <= m->seq;
    m->seq = seq;
    r->got++;
    count_unit(b);
    if (b->phase == PHASE_MEASURE)
        note_time(b, m, r->stream[stream].sent[number % TIMES]);
}

static bool
begins(const uint8_t *p, size_t n, const char *text)
{
    size_t len = strlen(text);
    return n >= len && memcmp(p, text, len) == 0;
}

static void
message(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct rooms *r = b->state;
    uint64_t id;
    if (begins(p, n, "{\"type\":\"message\"")) {
        hear(b, c, p, n);
    } else if (begins(p, n, "{\"type\":\"ack\"")) {
        if (!number_after(p, n, "\"id\":", &id) ||
            id != r->members[c->index]->acked++)
            b->wrong++;
    } else if (begins(p, n, "{\"type\":\"joined\"")) {
        r->joined++;
    } else if (!begins(p, n, "{\"type\":\"presence\"")) {
        r->refused++;
        note_error(b, "connection %u got %.*s", c->index,
                   n < 100 ? (int)n : 100, (const char *)p);
    }
}

/* ---- the end ---- */

static uint64_t
unanswered(const struct bench *b)
{
    const struct rooms *r = b->state;
    uint64_t n = 0;
    for (unsigned i = b->o.clients; i < b->nclients; i++)
        n += r->members[i]->asked - r->members[i]->acked;
    return n;
}

static bool
drained(struct bench *b)
{
    const struct rooms *r = b->state;
    return r->got + r->lost >= r->wanted && unanswered(b) == 0;
}

static void
report(struct bench *b, FILE *out)
{
    struct rooms *r = b->state;
    uint64_t published = 0, missing = r->wanted - r->got;
    for (unsigned i = 0; i < r->streams; i++)
        published += r->stream[i].published;
    fprintf(out,
            ",\"rooms\":%u,\"publishers\":%u,\"published\":%llu,"
            "\"deliveries\":%llu,\"lost\":%llu,\"twice\":%llu,"
            "\"out_of_order\":%llu,\"unanswered\":%llu,\"open\":%u,"
            "\"late_ms\":%.1f",
            b->o.rooms, b->o.publishers, (unsigned long long)published,
            (unsigned long long)r->got, (unsigned long long)missing,
            (unsigned long long)r->twice, (unsigned long long)r->disorder,
            (unsigned long long)unanswered(b), b->open,
            (double)r->late_max / 1e6);
    for (int k = 0; k < KINDS; k++) {
        const struct figures *f = &r->figures[k];
        struct latencies longest = {0};
        for (unsigned i = 0; i < b->nclients; i++)
            if (r->members[i]->longest[k])
                latencies_add(&longest,
                              (uint64_t)r->members[i]->longest[k] * 1000);
        fprintf(out, ",\"%s\":{\"windows\":%u", kind_names[k], f->windows);
        print_figures("delivery", &f->all);
        print_figures("pause", &f->window);
        print_figures("longest", &longest);
        putc('}', out);
    }
    b->wrong += missing + r->twice + r->disorder + unanswered(b);
}

static void
end(struct bench *b)
{
    struct rooms *r = b->state;
    for (unsigned i = 0; i < b->nclients; i++)
        free(r->members[i]);
    free(r->members);
    free(r->population);
    free(r->stream);
    free(r);
}

const struct work work_rooms = {
    .name = "rooms",
    .help = "chat rooms while something is done to the server; lines on\n"
            "                 standard input (calm, move) cut the time",
    .per = "delivery",
    .needs_rate = true,
    .publishers = true,
    .stamps = true,
    .begin = begin,
    .opened = opened,
    .message = message,
    .settled = settled,
    .start = start,
    .tick = tick,
    .drained = drained,
    .report = report,
    .end = end,
};
