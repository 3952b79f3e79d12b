/*
 * Requests under way: those that this process has sent over channels and that
 * wait for their reply.  Each is called back exactly once: with the reply,
 * with the timeout, or with the end of the side that was to answer.
 */
#ifndef LNT_IPC_REQUESTS_H
#define LNT_IPC_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "ipc/channel.h"

struct lnt_loop;
struct lnt_requests;

/* ok: data is the answer; else data is a text that says why not. */
typedef void lnt_reply_fn(void *arg, bool ok, struct lnt_str data);

struct lnt_requests *lnt_requests_new(struct lnt_loop *loop);
/* Calls back all that are left. */
void lnt_requests_free(struct lnt_requests *r);

/*
 * Sends a frame that is answered by a REPLY.  fn is called later, never from
 * here; timeout_ms is an hour at most.  0, or -1 with errno (as
 * lnt_channel_send; EAGAIN: too many to this channel are under way) and no
 * callback.
 */
int lnt_requests_send(struct lnt_requests *r, struct lnt_channel *to,
                      enum lnt_frame_type type, struct lnt_str payload,
                      uint64_t timeout_ms, lnt_reply_fn *fn, void *arg);
/* With descriptors, which stay the caller's. */
int lnt_requests_send_fds(struct lnt_requests *r, struct lnt_channel *to,
                          enum lnt_frame_type type, struct lnt_str payload,
                          const int *fds, size_t nfds, uint64_t timeout_ms,
                          lnt_reply_fn *fn, void *arg);
/* A REPLY frame came through the channel. */
void lnt_requests_take(struct lnt_requests *r, struct lnt_channel *from,
                       uint32_t id, struct lnt_str payload);
/* The channel is closed: whoever waits for it hears why. */
void lnt_requests_drop(struct lnt_requests *r, const struct lnt_channel *gone,
                       const char *why);

/*
 * Answers a request: in as many REPLY frames as the data needs.  What is larger
 * than LNT_ANSWER_MAX, or does not fit into the channel, becomes a refusal.
 * 0, or -1 with errno.
 */
enum { LNT_ANSWER_MAX = 16 << 20 };
int lnt_requests_answer(struct lnt_channel *to, uint32_t id, bool ok,
                        struct lnt_str data);

/* What is asked of whom: the payload of a REQUEST. */
struct lnt_request {
    uint32_t cell; /* of the worker, or LNT_MASTER */
    struct lnt_str module, name, data;
};
struct lnt_strbuf;
void lnt_request_encode(struct lnt_strbuf *out, const struct lnt_request *q);
/* 0, or -1 when the bytes are no request. */
int lnt_request_decode(struct lnt_str payload, struct lnt_request *q);

/* Replies that what that frame asks for has been done, or (why) has not. */
void lnt_requests_reply(struct lnt_channel *c, const struct lnt_frame *f,
                        const char *why);

#endif
