/*
 * Files below a folder, and never outside of it.  The kernel sees to that
 * (openat2); where it does not know how, the path is walked name by name and
 * symlinks are not followed at all.
 */
#include "modules/static/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"

enum {
    FILE_FLAGS = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
    TRIES = 8, /* when folders are renamed meanwhile */
};

int
lnt_static_open_root(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int
open_by_kernel(int root, const char *path)
{
    struct open_how how = {
        .flags = FILE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    for (int i = 0;; i++) {
        long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || i == TRIES)
            return (int)fd;
    }
}

int
lnt_static_open_walking(int root, const char *path)
{
    char name[NAME_MAX + 1];
    int at = dup(root);
    while (at >= 0) {
        size_t n = strcspn(path, "/");
        bool last = path[n] == '\0';
        if (n == 0 || n > NAME_MAX || (n == 2 && memcmp(path, "..", 2) == 0)) {
            lnt_file_close(at);
            errno = n > NAME_MAX ? ENAMETOOLONG : n == 0 ? ENOENT : EXDEV;
            return -1;
        }
        memcpy(name, path, n);
        name[n] = '\0';
        int next =
            openat(at, name,
                   O_NOFOLLOW |
                       (last ? FILE_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC));
        lnt_file_close(at);
        if (last)
            return next;
        at = next;
        path += n + 1;
    }
    return -1;
}

int
lnt_static_open(int root, const char *path)
{
    int fd = open_by_kernel(root, path);
    /* EPERM is what a filter of system calls says. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = lnt_static_open_walking(root, path);
    return fd;
}
