/*
 * The channel: framed messages between two processes over a SOCK_SEQPACKET
 * socketpair, descriptors included.  What would block is queued in order,
 * bounded and counted; nothing is dropped.
 *
 * A master and its workers are one binary, but two masters at an upgrade, and
 * the workers that connections move between, may be of different releases:
 * their channels have incarnation 0.  What these send each other (HAND, TAKEN,
 * FAILED, LINK to the old master, BROADCAST; MOVE, MOVED) keeps to this:
 *
 *   - A type keeps its number and its meaning.  New types come at the end; a
 *     frame of a type that is not known is skipped (between a master and its
 *     worker it is a fault).  So none may be sent that
 *     must not be lost, above all none that brings a connection or is waited
 *     for, unless the other side has said that it knows the type.
 *   - A payload grows at its end.  Where the end is a text or bytes of somebody
 *     else (the value of a shared value, what a broadcast says, why it FAILED),
 *     or a list of things of fixed size (MOVE, MOVED), it cannot: what is to be
 *     told beside it goes into a frame of its own.
 *   - The head stays as it is.
 */
#ifndef LNT_IPC_CHANNEL_H
#define LNT_IPC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/str.h"
#include "event/loop.h"

/* New ones come at the end. */
enum lnt_frame_type {
    LNT_FRAME_READY = 1, /* worker: set up */
    LNT_FRAME_FAILED,    /* worker: cannot start; payload: why */
    LNT_FRAME_START,     /* to a worker: accept connections */
    LNT_FRAME_RELOAD,    /* to the master */
    LNT_FRAME_REOPEN,    /* to a worker; fds: error log, access log */
    LNT_FRAME_QUIT,      /* to a worker: drain, then exit */
    LNT_FRAME_STOP,      /* to a worker: exit at once */
    LNT_FRAME_BROADCAST, /* both ways; payload: module, NUL, data */
    LNT_FRAME_REQUEST,   /* both ways, correlated by the request id */
    LNT_FRAME_REPLY,
    LNT_FRAME_SET,       /* worker: change a shared value; gets a REPLY */
    LNT_FRAME_VALUE,     /* to workers: a shared value has changed */
    LNT_FRAME_SNAPSHOT,  /* to a new worker: it has all values now */
    LNT_FRAME_RESTARTED, /* worker: it follows one that died; payload: the cell
                            and incarnation of that one */
    LNT_FRAME_LEVEL,     /* to a worker: log level, one byte */
    LNT_FRAME_LINK,      /* to a worker: one end of a link to another; payload:
                            give, give some, take, take foreign or take on
                            demand.  From a worker, with a request number: it
                            wants one; payload: the name of the other one
                            (net/handover.h).  Answered by a LINK of that
                            number, with one end or a text that says why not */
    LNT_FRAME_GIVE,      /* to a worker: give so many over the links it has;
                            payload: how many */
    LNT_FRAME_GIVEN,     /* worker: what could move has moved */
    LNT_FRAME_MOVE,      /* over a link: a frozen connection */
    LNT_FRAME_MOVED,     /* and whether it was taken */
    LNT_FRAME_HAND,      /* old master to new: payload: what the fds are */
    LNT_FRAME_TAKEN,     /* new master to old: it serves; payload: what became
                            of the zone (master/takeover.h) */
    LNT_FRAME_SYNC,      /* to the store's process: write now; gets a REPLY */
    LNT_FRAME_OFFER,     /* over a link on demand: are so many taken?  Answered
                            by: */
    LNT_FRAME_OFFERED,   /* so many are; 0, none, this worker ends */
    LNT_FRAME_TYPES
};

extern const char *const lnt_frame_names[LNT_FRAME_TYPES];

enum {
    LNT_FRAME_PAYLOAD_MAX = 60 * 1024,
    /*
     * Bytes that wait.  Answers have room beyond what requests and broadcasts
     * may take, as they come in many frames; commands and shared values beyond
     * that, as a peer that missed one would be wrong from then on.
     */
    LNT_CHANNEL_QUEUE_MAX = 4 << 20,
    LNT_CHANNEL_ANSWERS_MAX = 24 << 20,
    LNT_CHANNEL_COMMANDS_MAX = 40 << 20,
    /* Descriptors that wait, of which a process has less than of bytes; HAND has
       all that there are. */
    LNT_CHANNEL_FDS_MAX = 512,
};

struct lnt_frame {
    enum lnt_frame_type type;
    uint32_t request;
    struct lnt_str payload;
    int *fds; /* one that the handler keeps is set to -1 */
    size_t nfds;
};

struct lnt_channel;
struct lnt_channel_handler {
    void (*frame)(struct lnt_channel *c, const struct lnt_frame *f);
    /* The other side is gone, or (broken) sent what is no frame of ours; why
       says what.  Called once; the handler closes the channel. */
    void (*closed)(struct lnt_channel *c, bool broken, const char *why);
};

struct lnt_channel {
    struct lnt_watch watch;
    struct lnt_loop *loop;
    const struct lnt_channel_handler *handler;
    uint32_t incarnation; /* frames of another one are not ours; 0: the other
                             side may be of another release */
    struct lnt_list queue;
    size_t queued; /* bytes */
    size_t queued_fds;
    bool told_to_end; /* QUIT or STOP was sent */
};

/* Takes over fd.  0, or -1 with errno (fd is closed). */
int lnt_channel_open(struct lnt_channel *c, struct lnt_loop *loop, int fd,
                     uint32_t incarnation,
                     const struct lnt_channel_handler *handler);
static inline bool
lnt_channel_is_open(const struct lnt_channel *c)
{
    return c->loop && c->watch.fd >= 0;
}
/* Forgets what is queued. */
void lnt_channel_close(struct lnt_channel *c);

/*
 * Sends or queues.  fds are duplicated by the kernel, and by us while queued:
 * they stay the caller's.  QUIT and STOP overtake what is queued.  0, or -1:
 * EMSGSIZE, ENOBUFS (the queue is full), ENOTCONN.
 */
int lnt_channel_send(struct lnt_channel *c, enum lnt_frame_type type,
                     uint32_t request, struct lnt_str payload, const int *fds,
                     size_t nfds);

/*
 * One frame of incarnation 0 through a descriptor that is no channel (yet, or
 * in this process); waits a second at most for room.  0, or -1 with errno.
 */
int lnt_frame_send(int fd, enum lnt_frame_type type, struct lnt_str payload);

/* Handles what has arrived by now, up to the end of file. */
void lnt_channel_poll(struct lnt_channel *c);

/*
 * Checks one packet.  1 with *f set (payload points into p); 0, with incarnation
 * 0 alone: its type is of a later release and it is to be skipped; or -1 with
 * *why.
 */
int lnt_frame_decode(const void *p, size_t n, uint32_t incarnation,
                     struct lnt_frame *f, const char **why);

#endif
