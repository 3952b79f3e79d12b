/*
 * What travels over a link between two workers: connections as rows of entries.
 *
 * A MOVE frame is a row of entries, with the descriptors of those that begin in
 * it: number, bytes of the whole, bytes here, the bytes.  Only the last one may
 * go on, in the next frame.  A MOVED frame is a row of number and verdict.
 *
 * The two workers may be of different releases.  Neither entries nor verdicts
 * can grow: what a connection is grows in its bytes (net/move.c), and what
 * others may not know goes into frames of another type (ipc/channel.h).  A
 * verdict that is not known counts as REFUSED, so no further one may mean that
 * the connection is served.
 */
#ifndef LNT_WORKER_ARRIVAL_H
#define LNT_WORKER_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "core/strbuf.h"

enum { LNT_ENTRY_HEAD = 12, LNT_VERDICT_SIZE = 8 };

enum lnt_verdict_on_move {
    LNT_MOVE_REFUSED,    /* it may stay where it is */
    LNT_MOVE_ACCEPTED,   /* it is served here */
    LNT_MOVE_UNREADABLE, /* nobody of this generation will take it */
};

struct lnt_arrival {
    /* A connection is complete; fd is the callee's. */
    enum lnt_verdict_on_move (*take)(void *arg, int fd, struct lnt_str bytes);
    void *arg;
    size_t max; /* bytes of one */
    /* The one that is not complete. */
    struct lnt_strbuf bytes;
    uint32_t number;
    int fd;
};

/* Appends one entry, or a piece of one, to a frame's payload. */
void lnt_entry_pack(struct lnt_strbuf *frame, uint32_t number, size_t total,
                    struct lnt_str piece);

void lnt_arrival_init(struct lnt_arrival *a, size_t max,
                      enum lnt_verdict_on_move (*take)(void *arg, int fd,
                                                       struct lnt_str bytes),
                      void *arg);
void lnt_arrival_release(struct lnt_arrival *a);
/*
 * Takes what a frame brings; descriptors that were used are set to -1.  The
 * verdicts are appended to reply.  false: it is not what a worker sends; what
 * was taken before that is in reply.
 */
bool lnt_arrival_frame(struct lnt_arrival *a, struct lnt_str payload, int *fds,
                       size_t nfds, struct lnt_strbuf *reply);

#endif
