/*
 * Tables of nodes (free list and fresh ones) and hash tables over them.  What
 * nodes mean, and which state they are in, is left to the callers.
 *
 * The hash tables grow by linear hashing: with n nodes, n/2 slots are active;
 * one more is activated when there are two nodes more, and takes its share from
 * the one slot that held it so far.
 */
#include "zone/pool.h"

#include <string.h>

#include "core/hash.h"
#include "os/socket.h"
#include "zone/undo.h"

enum { NODES_PER_SLOT = 2 };

/* ---- nodes ---- */

static uint32_t *
link_of(struct lnt_zone *z, const struct lnt_zone_pool *p, uint32_t i)
{
    return lnt_zone_at(z, p->base + (uint64_t)i * p->stride + p->link);
}

/* Which nodes are free, and how many are not. */
static void
save_heads(struct lnt_zone *z, const struct lnt_zone_pool *p)
{
    lnt_undo_save(z, &p->free,
                  offsetof(struct lnt_zone_pool, used) + sizeof(p->used) -
                      offsetof(struct lnt_zone_pool, free));
}

/* Of a block only what is before its data. */
static void
save_node(struct lnt_zone *z, const struct lnt_zone_pool *p, uint32_t i)
{
    const void *node = lnt_zone_at(z, p->base + (uint64_t)i * p->stride);

    if (p == &z->map->parts.blocks)
        lnt_undo_save(z, node, offsetof(struct lnt_zone_block, data));
    else
        lnt_undo_save(z, node, p->stride);
}

uint32_t
lnt_pool_take(struct lnt_zone *z, struct lnt_zone_pool *p)
{
    uint32_t i = p->free ? p->free : p->fresh;

    if (i > p->max)
        return 0;
    save_heads(z, p);
    save_node(z, p, i);
    if (p->free)
        p->free = *link_of(z, p, i);
    else
        p->fresh++;
    p->used++;
    LNT_ZONE_STEP(z);
    return i;
}

void
lnt_pool_clear(struct lnt_zone *z, const struct lnt_zone_pool *p, uint32_t i,
               size_t from)
{
    memset((char *)lnt_zone_at(z, p->base + (uint64_t)i * p->stride) + from, 0,
           p->stride - from);
}

void
lnt_pool_give(struct lnt_zone *z, struct lnt_zone_pool *p, uint32_t i)
{
    save_heads(z, p);
    LNT_UNDO_SAVE(z, link_of(z, p, i));
    lnt_pool_return(z, p, i);
    p->used--;
}

void
lnt_pool_reset(struct lnt_zone_pool *p)
{
    p->free = 0;
    p->used = 0;
}

void
lnt_pool_return(struct lnt_zone *z, struct lnt_zone_pool *p, uint32_t i)
{
    *link_of(z, p, i) = p->free;
    p->free = i;
    LNT_ZONE_STEP(z);
}

/* ---- hash tables ---- */

static struct lnt_zone_slots *
slots_of(struct lnt_zone *z, enum lnt_slots_kind kind)
{
    struct lnt_zone_parts *p = &z->map->parts;

    switch (kind) {
    case LNT_SLOTS_NICKS:
        return &p->nicks;
    case LNT_SLOTS_NAMES:
        return &p->names;
    case LNT_SLOTS_PEERS:
        return &p->addresses;
    case LNT_SLOTS_ORIGINS:
        break;
    }
    return &p->origins;
}

static uint32_t
nodes_of(const struct lnt_zone *z, enum lnt_slots_kind kind)
{
    const struct lnt_zone_parts *p = &z->map->parts;

    switch (kind) {
    case LNT_SLOTS_NICKS:
        return p->users.used;
    case LNT_SLOTS_NAMES:
        return p->rooms.used;
    case LNT_SLOTS_PEERS:
        return p->peers.used;
    case LNT_SLOTS_ORIGINS:
        break;
    }
    return p->creators.used;
}

static uint32_t *
next_of(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i)
{
    switch (kind) {
    case LNT_SLOTS_NICKS:
        return &lnt_user_at(z, i)->hash_next;
    case LNT_SLOTS_NAMES:
        return &lnt_room_at(z, i)->hash_next;
    case LNT_SLOTS_PEERS:
        return &lnt_peer_at(z, i)->hash_next;
    case LNT_SLOTS_ORIGINS:
        break;
    }
    return &lnt_creator_at(z, i)->hash_next;
}

static uint64_t
hash_nick(const struct lnt_zone *z, const char *nick, size_t n)
{
    return lnt_hash(z->map->hash_key, nick, n);
}

static uint64_t
hash_name(const struct lnt_zone *z, uint32_t app, const char *name, size_t n)
{
    return lnt_hash(z->map->hash_key + app, name, n);
}

static uint64_t
hash_peer(const struct lnt_zone *z, uint64_t prefix, uint32_t family)
{
    return lnt_hash(z->map->hash_key + family, &prefix, sizeof(prefix));
}

static uint64_t
hash_of(const struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i)
{
    const struct lnt_zone_user *u = lnt_user_at(z, i);
    const struct lnt_zone_room *r = lnt_room_at(z, i);

    switch (kind) {
    case LNT_SLOTS_NICKS:
        return hash_nick(z, u->nick, u->nick_len);
    case LNT_SLOTS_NAMES:
        return hash_name(z, r->app, r->name, r->name_len);
    case LNT_SLOTS_PEERS:
        return hash_peer(z, lnt_peer_at(z, i)->prefix,
                         lnt_peer_at(z, i)->family);
    case LNT_SLOTS_ORIGINS:
        break;
    }
    return hash_peer(z, lnt_creator_at(z, i)->prefix,
                     lnt_creator_at(z, i)->family);
}

/* The slot of a hash among n active ones. */
static uint32_t
slot_of(uint32_t n, uint64_t hash)
{
    uint32_t mask = n > 1 ? UINT32_MAX >> __builtin_clz(n - 1) : 0;
    uint32_t slot = (uint32_t)hash & mask;

    return slot < n ? slot : slot & (mask >> 1);
}

/* Activates one slot more and gives it what is now its own. */
static void
split(struct lnt_zone *z, enum lnt_slots_kind kind)
{
    struct lnt_zone_slots *s = slots_of(z, kind);
    uint32_t to = s->active;
    uint32_t *from = lnt_zone_slot(z, s, slot_of(to, to));
    uint32_t *taken = lnt_zone_slot(z, s, to);

    LNT_UNDO_SAVE(z, taken);
    LNT_UNDO_SAVE(z, &s->active);
    *taken = 0;
    s->active = to + 1;
    LNT_ZONE_STEP(z);
    while (*from != 0) {
        uint32_t i = *from, *next = next_of(z, kind, i);

        if (slot_of(s->active, hash_of(z, kind, i)) == to) {
            LNT_UNDO_SAVE(z, from);
            LNT_UNDO_SAVE(z, next);
            LNT_UNDO_SAVE(z, taken);
            *from = *next;
            *next = *taken;
            *taken = i;
        } else {
            from = next;
        }
    }
}

void
lnt_slots_add(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i)
{
    struct lnt_zone_slots *s = slots_of(z, kind);
    uint32_t *slot;

    if (nodes_of(z, kind) / NODES_PER_SLOT > s->active && s->active < s->max)
        split(z, kind);
    slot = lnt_zone_slot(z, s, slot_of(s->active, hash_of(z, kind, i)));
    LNT_UNDO_SAVE(z, next_of(z, kind, i));
    LNT_UNDO_SAVE(z, slot);
    *next_of(z, kind, i) = *slot;
    LNT_ZONE_STEP(z);
    *slot = i;
    LNT_ZONE_STEP(z);
}

void
lnt_slots_remove(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t i)
{
    struct lnt_zone_slots *s = slots_of(z, kind);
    uint32_t *at = lnt_zone_slot(z, s, slot_of(s->active, hash_of(z, kind, i)));

    while (*at != i && *at != 0)
        at = next_of(z, kind, *at);
    if (*at == i) {
        LNT_UNDO_SAVE(z, at);
        *at = *next_of(z, kind, i);
    }
    LNT_ZONE_STEP(z);
}

void
lnt_slots_reset(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t n)
{
    struct lnt_zone_slots *s = slots_of(z, kind);
    uint32_t active = n / NODES_PER_SLOT + 1;

    s->active = active < s->max ? active : s->max;
    memset(lnt_zone_slot(z, s, 0), 0, s->active * sizeof(uint32_t));
    LNT_ZONE_STEP(z);
}

uint32_t
lnt_slots_count(struct lnt_zone *z, enum lnt_slots_kind kind, uint32_t max)
{
    const struct lnt_zone_slots *s = slots_of(z, kind);
    uint32_t n = 0;

    for (uint32_t slot = 0; slot < s->active; slot++) {
        uint32_t i = *lnt_zone_slot(z, s, slot);

        for (; i && n <= max; n++)
            i = *next_of(z, kind, i);
    }
    return n;
}

uint32_t
lnt_slots_nick(struct lnt_zone *z, struct lnt_str nick)
{
    const struct lnt_zone_slots *s = &z->map->parts.nicks;
    uint32_t i =
        *lnt_zone_slot(z, s, slot_of(s->active, hash_nick(z, nick.p, nick.n)));

    while (i != 0) {
        const struct lnt_zone_user *u = lnt_user_at(z, i);

        if (lnt_str_eq(lnt_str(u->nick, u->nick_len), nick))
            return i;
        i = u->hash_next;
    }
    return 0;
}

uint32_t
lnt_slots_peer(struct lnt_zone *z, const struct lnt_network *net)
{
    const struct lnt_zone_slots *s = &z->map->parts.addresses;
    uint64_t hash = hash_peer(z, net->prefix, net->family);
    uint32_t i = *lnt_zone_slot(z, s, slot_of(s->active, hash));

    while (i != 0 && (lnt_peer_at(z, i)->prefix != net->prefix ||
                      lnt_peer_at(z, i)->family != net->family))
        i = lnt_peer_at(z, i)->hash_next;
    return i;
}

uint32_t
lnt_slots_origin(struct lnt_zone *z, const struct lnt_creator *by)
{
    const struct lnt_zone_slots *s = &z->map->parts.origins;
    uint64_t hash = hash_peer(z, by->prefix, by->family);
    uint32_t i = *lnt_zone_slot(z, s, slot_of(s->active, hash));

    while (i != 0 && (lnt_creator_at(z, i)->prefix != by->prefix ||
                      lnt_creator_at(z, i)->family != by->family))
        i = lnt_creator_at(z, i)->hash_next;
    return i;
}

uint32_t
lnt_slots_name(struct lnt_zone *z, uint32_t app, struct lnt_str name)
{
    const struct lnt_zone_slots *s = &z->map->parts.names;
    uint32_t i = *lnt_zone_slot(
        z, s, slot_of(s->active, hash_name(z, app, name.p, name.n)));

    while (i != 0) {
        const struct lnt_zone_room *r = lnt_room_at(z, i);

        if (r->app == app && lnt_str_eq(lnt_str(r->name, r->name_len), name))
            return i;
        i = r->hash_next;
    }
    return 0;
}
