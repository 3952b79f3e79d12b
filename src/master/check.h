/*
 * What -t finds out about the machine: whether a start would succeed with this
 * configuration, as far as that can be known without doing it.
 */
#ifndef LNT_MASTER_CHECK_H
#define LNT_MASTER_CHECK_H

struct lnt_config;
struct lnt_strbuf;

/*
 * Appends a line to errors for what keeps any server from starting with c, and
 * one to warnings for what may: what this user must not do but another one
 * could, an address that some program has now, a limit of this process.  Makes
 * and changes no file, takes no lock and connects to nobody, so a server that
 * runs is not disturbed.  0, or -1 when there are errors.
 */
int lnt_config_check(const struct lnt_config *c, struct lnt_strbuf *errors,
                     struct lnt_strbuf *warnings);

#endif
