/*
 * The [limits] of a server, a listener or a route.
 */
#ifndef LNT_NET_LIMITS_H
#define LNT_NET_LIMITS_H

#include <stdint.h>

struct lnt_directive_set;

enum { LNT_SLOW_CLOSE, LNT_SLOW_DROP };

struct lnt_limits {
    int64_t connections;               /* a worker */
    int64_t connections_per_ip;        /* the server's; 0: no limit */
    uint64_t handshake_timeout;        /* ms */
    uint64_t idle_timeout;             /* ms, 0 none */
    uint64_t ping_interval;            /* ms, 0 none */
    uint64_t ping_timeout;             /* ms, 0 none */
    uint64_t message_size;             /* bytes */
    uint64_t message_rate;             /* a second, times 1000; 0 none */
    uint64_t send_queue;               /* bytes */
    int64_t send_queue_policy;         /* LNT_SLOW_CLOSE, LNT_SLOW_DROP */
    int64_t detached;                  /* sessions without a connection */
    int64_t detached_per_ip;           /* without a transport; 0: no limit */
    uint64_t detached_timeout;         /* ms, 0 none */
    int64_t rooms_created_per_session; /* that exist; 0: no limit */
    int64_t rooms_created_per_ip;      /* the server's; 0: no limit */
    int64_t open_calls; /* of a session, each way; that wait for an answer */
};

extern const struct lnt_directive_set lnt_limits_set;

/* How long what a peer was sent may stay unacknowledged; ms, 0: as long as the
   system says. */
uint64_t lnt_limits_unacked(const struct lnt_limits *l);

#endif
