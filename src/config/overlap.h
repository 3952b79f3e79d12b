/*
 * Paths and addresses of a configuration that cannot be used side by side.
 */
#ifndef LNT_CONFIG_OVERLAP_H
#define LNT_CONFIG_OVERLAP_H

struct lnt_config;
struct lnt_report;

/* Reports listen addresses that overlap, and files of the server that would be
   in each other's place, each with both places. */
void lnt_overlap_check(const struct lnt_config *c, struct lnt_report *report);

#endif
