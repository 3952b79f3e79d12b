/*
 * A client's connection: from connect to the end.  What is said over it is the
 * work's.
 */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING,
    CLIENT_HANDSHAKE,
    CLIENT_OPEN,
    CLIENT_CLOSING, /* the server's end is awaited */
};

struct client {
    int fd;
    unsigned index;
    enum client_state state;
    bool publisher;
    bool blocked;      /* the kernel took less than all */
    char accept[28];   /* the Sec-WebSocket-Accept that is right */
    uint64_t began;    /* ns: connect */
    uint8_t *in, *out; /* what waits: for more bytes, for room */
    size_t in_n, out_n;
    void *work; /* the work's own */
};

void client_init(struct client *c, unsigned index, bool publisher);
/* Begins to connect; what follows comes from client_event. */
void client_connect(struct bench *b, struct client *c);
void client_event(struct bench *b, struct client *c, uint32_t events);
/* Sends bytes as they are; what the kernel does not take is kept. */
void client_send(struct bench *b, struct client *c, const void *p, size_t n);
/* Sends one message. */
void client_say(struct bench *b, struct client *c, const void *p, size_t n);
/* Starts the closing handshake; at its end the work's left is called. */
void client_leave(struct bench *b, struct client *c);
/* Closes at once. */
void client_drop(struct bench *b, struct client *c);

#endif
