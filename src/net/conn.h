/*
 * A connection and the worker's set of them.  Private to net/.
 *
 * A connection is one allocation, laid out so that fan-out (queue a buffer,
 * flush it) touches its first cache line only.  Everything that an idle
 * connection does not need hangs off a pointer.
 */
#ifndef LNT_NET_CONN_H
#define LNT_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/list.h"
#include "core/map.h"
#include "core/owner.h"
#include "event/loop.h"
#include "net/endpoint.h"
#include "net/filter.h"
#include "net/module.h"
#include "net/net.h"
#include "net/session.h"
#include "net/stats.h"
#include "os/socket.h"

struct lnt_buf;
struct lnt_calls;
struct lnt_calling;
struct lnt_crowd;

enum lnt_conn_state {
    LNT_CONN_HANDSHAKE, /* the protocol is open, the application is not */
    LNT_CONN_READY,     /* both are */
    LNT_CONN_GOODBYE,   /* goodbye was said, the peer's answer is awaited */
    LNT_CONN_FINISHING, /* the rest of the output goes out */
    LNT_CONN_LINGER,    /* our side is shut, the peer's is read and dropped */
    LNT_CONN_DEAD,      /* closed; freed when the turn ends */
};

enum {                        /* lnt_conn.flags */
       LNT_F_QUEUED = 1,      /* is in the flush list */
       LNT_F_BLOCKED = 2,     /* the kernel took less than all: wait for OUT */
       LNT_F_EOF = 4,         /* the peer has shut its side */
       LNT_F_CLOSE_ASKED = 8, /* is in the list of closes to come */
       LNT_F_DOOMED = 16,     /* to be cut at the end of this turn */
       LNT_F_END = 32,        /* no linger */
       LNT_F_PINGED = 64,     /* a ping went out since something came in */
       LNT_F_BEHIND = 128,    /* the ping is behind much output */
       LNT_F_RATED = 256,     /* rate_at is valid */
       LNT_F_SHARED = 2048,   /* came from another process, which may have the
                               descriptor for a while yet */
       LNT_F_MOVED = 1024,    /* lives on in another process */
       LNT_F_HELD = 512,      /* no input until the output queue is empty */
       LNT_F_FILTERED = 8192, /* there is a struct lnt_filtered behind it */
       LNT_F_PARKED = 16384,  /* an answer comes later: nothing is read, only
                                 the peer's end is watched for */
       LNT_F_COMING = 4096,   /* is being taken over: nothing may be sent before
                               the giver knows */
       LNT_F_WAITS = 32768,   /* with HELD: until that is decided */
};

/* A connection on its way to another worker of this server, lnt_conn.handover. */
enum lnt_handover {
    LNT_HANDOVER_NONE,
    LNT_HANDOVER_WAITS, /* nothing is read until it has moved, or stays */
    LNT_HANDOVER_AGAIN, /* unread input comes to data() once more, when the
                           output queue is empty */
};

/* Output behind the first buffer: a ring of references. */
struct lnt_outq {
    uint32_t head, n, cap; /* cap is a power of two */
    struct lnt_buf *bufs[];
};

/* Input that no callback has consumed yet. */
struct lnt_piece {
    uint32_t n;
    uint8_t data[];
};

struct lnt_session {
    const struct lnt_endpoint *endpoint;
    void *state;     /* the protocol's */
    void *app_state; /* the application's */
};

/* In front of the state of an application that has calls or admits. */
struct lnt_app_head {
    union {
        struct lnt_calls *calls; /* that are open; NULL: none */
        /* With admission: the endpoint that it is for; NULL: the
           application is being asked. */
        const struct lnt_endpoint *endpoint;
    };
    /* The admission: NULL, there is no answer yet; lnt_granted; else why not,
       allocated. */
    const char *answer;
};
extern const char lnt_granted[];
_Static_assert(sizeof(struct lnt_app_head) % 16 == 0,
               "what is behind it is aligned for anything");

struct lnt_conn {
    struct lnt_watch watch;
    struct lnt_net *net;
    struct lnt_buf *out;   /* first buffer queued */
    struct lnt_outq *more; /* the others */
    uint32_t out_off;      /* bytes of out already sent */
    uint32_t out_bytes;    /* queued, unsent */
    struct lnt_conn *flush_next;
    uint16_t flags;
    uint8_t state;         /* lnt_conn_state */
    uint8_t handover : 2;  /* lnt_handover */
    uint8_t admission : 1; /* app_state is there for an admission */
    uint8_t stayed : 1;    /* its unread input was not handed over */
    uint8_t shut : 1;      /* the peer has, while that was to be */
    uint32_t active;       /* last input, net time */

    struct lnt_session session;
    struct lnt_piece *in;
    struct lnt_timer timer;
    uint32_t index, serial; /* the id, with the cell */
    uint32_t deadline;      /* net time, 0 none */
    uint32_t opened;        /* net time */
    uint32_t rate_at;       /* net time: earliest moment of the next message
                                 at the permitted rate */
    uint32_t visit;         /* by which it is counted for its address, 0: it
                                 is not */
};

/* Of a connection with a filter; in one allocation with it, behind it. */
struct lnt_filtered {
    const struct lnt_filter *ops; /* NULL: not begun */
    void *state;
    struct lnt_piece *raw; /* input that it has not consumed */
    struct lnt_buf *own;   /* output of its own, before all that is not filtered
                              yet */
    struct lnt_stats *stats;
    uint32_t due; /* net time by which the handshake is over or raw is consumed;
                      0 none */
    bool ready;   /* the handshake is over */
    bool sealed;  /* the first buffer queued is filtered already */
    bool finished; /* nothing is sent behind what was filtered */
    bool failed;
};

/* One without a descriptor (detached.h). */
struct lnt_detached {
    struct lnt_conn conn; /* first; its watch.fd is -1 */
    struct lnt_map_node by_name;
    struct lnt_crowd *crowd; /* those of its network (names.c); NULL: of none */
    uint64_t transport;      /* a connection's id, 0 none */
    uint32_t until;          /* net time, 0 none */
    uint32_t name_n;
    struct lnt_addr peer; /* of the last transport; len 0: not known */
    char name[];
};

struct lnt_close {
    struct lnt_conn *conn;
    int code;
    char reason[124];
    struct lnt_close *next;
};

struct lnt_net {
    struct lnt_loop *loop;
    struct lnt_stats *stats;
    unsigned cell;
    const struct lnt_module *const *modules;
    struct lnt_module_ctx *ctx;
    uint64_t start; /* loop time that is net time 1 */

    struct lnt_conn **table; /* by index; NULL is free */
    uint32_t table_cap, table_free, count, serial;
    uint32_t *free_list;

    uint8_t *rbuf; /* one for all: room, then rbuf_cap bytes, then padding */
    size_t rbuf_cap;
    /* Input bytes to be written back when data() returns. */
    struct lnt_conn *current;
    const uint8_t *echo;
    size_t echo_n;

    /* The call that an application is being given; NULL: none. */
    struct lnt_calling *calling;
    uint32_t call_serial; /* of the last number given to a call */

    struct lnt_conn *flush; /* connections with output queued this turn */
    struct lnt_close *closes;

    int reserve_fd; /* given up when there are no more; -1 */
    int fd_end;     /* connections have descriptors below that */

    bool draining;
    uint64_t drain_until;
    struct lnt_timer drain_timer;
    void (*drained)(void *);
    void *drained_arg;

    uint64_t *sent; /* bytes, by index; NULL while nobody wants to know */
    struct lnt_zone *zone;     /* NULL: addresses are not counted */
    bool counts_peers;         /* those of new connections */
    uint64_t uncounted_at;     /* loop time of the next line about it */
    struct lnt_strbuf raw;     /* what is being filtered, to be written */
    struct lnt_strbuf refusal; /* why lnt_move_thaw failed last */

    struct lnt_map names, networks; /* of those without a descriptor */
    unsigned detached;              /* how many these are, of count */
    struct lnt_list wishes;         /* to be handed over, since the last turn */
    unsigned nwishes;               /* these, and those under way */
    struct lnt_strbuf unread;       /* see lnt_session_unread */
};

static inline struct lnt_conn *
lnt_conn_of(const struct lnt_session *s)
{
    return LNT_OWNER(s, struct lnt_conn, session);
}

/* Only with LNT_F_FILTERED. */
static inline struct lnt_filtered *
lnt_conn_filter(const struct lnt_conn *c)
{
    return (struct lnt_filtered *)(uintptr_t)(c + 1);
}

static inline void
lnt_conn_unpark(struct lnt_conn *c)
{
    if (!(c->flags & LNT_F_PARKED))
        return;
    c->flags &= (uint16_t)~LNT_F_PARKED;
    c->net->stats->parked--;
}

/* Whether its filter is still in its handshake: no plain byte goes in or out. */
static inline bool
lnt_conn_is_shaking(const struct lnt_conn *c)
{
    return (c->flags & LNT_F_FILTERED) && !lnt_conn_filter(c)->ready;
}

static inline bool
lnt_conn_is_detached(const struct lnt_conn *c)
{
    return c->watch.fd < 0;
}

static inline struct lnt_detached *
lnt_conn_detached(const struct lnt_conn *c)
{
    return LNT_OWNER(c, struct lnt_detached, conn);
}

/* Whether the application has the session: between its open and its close, and
   not while a close that was asked for waits. */
static inline bool
lnt_conn_is_open(const struct lnt_conn *c)
{
    return c->state == LNT_CONN_READY && !(c->flags & LNT_F_CLOSE_ASKED);
}

static inline bool
lnt_app_has_head(const struct lnt_app *app)
{
    return app->call || app->answer || app->admit;
}

/* NULL: there is no state, or no head in front of it. */
static inline struct lnt_app_head *
lnt_conn_app_head(const struct lnt_conn *c)
{
    const struct lnt_module *app = c->session.endpoint->app;
    bool has = c->admission ||
               (c->session.app_state && app && lnt_app_has_head(app->app));
    return has ? (struct lnt_app_head *)c->session.app_state - 1 : NULL;
}

/* Milliseconds since the net began, never 0; 32 bits, compare by difference. */
static inline uint32_t
lnt_net_time(const struct lnt_net *n)
{
    uint32_t t = (uint32_t)(lnt_loop_now(n->loop) - n->start);
    return t ? t : 1;
}

static inline bool
lnt_net_due(uint32_t now, uint32_t at)
{
    return (int32_t)(now - at) >= 0;
}

/* n bytes went to the kernel. */
static inline void
lnt_net_count_sent(struct lnt_conn *c, size_t n)
{
    lnt_count_add(c->net->stats, LNT_C_BYTES_OUT, n);
    if (c->net->sent)
        c->net->sent[c->index] += n;
}

/* ---- output.c ---- */

/* Appends a copy; over the cap of the send queue the connection is doomed. */
void lnt_output_copy(struct lnt_conn *c, const void *p, size_t n);
/* Appends a reference. */
void lnt_output_ref(struct lnt_conn *c, struct lnt_buf *b);
/* Bytes of the input; see lnt_session_write_input. */
void lnt_output_input(struct lnt_conn *c, const uint8_t *p, size_t n);
/* Sends the pending input bytes at once. */
void lnt_output_echo(struct lnt_net *n);
/* Tells epoll what the connection waits for now.  0, or -1 with errno. */
int lnt_output_watch(struct lnt_conn *c);
/* Waits until the kernel takes more output.  0, or -1 with errno. */
int lnt_output_block(struct lnt_conn *c);
/* Puts the connection on the flush list. */
void lnt_output_touch(struct lnt_conn *c);
/* Writes what is queued: one system call.  0, or -1 when the connection is
   broken. */
int lnt_output_flush(struct lnt_conn *c);
/* Whether n more bytes fit below cap, or into an empty queue, when the kernel
   was asked to take what is queued. */
bool lnt_output_ask(struct lnt_conn *c, size_t n, uint64_t cap);
static inline bool
lnt_output_fits(struct lnt_conn *c, size_t n, uint64_t cap)
{
    return c->out_bytes == 0 || c->out_bytes + n <= cap ||
           lnt_output_ask(c, n, cap);
}
/* See lnt_session_send_file; without waiting for more. */
ssize_t lnt_output_file(struct lnt_conn *c, int fd, uint64_t offset,
                        uint64_t n);
/* Forgets what is queued and not filtered yet. */
void lnt_output_drop(struct lnt_conn *c);
/* Queues bytes that were filtered elsewhere, in front of all. */
void lnt_output_sealed(struct lnt_conn *c, struct lnt_str raw);
void lnt_output_release(struct lnt_conn *c);
/* Forgets the first n bytes queued. */
void lnt_output_take(struct lnt_conn *c, size_t n);

/* ---- filter.c: connections with a filter ---- */

/* 0, or -1: the connection must end. */
int lnt_filter_open(struct lnt_conn *c, const struct lnt_endpoint *e);
void lnt_filter_release(struct lnt_conn *c);
/* n raw bytes that begin with what it had left; *plain bytes at p come of them.
   The caller has taken raw. */
enum lnt_filter_verdict lnt_filter_pull(struct lnt_conn *c, uint8_t *p,
                                        size_t n, bool eof, size_t *plain);
/* Its own output, then the pieces, then (last) its last words.  0, or -1: the
   connection must be cut. */
int lnt_filter_push(struct lnt_conn *c, const struct lnt_str *pieces, size_t n,
                    bool last, struct lnt_strbuf *raw);
/* Whether its handshake, or what it has not consumed, should be over or whole
   by now; and more time for the latter. */
bool lnt_filter_is_due(const struct lnt_conn *c, uint32_t now);
void lnt_filter_later(struct lnt_conn *c);
/* All but its plain output that is queued; 0, or -1: not now. */
int lnt_filter_freeze(const struct lnt_conn *c, struct lnt_strbuf *out);
/* Whether what was frozen (empty: a connection without) is of the filter that
   the endpoint's connections have. */
bool lnt_filter_fits(const struct lnt_endpoint *e, struct lnt_str frozen);
/* In place of open, of one that fits; *sent is to be sent first.  0, or -1 with
   errno as of a protocol's thaw. */
int lnt_filter_thaw(struct lnt_conn *c, struct lnt_str frozen,
                    struct lnt_str *sent);

/* ---- session.c ---- */

/* Counts a message from the client.  false: it came too soon and is dropped;
   the close is asked for. */
bool lnt_session_takes(struct lnt_conn *c);
/* Whether n more bytes may be queued for a message; does what
   send_queue_policy says when not. */
bool lnt_session_may_send(struct lnt_conn *c, size_t n);

/* ---- events.c ---- */

/* The open calls of one that moves: a piece of it; -1: it cannot be read. */
void lnt_events_freeze(const struct lnt_conn *c, struct lnt_strbuf *out);
int lnt_events_thaw(struct lnt_conn *c, struct lnt_str piece);

/* ---- admit.c ---- */

/* Whether the application may have the session.  When not, it waits for the
   application's answer, or is going to be closed. */
bool lnt_admit_ready(struct lnt_conn *c);

/* ---- app.c ---- */

/* The handshake is over: the application gets its state and the session. */
lnt_verdict lnt_app_open(struct lnt_conn *c);
/* The same for one that was moved here: app->thaw; -1 when that failed. */
int lnt_app_thaw(struct lnt_conn *c, struct lnt_str state);
/* app->freeze; 0 without one, -1 when it cannot be moved now. */
int lnt_app_freeze(struct lnt_conn *c, struct lnt_strbuf *out);
/* The application is told once, and nothing reaches it any more.  No-op unless
   the session was opened or thawed. */
void lnt_app_close(struct lnt_conn *c);
/* app->admit for a session that is one of e, or is to become one; its state is
   made and stays unless it is refused. */
enum lnt_admit lnt_app_admit(struct lnt_conn *c, const struct lnt_endpoint *e,
                             const struct lnt_credentials *credentials,
                             struct lnt_strbuf *why);
/* Ends an admission that has not become an open session; no-op without one.
   What waits for it waits no longer. */
void lnt_app_forget(struct lnt_conn *c);
/* Whether the admission there is, if any, is for e. */
/* The answer that has come; LNT_ADMIT_LATER: none yet. */
enum lnt_admit lnt_app_answered(const struct lnt_conn *c);
/* The answer comes before it can be used: it is kept with the admission. */
void lnt_app_keep_answer(struct lnt_conn *c, bool yes, const char *why);
bool lnt_app_admitted_to(const struct lnt_conn *c,
                         const struct lnt_endpoint *e);

/* ---- deadline.c ---- */

/*
 * After how long a silence this one is pinged: between half of ping_interval
 * and the whole, its own, so that those that came or spoke at the same time are
 * not due at the same time.
 */
uint32_t lnt_deadline_ping(const struct lnt_conn *c);
/* Whether it is pinged at all. */
bool lnt_deadline_pings(const struct lnt_conn *c);
/* By when the handshake has to be over; without handshake_timeout the peer's
   silence counts as it does later.  false: there is time. */
bool lnt_deadline_handshake(const struct lnt_conn *c, uint32_t *at);
/* When the peer's silence has its next consequence.  false: it has none. */
bool lnt_deadline_silence(const struct lnt_conn *c, uint32_t *at);
/* Sets the timer for whatever is due first; cheap when it is set already. */
void lnt_deadline_set(struct lnt_conn *c);

/* ---- conn.c ---- */

/* Takes over an accepted, non-blocking descriptor; NULL when it could not
   (closed then). */
struct lnt_conn *lnt_conn_open(struct lnt_net *n, int fd,
                               const struct lnt_endpoint *e, uint32_t visit);
/* One without a descriptor: no callback has run, and it has no peer yet.  NULL:
   the table is full. */
struct lnt_detached *lnt_conn_make(struct lnt_net *n,
                                   const struct lnt_endpoint *e,
                                   struct lnt_str name);
/* Ends it here without its peer noticing; gives the descriptor away. */
int lnt_conn_detach(struct lnt_conn *c);
/* One that was begun elsewhere: no callback has run.  Takes over fd; NULL when
   it could not (closed then). */
struct lnt_conn *lnt_conn_attach(struct lnt_net *n, int fd,
                                 const struct lnt_endpoint *e);
/* Input that no callback has consumed. */
void lnt_conn_keep(struct lnt_conn *c, const void *p, size_t n);
/* Starts the end: the protocol's goodbye. */
void lnt_conn_goodbye(struct lnt_conn *c, int code, const char *reason);
void lnt_conn_finish(struct lnt_conn *c);
/* Goodbye at the end of this turn; safe to call from anywhere. */
void lnt_conn_ask_close(struct lnt_conn *c, int code, const char *reason);
/* Reads what has arrived by now. */
void lnt_conn_poll(struct lnt_conn *c);
/* It was to be handed over, and is not: the protocol is told, and given the
   unread input again at the end of the turn. */
void lnt_conn_stays(struct lnt_conn *c, const char *why);
/* That end, now. */
void lnt_conn_again(struct lnt_conn *c);
/* Ends it now: callbacks, then close. */
void lnt_conn_kill(struct lnt_conn *c);
/* The new endpoint's protocol from here on. */
lnt_verdict lnt_conn_become(struct lnt_conn *c, const struct lnt_endpoint *e);
lnt_verdict lnt_conn_ready(struct lnt_conn *c);
/* What must happen at the end of a turn for one connection. */
void lnt_conn_settle(struct lnt_conn *c);

/* ---- detached.c ---- */

/* What moves of one without a descriptor, by the rules of core/pack.h. */
void lnt_detached_pack(const struct lnt_conn *c, struct lnt_strbuf *out);
/* From that, as lnt_conn_attach; NULL with errno and *why, as lnt_move_thaw. */
struct lnt_conn *lnt_detached_unpack(struct lnt_net *n,
                                     const struct lnt_endpoint *e,
                                     struct lnt_str in, const char **why);

#endif
