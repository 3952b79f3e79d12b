/*
 * Clocks.  Monotonic time for everything that waits, wall time for what
 * people and records see.
 */
#ifndef LNT_OS_CLOCK_H
#define LNT_OS_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: never goes back, unrelated to the date. */
uint64_t lnt_clock_ms(void);

/* The same in microseconds. */
uint64_t lnt_clock_us(void);

/* Microseconds since the Unix epoch; may jump when the clock is set. */
uint64_t lnt_clock_wall_us(void);

#endif
