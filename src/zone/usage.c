/*
 * How full the zone is.
 */
#include "zone/blocks.h"
#include "zone/map.h"
#include "zone/ring.h"

/* The oldest record, behind a pad if there is one. */
static void
use_log(const struct lnt_zone *z, struct lnt_zone_usage *u)
{
    const struct lnt_zone_map *map = z->map;
    struct lnt_zone_record r;
    uint64_t at = map->tail;

    u->log_bytes = map->ring_size;
    u->log_used = map->head - map->tail;
    u->published = map->seq;
    for (; at < map->head; at = lnt_ring_next(z, at)) {
        lnt_ring_peek(z, at, &r);
        if (r.kind == 0)
            continue;
        u->records = map->seq - r.seq + 1;
        u->oldest_us = r.time_us;
        return;
    }
}

int
lnt_zone_usage(struct lnt_zone *z, struct lnt_zone_usage *u)
{
    const struct lnt_zone_parts *p = &z->map->parts;

    *u = (struct lnt_zone_usage){0};
    if (lnt_zone_lock_soon(z) < 0)
        return -1;
    use_log(z, u);
    u->size = z->map->zone_size;
    u->users = p->users.used;
    u->users_max = p->users.max;
    u->rooms = p->rooms.used;
    u->rooms_max = p->rooms.max;
    u->members = p->members.used;
    u->members_max = p->members.max;
    u->peers = p->peers.used;
    u->visits = p->visits.used;
    u->visits_max = p->visits.max;
    u->history_bytes = (uint64_t)p->blocks.max * LNT_BLOCK_DATA;
    u->history_used = (uint64_t)p->blocks.used * LNT_BLOCK_DATA;
    u->history_promised = (uint64_t)z->map->reserved * LNT_BLOCK_DATA;
    for (uint32_t i = 1; i < p->rooms.fresh; i++) {
        if (lnt_room_at(z, i)->state == LNT_NODE_USED)
            u->kept += lnt_room_at(z, i)->kept;
    }
    u->repairs = z->map->repairs;
    u->rebuilds = z->map->rebuilds;
    u->evicted = z->map->evicted;
    lnt_zone_unlock(z);
    return 0;
}
