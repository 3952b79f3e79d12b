/*
 * A lock on a folder.  It does not depend on any file in the folder, so it
 * holds when all of them are removed.  Anybody who may read the folder can
 * take such a lock, so a lock of somebody else only counts when its holder is
 * one of our servers; what then counts is left to callers.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"

static bool has_title(pid_t pid, const char *title);
static bool may_be_ours(pid_t pid);
static bool has_open(pid_t pid, const struct stat *folder);

int
lnt_dirlock_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    lnt_file_close(fd);
    return -1;
}

int
lnt_dirlock_take(int fd, const char *path)
{
    if (!lnt_dirlock_is(fd, path)) {
        errno = ESTALE;
        return -1;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return flock(fd, LOCK_EX | LOCK_NB);
}

bool
lnt_dirlock_is(int fd, const char *path)
{
    struct stat ours, there;

    return fd >= 0 && fstat(fd, &ours) == 0 && S_ISDIR(ours.st_mode) &&
           stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

void
lnt_dirlock_close(int fd, bool unlock)
{
    if (fd < 0)
        return;
    /* A child that was just forked still has a copy. */
    if (unlock)
        flock(fd, LOCK_UN);
    close(fd);
}

pid_t
lnt_dirlock_holder(const char *path, const char *title)
{
    struct stat folder;
    struct dirent *e;
    pid_t found = 0;

    if (stat(path, &folder) < 0)
        return 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    while (!found && (e = readdir(proc))) {
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid != getpid() && has_title(pid, title) && may_be_ours(pid) &&
            has_open(pid, &folder))
            found = pid;
    }
    closedir(proc);
    return found;
}

static bool
has_title(pid_t pid, const char *title)
{
    char text[128];
    ssize_t n = lnt_process_proc(pid, "cmdline", text, sizeof(text));

    return n > 0 && strcmp(text, title) == 0;
}

/* Anybody can have any title; only root and our own user can be our server. */
static bool
may_be_ours(pid_t pid)
{
    char text[2048];
    unsigned uid;

    if (lnt_process_proc(pid, "status", text, sizeof(text)) <= 0)
        return false;
    const char *line = strstr(text, "\nUid:");
    return line && sscanf(line, "\nUid: %*u %u", &uid) == 1 &&
           (uid == 0 || uid == geteuid());
}

static bool
has_open(pid_t pid, const struct stat *folder)
{
    char path[64];
    struct stat st;
    struct dirent *e;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *fds = opendir(path);
    if (!fds)
        return false;
    while (!found && (e = readdir(fds)))
        found = isdigit((unsigned char)e->d_name[0]) &&
                fstatat(dirfd(fds), e->d_name, &st, 0) == 0 &&
                st.st_dev == folder->st_dev && st.st_ino == folder->st_ino;
    closedir(fds);
    return found;
}
