/*
 * Two maps: by name, by network.
 */
#include "net/names.h"

#include "core/map.h"
#include "net/conn.h"

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

void
lnt_names_add(struct lnt_net *n, struct lnt_detached *d)
{
    lnt_map_seed(&n->names);
    lnt_map_seed(&n->networks);
    lnt_map_add(&n->names, &d->by_name,
                name_hash(n, lnt_str(d->name, d->name_n)));
    lnt_map_add(&n->networks, &d->by_network, network_hash(n, &d->network));
}

void
lnt_names_remove(struct lnt_net *n, struct lnt_detached *d)
{
    lnt_map_remove(&n->names, &d->by_name);
    lnt_map_remove(&n->networks, &d->by_network);
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

bool
lnt_names_full(const struct lnt_net *n, const struct lnt_network *net,
               uint64_t max)
{
    struct lnt_map_node *node = NULL;
    uint64_t found = 0;
    if (n->networks.n)
        node = lnt_map_find(&n->networks, network_hash(n, net));
    for (; node && found < max; node = lnt_map_more(node)) {
        const struct lnt_detached *d =
            LNT_OWNER(node, struct lnt_detached, by_network);
        found += d->network.family == net->family &&
                 d->network.prefix == net->prefix && d->transport == 0;
    }
    return found >= max;
}

void
lnt_names_free(struct lnt_net *n)
{
    lnt_map_release(&n->names);
    lnt_map_release(&n->networks);
}
