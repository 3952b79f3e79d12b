/*
 * What the master's children give up, and what a process may not.
 */
#ifndef LNT_CONFIG_PRIVILEGES_H
#define LNT_CONFIG_PRIVILEGES_H

struct lnt_server_conf;
struct lnt_strbuf;

/* Becomes user and group of the configuration, if this process is root's.  0,
   or -1 with why. */
int lnt_privileges_drop(const struct lnt_server_conf *conf,
                        struct lnt_strbuf *why);

/* When modes keep this process from a file (lnt_file_barrier), appends to why
   ": " and what is in the way. */
void lnt_privileges_explain(const char *path, int want, struct lnt_strbuf *why);

#endif
