/*
 * A hash table of structs that have a node in them: chained, twice as large
 * when half of it is full, never smaller.  Owns the table, not what is in it.
 *
 * The caller computes hashes and compares keys: what has the hash of a key is
 * what lnt_map_find and lnt_map_more give.  The hash of a number is that of no
 * other number, so there is nothing to compare.
 */
#ifndef LNT_CORE_MAP_H
#define LNT_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/owner.h"
#include "core/str.h"

struct lnt_map_node {
    struct lnt_map_node *next;
    uint64_t hash;
};

/* Zeroed is an empty one. */
struct lnt_map {
    struct lnt_map_node **slots; /* 1 << bits */
    unsigned bits;
    size_t n;
    uint64_t seed; /* of lnt_map_hash */
};

/* Draws the seed, unless there is one. */
void lnt_map_seed(struct lnt_map *m);
/* Of bytes that strangers choose; the map has a seed.  salt: what else belongs
   to the key. */
uint64_t lnt_map_hash(const struct lnt_map *m, uint64_t salt,
                      struct lnt_str key);
/* Of a number that no stranger chooses.  Each step can be taken back, so no
   other number has it. */
static inline uint64_t
lnt_map_number(uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    key ^= key >> 32;
    return key * UINT64_C(0x9e3779b97f4a7c15);
}

/* No look whether there is one with that key. */
void lnt_map_add(struct lnt_map *m, struct lnt_map_node *node, uint64_t hash);
/* It is in there. */
void lnt_map_remove(struct lnt_map *m, struct lnt_map_node *node);
/* Frees the table. */
void lnt_map_release(struct lnt_map *m);

/* The first node from here on that has that hash; NULL. */
static inline struct lnt_map_node *
lnt_map_same(struct lnt_map_node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

/* The first that has that hash; NULL. */
static inline struct lnt_map_node *
lnt_map_find(const struct lnt_map *m, uint64_t hash)
{
    return m->n ? lnt_map_same(m->slots[hash >> (64 - m->bits)], hash) : NULL;
}

/* The next with the same hash; NULL. */
static inline struct lnt_map_node *
lnt_map_more(const struct lnt_map_node *node)
{
    return lnt_map_same(node->next, node->hash);
}

/* The one behind it, in no order; NULL: the first of all, or no more. */
struct lnt_map_node *lnt_map_next(const struct lnt_map *m,
                                  const struct lnt_map_node *node);

/* The struct of that type whose member has that hash, or NULL. */
#define LNT_MAP_FIND(m, hash, type, member)                                    \
    ((type *)lnt_owner_or_null(lnt_map_find(m, hash), offsetof(type, member)))

/* for (type *x ...) all, in no order.  x may be removed and freed meanwhile. */
#define LNT_MAP_EACH(m, type, x, member)                                       \
    for (type *x =                                                             \
             lnt_owner_or_null(lnt_map_next(m, NULL), offsetof(type, member)), \
              *x##_next;                                                       \
         x && (x##_next = lnt_owner_or_null(lnt_map_next(m, &x->member),       \
                                            offsetof(type, member)),           \
              true);                                                           \
         x = x##_next)

#endif
