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
/* From its network, too. */
void lnt_names_remove(struct lnt_net *n, struct lnt_detached *d);
/* It is of that network from now on; out of the one that it was of. */
void lnt_names_enter(struct lnt_net *n, struct lnt_detached *d,
                     const struct lnt_network *net);
void lnt_names_leave(struct lnt_net *n, struct lnt_detached *d);
/* Sets its transport, 0 none. */
void lnt_names_transport(struct lnt_detached *d, uint64_t transport);
struct lnt_detached *lnt_names_find(const struct lnt_net *n,
                                    struct lnt_str name);
/* Whether there are max of that network, or of its own, without a transport. */
bool lnt_names_full(const struct lnt_net *n, const struct lnt_network *net,
                    uint64_t max);
bool lnt_names_crowded(const struct lnt_detached *d, uint64_t max);
void lnt_names_free(struct lnt_net *n);

#endif
