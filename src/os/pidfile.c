/*
 * The pidfile: a lock and a number for people.  The file comes into being
 * whole, by link or rename, and it is locked before it can be seen, so that
 * two servers never share one and nobody reads an empty one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"

static int make_temporary(char *name, size_t size, const char *path);
static int replace_old(const char *temporary, const char *path, pid_t *other);
static bool same_file(int fd, const char *path);
static pid_t read_pid(int fd);

int
lnt_pidfile_open(const char *path, pid_t *other)
{
    char temporary[PATH_MAX];

    *other = 0;
    int fd = make_temporary(temporary, sizeof(temporary), path);
    if (fd < 0)
        return -1;
    for (;;) {
        if (link(temporary, path) == 0) {
            unlink(temporary);
            return fd;
        }
        if (errno != EEXIST)
            break;
        int rc = replace_old(temporary, path, other);
        if (rc == 0)
            return fd;
        if (rc < 0)
            break;
    }
    int saved = errno;
    unlink(temporary);
    close(fd);
    errno = saved;
    return -1;
}

void
lnt_pidfile_close(int fd, const char *path)
{
    if (fd < 0)
        return;
    /* Still locked: nobody can put another one in its place in between. */
    if (same_file(fd, path))
        unlink(path);
    close(fd);
}

int
lnt_pidfile_restore(int *fd, const char *path, pid_t *other)
{
    if (*fd >= 0 && same_file(*fd, path))
        return 0;
    int again = lnt_pidfile_open(path, other);
    if (again < 0)
        return -1;
    if (*fd >= 0)
        close(*fd);
    *fd = again;
    return 1;
}

/* A locked file beside path with our pid in it; fd. */
static int
make_temporary(char *name, size_t size, const char *path)
{
    char text[32];
    int n = snprintf(name, size, "%s.%d", path, (int)getpid());

    if (n < 0 || (size_t)n >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    unlink(name); /* of an earlier process with our pid that was killed */
    int fd =
        open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -1;
    n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    ssize_t written = -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        written = write(fd, text, (size_t)n);
    if (written == n)
        return fd;
    if (written >= 0)
        errno = ENOSPC;
    int saved = errno;
    unlink(name);
    close(fd);
    errno = saved;
    return -1;
}

/*
 * Takes the place of a file that nobody holds.  0 done, 1 it has changed in
 * the meantime: try again, -1 with errno.
 */
static int
replace_old(const char *temporary, const char *path, pid_t *other)
{
    int rc = -1;
    struct stat st;
    int old = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

    if (old < 0)
        return errno == ENOENT ? 1 : -1;
    if (fstat(old, &st) < 0)
        goto out;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EEXIST;
        goto out;
    }
    if (flock(old, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK) {
            *other = read_pid(old);
            errno = EWOULDBLOCK;
        }
        goto out;
    }
    /* Who has the lock of the file that stands there may replace it. */
    if (!same_file(old, path))
        rc = 1;
    else
        rc = rename(temporary, path);
out:
    lnt_file_close(old);
    return rc;
}

static bool
same_file(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static pid_t
read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}
