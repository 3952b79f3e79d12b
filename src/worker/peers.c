/*
 * Connections by address: hands the zone's tables down to net/, which does not
 * know of the zone.
 */
#include "worker/peers.h"

#include "config/config.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "zone/zone.h"

static uint32_t
enter(void *arg, const struct lnt_network *net, uint64_t max)
{
    const struct lnt_peer_counter *c = arg;
    uint32_t visit;
    if (lnt_zone_peer_enter(c->zone, net, c->cell, max, &visit) < 0)
        return 0;
    return visit;
}

static void
leave(void *arg, uint32_t number)
{
    const struct lnt_peer_counter *c = arg;
    lnt_zone_peer_leave(c->zone, number, c->cell);
}

static uint64_t
count(void *arg, uint32_t number)
{
    const struct lnt_peer_counter *c = arg;
    return lnt_zone_peer_count(c->zone, number);
}

static uint64_t
name(void *arg, uint32_t number)
{
    const struct lnt_peer_counter *c = arg;
    return lnt_zone_peer_name(c->zone, number);
}

static uint32_t
take(void *arg, uint64_t name_given)
{
    const struct lnt_peer_counter *c = arg;
    if (lnt_zone_peer_move(c->zone, name_given, c->cell) < 0)
        return 0;
    return (uint32_t)name_given;
}

void
lnt_peer_counter_init(struct lnt_peer_counter *c, struct lnt_zone *zone,
                      unsigned cell, const struct lnt_config *config)
{
    *c = (struct lnt_peer_counter){
        .zone = zone,
        .cell = cell,
        .peers = {.enter = enter,
                  .leave = leave,
                  .count = count,
                  .name = name,
                  .take = take,
                  .arg = c},
    };
    for (const struct lnt_endpoint *e = config->endpoints; e; e = e->next)
        c->peers.wanted |= e->limits->connections_per_ip != 0;
}
