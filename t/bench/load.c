/*
 * The load generator: makes work for a server, checks the answers, and says
 * what the server spent on it.  One line of JSON; --help tells the rest.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/mem.h"
#include "t/bench/bench.h"
#include "t/bench/client.h"

enum {
    EVENTS = 512,
    OPENING_MAX = 64, /* handshakes under way */
    MS = 1000000,     /* ns */
    QUIET = 300 * MS,
    QUIET_MEMORY = 1000 * MS, /* allocators tidy up */
    QUIET_MAX_S = 10,
    CALM_MS = 300,
    TRACE_S = 1,
    DRAIN_S = 10,
};

static const struct work *const works[] = {
    &work_echo, &work_fanout, &work_idle, &work_churn,
    &work_http, &work_rooms,  NULL,
};

/* ---- failing ---- */

__attribute__((format(printf, 1, 0))) static void
say(const char *format, va_list args)
{
    fputs("load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void
usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    exit(2);
}

void
give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    exit(1);
}

void
note_error(struct bench *b, const char *format, ...)
{
    va_list args;
    if (b->errors++ == 0) {
        va_start(args, format);
        vsnprintf(b->why, sizeof(b->why), format, args);
        va_end(args);
    }
}

static void
on_alarm(int signal)
{
    static const char text[] = "load: not over within --limit\n";
    (void)signal;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(1);
    _exit(1);
}

/* ---- phases ---- */

static void
open_more(struct bench *b)
{
    while (b->next_client < b->open_to && b->opening < OPENING_MAX)
        client_connect(b, &b->clients[b->next_client++]);
}

struct measure {
    uint64_t cpu, begin; /* as the phase began */
    uint64_t until;      /* the phase's end, or the latest one */
    uint64_t took;       /* ns measured */
    double cpu_ns;       /* of the server, in that time */
    uint64_t reference_ns, reference_n;
    int64_t syscalls; /* -1: not counted */
};

static void
enter(struct bench *b, struct measure *m, enum phase phase, double seconds)
{
    b->phase = phase;
    b->loading = phase >= PHASE_WARM_UP && phase <= PHASE_TRACE;
    m->until = clock_ns() + ns_of(seconds);
}

static void
begin_measure(struct bench *b, struct measure *m)
{
    server_find(&b->server, b->o.pid);
    b->reference.ns = b->reference.n = 0;
    enter(b, m, PHASE_MEASURE, b->o.seconds);
    m->begin = clock_ns();
    m->cpu = server_cpu(&b->server);
}

static void
end_measure(struct bench *b, struct measure *m)
{
    m->took = clock_ns() - m->begin;
    m->cpu_ns = (double)(server_cpu(&b->server) - m->cpu);
    if (!b->o.strace) {
        enter(b, m, PHASE_DRAIN, DRAIN_S);
        return;
    }
    b->now = clock_ns();
    if (b->o.work->slow)
        b->o.work->slow(b);
    enter(b, m, PHASE_CALM, CALM_MS / 1e3);
}

static bool
is_quiet(const struct bench *b, const struct measure *m)
{
    uint64_t quiet = b->o.work->no_load ? QUIET_MEMORY : QUIET;
    return b->now - b->last_in > quiet || b->now > m->until;
}

static void
settled(struct bench *b, struct measure *m)
{
    const struct work *w = b->o.work;
    if (w->settled && w->settled(b)) {
        enter(b, m, PHASE_OPEN, 0);
        return;
    }
    if (w->no_load) {
        enter(b, m, PHASE_OVER, 0);
        return;
    }
    enter(b, m, PHASE_WARM_UP, b->o.warm_up);
    w->start(b);
}

/* Goes from phase to phase. */
static void
step(struct bench *b, struct measure *m)
{
    bool time_is_up = b->now >= m->until;
    switch (b->phase) {
    case PHASE_OPEN:
        open_more(b);
        if (b->next_client < b->open_to || b->opening > 0)
            return;
        b->last_in = b->now;
        enter(b, m, PHASE_SETTLE, QUIET_MAX_S);
        return;
    case PHASE_SETTLE:
        if (is_quiet(b, m))
            settled(b, m);
        return;
    case PHASE_WARM_UP:
        if (time_is_up)
            begin_measure(b, m);
        return;
    case PHASE_MEASURE:
        if (time_is_up || b->stopping)
            end_measure(b, m);
        return;
    case PHASE_CALM:
        if (!time_is_up)
            return;
        if (server_trace_begin(&b->server))
            enter(b, m, PHASE_TRACE, TRACE_S);
        else
            enter(b, m, PHASE_DRAIN, DRAIN_S);
        return;
    case PHASE_TRACE:
        if (!time_is_up)
            return;
        m->syscalls = server_trace_end(&b->server);
        enter(b, m, PHASE_DRAIN, DRAIN_S);
        return;
    case PHASE_DRAIN:
        if (time_is_up || b->o.work->drained(b))
            enter(b, m, PHASE_OVER, 0);
        return;
    case PHASE_OVER:
        return;
    }
}

/* ---- the loop ---- */

/* Until something comes, or it is time for something. */
static void
wait_for_events(struct bench *b, const struct measure *m)
{
    uint64_t now = clock_ns(), wake = now + 10 * MS;
    if (m->until > now && m->until < wake)
        wake = m->until;
    if (b->loading && b->next < wake)
        wake = b->next;
    if (b->phase == PHASE_MEASURE && b->reference.next < wake)
        wake = b->reference.next;
    uint64_t left = wake > now ? wake - now : 0;
    /* epoll_wait knows milliseconds only. */
    struct timespec t = {(time_t)(left / 1000000000),
                         (long)(left % 1000000000)};
    struct pollfd p = {.fd = b->epoll, .events = POLLIN};
    (void)ppoll(&p, 1, &t, NULL);
}

static void
turn(struct bench *b, const struct measure *m)
{
    struct epoll_event events[EVENTS];
    wait_for_events(b, m);
    int n = epoll_wait(b->epoll, events, EVENTS, 0);
    if (n < 0 && errno != EINTR)
        give_up("epoll: %s", strerror(errno));
    b->now = clock_ns();
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (c->state != CLIENT_CLOSED)
            client_event(b, c, events[i].events);
    }
    if (b->loading && b->next <= b->now && b->o.work->tick)
        b->o.work->tick(b);
    if (b->phase == PHASE_MEASURE)
        reference_try(&b->reference, b->now);
}

/* ---- the report ---- */

static void
print_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if ((unsigned char)*text >= ' ' && *text != '"' && *text != '\\')
            putchar(*text);
    putchar('"');
}

static void
report_load(const struct bench *b, const struct measure *m)
{
    double n = b->counted ? (double)b->counted : 1;
    double reference = reference_us(&b->reference);
    printf(",\"counted\":%llu,\"per\":\"%s\",\"per_second\":%.0f",
           (unsigned long long)b->counted, b->o.work->per,
           n / seconds_of(m->took));
    if (b->o.pid && b->counted && reference > 0)
        printf(",\"cpu_us\":%.3f,\"cpu_ref\":%.4f,\"ref_us\":%.3f",
               m->cpu_ns / 1000 / n, m->cpu_ns / 1000 / n / reference,
               reference);
    if (m->syscalls >= 0 && b->traced)
        printf(",\"syscalls\":%.3f", (double)m->syscalls / (double)b->traced);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
           latencies_at(&b->latencies, 0.5), latencies_at(&b->latencies, 0.99),
           (double)b->latencies.max / 1000);
}

static bool
report(struct bench *b, const struct measure *m)
{
    const struct work *w = b->o.work;
    printf("{\"work\":\"%s\",\"clients\":%u,\"size\":%zu,\"depth\":%u", w->name,
           b->o.clients, b->o.size, b->o.depth);
    if (!w->no_load)
        report_load(b, m);
    if (w->report)
        w->report(b, stdout);
    bool good = b->wrong == 0 && b->errors == 0;
    printf(",\"processes\":%zu,\"wrong\":%llu,\"errors\":%llu", b->server.n,
           (unsigned long long)b->wrong, (unsigned long long)b->errors);
    if (b->errors) {
        printf(",\"why\":");
        print_text(b->why);
    }
    if (!w->no_load && !b->counted)
        good = false;
    printf(",\"ok\":%s}\n", good ? "true" : "false");
    return good;
}

/* ---- begin and end ---- */

static void
set_up(struct bench *b)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        if (files.rlim_max < b->nclients + 16)
            give_up("%u connections, but only %llu files may be open",
                    b->nclients, (unsigned long long)files.rlim_max);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm((unsigned)b->o.limit + 1);
    /* Sleep as long as was asked, not 50 us longer. */
    (void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->epoll < 0)
        give_up("epoll: %s", strerror(errno));
    b->clients = lnt_calloc(b->nclients, sizeof(*b->clients));
    for (unsigned i = 0; i < b->nclients; i++)
        client_init(&b->clients[i], i, i >= b->o.clients);
    reference_open(&b->reference);
    server_find(&b->server, b->o.pid);
}

static void
tear_down(struct bench *b)
{
    for (unsigned i = 0; i < b->nclients; i++)
        client_drop(b, &b->clients[i]);
    if (b->o.work->end)
        b->o.work->end(b);
    reference_close(&b->reference);
    close(b->epoll);
    free(b->clients);
    free(b->input);
}

int
main(int argc, char **argv)
{
    static struct bench b;
    struct measure m = {.syscalls = -1};
    options_read(&b.o, argc, argv, works);
    b.nclients = b.o.clients + (b.o.work->publishers ? b.o.publishers : 0);
    b.open_to = b.nclients;
    b.next = UINT64_MAX;
    set_up(&b);
    if (b.o.work->begin)
        b.o.work->begin(&b);
    b.now = clock_ns();
    enter(&b, &m, PHASE_OPEN, 0);
    while (b.phase != PHASE_OVER) {
        step(&b, &m);
        if (b.phase != PHASE_OVER)
            turn(&b, &m);
    }
    bool good = report(&b, &m);
    tear_down(&b);
    return good ? 0 : 1;
}
