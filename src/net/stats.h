/*
 * What a worker counts.  Lives in its cell of the zone, written by the worker
 * alone, read by anyone: plain 64-bit stores, no locks.
 */
#ifndef LNT_NET_STATS_H
#define LNT_NET_STATS_H

#include <stdint.h>

/*
 * Numbers are for ever: processes of other releases find a counter in a cell by
 * its number.  A new one may stand anywhere and takes the number that
 * LNT_COUNTERS has, which goes up by one; the number of one that is given up is
 * not used again.
 */
enum lnt_counter {
    LNT_C_ACCEPTED = 0,      /* connections accepted, ever */
    LNT_C_CLOSED = 1,        /* connections ended, ever */
    LNT_C_REFUSED = 2,       /* closed at once, for any of these: */
    LNT_C_REFUSED_FULL = 3,  /* connections */
    LNT_C_REFUSED_PEER = 4,  /* connections_per_ip */
    LNT_C_REFUSED_FILES = 5, /* no descriptor */
    LNT_C_UNCOUNTED = 6,     /* let in, but not counted for their address */
    LNT_C_MESSAGES_IN = 7,   /* messages from clients */
    LNT_C_MESSAGES_OUT = 8,  /* messages to clients */
    LNT_C_BYTES_IN = 9,
    LNT_C_BYTES_OUT = 10,
    LNT_C_REQUESTS = 11,     /* HTTP requests */
    LNT_C_BAD_REQUESTS = 12, /* answered with 4xx */
    LNT_C_PROTOCOL_ERRORS = 13,
    LNT_C_TIMEOUTS_HANDSHAKE = 14,
    LNT_C_TIMEOUTS_IDLE = 15,
    LNT_C_TIMEOUTS_PING = 16, /* pings that were not answered */
    LNT_C_TIMEOUTS_BODY = 17, /* bodies of requests */
    LNT_C_HEAD_TOO_BIG = 18,  /* requests answered with 414 or 431 */
    LNT_C_BODY_TOO_BIG = 19,  /* 413 */
    LNT_C_REQUESTS_MAX = 20,  /* connections ended at keepalive_requests */
    LNT_C_TOO_BIG = 21,       /* messages over message_size */
    LNT_C_TOO_BIG_OUT = 22,   /* of those: only when they were decompressed */
    LNT_C_RATE_LIMITED = 23,
    LNT_C_SLOW_CLOSED = 24,   /* connections closed over send_queue */
    LNT_C_SLOW_DROPPED = 25,  /* messages dropped over send_queue */
    LNT_C_ACCEPT_ERRORS = 26, /* EMFILE and the like */
    LNT_C_PUBLISHED = 27,     /* records put into the log */
    LNT_C_DELIVERED = 28,     /* deliveries from the log to local connections */
    LNT_C_LAPPED = 29,    /* times the log was overwritten before it was read */
    LNT_C_DOORBELLS = 30, /* rings of other workers */
    LNT_C_TURNS = 31,     /* loop turns */
    LNT_C_COMPRESSED = 32, /* messages compressed, for one client or for many */
    LNT_C_COMPRESS_BEFORE = 33, /* bytes of those */
    LNT_C_COMPRESS_AFTER = 34,  /* bytes that came out */
    LNT_C_MOVED_OUT = 35,       /* connections given to other workers */
    LNT_C_MOVED_IN = 36,        /* and taken from them */
    LNT_C_HANDED_OVER = 62, /* of those given: to a worker that was asked for */
    LNT_C_STAYED = 63,      /* and those that it did not get */
    LNT_C_DETACHED = 64,    /* sessions begun without a connection */
    LNT_C_DETACHED_REFUSED = 65, /* and those not let in, or ended, over
                                    detached, detached_per_ip */
    LNT_C_DETACHED_EXPIRED = 66, /* and ended, as no connection came back */
    LNT_C_ACCESS_LOST = 37,      /* lines of the access log */
    LNT_C_LOG_LOST = 38,       /* of the error log, by all processes together */
    LNT_C_EVENT_STREAMS = 39,  /* streams of server-sent events opened */
    LNT_C_HTTP_PUBLISHED = 40, /* messages published over HTTP */
    /* Close frames sent, by code. */
    LNT_C_CLOSE_1000 = 41,
    LNT_C_CLOSE_1001 = 42,
    LNT_C_CLOSE_1002 = 43,
    LNT_C_CLOSE_1007 = 44,
    LNT_C_CLOSE_1008 = 45,
    LNT_C_CLOSE_1009 = 46,
    LNT_C_CLOSE_1011 = 47,
    LNT_C_CLOSE_1012 = 48,
    LNT_C_CLOSE_1013 = 49,
    LNT_C_CLOSE_4000 = 50,  /* 4000 to 4499 */
    LNT_C_CLOSE_4500 = 51,  /* 4500 to 4999 */
    LNT_C_CLOSE_OTHER = 52, /* any other, and none */
    /* Rooms not created, over: */
    LNT_C_ROOMS_REFUSED = 53,      /* rooms_created_per_session */
    LNT_C_ROOMS_REFUSED_PEER = 54, /* rooms_created_per_ip */
    /* Named events, calls and admissions. */
    LNT_C_NAMED_IN = 55,        /* events with names from clients */
    LNT_C_NAMED_OUT = 56,       /* to single clients */
    LNT_C_REPLIES = 57,         /* answers to calls of clients */
    LNT_C_REPLIES_REFUSED = 58, /* given before, or too late */
    LNT_C_CALLS_EXPIRED = 59,   /* calls not answered in time */
    LNT_C_CALLS_REFUSED = 60,   /* open_calls */
    LNT_C_NOT_ADMITTED = 61,    /* turned away by applications */
    LNT_C_OPS_EXPIRED = 67,     /* operations of the hub */
    LNT_C_OPS_REFUSED = 68,     /* the same, over their bounds */
    LNT_COUNTERS = 69           /* the highest number, and 1 */
};

struct lnt_stats {
    uint64_t connections; /* open now */
    uint64_t send_queue;  /* bytes queued now, all connections */
    uint64_t shaking;     /* connections whose filter is not ready */
    uint64_t raw_input;   /* bytes kept that filters have not consumed */
    uint64_t parked;      /* sessions that wait for an answer of ours */
    uint64_t detached;    /* sessions without a connection, now */
    uint64_t reserved[2];
    uint64_t counters[LNT_COUNTERS];
};

/* Name of a counter as in /metrics, without prefix: "messages_in_total".  NULL:
   the number of one that was given up. */
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
