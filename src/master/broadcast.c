/*
 * Broadcasts.
 */
#include "master/broadcast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/child.h"
#include "master/master.h"

/* How many workers with clients have it; why: which others do not. */
static unsigned
send_all(struct lnt_master *m, struct lnt_str payload, struct lnt_strbuf *why)
{
    unsigned reached = 0;
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c))) {
        if (lnt_channel_send(&c->channel, LNT_FRAME_BROADCAST, 0, payload, NULL,
                             0) == 0) {
            if (c->state == LNT_CHILD_SERVING || c->state == LNT_CHILD_DRAINING)
                reached++;
        } else if (!lnt_reason_is_gone(errno)) {
            lnt_strbuf_addf(why, "%s%s: %s", why->n ? "; " : "", c->name,
                            lnt_reason_of_send(errno));
        }
    }
    return reached;
}

/* At an upgrade: clients are with both masters' workers. */
static void
tell_neighbour(struct lnt_master *m, struct lnt_str payload)
{
    if (m->neighbour &&
        lnt_channel_send(m->neighbour, LNT_FRAME_BROADCAST, 0, payload, NULL,
                         0) < 0 &&
        !lnt_reason_is_gone(errno))
        lnt_log_error("a broadcast does not reach the workers of the other "
                      "master: %s",
                      strerror(errno));
}

bool
lnt_broadcast(struct lnt_master *m, struct lnt_str module, struct lnt_str text,
              struct lnt_strbuf *why)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    size_t room = LNT_FRAME_PAYLOAD_MAX - module.n - 1;
    if (text.n > room) {
        lnt_strbuf_addf(why, "the text has %zu bytes; %zu are possible", text.n,
                        room);
        return false;
    }
    lnt_strbuf_add_str(&b, module);
    lnt_strbuf_addc(&b, '\0');
    lnt_strbuf_add_str(&b, text);
    if (send_all(m, lnt_strbuf_str(&b), why) == 0 && why->n == 0)
        lnt_strbuf_adds(why, "no worker serves at the moment");
    tell_neighbour(m, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return why->n == 0;
}

static void
take(struct lnt_master *m, struct lnt_str payload, const char *from)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    (void)send_all(m, payload, &why);
    if (why.n)
        lnt_log_error("a broadcast of %s does not reach all: %s", from, why.p);
    lnt_strbuf_release(&why);
}

void
lnt_broadcast_pass_on(struct lnt_master *m, const struct lnt_child *from,
                      struct lnt_str payload)
{
    take(m, payload, from->name);
    tell_neighbour(m, payload);
}

void
lnt_broadcast_take(struct lnt_master *m, struct lnt_str payload)
{
    take(m, payload, "the other master");
}
