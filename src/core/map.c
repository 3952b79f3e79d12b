/*
 * A hash table of structs that have a node in them.
 */
#include "core/map.h"

#include <stdlib.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"

enum { BITS_FIRST = 4 };

void
lnt_map_seed(struct lnt_map *m)
{
    while (m->seed == 0)
        lnt_random(&m->seed, sizeof(m->seed));
}

uint64_t
lnt_map_hash(const struct lnt_map *m, uint64_t salt, struct lnt_str key)
{
    lnt_assert(m->seed != 0);
    return lnt_hash(m->seed ^ salt, key.p, key.n);
}

static size_t
size_of(const struct lnt_map *m)
{
    return m->slots ? (size_t)1 << m->bits : 0;
}

/* The high bits: of a number's hash they are the good ones. */
static struct lnt_map_node **
slot_of(const struct lnt_map *m, uint64_t hash)
{
    return &m->slots[hash >> (64 - m->bits)];
}

static void
put(struct lnt_map *m, struct lnt_map_node *node)
{
    struct lnt_map_node **slot = slot_of(m, node->hash);

    node->next = *slot;
    *slot = node;
}

static void
grow(struct lnt_map *m)
{
    struct lnt_map_node **old = m->slots;
    size_t n = size_of(m);

    m->bits = n ? m->bits + 1 : BITS_FIRST;
    m->slots = lnt_calloc((size_t)1 << m->bits, sizeof(*m->slots));
    for (size_t i = 0; i < n; i++) {
        for (struct lnt_map_node *node = old[i], *next; node; node = next) {
            next = node->next;
            put(m, node);
        }
    }
    free(old);
}

void
lnt_map_add(struct lnt_map *m, struct lnt_map_node *node, uint64_t hash)
{
    if (m->n * 2 >= size_of(m))
        grow(m);
    node->hash = hash;
    put(m, node);
    m->n++;
}

void
lnt_map_remove(struct lnt_map *m, struct lnt_map_node *node)
{
    struct lnt_map_node **at = slot_of(m, node->hash);

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    m->n--;
}

void
lnt_map_release(struct lnt_map *m)
{
    free(m->slots);
    *m = (struct lnt_map){0};
}

struct lnt_map_node *
lnt_map_next(const struct lnt_map *m, const struct lnt_map_node *node)
{
    struct lnt_map_node **slot, **end;

    if (m->n == 0)
        return NULL;
    if (node && node->next)
        return node->next;
    slot = node ? slot_of(m, node->hash) + 1 : m->slots;
    end = m->slots + size_of(m);
    while (slot < end && !*slot)
        slot++;
    return slot < end ? *slot : NULL;
}
