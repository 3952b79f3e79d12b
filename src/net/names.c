/*
 * Two maps: sessions by name, and their networks, each with how many it has.
 * Behind one address there may be a great many, so nothing goes through them.
 */
#include "net/names.h"

#include <stdlib.h>

#include "core/map.h"
#include "core/mem.h"
#include "net/conn.h"

/* A network that has any. */
struct lnt_crowd {
    struct lnt_map_node node;
    struct lnt_network network;
    uint32_t n, absent; /* these have no transport */
};

static uint64_t
name_hash(const struct lnt_net *n, struct lnt_str name)
{
    return lnt_map_hash(&n->names, 0, name);
}

static uint64_t
network_hash(const struct lnt_net *n, const struct lnt_network *net)
{
    return lnt_map_hash(&n->networks, net->family,
                        lnt_str((const char *)&net->prefix,
                                sizeof(net->prefix)));
}

/* ---- networks ---- */

static struct lnt_crowd *
find_crowd(const struct lnt_net *n, const struct lnt_network *net)
{
    struct lnt_map_node *node = NULL;
    if (n->networks.n)
        node = lnt_map_find(&n->networks, network_hash(n, net));
    for (; node; node = lnt_map_more(node)) {
        struct lnt_crowd *crowd = LNT_OWNER(node, struct lnt_crowd, node);
        if (crowd->network.family == net->family &&
            crowd->network.prefix == net->prefix)
            return crowd;
    }
    return NULL;
}

void
lnt_names_enter(struct lnt_net *n, struct lnt_detached *d,
                const struct lnt_network *net)
{
    struct lnt_crowd *crowd = find_crowd(n, net);
    if (!crowd) {
        crowd = lnt_calloc(1, sizeof(*crowd));
        crowd->network = *net;
        lnt_map_seed(&n->networks);
        lnt_map_add(&n->networks, &crowd->node, network_hash(n, net));
    }
    crowd->n++;
    crowd->absent += d->transport == 0;
    d->crowd = crowd;
}

void
lnt_names_leave(struct lnt_net *n, struct lnt_detached *d)
{
    struct lnt_crowd *crowd = d->crowd;
    d->crowd = NULL;
    if (!crowd)
        return;
    crowd->absent -= d->transport == 0;
    if (--crowd->n > 0)
        return;
    lnt_map_remove(&n->networks, &crowd->node);
    free(crowd);
}

void
lnt_names_transport(struct lnt_detached *d, uint64_t transport)
{
    if (d->crowd) {
        d->crowd->absent -= d->transport == 0;
        d->crowd->absent += transport == 0;
    }
    d->transport = transport;
}

bool
lnt_names_full(const struct lnt_net *n, const struct lnt_network *net,
               uint64_t max)
{
    const struct lnt_crowd *crowd = find_crowd(n, net);
    return crowd && crowd->absent >= max;
}

bool
lnt_names_crowded(const struct lnt_detached *d, uint64_t max)
{
    return d->crowd && d->crowd->absent >= max;
}

/* ---- names ---- */

void
lnt_names_add(struct lnt_net *n, struct lnt_detached *d)
{
    lnt_map_seed(&n->names);
    lnt_map_add(&n->names, &d->by_name,
                name_hash(n, lnt_str(d->name, d->name_n)));
}

void
lnt_names_remove(struct lnt_net *n, struct lnt_detached *d)
{
    lnt_map_remove(&n->names, &d->by_name);
    lnt_names_leave(n, d);
}

struct lnt_detached *
lnt_names_find(const struct lnt_net *n, struct lnt_str name)
{
    struct lnt_map_node *node = NULL;
    if (n->names.n)
        node = lnt_map_find(&n->names, name_hash(n, name));
    for (; node; node = lnt_map_more(node)) {
        struct lnt_detached *d = LNT_OWNER(node, struct lnt_detached, by_name);
        if (lnt_str_eq(lnt_str(d->name, d->name_n), name))
            return d;
    }
    return NULL;
}

void
lnt_names_free(struct lnt_net *n)
{
    lnt_map_release(&n->names);
    lnt_map_release(&n->networks);
}
