/*
 * The directives of [limits], which a listener or a route may set for itself.
 */
#include "net/limits.h"

#include <stddef.h>

#include "core/conf.h"

static const struct lnt_enum_value policies[] = {
    {"close", LNT_SLOW_CLOSE},
    {"drop", LNT_SLOW_DROP},
    {NULL, 0},
};

#define FIELD(name) offsetof(struct lnt_limits, name)

static const struct lnt_directive directives[] = {
    {.name = "connections",
     .type = LNT_TYPE_INT,
     .offset = FIELD(connections),
     .def = "65536",
     .min = 1,
     .max = 1 << 20,
     .help = "Connections open at once, a worker."},
    {.name = "connections_per_ip",
     .type = LNT_TYPE_INT,
     .offset = FIELD(connections_per_ip),
     .def = "0",
     .min = 0,
     .max = 1 << 20,
     .help = "Connections from one address (v6: one /64) to the whole server, "
             "by whichever listener; 0: no limit."},
    {.name = "handshake_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(handshake_timeout),
     .def = "10s",
     .min = 0,
     .max = 3600000,
     .help = "Time for the handshake, and for the head of an HTTP request; 0: "
             "idle_timeout alone counts."},
    {.name = "idle_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(idle_timeout),
     .def = "75s",
     .min = 0,
     .max = 7 * 86400000,
     .help = "A peer from which nothing came for so long is closed; 0: never."},
    {.name = "ping_interval",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(ping_interval),
     .def = "25s",
     .min = 0,
     .max = 7 * 86400000,
     .help = "A peer that was silent for half of it to the whole (spread, so "
             "that not all are due at once) is sent a ping; 0: never."},
    {.name = "ping_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(ping_timeout),
     .def = "20s",
     .min = 0,
     .max = 7 * 86400000,
     .help = "A peer from which nothing came for so long after a ping is "
             "closed; 0: idle_timeout alone counts."},
    {.name = "message_size",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(message_size),
     .def = "64k",
     .min = 1,
     .max = 256 << 20,
     .help = "The largest message taken from a client."},
    {.name = "message_rate",
     .type = LNT_TYPE_RATE,
     .offset = FIELD(message_rate),
     .def = "0",
     .min = 0,
     .max = 1000000000,
     .help = "Messages a client may send, as in 20/s; one second's worth may "
             "come at once; 0: no limit."},
    {.name = "send_queue",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(send_queue),
     .def = "1m",
     .min = 4096,
     .max = 1 << 30,
     .help = "Bytes that wait for one slow reader."},
    {.name = "send_queue_policy",
     .type = LNT_TYPE_ENUM,
     .offset = FIELD(send_queue_policy),
     .def = "close",
     .values = policies,
     .help = "What happens to a reader whose queue is full: it is closed, or "
             "messages to it are dropped."},
    {.name = "detached",
     .type = LNT_TYPE_INT,
     .offset = FIELD(detached),
     .def = "65536",
     .min = 0,
     .max = 1 << 20,
     .help = "Sessions without a connection of their own (of clients that "
             "poll) in one worker."},
    {.name = "detached_per_ip",
     .type = LNT_TYPE_INT,
     .offset = FIELD(detached_per_ip),
     .def = "256",
     .min = 0,
     .max = 1 << 20,
     .help = "Such sessions in one worker, from one address (v6: one /64), "
             "while no connection serves them; 0: no limit."},
    {.name = "detached_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(detached_timeout),
     .def = "60s",
     .min = 0,
     .max = 86400000,
     .help = "Such a session ends when no connection has served it for this "
             "time; 0: its protocol alone decides."},
    {.name = "rooms_created_per_session",
     .type = LNT_TYPE_INT,
     .offset = FIELD(rooms_created_per_session),
     .def = "32",
     .min = 0,
     .max = 1 << 20,
     .help = "Rooms that one client may have created and that still exist; 0: "
             "no limit."},
    {.name = "rooms_created_per_ip",
     .type = LNT_TYPE_INT,
     .offset = FIELD(rooms_created_per_ip),
     .def = "128",
     .min = 0,
     .max = 1 << 20,
     .help = "The same of all clients from one address (v6: one /64) in the "
             "whole server; 0: no limit.  Unix sockets and loopback addresses "
             "have none."},
    {.name = "open_calls",
     .type = LNT_TYPE_INT,
     .offset = FIELD(open_calls),
     .def = "64",
     .min = 1,
     .max = 4096,
     .help = "Over protocols with named events: unanswered calls of one "
             "client; one more closes it with 1008.  The same limit holds for "
             "questions to one client that it has not answered."},
    {.name = NULL},
};

const struct lnt_directive_set lnt_limits_set = {
    .owner = "core",
    .size = sizeof(struct lnt_limits),
    .directives = directives,
};

/*
 * Peers that have vanished are found by pings or silence; but what was sent to
 * them and is not acknowledged need not be kept longer than that.
 */
uint64_t
lnt_limits_unacked(const struct lnt_limits *l)
{
    if (!l->idle_timeout && l->ping_interval && l->ping_timeout)
        return l->ping_interval + l->ping_timeout;
    return l->idle_timeout;
}
