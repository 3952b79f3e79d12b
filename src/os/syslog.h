/*
 * The system log for lines that come by the thousand: never waits for it.
 */
#ifndef LNT_OS_SYSLOG_H
#define LNT_OS_SYSLOG_H

#include <stddef.h>

/* A socket to the system log, also when nobody listens there yet.  fd, or -1
   with errno. */
int lnt_syslog_open(void);

/*
 * Sends one line (without line end) as local7.info of "linnet"; connects anew
 * when the system log was started again.  0, or -1 with errno: EAGAIN when it
 * cannot follow.
 */
int lnt_syslog_send(int fd, const char *p, size_t n);

#endif
