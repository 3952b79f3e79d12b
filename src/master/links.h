/*
 * Links between two workers of this master on demand.
 */
#ifndef LNT_MASTER_LINKS_H
#define LNT_MASTER_LINKS_H

struct lnt_child;
struct lnt_frame;
struct lnt_master;

/* A worker wants a link to another one (its LINK frame); it is answered.  Only a
   worker that serves, and does not end, is linked to. */
void lnt_links_ask(struct lnt_master *m, struct lnt_child *c,
                   const struct lnt_frame *f);

#endif
