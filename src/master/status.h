/*
 * What the server looks like now, for people and for programs.
 */
#ifndef LNT_MASTER_STATUS_H
#define LNT_MASTER_STATUS_H

struct lnt_master;
struct lnt_strbuf;

void lnt_status_json(const struct lnt_master *m, struct lnt_strbuf *out);
void lnt_status_text(const struct lnt_master *m, struct lnt_strbuf *out);

#endif
