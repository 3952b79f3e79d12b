/*
 * Which worker has a session without a connection: all others are asked.  Names
 * of such sessions say where they began, but they move.
 */
#ifndef LNT_WORKER_SEEK_H
#define LNT_WORKER_SEEK_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_loop;
struct lnt_net;
struct lnt_seek;
struct lnt_server_info;
struct lnt_wish;
struct lnt_zone;

struct lnt_seek_params {
    struct lnt_loop *loop;
    struct lnt_net *net;
    struct lnt_zone *zone;
    const struct lnt_server_info *server;
};

struct lnt_seek *lnt_seek_new(const struct lnt_seek_params *p);
void lnt_seek_free(struct lnt_seek *k);
/* Owns w until next gives it back, at w->until at the latest. */
void lnt_seek_add(struct lnt_seek *k, struct lnt_wish *w);
/* The next one that is done with, the caller's now; NULL: no more for now.
   w->worker has its session; 0: nobody has. */
struct lnt_wish *lnt_seek_next(struct lnt_seek *k);
/* Forgets all of them. */
void lnt_seek_drop(struct lnt_seek *k);

#endif
