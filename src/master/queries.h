/*
 * Questions that go through the master: those of workers to each other, and
 * those of operators that workers answer.
 */
#ifndef LNT_MASTER_QUERIES_H
#define LNT_MASTER_QUERIES_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_asker;
struct lnt_child;
struct lnt_frame;
struct lnt_master;
struct lnt_strbuf;

/* REQUEST, REPLY, SET and RESTARTED frames of a child; false: another one. */
bool lnt_queries_frame(struct lnt_master *m, struct lnt_child *c,
                       const struct lnt_frame *f);

/* Commands of operators; the asker hears the answer. */
void lnt_queries_conns(struct lnt_master *m, struct lnt_asker *a);
void lnt_queries_kick(struct lnt_master *m, struct lnt_str id,
                      struct lnt_asker *a);
void lnt_queries_publish(struct lnt_master *m, struct lnt_str room,
                         struct lnt_str text, struct lnt_asker *a);
/* From the zone alone.  false: out says who has locked it. */
bool lnt_queries_rooms(struct lnt_master *m, struct lnt_strbuf *out);
bool lnt_queries_zone(struct lnt_master *m, struct lnt_strbuf *out);

#endif
