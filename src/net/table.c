/*
 * The table of connections: an array of pointers and a stack of free places.
 */
#include "net/table.h"

#include "core/log.h"
#include "core/mem.h"
#include "net/conn.h"
#include "net/stats.h"

enum { SERIAL_BITS = 53 - LNT_ID_INDEX_BITS - LNT_ID_CELL_BITS };

static void
grow(struct lnt_net *n)
{
    uint32_t cap = n->table_cap ? n->table_cap + n->table_cap / 2 : 64;
    if (cap > LNT_TABLE_MAX)
        cap = LNT_TABLE_MAX;
    n->table = lnt_realloc(n->table, cap * sizeof(n->table[0]));
    if (n->sent)
        n->sent = lnt_realloc(n->sent, cap * sizeof(n->sent[0]));
    n->free_list = lnt_realloc(n->free_list, cap * sizeof(n->free_list[0]));
    /* The lowest numbers are taken first. */
    for (uint32_t i = cap; i > n->table_cap; i--) {
        n->table[i - 1] = NULL;
        n->free_list[n->table_free++] = i - 1;
    }
    n->table_cap = cap;
}

static void
tell(struct lnt_net *n)
{
    __atomic_store_n(&n->stats->connections, n->count - n->detached,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&n->stats->detached, n->detached, __ATOMIC_RELAXED);
}

bool
lnt_table_add(struct lnt_net *n, struct lnt_conn *c)
{
    if (n->table_free == 0) {
        if (n->table_cap == LNT_TABLE_MAX)
            return false;
        grow(n);
    }
    c->index = n->free_list[--n->table_free];
    c->serial = ++n->serial & ((1u << SERIAL_BITS) - 1);
    if (c->serial == 0)
        c->serial = 1;
    n->table[c->index] = c;
    if (n->sent)
        n->sent[c->index] = 0;
    n->count++;
    n->detached += lnt_conn_is_detached(c);
    tell(n);
    return true;
}

void
lnt_table_remove(struct lnt_net *n, struct lnt_conn *c)
{
    lnt_assert(n->table[c->index] == c);
    n->table[c->index] = NULL;
    n->free_list[n->table_free++] = c->index;
    n->count--;
    n->detached -= lnt_conn_is_detached(c);
    tell(n);
}

uint64_t
lnt_table_id(const struct lnt_conn *c)
{
    return (uint64_t)c->serial << (LNT_ID_INDEX_BITS + LNT_ID_CELL_BITS) |
           (uint64_t)c->index << LNT_ID_CELL_BITS | c->net->cell;
}

struct lnt_conn *
lnt_table_find(const struct lnt_net *n, uint64_t id)
{
    uint32_t index = lnt_net_index(id);
    if (index >= n->table_cap || !n->table[index])
        return NULL;
    struct lnt_conn *c = n->table[index];
    return lnt_table_id(c) == id ? c : NULL;
}
