/*
 * Descriptors: a program begins with three that are open, and a forked worker
 * keeps those that it was given, no others.
 */
#include "os/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/file.h"
#include "os/nowait.h"

int
lnt_fds_standard(int *which)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        *which = fd;
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int null = open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
        if (null < 0)
            return -1;
        /* The lowest free number is fd; but for what a tool that watches the
           program has opened or closed meanwhile. */
        if (null == fd)
            continue;
        int rc = dup2(null, fd);
        lnt_file_close(null);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int
compare(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

static void
close_from_to(unsigned first, unsigned last)
{
    if (first > last)
        return;
    if (close_range(first, last, 0) == 0)
        return;
    /* A kernel before 5.9. */
    long max = sysconf(_SC_OPEN_MAX);
    unsigned end = max > 0 && (unsigned long)max < last ? (unsigned)max : last;
    for (unsigned fd = first; fd <= end; fd++)
        close((int)fd);
}

void
lnt_fds_keep(int *keep, size_t n)
{
    /* Its numbers would stand for other files soon. */
    bool piped = lnt_nowait_release();
    unsigned next = 3;
    qsort(keep, n, sizeof(keep[0]), compare);
    for (size_t i = 0; i < n; i++) {
        if (keep[i] < (int)next)
            continue;
        if ((unsigned)keep[i] > next)
            close_from_to(next, (unsigned)keep[i] - 1);
        next = (unsigned)keep[i] + 1;
    }
    close_from_to(next, ~0u);
    if (piped)
        (void)lnt_nowait_prepare(); /* else with the first line */
}

int
lnt_fd_replace(int fd, int with)
{
    int rc;

    do
        rc = dup3(with, fd, O_CLOEXEC);
    while (rc < 0 && (errno == EINTR || errno == EBUSY));
    return rc < 0 ? -1 : 0;
}

int
lnt_fd_cloexec(int fd, int on)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}
