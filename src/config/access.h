/*
 * Where the access log goes.  What is written there is the business of http.
 */
#ifndef LNT_CONFIG_ACCESS_H
#define LNT_CONFIG_ACCESS_H

/* "stderr", "syslog" or a path: a descriptor to write to, or -1 with errno. */
int lnt_access_open(const char *target);

#endif
