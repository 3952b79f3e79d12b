/*
 * The worker process.
 */
#ifndef LNT_WORKER_WORKER_H
#define LNT_WORKER_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "net/server_info.h"

struct lnt_config;
struct lnt_endpoint;
struct lnt_zone;

struct lnt_worker_socket {
    int fd; /* listening; the worker's copy */
    const struct lnt_endpoint *endpoint;
};

struct lnt_worker_params {
    const struct lnt_config *config;
    struct lnt_server_info info; /* as the master knows it */
    struct lnt_zone *zone;
    const int *doorbells; /* LNT_CELLS eventfds */
    unsigned slot, cell;
    uint32_t incarnation, generation;
    /* The one that had this slot before and died; incarnation 0: nobody. */
    uint32_t before_cell, before_incarnation;
    int channel; /* this worker's end */
    const struct lnt_worker_socket *sockets;
    size_t nsockets;
    uint32_t siblings; /* workers of this generation, this one included */
};

/*
 * Runs in the forked child until it is told to end, or the master is gone and
 * the connections have drained.  Returns the exit status.
 */
int lnt_worker_run(const struct lnt_worker_params *p);

#endif
