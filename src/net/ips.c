/*
 * Peer addresses and their connections: a chained hash over an array of
 * nodes, so that a connection can name its node by a number that lasts.
 */
#include "net/ips.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "os/socket.h"

struct node {
    uint8_t key[16];
    uint32_t count, next; /* next: number in the chain or the free list */
};

struct lnt_ips {
    uint64_t seed;
    struct node *nodes; /* number 0 is not used */
    uint32_t n, cap, free;
    uint32_t *buckets;
    uint32_t mask;
};

struct lnt_ips *
lnt_ips_new(void)
{
    struct lnt_ips *t = lnt_calloc(1, sizeof(*t));
    lnt_random(&t->seed, sizeof(t->seed));
    t->mask = 255;
    t->buckets = lnt_calloc(t->mask + 1, sizeof(uint32_t));
    t->n = 1;
    return t;
}

void
lnt_ips_free(struct lnt_ips *t)
{
    if (!t)
        return;
    free(t->nodes);
    free(t->buckets);
    free(t);
}

static void
make_key(uint8_t key[16], const struct lnt_addr *a)
{
    memset(key, 0, 16);
    if (a->ss.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &a->ss, sizeof(in));
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &in.sin_addr, 4);
    } else if (a->ss.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &a->ss, sizeof(in6));
        memcpy(key, &in6.sin6_addr,
               IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? 16 : 8);
    }
}

static uint32_t *
bucket_of(struct lnt_ips *t, const uint8_t key[16])
{
    return &t->buckets[lnt_hash(t->seed, key, 16) & t->mask];
}

static void
rehash(struct lnt_ips *t)
{
    t->mask = t->mask * 2 + 1;
    free(t->buckets);
    t->buckets = lnt_calloc((size_t)t->mask + 1, sizeof(uint32_t));
    for (uint32_t i = 1; i < t->n; i++) {
        if (t->nodes[i].count == 0)
            continue; /* in the free list */
        uint32_t *b = bucket_of(t, t->nodes[i].key);
        t->nodes[i].next = *b;
        *b = i;
    }
}

static uint32_t
new_node(struct lnt_ips *t)
{
    if (t->free) {
        uint32_t i = t->free;
        t->free = t->nodes[i].next;
        return i;
    }
    if (t->n >= t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->nodes = lnt_realloc(t->nodes, t->cap * sizeof(struct node));
    }
    return t->n++;
}

uint32_t
lnt_ips_add(struct lnt_ips *t, const struct lnt_addr *a, int64_t max)
{
    uint8_t key[16];
    make_key(key, a);
    for (uint32_t i = *bucket_of(t, key); i; i = t->nodes[i].next) {
        if (memcmp(t->nodes[i].key, key, 16) != 0)
            continue;
        if (t->nodes[i].count >= max)
            return 0;
        t->nodes[i].count++;
        return i;
    }
    if (t->n > t->mask)
        rehash(t);
    uint32_t i = new_node(t);
    uint32_t *b = bucket_of(t, key);
    memcpy(t->nodes[i].key, key, 16);
    t->nodes[i].count = 1;
    t->nodes[i].next = *b;
    *b = i;
    return i;
}

void
lnt_ips_drop(struct lnt_ips *t, uint32_t number)
{
    struct node *node = &t->nodes[number];
    lnt_assert(number > 0 && number < t->n && node->count > 0);
    if (--node->count)
        return;
    uint32_t *link = bucket_of(t, node->key);
    while (*link != number)
        link = &t->nodes[*link].next;
    *link = node->next;
    node->next = t->free;
    t->free = number;
}
