/*
 * Links between two workers on demand.
 */
#include "master/links.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/pack.h"
#include "ipc/channel.h"
#include "ipc/move_step.h"
#include "ipc/reasons.h"
#include "master/child.h"
#include "master/master.h"
#include "net/net.h"
#include "os/socket.h"

/* NULL with *why: there is nobody to hand anything over to. */
static struct lnt_child *
target(struct lnt_master *m, const struct lnt_child *from, uint64_t worker,
       const char **why)
{
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)) &&
           ((uint64_t)c->incarnation << LNT_ID_CELL_BITS | c->cell) != worker)
        ;
    if (!c)
        *why = "there is no such worker";
    else if (c == from)
        *why = "it is the same worker";
    else if (c->state != LNT_CHILD_SERVING || c->giving)
        *why = "that worker does not serve";
    else
        return c;
    return NULL;
}

static int
send_end(struct lnt_child *c, uint32_t request, const char *text, int fd)
{
    int rc = lnt_channel_send(&c->channel, LNT_FRAME_LINK, request,
                              lnt_str_c(text), &fd, fd >= 0 ? 1 : 0);
    /* What has ended needs none. */
    if (rc < 0 && !lnt_reason_is_gone(errno))
        lnt_log_error("cannot link workers: %s", strerror(errno));
    return rc;
}

void
lnt_links_ask(struct lnt_master *m, struct lnt_child *c,
              const struct lnt_frame *f)
{
    struct lnt_str rest = f->payload;
    const char *why = "the request cannot be read";
    struct lnt_child *to = NULL;
    uint64_t worker;
    int fds[2];
    if (lnt_unpack_u64(&rest, &worker))
        to = target(m, c, worker, &why);
    if (!to || lnt_socket_pair(fds) < 0) {
        (void)send_end(c, f->request, to ? strerror(errno) : why, -1);
        return;
    }
    (void)send_end(to, 0, "take on demand", fds[0]);
    lnt_move_step(LNT_MOVE_LINKED);
    (void)send_end(c, f->request, "", fds[1]);
    close(fds[0]);
    close(fds[1]);
}
