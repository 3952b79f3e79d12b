/*
 * The names of a worker's sessions without a connection (detached.h), and how
 * many of them have no transport.  Private to net/.
 */
#ifndef LNT_NET_NAMES_H
#define LNT_NET_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"
#include "os/socket.h"

struct lnt_detached;
struct lnt_net;

void lnt_names_add(struct lnt_net *n, struct lnt_detached *d);
void lnt_names_remove(struct lnt_net *n, struct lnt_detached *d);
struct lnt_detached *lnt_names_find(const struct lnt_net *n,
                                    struct lnt_str name);
/* Whether there are max of that network without a transport. */
bool lnt_names_full(const struct lnt_net *n, const struct lnt_network *net,
                    uint64_t max);
void lnt_names_free(struct lnt_net *n);

#endif
