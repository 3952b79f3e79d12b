/*
 * Where the lines of a log leave this process: a file, a pipe, a terminal, a
 * socket, the system log.  Nobody waits for it.  Lines that it does not take
 * now are held, in order, as far as there is room; then lines are lost.
 */
#ifndef LNT_CORE_OUTLET_H
#define LNT_CORE_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/nowait.h"

enum { LNT_OUTLET_ROOM = 128 * 1024 }; /* bytes that a log may hold back */

struct lnt_outlet {
    int fd; /* -1: none; the owner's */
    enum lnt_nowait how;
    bool syslog;     /* each line is a message, head included ... */
    bool stream;     /* ... and ends with a NUL */
    bool full;       /* there was no room; until half of it is free again */
    bool torn;       /* a line was cut off: the next begins on a new one */
    bool mid;        /* what is held begins within a line */
    unsigned opened; /* counts lnt_outlet_use */
    uint64_t taken;  /* bytes that went out */
    char *held;      /* the owner's memory, only touched when it is needed */
    size_t room, from, end;
};

/* held: memory for size bytes, which stays the caller's. */
void lnt_outlet_init(struct lnt_outlet *o, char *held, size_t size);

/* The functions below return how many lines are lost by that, with errno. */

/* From now on to fd (-1: nowhere).  Lines that are held go there, too. */
uint64_t lnt_outlet_use(struct lnt_outlet *o, int fd, bool syslog);
/* Whole lines, each with its '\n'. */
uint64_t lnt_outlet_put(struct lnt_outlet *o, const char *p, size_t n);
/* Tries again with what is held. */
uint64_t lnt_outlet_flush(struct lnt_outlet *o);
/* Forgets what is held. */
uint64_t lnt_outlet_drop(struct lnt_outlet *o);

static inline bool
lnt_outlet_holds(const struct lnt_outlet *o)
{
    return o->end > o->from;
}

/* errno of a loss, as a person understands it. */
const char *lnt_outlet_reason(int error);

#endif
