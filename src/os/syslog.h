/*
 * The system log, spoken to as syslog(3) does but without waiting.
 */
#ifndef LNT_OS_SYSLOG_H
#define LNT_OS_SYSLOG_H

#include <stddef.h>

/* A socket to the system log, also when nobody listens there yet.  fd, or -1
   with errno. */
int lnt_syslog_open(void);

/* What a message begins with, written into head; its length. */
enum { LNT_SYSLOG_HEAD = 96 };
size_t lnt_syslog_head(char head[LNT_SYSLOG_HEAD], int priority);

/*
 * Sends one message, head and text without line end; connects anew when the
 * system log was started again.  0, or -1 with errno: EAGAIN when it cannot
 * follow.
 */
int lnt_syslog_send(int fd, const char *p, size_t n);

/* One message on a socket of its own, if the system log takes it. */
void lnt_syslog_say(int priority, const char *text);

#endif
