/*
 * The system log, spoken to as syslog(3) does but without waiting.
 */
#ifndef LNT_OS_SYSLOG_H
#define LNT_OS_SYSLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A socket to the system log, also when nobody listens there yet.  fd, or -1
   with errno. */
int lnt_syslog_open(void);

/* What a message begins with, written into head; its length. */
enum { LNT_SYSLOG_HEAD = 96 };
size_t lnt_syslog_head(char head[LNT_SYSLOG_HEAD], int priority);

/* Whether fd is connected to a stream, where a NUL ends a message. */
bool lnt_syslog_is_stream(int fd);

/*
 * Sends one message, head and text and '\n' (which is not sent, or as a NUL on
 * a stream); connects anew when the system log was started again, and then
 * sets *stream as above.  Returns n, or on a stream what it took of that: then
 * the rest is yet to be sent, with rest set.  -1 with errno: EAGAIN when it
 * cannot follow; EPIPE for a rest whose connection is gone.
 */
ssize_t lnt_syslog_send(int fd, bool *stream, bool rest, const char *p,
                        size_t n);

/* One message on a socket of its own, if the system log takes it. */
void lnt_syslog_say(int priority, const char *text);

#endif
