/*
 * A worker's connections: what the worker process does with all of them, and
 * what the hub needs to deliver.  Modules use net/session.h instead.
 */
#ifndef LNT_NET_NET_H
#define LNT_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/session.h"

struct lnt_buf;
struct lnt_loop;
struct lnt_module;
struct lnt_module_ctx;
struct lnt_net;
struct lnt_stats;
struct lnt_zone;

enum { LNT_ID_CELL_BITS = 8, LNT_ID_INDEX_BITS = 20 };
/* The place of a session in its worker's table; another may have it later. */
static inline uint32_t
lnt_net_index(uint64_t id)
{
    return (uint32_t)(id >> LNT_ID_CELL_BITS) &
           ((UINT32_C(1) << LNT_ID_INDEX_BITS) - 1);
}

struct lnt_net_params {
    struct lnt_loop *loop;
    unsigned cell;
    struct lnt_stats *stats; /* in the zone */
    const struct lnt_module *const *modules;
    struct lnt_module_ctx *ctx; /* one a module, same order */
    /* In which connections are counted by address; NULL, in tests: nowhere. */
    struct lnt_zone *zone;
    bool counts_peers; /* some endpoint has a limit, so new ones are counted */
};

struct lnt_net *lnt_net_new(const struct lnt_net_params *p);
void lnt_net_free(struct lnt_net *n); /* all connections must be gone */
struct lnt_loop *lnt_net_loop(struct lnt_net *n);
struct lnt_stats *lnt_net_stats(struct lnt_net *n);
struct lnt_module_ctx *lnt_net_ctx(struct lnt_net *n, unsigned index);
/* The module of that name in this worker; NULL. */
struct lnt_module_ctx *lnt_net_find(struct lnt_net *n, const char *module);
/* lnt_session_sent is to work from now on; for connections that are there it
   begins with 0. */
void lnt_net_meter(struct lnt_net *n);
unsigned lnt_net_count(const struct lnt_net *n);

/* A session by its id; NULL when it is gone or of another worker. */
struct lnt_session *lnt_net_session(struct lnt_net *n, uint64_t id);
/* Next session in table order behind *at (start with 0); NULL at the end. */
struct lnt_session *lnt_net_next(struct lnt_net *n, size_t *at);

/* Ends what is to end and writes what was queued this turn: one system call a
   connection.  true when callbacks ran that may have left more to do. */
bool lnt_net_flush(struct lnt_net *n);
/* Drains: every session is told to go (protocol->drain, goodbye 1001); those
   left after grace_ms are closed hard.  done(arg) when the last is gone. */
void lnt_net_drain(struct lnt_net *n, uint64_t grace_ms, void (*done)(void *),
                   void *arg);
/* Ends every connection now, without goodbye. */
void lnt_net_abort(struct lnt_net *n);

/* ---- delivery, for the hub ---- */

/*
 * Queues one reference of b for s under its send_queue policy; counts
 * b->messages.  The hot path: no allocation, no copy, no system call.
 */
void lnt_net_deliver(struct lnt_session *s, struct lnt_buf *b);

/* A hint that s is going to be delivered to: fetches what that touches, the
   session and the line of the connection in front of it. */
static inline void
lnt_net_prefetch(const struct lnt_session *s)
{
    __builtin_prefetch((const char *)s - 64, 1);
    __builtin_prefetch(s);
}

#endif
