/*
 * Sockets: listeners, accepted connections, pairs, and their few options.
 * All descriptors are close-on-exec.  Addresses as text are addr.c's, passing
 * descriptors is fdpass.c's; who listens where is left to the master.
 */
#include "os/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/file.h"

static int bind_inet(const struct lnt_addr *a, bool beside);
static int bind_one(const struct lnt_addr *a, bool beside);
static int listen_unix(const struct lnt_addr *a, int backlog, mode_t mode);
static bool is_any_v6(const struct lnt_addr *a);
static int remove_stale(const struct sockaddr_un *un, socklen_t len);
static void unmap_v4(struct lnt_addr *a);

int
lnt_socket_listen(const struct lnt_addr *a, int backlog, mode_t mode)
{
    if (lnt_addr_is_unix(a))
        return listen_unix(a, backlog, mode);

    int fd = bind_inet(a, false);
    if (fd < 0 || listen(fd, backlog) == 0)
        return fd;
    lnt_file_close(fd);
    return -1;
}

int
lnt_socket_share(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

int
lnt_socket_bind_beside(const struct lnt_addr *a)
{
    return bind_inet(a, true);
}

int
lnt_socket_try(const struct lnt_addr *a)
{
    int fd = bind_inet(a, false);

    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

void
lnt_socket_adopt(struct lnt_addr *a, int fd)
{
    int only = 0;
    socklen_t n = sizeof(only);

    if (!is_any_v6(a))
        return;
    /* An IPv4 socket, which knows no such option, is what a machine without
       IPv6 has for both. */
    a->both = getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &n) < 0 || !only;
}

int
lnt_socket_chmod(const struct lnt_addr *a, mode_t mode)
{
    char self[64];
    struct sockaddr_un un;
    struct stat st;

    memcpy(&un, &a->ss, sizeof(un));
    /* By its descriptor: what is done to a socket must not be done to what
       somebody has put in its place. */
    int fd = open(un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    int rc = fstat(fd, &st);
    if (rc == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) != mode)
        rc = chmod(self, mode);
    lnt_file_close(fd);
    return rc;
}

int
lnt_socket_accept(int fd, struct lnt_addr *peer)
{
    int conn;

    do {
        if (peer)
            peer->len = sizeof(peer->ss);
        conn = accept4(fd, peer ? (struct sockaddr *)&peer->ss : NULL,
                       peer ? &peer->len : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (conn < 0 && errno == EINTR);
    if (!peer)
        return conn;
    if (conn < 0)
        peer->len = 0;
    else
        unmap_v4(peer);
    return conn;
}

int
lnt_socket_connect_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n >= sizeof(un.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(un.sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* Unlike a TCP socket, a unix one that was interrupted is not connecting
       in the background: simply ask again. */
    while (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0) {
        if (errno == EINTR)
            continue;
        lnt_file_close(fd);
        return -1;
    }
    return fd;
}

bool
lnt_socket_probe_unix(const char *path, pid_t *pid)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    size_t n = strlen(path);

    if (n >= sizeof(un.sun_path))
        return false;
    memcpy(un.sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (const struct sockaddr *)&un, sizeof(un));
    bool there = rc == 0 || errno == EAGAIN; /* its backlog is full */
    if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        *pid = peer.pid;
    close(fd);
    return there;
}

int
lnt_socket_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                      fds);
}

void
lnt_socket_nodelay(int fd)
{
    int on = 1;

    /* Fails on unix sockets, which never delay. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

size_t
lnt_socket_unacked(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCOUTQ, &n) < 0 || n < 0 ? 0 : (size_t)n;
}

void
lnt_socket_user_timeout(int fd, uint64_t given)
{
    unsigned ms = given < INT_MAX ? (unsigned)given : INT_MAX;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

bool
lnt_socket_has_unsent(int fd)
{
    int n = 0;

    /* Fails on unix sockets, where the peer has what was written. */
    return ioctl(fd, SIOCOUTQNSD, &n) == 0 && n > 0;
}

/* A bound TCP socket; beside: those that let it, too. */
static int
bind_inet(const struct lnt_addr *a, bool beside)
{
    int fd = bind_one(a, beside);

    if (fd >= 0 || !is_any_v6(a) || !a->both ||
        (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;

    struct sockaddr_in6 v6;
    struct lnt_addr any = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    memcpy(&v6, &a->ss, sizeof(v6));
    v4.sin_port = v6.sin6_port;
    memcpy(&any.ss, &v4, sizeof(v4));
    return bind_one(&any, beside);
}

static int
bind_one(const struct lnt_addr *a, bool beside)
{
    int on = 1;
    int fd =
        socket(a->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        goto fail;
    if (beside && lnt_socket_share(fd) < 0)
        goto fail;
    if (a->ss.ss_family == AF_INET6) {
        int only = !is_any_v6(a) || !a->both;

        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
            goto fail;
    }
    if (bind(fd, (const struct sockaddr *)&a->ss, a->len) < 0)
        goto fail;
    return fd;
fail:
    lnt_file_close(fd);
    return -1;
}

static int
listen_unix(const struct lnt_addr *a, int backlog, mode_t mode)
{
    struct sockaddr_un un;

    memcpy(&un, &a->ss, sizeof(un));
    if (remove_stale(&un, a->len) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* The mask, not chmod afterwards: there is no moment in which the file
       is open to more than it should be. */
    mode_t mask = umask(~mode & 0777);
    int rc = bind(fd, (const struct sockaddr *)&a->ss, a->len);
    umask(mask);
    if (rc < 0) {
        lnt_file_close(fd);
        return -1;
    }
    if (listen(fd, backlog) < 0) {
        int saved = errno;

        unlink(un.sun_path);
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static bool
is_any_v6(const struct lnt_addr *a)
{
    struct sockaddr_in6 v6;

    if (a->ss.ss_family != AF_INET6)
        return false;
    memcpy(&v6, &a->ss, sizeof(v6));
    return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

/* Removes a socket file on which nobody accepts; anything else stays and is
   EADDRINUSE. */
static int
remove_stale(const struct sockaddr_un *un, socklen_t len)
{
    struct stat st;

    if (lstat(un->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISSOCK(st.st_mode)) {
        errno = EADDRINUSE;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = connect(fd, (const struct sockaddr *)un, len);
    int error = rc < 0 ? errno : 0;
    close(fd);
    /* EAGAIN is a full backlog and EPROTOTYPE another kind of socket: both
       have an owner. */
    if (error != ECONNREFUSED && error != ENOENT) {
        errno = error == EACCES ? EACCES : EADDRINUSE;
        return -1;
    }
    if (unlink(un->sun_path) < 0 && errno != ENOENT)
        return -1;
    return 0;
}

/* A v4 client of a listener for both is a v4 client. */
static void
unmap_v4(struct lnt_addr *a)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    if (a->len < sizeof(v6) || a->ss.ss_family != AF_INET6)
        return;
    memcpy(&v6, &a->ss, sizeof(v6));
    if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    v4.sin_port = v6.sin6_port;
    memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
    memset(&a->ss, 0, sizeof(a->ss));
    memcpy(&a->ss, &v4, sizeof(v4));
    a->len = sizeof(v4);
}
