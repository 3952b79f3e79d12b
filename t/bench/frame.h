/*
 * WebSocket frames (RFC 6455, section 5) as a client makes and reads them.
 */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10,
    FRAME_HEAD_MAX = 14,
};

/* Writes one frame, masked with a key of its own; returns its size, at most n
   + FRAME_HEAD_MAX. */
size_t frame_write(uint8_t *to, unsigned opcode, const void *p, size_t n);

struct frame {
    unsigned opcode;
    bool compressed;
    size_t head, n; /* bytes of the head, of the payload */
};

/* 1: f is a server's frame whose head lies at p (the payload may not be there
   yet); 0: more bytes are needed; -1: no server may send this.  deflate: it
   was agreed upon. */
int frame_read(struct frame *f, const uint8_t *p, size_t n, bool deflate);

/*
 * A message compressed without memory of earlier ones (RFC 7692, section
 * 7.2.2).  What it was, until the next call; NULL: it is broken, or too long.
 */
const uint8_t *frame_inflate(const uint8_t *p, size_t n, size_t *size);

/* Random bits, not for anything secret. */
uint32_t frame_random(void);

#endif
