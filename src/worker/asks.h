/*
 * What a worker asks of the master and of others, and what it is asked:
 * requests, shared values.  The functions of lnt_server_info that modules call
 * end here.
 */
#ifndef LNT_WORKER_ASKS_H
#define LNT_WORKER_ASKS_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/channel.h"
#include "ipc/dict.h"
#include "net/server_info.h"

struct lnt_module_ctx;
struct lnt_net;
struct lnt_requests;

struct lnt_asks {
    struct lnt_channel *channel; /* to the master */
    struct lnt_net *net;
    unsigned slot;
    struct lnt_dict dict;
    struct lnt_requests *requests;
    struct lnt_module_ctx *ctx; /* of the modules that run */
    size_t nctx;
};

/* Sets the functions in info, with arg a. */
void lnt_asks_init(struct lnt_asks *a, struct lnt_loop *loop,
                   struct lnt_channel *channel, struct lnt_server_info *info);
void lnt_asks_release(struct lnt_asks *a);
/* The channel is closed: whoever waits for an answer hears why. */
void lnt_asks_drop(struct lnt_asks *a, const char *why);
/* true: the frame was one of these. */
bool lnt_asks_frame(struct lnt_asks *a, const struct lnt_frame *f);

#endif
