/*
 * The load generator's parts, and how they hang together.
 *
 *   load.c      phases: open, settle, warm up, measure, drain; the report
 *   options.c   the command line
 *   client.c    connections: connect, handshake, frames or responses, writing
 *   frame.c     WebSocket frames as a client makes and reads them
 *   server.c    what the server spends: CPU, memory, system calls
 *   figures.c   latencies, and the reference that CPU is compared with
 *   pace.c      a connection's messages under way: when the next one goes
 *   work_*.c    the kinds of work
 *
 * One process, one thread, one epoll.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "t/bench/figures.h"
#include "t/bench/options.h"
#include "t/bench/server.h"

struct bench;
struct client;
struct pace;

enum { SLOWER = 20 };

enum phase {
    PHASE_OPEN,    /* connections are made */
    PHASE_SETTLE,  /* what the first messages bring about */
    PHASE_WARM_UP, /* the load, not counted */
    PHASE_MEASURE, /* the load, counted */
    PHASE_CALM,    /* less of it, before strace comes */
    PHASE_TRACE,   /* the load under strace */
    PHASE_DRAIN,   /* nothing new; what is under way comes in */
    PHASE_OVER,
};

/* A kind of work.  All but name and help may be left out. */
struct work {
    const char *name, *help;
    const char *per; /* what CPU is divided by: "message" */
    bool http;       /* responses, not frames */
    bool needs_rate; /* has no pace of its own */
    bool publishers; /* has publishers beside the clients */
    bool reconnects; /* opens its connections itself, from start on */
    bool no_load;    /* memory only */
    bool stamps;     /* wants to know when bytes arrived */
    void (*begin)(struct bench *b);
    /* The connection is ready to be used. */
    void (*opened)(struct bench *b, struct client *c);
    /* A message, or a response's body when http; where it lies is reused. */
    void (*message)(struct bench *b, struct client *c, const uint8_t *p,
                    size_t n);
    /* All messages of one read have been given to message. */
    void (*after)(struct bench *b, struct client *c);
    /* The server has closed its end, too, after client_leave. */
    void (*left)(struct bench *b, struct client *c);
    /* All that were to be opened are open, and it is quiet; true: there are
       more to open now. */
    bool (*settled)(struct bench *b);
    /* The load begins. */
    void (*start)(struct bench *b);
    /* When the load is on, as often as the next moment asked for comes. */
    void (*tick)(struct bench *b);
    /* strace makes the server slow: go on at a twentieth of the rate. */
    void (*slow)(struct bench *b);
    /* Whether everything that was sent has been answered. */
    bool (*drained)(struct bench *b);
    /* Adds ,"name":value to the report. */
    void (*report)(struct bench *b, FILE *out);
    void (*end)(struct bench *b);
};

struct bench {
    struct options o;
    enum phase phase;
    int epoll;
    uint64_t now;     /* ns, of this turn */
    uint64_t next;    /* when tick is wanted, UINT64_MAX: not at all */
    uint64_t last_in; /* when bytes came last */
    bool loading;     /* warm-up, measured time or trace */
    bool stopping;    /* the work ends the measured time */
    uint64_t arrived; /* ns, wall clock: what is read now; 0 not known */

    struct client *clients;
    unsigned nclients; /* publishers last */
    unsigned open_to;  /* how many of them are to be opened by us */
    unsigned next_client, opening, open;
    uint8_t *input;

    void *state;       /* the work's */
    struct pace *pace; /* of work that keeps one */
    struct server server;
    struct reference reference;
    struct latencies latencies;

    uint64_t counted; /* units of work in the measured time, ... */
    uint64_t traced;  /* ... and under strace */
    uint64_t wrong;   /* answers that are not what they should be */
    uint64_t errors;  /* connections that failed or broke */
    char why[160];    /* the first of those */
};

static inline double
seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

static inline uint64_t
ns_of(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

/* One unit of work is done: counted when its time is. */
static inline void
count_unit(struct bench *b)
{
    if (b->phase == PHASE_MEASURE)
        b->counted++;
    else if (b->phase == PHASE_TRACE)
        b->traced++;
}

/* Notes what went wrong first, and how often something did. */
void note_error(struct bench *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void usage_error(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));
/* The run makes no sense any more: exits. */
void give_up(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

extern const struct work work_echo, work_fanout, work_idle, work_churn,
    work_http, work_rooms;

#endif
