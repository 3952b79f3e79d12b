/*
 * Visits and peers as nodes, under the lock.
 *
 * A connection that counts is a visit: a node that names the worker it lives in
 * by incarnation, and the peer (an address) it counts for.  What visits say is
 * true; a peer and its count follow from them.
 */
#include "zone/visits.h"

#include <errno.h>

#include "core/log.h"
#include "os/socket.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/undo.h"

static void
drop_peer(struct lnt_zone *z, uint32_t i)
{
    lnt_slots_remove(z, LNT_SLOTS_PEERS, i);
    LNT_UNDO_SAVE(z, lnt_peer_at(z, i));
    lnt_peer_at(z, i)->state = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    lnt_pool_give(z, &z->map->parts.peers, i);
}

/* There is one for each visit. */
static uint32_t
new_peer(struct lnt_zone *z, const struct lnt_network *net)
{
    uint32_t i = lnt_pool_take(z, &z->map->parts.peers);
    struct lnt_zone_peer *p = lnt_peer_at(z, i);

    lnt_assert(i != 0);
    lnt_pool_clear(z, &z->map->parts.peers, i, LNT_PEER_KNOWN);
    p->prefix = net->prefix;
    p->family = (uint8_t)net->family;
    p->visits = 0;
    LNT_ZONE_STEP(z);
    p->state = LNT_NODE_USED;
    LNT_ZONE_STEP(z);
    lnt_slots_add(z, LNT_SLOTS_PEERS, i);
    return i;
}

int
lnt_visit_add(struct lnt_zone *z, const struct lnt_network *net, unsigned cell,
              uint64_t max, uint32_t *visit)
{
    uint32_t peer = lnt_slots_peer(z, net);
    struct lnt_zone_visit *v;

    if (max && peer && lnt_peer_at(z, peer)->visits >= max)
        return EUSERS;
    *visit = lnt_pool_take(z, &z->map->parts.visits);
    if (*visit == 0)
        return ENOSPC;
    if (!peer)
        peer = new_peer(z, net);
    v = lnt_visit_at(z, *visit);
    lnt_pool_clear(z, &z->map->parts.visits, *visit, LNT_VISIT_KNOWN);
    v->peer = peer;
    /* One that comes from another zone is not called like any of this one. */
    if (v->serial == 0)
        v->serial = (uint32_t)z->map->hash_key;
    v->serial++;
    LNT_ZONE_STEP(z);
    v->incarnation = lnt_cell_at(z, cell)->incarnation;
    LNT_ZONE_STEP(z);
    LNT_UNDO_SAVE(z, &lnt_peer_at(z, peer)->visits);
    lnt_peer_at(z, peer)->visits++;
    return 0;
}

void
lnt_visit_end(struct lnt_zone *z, uint32_t visit)
{
    struct lnt_zone_visit *v = lnt_visit_at(z, visit);
    uint32_t peer = v->peer;

    LNT_UNDO_SAVE(z, v);
    LNT_UNDO_SAVE(z, &lnt_peer_at(z, peer)->visits);
    v->incarnation = 0;
    LNT_ZONE_STEP(z);
    lnt_pool_give(z, &z->map->parts.visits, visit);
    LNT_ZONE_STEP(z);
    if (--lnt_peer_at(z, peer)->visits == 0)
        drop_peer(z, peer);
}

void
lnt_visits_repair(struct lnt_zone *z)
{
    struct lnt_zone_pool *peers = &z->map->parts.peers;
    struct lnt_zone_pool *visits = &z->map->parts.visits;

    lnt_pool_reset(visits);
    lnt_pool_reset(peers);
    lnt_slots_reset(z, LNT_SLOTS_PEERS, peers->fresh);
    for (uint32_t i = 1; i < peers->fresh; i++)
        lnt_peer_at(z, i)->visits = 0;
    for (uint32_t i = visits->fresh - 1; i > 0; i--) {
        if (lnt_visit_at(z, i)->incarnation) {
            visits->used++;
            lnt_peer_at(z, lnt_visit_at(z, i)->peer)->visits++;
        } else {
            lnt_pool_return(z, visits, i);
        }
    }
    for (uint32_t i = peers->fresh - 1; i > 0; i--) {
        if (lnt_peer_at(z, i)->visits) {
            peers->used++;
            lnt_slots_add(z, LNT_SLOTS_PEERS, i);
        } else {
            lnt_peer_at(z, i)->state = LNT_NODE_FREE;
            LNT_ZONE_STEP(z);
            lnt_pool_return(z, peers, i);
        }
    }
}
