/*
 * What the load generator was asked to do.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct work;

struct options {
    const struct work *work;
    const char *host, *path, *publish_path;
    const char *first;         /* what a client says first, NULL: nothing */
    const char *publish_first; /* the same of publishers */
    const char *publish_text;  /* what they publish; %p is the payload */
    int port;
    pid_t pid; /* the server's first process, 0: not measured */
    unsigned clients, publishers, rooms, depth, burst;
    size_t size;
    double rate; /* messages a second; 0: as fast as answers come */
    double seconds, warm_up, limit;
    bool binary, deflate, strace;
};

/* Exits with a message (and status 2) when they are wrong. */
void options_read(struct options *o, int argc, char **argv,
                  const struct work *const *works);

#endif
