/*
 * What comes to a worker's modules from the master: requests and replies,
 * broadcasts, shared values.  What they ask themselves is in net/server_info.h.
 */
#ifndef LNT_WORKER_REQUESTS_H
#define LNT_WORKER_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/channel.h"
#include "ipc/dict.h"
#include "net/server_info.h"

struct lnt_module_ctx;
struct lnt_net;
struct lnt_requests;

struct lnt_worker_requests {
    struct lnt_channel *channel; /* to the master */
    struct lnt_net *net;
    unsigned slot;
    struct lnt_dict dict;
    struct lnt_requests *requests;
    struct lnt_module_ctx *ctx; /* of the modules that run */
    size_t nctx;
};

/* Sets in info what modules need to ask. */
void lnt_worker_requests_init(struct lnt_worker_requests *a,
                              struct lnt_loop *loop,
                              struct lnt_channel *channel,
                              struct lnt_server_info *info);
void lnt_worker_requests_release(struct lnt_worker_requests *a);
/* The channel is closed: whoever waits for an answer hears why. */
void lnt_worker_requests_drop(struct lnt_worker_requests *a, const char *why);
/* true: the frame was one of these. */
bool lnt_worker_requests_frame(struct lnt_worker_requests *a,
                               const struct lnt_frame *f);

#endif
