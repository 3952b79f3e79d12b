/*
 * Names of the counters, as in status and metrics.
 */
#include "net/stats.h"

const char *const lnt_counter_names[LNT_COUNTERS] = {
    [LNT_C_ACCEPTED] = "accepted_total",
    [LNT_C_CLOSED] = "closed_total",
    [LNT_C_REFUSED] = "refused_total",
    [LNT_C_MESSAGES_IN] = "messages_in_total",
    [LNT_C_MESSAGES_OUT] = "messages_out_total",
    [LNT_C_BYTES_IN] = "bytes_in_total",
    [LNT_C_BYTES_OUT] = "bytes_out_total",
    [LNT_C_REQUESTS] = "http_requests_total",
    [LNT_C_BAD_REQUESTS] = "http_bad_requests_total",
    [LNT_C_PROTOCOL_ERRORS] = "protocol_errors_total",
    [LNT_C_TIMEOUTS_HANDSHAKE] = "handshake_timeouts_total",
    [LNT_C_TIMEOUTS_IDLE] = "idle_timeouts_total",
    [LNT_C_TOO_BIG] = "messages_too_big_total",
    [LNT_C_RATE_LIMITED] = "rate_limited_total",
    [LNT_C_SLOW_CLOSED] = "slow_readers_closed_total",
    [LNT_C_SLOW_DROPPED] = "slow_messages_dropped_total",
    [LNT_C_ACCEPT_ERRORS] = "accept_errors_total",
    [LNT_C_PUBLISHED] = "published_total",
    [LNT_C_DELIVERED] = "delivered_total",
    [LNT_C_LAPPED] = "log_lapped_total",
    [LNT_C_DOORBELLS] = "doorbells_total",
    [LNT_C_TURNS] = "loop_turns_total",
};

const char *const lnt_counter_help[LNT_COUNTERS] = {
    [LNT_C_ACCEPTED] = "Connections accepted.",
    [LNT_C_CLOSED] = "Connections ended.",
    [LNT_C_REFUSED] = "Connections closed at once because of a limit.",
    [LNT_C_MESSAGES_IN] = "Messages received from clients.",
    [LNT_C_MESSAGES_OUT] = "Messages sent to clients.",
    [LNT_C_BYTES_IN] = "Bytes received from clients.",
    [LNT_C_BYTES_OUT] = "Bytes taken by the kernel for clients.",
    [LNT_C_REQUESTS] = "HTTP requests.",
    [LNT_C_BAD_REQUESTS] = "HTTP requests answered with 4xx.",
    [LNT_C_PROTOCOL_ERRORS] = "Connections closed for a breach of protocol.",
    [LNT_C_TIMEOUTS_HANDSHAKE] = "Handshakes that took too long.",
    [LNT_C_TIMEOUTS_IDLE] = "Connections closed because the peer was silent.",
    [LNT_C_TOO_BIG] = "Messages refused for their size.",
    [LNT_C_RATE_LIMITED] = "Connections closed over message_rate.",
    [LNT_C_SLOW_CLOSED] = "Readers closed over send_queue.",
    [LNT_C_SLOW_DROPPED] = "Messages dropped over send_queue.",
    [LNT_C_ACCEPT_ERRORS] = "Failures to accept a connection.",
    [LNT_C_PUBLISHED] = "Events this worker put into the log.",
    [LNT_C_DELIVERED] = "Events of the log queued for local subscribers.",
    [LNT_C_LAPPED] = "Times the log was overwritten before it was read.",
    [LNT_C_DOORBELLS] = "Sleeping workers woken by this one.",
    [LNT_C_TURNS] = "Turns of the event loop.",
};
