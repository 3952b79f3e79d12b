/*
 * The system log, spoken to as syslog(3) does but without waiting: a log that
 * cannot follow costs lines, not the time of a worker.
 */
#include "os/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#include "os/file.h"

#define LOG_SOCKET "/dev/log"

static int
make_socket(int type)
{
    return socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int
connect_log(int fd)
{
    static const struct sockaddr_un to = {.sun_family = AF_UNIX,
                                          .sun_path = LOG_SOCKET};
    return connect(fd, (const struct sockaddr *)&to, sizeof(to));
}

bool
lnt_syslog_is_stream(int fd)
{
    int type = 0;
    socklen_t n = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
           type == SOCK_STREAM;
}

/* In place of fd, because a stream does not connect twice; and a few system
   logs listen on a stream. */
static int
connect_anew(int fd)
{
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (size_t i = 0; i < 2; i++) {
        int s = make_socket(types[i]);
        if (s < 0)
            return -1;
        int rc = connect_log(s);
        int error = errno;
        if (rc == 0 && dup3(s, fd, O_CLOEXEC) < 0)
            rc = -1;
        lnt_file_close(s);
        if (rc == 0 || error != EPROTOTYPE)
            return rc;
    }
    return -1;
}

int
lnt_syslog_open(void)
{
    int fd = make_socket(SOCK_DGRAM);
    if (fd >= 0 && connect_log(fd) < 0)
        (void)connect_anew(fd); /* a message that is sent tries again */
    return fd;
}

/* "<190>Nov 21 22:14:05 linnet[1234]: ", local time, as syslog(3) writes it
   whatever the locale is. */
size_t
lnt_syslog_head(char head[LNT_SYSLOG_HEAD], int priority)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                       "May", "Jun", "Jul", "Aug",
                                       "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm = {0};
    localtime_r(&now, &tm);
    int n = snprintf(head, LNT_SYSLOG_HEAD,
                     "<%d>%s %2d %02d:%02d:%02d linnet[%d]: ", priority,
                     months[tm.tm_mon % 12], tm.tm_mday, tm.tm_hour, tm.tm_min,
                     tm.tm_sec, (int)getpid());
    return n > 0 && n < LNT_SYSLOG_HEAD ? (size_t)n : 0;
}

static bool
is_gone(int error)
{
    return error == ENOTCONN || error == ECONNREFUSED || error == ECONNRESET ||
           error == EDESTADDRREQ || error == EPIPE;
}

ssize_t
lnt_syslog_send(int fd, bool *stream, bool rest, const char *p, size_t n)
{
    size_t text = n > 0 && p[n - 1] == '\n' ? n - 1 : n;
    /* iov_base is not const. */
    struct iovec iov[2] = {{(char *)(uintptr_t)p, text}, {"", n - text}};
    struct msghdr m = {.msg_iov = iov};
    bool tried = false;
    ssize_t sent;
    m.msg_iovlen = *stream ? 2 : 1;
    while ((sent = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == ENOBUFS)
            errno = EAGAIN;
        bool gone = is_gone(errno);
        if (gone && rest) {
            errno = EPIPE;
            return -1;
        }
        if (tried || !gone || connect_anew(fd) < 0)
            return -1;
        *stream = lnt_syslog_is_stream(fd);
        m.msg_iovlen = *stream ? 2 : 1;
        tried = true;
    }
    return *stream ? sent : (ssize_t)n;
}

void
lnt_syslog_say(int priority, const char *text)
{
    char line[LNT_SYSLOG_HEAD + 1024];
    int saved = errno;
    int fd = lnt_syslog_open();
    if (fd >= 0) {
        size_t head = lnt_syslog_head(line, priority);
        size_t n = strnlen(text, sizeof(line) - head - 1);
        bool stream = lnt_syslog_is_stream(fd);
        memcpy(line + head, text, n);
        line[head + n++] = '\n';
        (void)lnt_syslog_send(fd, &stream, false, line, head + n);
        close(fd);
    }
    errno = saved;
}
