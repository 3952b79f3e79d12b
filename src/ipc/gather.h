/*
 * The same request to many processes, until each has answered.
 */
#ifndef LNT_IPC_GATHER_H
#define LNT_IPC_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "core/strbuf.h"
#include "ipc/channel.h"

struct lnt_gather;
struct lnt_requests;

/*
 * answers: the texts of all, one behind the other; problems: "worker 1: why" for
 * each that has not answered, without those that were told to end and have.  Both
 * stay the gather's.
 */
typedef void lnt_gather_fn(void *arg, const struct lnt_strbuf *answers,
                           const struct lnt_strbuf *problems);

/* separator: between two problems.  forgive: whoever ends needs not answer. */
struct lnt_gather *lnt_gather_new(struct lnt_requests *r, const char *separator,
                                  bool forgive, lnt_gather_fn *done, void *arg);
/* What is to be sent: of the frame, type, payload and fds count. */
void lnt_gather_ask(struct lnt_gather *g, struct lnt_channel *to,
                    const char *name, const struct lnt_frame *f,
                    uint64_t timeout_ms);
/* All are asked.  done is called when the last one has answered, maybe from
   here; g is gone then. */
void lnt_gather_wait(struct lnt_gather *g);

#endif
