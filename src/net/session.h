/*
 * A session: protocol x application over one connection, as modules see it.
 * A module never sees the socket; the core owns buffers, timers, backpressure
 * and the end of life.
 */
#ifndef LNT_NET_SESSION_H
#define LNT_NET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/str.h"

struct lnt_addr;
struct lnt_buf;
struct lnt_call;
struct lnt_endpoint;
struct lnt_limits;
struct lnt_module;
struct lnt_module_ctx;
struct lnt_named;
struct lnt_net;
struct lnt_reply;
struct lnt_session;
struct lnt_stats;
struct lnt_strbuf;

enum lnt_message_type {
    LNT_TEXT, /* UTF-8, checked by the protocol */
    LNT_BINARY,
    LNT_NAMED, /* to encode and append only: net/module.h, protocols */
};

/* One message from a client; the bytes are valid during the call only. */
struct lnt_message {
    enum lnt_message_type type;
    struct lnt_str data;
};

/*
 * What callbacks return: 0 to go on, or a close code of RFC 6455, section 7.4
 * (1008 policy, 4500 "do not come back" ...), upon which the core closes the
 * session in its protocol's way.  Protocols without codes just close.
 */
typedef int lnt_verdict;
enum {
    LNT_GO_ON = 0,
    LNT_CLOSE_NORMAL = 1000,
    LNT_CLOSE_AWAY = 1001, /* drain, shutdown */
    LNT_CLOSE_PROTOCOL = 1002,
    LNT_CLOSE_BAD_DATA = 1007,
    LNT_CLOSE_POLICY = 1008,
    LNT_CLOSE_TOO_BIG = 1009,
    LNT_CLOSE_ERROR = 1011,
    LNT_CLOSE_RESTART = 1012,
    LNT_CLOSE_LATER = 1013, /* try again later */
};

/* What a client has brought to be let in; p is NULL where there is nothing.
   Valid during the call only. */
struct lnt_credentials {
    struct lnt_str json;          /* the protocol's own: JSON, well-formed */
    struct lnt_str authorization; /* of the HTTP request, as it came: headers */
    struct lnt_str cookie;
    struct lnt_str query; /* what stands behind "?" */
};

enum lnt_admit { LNT_ADMIT, LNT_ADMIT_LATER, LNT_REFUSE };

/* ---- any module ---- */

/* Server-wide unique while the connection lives, never 0; the number in logs
   and in ctl conns.  The low LNT_ID_CELL_BITS bits name the worker's cell. */
uint64_t lnt_session_id(const struct lnt_session *s);
const struct lnt_endpoint *lnt_session_endpoint(const struct lnt_session *s);
const struct lnt_limits *lnt_session_limits(const struct lnt_session *s);
struct lnt_net *lnt_session_net(const struct lnt_session *s);
struct lnt_stats *lnt_session_stats(const struct lnt_session *s);
/* Milliseconds, monotonic, of this loop turn. */
uint64_t lnt_session_now(const struct lnt_session *s);
/* Milliseconds since the session began. */
uint64_t lnt_session_age(const struct lnt_session *s);
/* The peer's address, asked from the kernel; without a connection, that of the
   last one it had.  0, or -1 with errno. */
int lnt_session_peer(const struct lnt_session *s, struct lnt_addr *peer);
/*
 * Ends the session in its protocol's way: queued output first, then the
 * protocol's goodbye with code and reason (a static or short-lived text, may
 * be NULL).  Callbacks may still come until close; no-op when already closing.
 */
void lnt_session_close(struct lnt_session *s, int code, const char *reason);
/* The same without goodbye and without the queued output, at the end of this
   turn. */
void lnt_session_cut(struct lnt_session *s);
bool lnt_session_closing(const struct lnt_session *s);
/* In close(): whether the session goes on in another process, which has what
   freeze() told; only what is this process's own is to be let go then. */
bool lnt_session_moved(const struct lnt_session *s);

/* ---- applications ---- */

/* The app's state: app->state_size zeroed bytes; NULL when that is 0. */
void *lnt_session_app_state(const struct lnt_session *s);
struct lnt_module_ctx *lnt_session_app(const struct lnt_session *s);
/*
 * Sends one message.  p may be the bytes of the message being handled (the
 * cheapest way to echo) or anything else; it is copied or written before this
 * returns.  Failures need no handling: the session is then closed by the core
 * (or the message dropped and counted) as [limits] says.
 */
void lnt_session_send(struct lnt_session *s, enum lnt_message_type type,
                      const void *p, size_t n);
/* Whether the protocol has named events: what follows does nothing without. */
bool lnt_session_has_events(const struct lnt_session *s);
/* Sends an event; as lnt_session_send. */
void lnt_session_emit(struct lnt_session *s, const struct lnt_named *e);
/* The same for one that the client is to answer within ms (not 0): the number
   with which app->answer comes; 0: it was not sent, open_calls are waiting, or
   the session is not open. */
uint32_t lnt_session_ask(struct lnt_session *s, const struct lnt_named *e,
                         uint64_t ms);
/*
 * Answers a call: once, with answer->args and its attachments.  Not
 * necessarily in the call's callback: see the next.  false: it was not sent,
 * because the session has been closed, or, which is logged, because nobody
 * waits for this answer: it was given, or is too late.
 */
bool lnt_session_reply(struct lnt_session *s, const struct lnt_reply *reply,
                       const struct lnt_named *answer);
/* In the call's callback: the answer comes later, within ms (0: whenever).
   Goes along when the session moves.  false: none is waited for. */
bool lnt_session_reply_later(struct lnt_session *s,
                             const struct lnt_reply *reply, uint64_t ms);
/* The answer to an admit that returned LNT_ADMIT_LATER; s comes from a lookup
   by its id.  Opens the session, or tells the client why not (NULL: nothing to
   tell); where admit has not returned yet or an upgrade has not begun, then.
   false: it has been answered, or too much time has passed. */
bool lnt_session_admitted(struct lnt_session *s, bool yes, const char *why);
/* Whether a person reads and types here (line protocol): apps then take and
   give plain lines instead of their machine format. */
bool lnt_session_is_human(const struct lnt_session *s);

/* ---- protocols ---- */

void *lnt_session_state(const struct lnt_session *s); /* the protocol's */
struct lnt_module_ctx *lnt_session_protocol(const struct lnt_session *s);
/* The app's message callback, with counting and rate limit.  The verdict is
   to be returned from data(). */
lnt_verdict lnt_session_message(struct lnt_session *s,
                                enum lnt_message_type type, void *p, size_t n);
/*
 * The same for an event with a name; what is in it has been checked (see
 * net/named.h).  wants_reply: the client waits for an answer, which will come
 * by protocol->reply with that tag, if it comes.  More than open_calls that
 * wait end the session.
 */
lnt_verdict lnt_session_call(struct lnt_session *s, const struct lnt_named *e,
                             bool wants_reply, uint64_t tag);
/* The client's answer to protocol->emit with ask; one that nobody waits for is
   dropped. */
lnt_verdict lnt_session_answer(struct lnt_session *s, uint32_t ask,
                               const struct lnt_named *answer);
/*
 * Asks the application whether it lets the client in, before the handshake is
 * answered: to is the session's own endpoint, or the one that it is going to
 * become one of.  With LNT_REFUSE there may be a text in why, for the client.
 * LNT_ADMIT_LATER: protocol->admitted follows.  A protocol that never asks is
 * asked for by lnt_session_ready, without credentials.
 */
enum lnt_admit
lnt_session_ask_admission(struct lnt_session *s, const struct lnt_endpoint *to,
                          const struct lnt_credentials *credentials,
                          struct lnt_strbuf *why);
/* What has become of that, when it was asked before: *answer, and in why what
   belongs to LNT_REFUSE, after which it is as if it had not been asked.  false:
   it was not, for that endpoint. */
bool lnt_session_asked(struct lnt_session *s, const struct lnt_endpoint *to,
                       enum lnt_admit *answer, struct lnt_strbuf *why);
/* What was asked for comes to nothing: the handshake failed otherwise. */
void lnt_session_forget_admission(struct lnt_session *s);
/* Opens the app: the handshake is over; handshake_timeout no longer counts.
   LNT_GO_ON also when it may not be opened (yet): see above. */
lnt_verdict lnt_session_ready(struct lnt_session *s);
/* Queues a copy of the bytes as they are; to go out in one write this turn. */
void lnt_session_write(struct lnt_session *s, const void *p, size_t n);
/*
 * The same for bytes inside the input being handled by data(): not copied but
 * written when data() returns.  They must follow each other without a gap
 * from call to call to be one write; the protocol sees to that by moving them
 * together (see LNT_INPUT_ROOM).
 */
void lnt_session_write_input(struct lnt_session *s, const void *p, size_t n);
/* Queues a reference to a finished buffer (takes none over). */
void lnt_session_write_buf(struct lnt_session *s, struct lnt_buf *b);
/*
 * Sends bytes [offset, offset + n) of a file without copying them, as many as
 * the kernel takes now and as is fair to others; from drained() only, when
 * nothing is queued.  Returns how many that were, maybe 0, and holds the input
 * (see below) when some are left: drained() comes again when there is room.
 * -1 with errno when the file cannot be sent so: EIO, it is shorter; EINVAL
 * and others, it must be read and written.
 */
ssize_t lnt_session_send_file(struct lnt_session *s, int fd, uint64_t offset,
                              uint64_t n);
/* Bytes that the kernel has taken since the connection began here; 0 unless
   some module has called lnt_net_meter. */
uint64_t lnt_session_sent(const struct lnt_session *s);
/* Bytes queued and not yet taken by the kernel. */
size_t lnt_session_queued(const struct lnt_session *s);
/* No more bytes wanted: closes when the queue is empty (shutdown of our side,
   bounded linger for the peer's, then close). */
void lnt_session_finish(struct lnt_session *s);
/* Both sides are done (close handshake complete): closes as soon as the queue
   is empty and on its way, without waiting for the peer. */
void lnt_session_end(struct lnt_session *s);
/* A deadline of the protocol's own, absolute ms, 0 none; when it passes,
   protocol->timeout is called.  Cheap to move later. */
void lnt_session_deadline(struct lnt_session *s, uint64_t at_ms);
/* The peer is there although it says nothing, as one that only listens:
   idle_timeout begins anew. */
void lnt_session_active(struct lnt_session *s);
/*
 * Holds the input back, for an answer that goes out in pieces or for requests
 * that come faster than their answers go: when the callback in progress has
 * returned, nothing more is read and data() is not called (not with eof
 * either) until the output queue is empty.  Then protocol->drained is called,
 * and unless that holds again, data() comes with what was kept.  A queue that
 * went empty counts as activity for idle_timeout.  From data() and drained().
 */
void lnt_session_hold(struct lnt_session *s);
/*
 * Parks the session, for a request that is answered later: nothing more is read
 * and data() is not called, and the peer's silence has no consequence.  When the
 * peer shuts its side, data() comes once with what was kept and eof set.  From
 * data() and thaw().
 *
 * unpark: the answer is queued next; what was kept, and what arrives, comes
 * when that is out.  From any callback.
 */
void lnt_session_park(struct lnt_session *s);
void lnt_session_unpark(struct lnt_session *s);
/*
 * Turns this session into one of another endpoint (HTTP to WebSocket).  The
 * old protocol's close is called, the new one's open; bytes not consumed by
 * the data() call in progress go to the new protocol's data.
 */
lnt_verdict lnt_session_become(struct lnt_session *s,
                               const struct lnt_endpoint *to);

/*
 * Whether there are not too many for that: a route may have lower connections
 * and connections_per_ip than its listener, and is to refuse what is over them.
 * Counts a refusal.
 */
enum lnt_admission { LNT_ADMITTED, LNT_TOO_MANY, LNT_TOO_MANY_FROM_THERE };
enum lnt_admission lnt_session_admits(const struct lnt_session *s,
                                      const struct lnt_endpoint *to);

/* freeze and thaw for a protocol that carries nothing but its unread input and
   unsent output, which the core carries. */
int lnt_session_freeze_nothing(struct lnt_session *s, struct lnt_strbuf *out);
int lnt_session_thaw_nothing(struct lnt_session *s, struct lnt_str state);

#endif
