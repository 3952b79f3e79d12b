/*
 * What a worker counts.  Lives in its cell of the zone, written by the worker
 * alone, read by anyone: plain 64-bit stores, no locks.
 */
#ifndef LNT_NET_STATS_H
#define LNT_NET_STATS_H

#include <stdint.h>

enum lnt_counter {
    LNT_C_ACCEPTED,      /* connections accepted, ever */
    LNT_C_CLOSED,        /* connections ended, ever */
    LNT_C_REFUSED,       /* closed at once, for any of these: */
    LNT_C_REFUSED_FULL,  /* connections */
    LNT_C_REFUSED_PEER,  /* connections_per_ip */
    LNT_C_REFUSED_FILES, /* no descriptor */
    LNT_C_UNCOUNTED,     /* let in, but not counted for their address */
    LNT_C_MESSAGES_IN,   /* messages from clients */
    LNT_C_MESSAGES_OUT,  /* messages to clients */
    LNT_C_BYTES_IN,
    LNT_C_BYTES_OUT,
    LNT_C_REQUESTS,     /* HTTP requests */
    LNT_C_BAD_REQUESTS, /* answered with 4xx */
    LNT_C_PROTOCOL_ERRORS,
    LNT_C_TIMEOUTS_HANDSHAKE,
    LNT_C_TIMEOUTS_IDLE,
    LNT_C_TIMEOUTS_PING, /* pings that were not answered */
    LNT_C_TIMEOUTS_BODY, /* bodies of requests */
    LNT_C_HEAD_TOO_BIG,  /* requests answered with 414 or 431 */
    LNT_C_BODY_TOO_BIG,  /* 413 */
    LNT_C_REQUESTS_MAX,  /* connections ended at keepalive_requests */
    LNT_C_TOO_BIG,       /* messages over message_size */
    LNT_C_TOO_BIG_OUT,   /* of those: only when they were decompressed */
    LNT_C_RATE_LIMITED,
    LNT_C_SLOW_CLOSED,   /* connections closed over send_queue */
    LNT_C_SLOW_DROPPED,  /* messages dropped over send_queue */
    LNT_C_ACCEPT_ERRORS, /* EMFILE and the like */
    LNT_C_PUBLISHED,     /* records put into the log */
    LNT_C_DELIVERED,     /* deliveries from the log to local connections */
    LNT_C_LAPPED,        /* times the log was overwritten before it was read */
    LNT_C_DOORBELLS,     /* rings of other workers */
    LNT_C_TURNS,         /* loop turns */
    LNT_C_COMPRESSED,    /* messages compressed, for one client or for many */
    LNT_C_COMPRESS_BEFORE, /* bytes of those */
    LNT_C_COMPRESS_AFTER,  /* bytes that came out */
    LNT_C_MOVED_OUT,       /* connections given to other workers */
    LNT_C_MOVED_IN,        /* and taken from them */
    LNT_C_ACCESS_LOST,     /* lines of the access log */
    LNT_C_LOG_LOST,        /* of the error log, by all processes together */
    LNT_C_EVENT_STREAMS,   /* streams of server-sent events opened */
    LNT_C_HTTP_PUBLISHED,  /* messages published over HTTP */
    /* Close frames sent, by code. */
    LNT_C_CLOSE_1000,
    LNT_C_CLOSE_1001,
    LNT_C_CLOSE_1002,
    LNT_C_CLOSE_1007,
    LNT_C_CLOSE_1008,
    LNT_C_CLOSE_1009,
    LNT_C_CLOSE_1011,
    LNT_C_CLOSE_1012,
    LNT_C_CLOSE_1013,
    LNT_C_CLOSE_4000,  /* 4000 to 4499 */
    LNT_C_CLOSE_4500,  /* 4500 to 4999 */
    LNT_C_CLOSE_OTHER, /* any other, and none */
    /* Rooms not created, over: */
    LNT_C_ROOMS_REFUSED,      /* rooms_created_per_session */
    LNT_C_ROOMS_REFUSED_PEER, /* rooms_created_per_ip */
    LNT_COUNTERS
};

struct lnt_stats {
    uint64_t counters[LNT_COUNTERS];
    uint64_t connections; /* open now */
    uint64_t send_queue;  /* bytes queued now, all connections */
};

/* Name of a counter as in /metrics, without prefix: "messages_in_total". */
extern const char *const lnt_counter_names[LNT_COUNTERS];
extern const char *const lnt_counter_help[LNT_COUNTERS];

static inline void
lnt_count_add(struct lnt_stats *s, enum lnt_counter c, uint64_t n)
{
    __atomic_store_n(&s->counters[c], s->counters[c] + n, __ATOMIC_RELAXED);
}

static inline void
lnt_count(struct lnt_stats *s, enum lnt_counter c)
{
    lnt_count_add(s, c, 1);
}

#endif
