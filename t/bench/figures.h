/*
 * Figures: latencies, and the reference.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdint.h>

/*
 * A histogram in steps of 1/32 of a power of two: exact to 3 per cent, from a
 * nanosecond to ten minutes.
 */
enum { LATENCY_STEPS = 32, LATENCY_POWERS = 36 };
struct latencies {
    uint64_t n, max;
    uint64_t count[LATENCY_STEPS * LATENCY_POWERS];
};

void latencies_add(struct latencies *l, uint64_t ns);
/* Microseconds below which the part q of all lies; 0 when there are none. */
double latencies_at(const struct latencies *l, double q);

/*
 * How fast is this machine just now?  CPU time of a 64-byte send and recv over
 * a loopback connection to ourselves, tried again and again during the run.
 * What a server spends is steady as a multiple of it, not in microseconds.
 */
struct reference {
    int out, in;
    uint64_t ns, n, next;
};

void reference_open(struct reference *r);
/* Costs some 30 microseconds every 5 ms. */
void reference_try(struct reference *r, uint64_t now);
double reference_us(const struct reference *r); /* of one; 0 none yet */
void reference_close(struct reference *r);

/* Nanoseconds, monotonic. */
uint64_t clock_ns(void);
/* The same since 1970, as the kernel stamps what arrives. */
uint64_t clock_wall_ns(void);

#endif
