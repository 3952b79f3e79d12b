/*
 * The hub's life and its part of a loop turn: reads the log, wakes those who
 * sleep.  Who is subscribed is kept by subs.c, what they get is made by
 * fanout.c; what applications begin is in begin.c, what they ask in look.c.
 */
#include "hub/hub.h"

#include <errno.h>
#include <stdlib.h>

#include "core/mem.h"
#include "hub/fanout.h"
#include "hub/queue.h"
#include "hub/state.h"
#include "hub/unwake.h"
#include "net/net.h"
#include "net/stats.h"
#include "os/memory.h"
#include "os/socket.h"

/* ---- life ---- */

struct lnt_hub *
lnt_hub_new(const struct lnt_hub_params *p)
{
    struct lnt_hub *h = lnt_calloc(1, sizeof(*h));

    h->zone = p->zone;
    h->net = p->net;
    h->stats = lnt_net_stats(p->net);
    h->cell = lnt_zone_cell(p->zone, p->cell);
    h->cell_index = p->cell;
    h->doorbells = p->doorbells;
    h->subs = lnt_subs_new();
    h->fanout = lnt_fanout_new(h->subs, h->net, p->cell);
    h->unwake = lnt_unwake_new(h->zone, h->subs, p->cell);
    h->reader = (struct lnt_reader){
        .zone = h->zone,
        .stats = h->stats,
        .cell = h->cell,
        .cell_index = p->cell,
        .subs = h->subs,
        .fanout = h->fanout,
        .unwake = h->unwake,
    };
    lnt_reader_init(&h->reader);
    h->queues = lnt_queues_new(h);
    return h;
}

void
lnt_hub_free(struct lnt_hub *h)
{
    lnt_queues_cancel(h->queues, ECANCELED);
    lnt_queues_free(h->queues);
    lnt_reader_release(&h->reader);
    lnt_unwake_free(h->unwake);
    lnt_fanout_free(h->fanout);
    lnt_subs_free(h->subs);
    free(h->pins);
    lnt_strbuf_release(&h->spread);
    free(h);
}

/* ---- the loop ---- */

static void
ring_sleepers(struct lnt_hub *h)
{
    uint8_t cells[LNT_CELLS];
    size_t n = lnt_zone_sleepers(h->zone, (int)h->cell_index, cells);

    for (size_t i = 0; i < n; i++)
        lnt_eventfd_ring(h->doorbells[cells[i]]);
    if (n > 0)
        lnt_count_add(h->stats, LNT_C_DOORBELLS, n);
}

bool
lnt_hub_turn(struct lnt_hub *h)
{
    ring_sleepers(h);
    /* A worker that is never idle does not get to it before it sleeps. */
    if (lnt_subs_many_gone(h->subs))
        lnt_unwake_settle(h->unwake);
    if (!lnt_zone_pending(h->zone, &h->reader.cursor) &&
        lnt_subs_waiting(h->subs) == UINT64_MAX)
        return false;
    lnt_reader_turn(&h->reader);
    return lnt_zone_pending(h->zone, &h->reader.cursor);
}

bool
lnt_hub_sleep(struct lnt_hub *h)
{
    lnt_unwake_settle(h->unwake);
    /* What was published while events were told. */
    ring_sleepers(h);
    h->asleep = true;
    __atomic_store_n(&h->cell->asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!lnt_zone_pending(h->zone, &h->reader.cursor))
        return true;
    lnt_hub_wake(h);
    return false;
}

void
lnt_hub_wake(struct lnt_hub *h)
{
    /* Whoever rings has cleared it. */
    if (h->asleep && !__atomic_load_n(&h->cell->asleep, __ATOMIC_RELAXED))
        lnt_unwake_rung(h->unwake);
    h->asleep = false;
    __atomic_store_n(&h->cell->asleep, 0, __ATOMIC_RELEASE);
}
