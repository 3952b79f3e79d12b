/*
 * Messages with descriptors (SCM_RIGHTS).  What travels in them and in which
 * order is left to the channel; here no descriptor is ever leaked, whatever
 * the other side sends.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/socket.h"

/* As cmsg(3) wants it: aligned for a header. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * LNT_FDS_MAX)];
};

static size_t take_fds(struct msghdr *m, int *fds, size_t room, bool *over);

ssize_t
lnt_socket_send_fds(int fd, const struct iovec *iov, size_t niov,
                    const int *fds, size_t nfds)
{
    union control control;
    struct msghdr m = {.msg_iovlen = niov};
    ssize_t n;

    if (nfds > LNT_FDS_MAX) {
        errno = EINVAL;
        return -1;
    }
    /* sendmsg only reads the vector, but its type does not say so. */
    memcpy(&m.msg_iov, &iov, sizeof(m.msg_iov));
    if (nfds) {
        memset(&control, 0, sizeof(control));
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);

        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
    }
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t
lnt_socket_recv_fds(int fd, void *buf, size_t size, int *fds, size_t *nfds)
{
    union control control;
    struct iovec iov = {.iov_base = buf, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t room = *nfds < LNT_FDS_MAX ? *nfds : LNT_FDS_MAX;
    bool over = false;
    ssize_t n;

    *nfds = 0;
    do {
        m.msg_control = room ? control.bytes : NULL;
        /* CMSG_LEN, not CMSG_SPACE: the padding would be filled with one
           descriptor more than there is room for. */
        m.msg_controllen = room ? CMSG_LEN(sizeof(int) * room) : 0;
        m.msg_flags = 0;
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;

    size_t got = take_fds(&m, fds, room, &over);
    bool cut = m.msg_flags & MSG_CTRUNC;
    if (over || (m.msg_flags & MSG_TRUNC) || cut) {
        for (size_t i = 0; i < got; i++)
            close(fds[i]);
        /* There was room: this process may not open more files.  Then some of
           the descriptors are lost, and a part is worse than none. */
        if (cut && got < room && !over && !(m.msg_flags & MSG_TRUNC))
            return n;
        errno = EMSGSIZE;
        return -1;
    }
    *nfds = got;
    return n;
}

static size_t
take_fds(struct msghdr *m, int *fds, size_t room, bool *over)
{
    size_t got = 0;

    if (!m->msg_control)
        return 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int one;

            memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(one));
            if (got < room) {
                fds[got++] = one;
            } else {
                close(one);
                *over = true;
            }
        }
    }
    return got;
}
