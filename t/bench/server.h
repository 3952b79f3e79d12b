/*
 * What a server spends, as Linux tells it: over the whole tree of processes
 * under the one given.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SERVER_PROCESSES = 256 };

struct server {
    pid_t pids[SERVER_PROCESSES];
    size_t n;
    pid_t strace; /* 0: not running */
    char trace_file[PATH_MAX];
};

/* Finds the processes; exits when the first is not there. */
void server_find(struct server *s, pid_t first);
/* Nanoseconds on a CPU, of all threads, since they began. */
uint64_t server_cpu(const struct server *s);
/* Bytes of proportional set size: shared pages count once in all. */
uint64_t server_memory(const struct server *s);

/* Starts strace on all processes; false: there is none, or it may not. */
bool server_trace_begin(struct server *s);
/* Ends it.  System calls made meanwhile, or -1. */
int64_t server_trace_end(struct server *s);

#endif
