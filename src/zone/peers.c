/*
 * Connections by the address they come from, over the whole server.  What the
 * nodes look like is left to visits.c.
 *
 * A connection that moves is one store: it bears the other worker's incarnation
 * from then on.
 */
#include "zone/peers.h"

#include <errno.h>

#include "zone/map.h"
#include "zone/undo.h"
#include "zone/visits.h"

int
lnt_zone_peer_enter(struct lnt_zone *z, const struct lnt_network *net,
                    unsigned cell, uint64_t max, uint32_t *visit)
{
    int e;

    lnt_zone_lock(z);
    e = lnt_visit_add(z, net, cell, max, visit);
    lnt_zone_unlock(z);
    if (e == 0)
        return 0;
    errno = e;
    return -1;
}

void
lnt_zone_peer_leave(struct lnt_zone *z, uint32_t visit, unsigned cell)
{
    lnt_zone_lock(z);
    if (lnt_visit_at(z, visit)->incarnation ==
        lnt_cell_at(z, cell)->incarnation)
        lnt_visit_end(z, visit);
    lnt_zone_unlock(z);
}

uint64_t
lnt_zone_peer_name(const struct lnt_zone *z, uint32_t visit)
{
    return (uint64_t)lnt_visit_at(z, visit)->serial << 32 | visit;
}

int
lnt_zone_peer_move(struct lnt_zone *z, uint64_t name, unsigned cell)
{
    uint32_t visit = (uint32_t)name;
    bool lives = false;

    lnt_zone_lock(z);
    if (visit > 0 && visit < z->map->parts.visits.fresh) {
        struct lnt_zone_visit *v = lnt_visit_at(z, visit);

        lives = v->incarnation && v->serial == (uint32_t)(name >> 32);
        LNT_UNDO_SAVE(z, v);
        if (lives)
            v->incarnation = lnt_cell_at(z, cell)->incarnation;
        LNT_ZONE_STEP(z);
    }
    lnt_zone_unlock(z);
    if (lives)
        return 0;
    errno = ENOENT;
    return -1;
}

uint64_t
lnt_zone_peer_count(struct lnt_zone *z, uint32_t visit)
{
    uint64_t n;

    lnt_zone_lock(z);
    n = lnt_peer_at(z, lnt_visit_at(z, visit)->peer)->visits;
    lnt_zone_unlock(z);
    return n;
}

int
lnt_peers_sweep(struct lnt_zone *z, uint32_t incarnation)
{
    enum { SWEEP = 1024 }; /* nodes looked at in one locked section */
    const struct lnt_zone_pool *p = &z->map->parts.visits;
    bool more = true;

    for (uint32_t i = 1; more;) {
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        for (uint32_t n = 0; n < SWEEP && i < p->fresh; n++, i++) {
            if (lnt_visit_at(z, i)->incarnation == incarnation) {
                lnt_visit_end(z, i);
                lnt_undo_commit(z);
            }
        }
        more = i < p->fresh;
        lnt_zone_unlock(z);
    }
    return 0;
}
