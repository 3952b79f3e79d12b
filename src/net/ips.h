/*
 * How many connections each peer address has.  Private to net/.
 */
#ifndef LNT_NET_IPS_H
#define LNT_NET_IPS_H

#include <stdint.h>

struct lnt_addr;
struct lnt_ips;

struct lnt_ips *lnt_ips_new(void);
void lnt_ips_free(struct lnt_ips *t);
/*
 * Counts one more connection of the address unless it has max already.
 * Returns its number in the table (for lnt_ips_drop), or 0 when refused.
 * A v6 address counts by its /64, the least a customer is given.
 */
uint32_t lnt_ips_add(struct lnt_ips *t, const struct lnt_addr *a, int64_t max);
void lnt_ips_drop(struct lnt_ips *t, uint32_t number);

#endif
