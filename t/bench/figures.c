/*
 * Latencies, and the reference that CPU time is compared with.
 */
#include "t/bench/figures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "t/bench/bench.h"

enum { REFERENCE_TRIES = 6, REFERENCE_EVERY = 5000000 /* ns */ };

static uint64_t
read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t
clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

/* ---- latencies ---- */

/* The first powers have one step a nanosecond; from there on the highest five
   bits behind the first one are the step. */
static unsigned
step_of(uint64_t ns)
{
    if (ns < LATENCY_STEPS)
        return (unsigned)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 5;
    unsigned i = (shift + 1) * LATENCY_STEPS +
                 (unsigned)((ns >> shift) & (LATENCY_STEPS - 1));
    unsigned last = LATENCY_STEPS * LATENCY_POWERS - 1;
    return i < last ? i : last;
}

static double
middle_of(unsigned step)
{
    if (step < LATENCY_STEPS)
        return step;
    unsigned shift = step / LATENCY_STEPS - 1;
    double low =
        (double)((uint64_t)(step % LATENCY_STEPS + LATENCY_STEPS) << shift);
    return low + (double)((uint64_t)1 << shift) / 2;
}

void
latencies_add(struct latencies *l, uint64_t ns)
{
    l->n++;
    l->count[step_of(ns)]++;
    if (ns > l->max)
        l->max = ns;
}

double
latencies_at(const struct latencies *l, double q)
{
    double wanted = q * (double)l->n;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_STEPS * LATENCY_POWERS; i++) {
        seen += l->count[i];
        if (l->count[i] && (double)seen >= wanted)
            return middle_of(i) / 1000;
    }
    return 0;
}

/* ---- the reference ---- */

void
reference_open(struct reference *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof(at);
    int one = 1;
    *r = (struct reference){.out = -1, .in = -1};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, n) < 0 ||
        listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &n) < 0)
        give_up("reference: %s", strerror(errno));
    r->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->out < 0 || connect(r->out, (struct sockaddr *)&at, n) < 0)
        give_up("reference: %s", strerror(errno));
    r->in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (r->in < 0)
        give_up("reference: %s", strerror(errno));
    close(listener);
    (void)setsockopt(r->out, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void
reference_try(struct reference *r, uint64_t now)
{
    char text[64] = {0};
    if (now < r->next)
        return;
    r->next = now + REFERENCE_EVERY;
    uint64_t begin = read_clock(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < REFERENCE_TRIES; i++)
        if (send(r->out, text, sizeof(text), 0) != (ssize_t)sizeof(text) ||
            recv(r->in, text, sizeof(text), MSG_WAITALL) !=
                (ssize_t)sizeof(text))
            give_up("reference: the connection broke");
    r->ns += read_clock(CLOCK_THREAD_CPUTIME_ID) - begin;
    r->n += REFERENCE_TRIES;
}

double
reference_us(const struct reference *r)
{
    return r->n ? (double)r->ns / (double)r->n / 1000 : 0;
}

void
reference_close(struct reference *r)
{
    close(r->out);
    close(r->in);
}
