/*
 * Frozen connections into frames, and what becomes of them.
 */
#include "worker/departure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "ipc/channel.h"
#include "ipc/move_step.h"
#include "worker/arrival.h"

enum { PIECE = LNT_FRAME_PAYLOAD_MAX - LNT_ENTRY_HEAD };

void
lnt_departure_init(struct lnt_departure *d, struct lnt_channel *channel)
{
    *d = (struct lnt_departure){.channel = channel};
    d->last = d->unsent = &d->first;
}

void
lnt_departure_release(struct lnt_departure *d)
{
    lnt_assert(!d->first && !d->failed);
    lnt_strbuf_release(&d->frame);
}

/* rest: from there on they are not all in the frame. */
static void
send_frame(struct lnt_departure *d, struct lnt_moving **rest)
{
    if (d->broken || d->frame.n == 0)
        return;
    int rc = lnt_channel_send(d->channel, LNT_FRAME_MOVE, 0,
                              lnt_strbuf_str(&d->frame),
                              d->nfds ? d->fds : NULL, d->nfds);
    size_t n = d->nfds;
    lnt_strbuf_clear(&d->frame);
    d->nfds = 0;
    if (rc == 0) {
        for (; n > 0; n--)
            lnt_move_step(LNT_MOVE_SENT);
        d->unsent = rest;
        return;
    }
    lnt_log_info("link to another worker: %s", strerror(errno));
    d->broken = true;
    d->failed = *d->unsent;
    *d->unsent = NULL;
    d->last = d->unsent;
}

void
lnt_departure_send(struct lnt_departure *d)
{
    send_frame(d, d->last);
}

void
lnt_departure_add(struct lnt_departure *d, struct lnt_moving *g)
{
    struct lnt_moving **place = d->last;
    struct lnt_str rest = lnt_strbuf_str(&g->bytes);
    size_t total = rest.n;
    uint32_t number = g->number = ++d->last_number;
    *place = g;
    d->last = &g->next;
    d->n++;
    if (d->frame.n + LNT_ENTRY_HEAD + total > LNT_FRAME_PAYLOAD_MAX ||
        d->nfds == LNT_FDS_MAX)
        send_frame(d, place);
    for (bool first = true; rest.n && !d->broken; first = false) {
        struct lnt_str piece = rest;
        if (piece.n > PIECE)
            piece.n = PIECE;
        rest = lnt_str(rest.p + piece.n, rest.n - piece.n);
        lnt_entry_pack(&d->frame, number, total, piece);
        if (first)
            d->fds[d->nfds++] = g->fd;
        if (rest.n)
            send_frame(d, place);
    }
}

static struct lnt_moving *
take_at(struct lnt_departure *d, struct lnt_moving **at)
{
    struct lnt_moving *g = *at;
    if (!g)
        return NULL;
    *at = g->next;
    if (d->last == &g->next)
        d->last = at;
    if (d->unsent == &g->next)
        d->unsent = at;
    d->n--;
    return g;
}

struct lnt_moving *
lnt_departure_take(struct lnt_departure *d, uint32_t number)
{
    struct lnt_moving **at = &d->first;
    /* They are answered in order: it is the first. */
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return take_at(d, at);
}

struct lnt_moving *
lnt_departure_failed(struct lnt_departure *d)
{
    struct lnt_moving *g = d->failed;
    if (g) {
        d->failed = g->next;
        d->n--;
    }
    return g;
}

struct lnt_moving *
lnt_departure_any(struct lnt_departure *d)
{
    struct lnt_moving *g = lnt_departure_failed(d);
    return g ? g : take_at(d, &d->first);
}

void
lnt_moving_free(struct lnt_moving *g)
{
    lnt_strbuf_release(&g->bytes);
    free(g);
}
