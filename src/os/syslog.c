/*
 * The system log, spoken to as syslog(3) does but without waiting: a log that
 * cannot follow costs lines, not the time of a worker.
 */
#include "os/syslog.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LOG_SOCKET "/dev/log"

static int
connect_log(int fd)
{
    static const struct sockaddr_un to = {.sun_family = AF_UNIX,
                                          .sun_path = LOG_SOCKET};
    return connect(fd, (const struct sockaddr *)&to, sizeof(to));
}

int
lnt_syslog_open(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)connect_log(fd); /* a line that is sent tries again */
    return fd;
}

/* "<190>Nov 21 22:14:05 linnet[1234]: ", local time, as syslog(3) writes it
   whatever the locale is. */
static size_t
build_head(char *out, size_t size)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                       "May", "Jun", "Jul", "Aug",
                                       "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm = {0};
    localtime_r(&now, &tm);
    int n = snprintf(out, size, "<%d>%s %2d %02d:%02d:%02d linnet[%d]: ",
                     LOG_LOCAL7 | LOG_INFO, months[tm.tm_mon % 12], tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, (int)getpid());
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

int
lnt_syslog_send(int fd, const char *p, size_t n)
{
    char head[96], *text = (char *)(uintptr_t)p; /* iov_base is not const */
    struct iovec iov[2] = {{head, build_head(head, sizeof(head))}, {text, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    bool tried = false;
    while (sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        bool gone = errno == ENOTCONN || errno == ECONNREFUSED ||
                    errno == ECONNRESET || errno == EDESTADDRREQ;
        if (tried || !gone || connect_log(fd) < 0)
            return -1;
        tried = true;
    }
    return 0;
}
