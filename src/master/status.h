/*
 * What the server looks like now, for people and for programs.
 */
#ifndef LNT_MASTER_STATUS_H
#define LNT_MASTER_STATUS_H

#include <stdbool.h>

struct lnt_master;
struct lnt_strbuf;

void lnt_status_json(const struct lnt_master *m, struct lnt_strbuf *out);
void lnt_status_text(const struct lnt_master *m, struct lnt_strbuf *out);
/* false: out says who has locked the zone. */
bool lnt_status_rooms(struct lnt_master *m, struct lnt_strbuf *out);
bool lnt_status_zone(struct lnt_master *m, struct lnt_strbuf *out);

#endif
