/*
 * Pace: sends the same unit of bytes over all connections again and again,
 * either one for each answer (depth of them are under way on each connection
 * then), or so many a second, whether answers come or not.
 */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;
struct client;

struct pace {
    uint8_t *units; /* depth of them in a row, each of size bytes */
    size_t size;
    uint64_t step, due; /* ns, with a rate */
    unsigned turn;      /* whose turn it is, with a rate */
    uint64_t under_way; /* on all connections */
    uint64_t skipped;   /* too many were under way on the one whose turn */
};

/* Makes b->pace; units, malloc'd, are its own from here on. */
void pace_begin(struct bench *b, uint8_t *units, size_t size);
void pace_end(struct bench *b);
/* An answer has come; false: to nothing. */
bool pace_answered(struct bench *b, struct client *c);

/* What a kind of work that keeps pace has for these (bench.h). */
void pace_start(struct bench *b);
void pace_slow(struct bench *b);
void pace_tick(struct bench *b);
/* Sends what the answers of this read have made room for. */
void pace_go_on(struct bench *b, struct client *c);
bool pace_drained(struct bench *b);

#endif
