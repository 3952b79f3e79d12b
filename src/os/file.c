/*
 * Files and folders, whole.  What is in them, and what to tell a person when
 * they cannot be read, is left to callers.
 */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_barrier(const char *path, int want, struct lnt_barrier *b);
static char *read_all(int fd, size_t expect, size_t max, size_t *size);
static int make_one(const char *path, mode_t mode);

char *
lnt_file_read(const char *path, size_t max, size_t *size)
{
    struct stat st;
    char *text = NULL;
    /* O_NONBLOCK: a FIFO must not hang us before we see what it is. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0)
        goto out;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        goto out;
    }
    if (st.st_size > 0 && (uintmax_t)st.st_size > max) {
        errno = EFBIG;
        goto out;
    }
    text = read_all(fd, (size_t)st.st_size, max, size);
out:
    lnt_file_close(fd);
    return text;
}

int
lnt_file_mkdirs(const char *path, mode_t mode)
{
    char *copy = strdup(path);
    int rc = 0;

    if (!copy)
        return -1;
    for (char *p = copy; rc == 0 && *p;) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char c = *p;
        *p = '\0';
        rc = make_one(copy, mode);
        *p = c;
    }
    int saved = errno;
    free(copy);
    errno = saved;
    return rc;
}

/* Not the pipe behind a name like /dev/stderr, which ends with its reader; the
   reader of a FIFO may come later, and another one after it. */
static bool
is_fifo(const char *path)
{
    struct stat st;
    struct statfs fs;

    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode) &&
           statfs(path, &fs) == 0 && fs.f_type != PIPEFS_MAGIC;
}

int
lnt_file_barrier(const char *path, int want, struct lnt_barrier *b)
{
    char folder[PATH_MAX];
    size_t n = strlen(path);

    if (path[0] != '/' || n >= sizeof(folder)) {
        errno = path[0] == '/' ? ENAMETOOLONG : EINVAL;
        return -1;
    }
    memcpy(folder, path, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (path[i] != '/')
            continue;
        folder[i] = '\0';
        bool found = is_barrier(i ? folder : "/", X_OK, b);
        folder[i] = '/';
        if (found)
            return 1;
    }
    /* What is yet to be made is made in the last folder that is there. */
    char *slash;
    while (want == W_OK && access(folder, F_OK) < 0 && errno == ENOENT &&
           (slash = strrchr(folder, '/')) && slash != folder)
        *slash = '\0';
    return is_barrier(folder, want, b);
}

void
lnt_file_barrier_text(const struct lnt_barrier *b, const char *who, char *text)
{
    const char *what = b->want == X_OK   ? "searched"
                       : b->want == W_OK ? "written to"
                                         : "read";

    (void)snprintf(text, LNT_BARRIER_TEXT, "%s (mode %04o) cannot be %s by %s",
                   b->path, b->mode, what, who);
}

int
lnt_file_append(const char *path)
{
    const int how = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat st;
    int fd = -1;

    if (is_fifo(path))
        fd = open(path, O_RDWR | how, 0644);
    if (fd < 0)
        fd = open(path, O_WRONLY | how, 0644);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fd;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
        lnt_file_close(fd);
        return -1;
    }
    return fd;
}

void
lnt_file_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
}

static bool
is_barrier(const char *path, int want, struct lnt_barrier *b)
{
    struct stat st;

    if (access(path, want) == 0 || errno != EACCES)
        return false;
    /* Where a link leads to cannot be seen, but the link can. */
    if (stat(path, &st) < 0 && lstat(path, &st) < 0)
        return false;
    memcpy(b->path, path, strlen(path) + 1);
    b->mode = st.st_mode & 07777;
    b->want = want;
    return true;
}

/* Up to end of file: files in /proc say that they have no size, and a file
   may grow while it is read. */
static char *
read_all(int fd, size_t expect, size_t max, size_t *size)
{
    size_t n = 0, cap = expect + 1;
    char *text = malloc(cap + 1);

    if (!text)
        return NULL;
    for (;;) {
        ssize_t got = read(fd, text + n, cap - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        if (got == 0) {
            text[n] = '\0';
            *size = n;
            return text;
        }
        n += (size_t)got;
        if (n > max) {
            errno = EFBIG;
            break;
        }
        if (n == cap) {
            char *more = realloc(text, cap * 2 + 4096 + 1);

            if (!more)
                break;
            text = more;
            cap = cap * 2 + 4096;
        }
    }
    int saved = errno;
    free(text);
    errno = saved;
    return NULL;
}

static int
make_one(const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    /* EROFS and EACCES come before EEXIST on some file systems. */
    int saved = errno;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return 0;
        errno = ENOTDIR;
        return -1;
    }
    errno = saved;
    return -1;
}
