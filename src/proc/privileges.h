/*
 * What the master's children give up.
 */
#ifndef LNT_PROC_PRIVILEGES_H
#define LNT_PROC_PRIVILEGES_H

struct lnt_server_conf;
struct lnt_strbuf;

/* Becomes user and group of the configuration, if this process is root's.  0,
   or -1 with why. */
int lnt_privileges_drop(const struct lnt_server_conf *conf,
                        struct lnt_strbuf *why);

#endif
