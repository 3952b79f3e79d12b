/*
 * The table of a worker's connections: numbers that name them, and the way to
 * walk over all.  Private to net/.
 */
#ifndef LNT_NET_TABLE_H
#define LNT_NET_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_conn;
struct lnt_net;

enum { LNT_TABLE_MAX = 1 << 20 };

/* false: LNT_TABLE_MAX connections are open. */
bool lnt_table_add(struct lnt_net *n, struct lnt_conn *c);
void lnt_table_remove(struct lnt_net *n, struct lnt_conn *c);
/* cell, index and a running number: below 2^53, so that JSON carries it. */
uint64_t lnt_table_id(const struct lnt_conn *c);
struct lnt_conn *lnt_table_find(const struct lnt_net *n, uint64_t id);

#endif
