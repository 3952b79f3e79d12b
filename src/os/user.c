/*
 * Users and groups by name, and becoming one of them for good.  When to do it
 * is left to who is still root then.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"

int
lnt_process_user(const char *user, const char *group, uid_t *uid, gid_t *gid,
                 const char **why)
{
    errno = 0;
    struct passwd *pw = getpwnam(user);
    if (!pw) {
        *why = "there is no such user";
        if (errno == 0)
            errno = ENOENT;
        return -1;
    }
    *uid = pw->pw_uid;
    *gid = pw->pw_gid;
    if (!group)
        return 0;

    errno = 0;
    struct group *gr = getgrnam(group);
    if (!gr) {
        *why = "there is no such group";
        if (errno == 0)
            errno = ENOENT;
        return -1;
    }
    *gid = gr->gr_gid;
    return 0;
}

int
lnt_process_drop(const char *user, const char *group, const char **why)
{
    uid_t uid;
    gid_t gid;

    if (geteuid() != 0) {
        *why = "only root can become another user";
        errno = EPERM;
        return -1;
    }
    if (lnt_process_user(user, group, &uid, &gid, why) < 0)
        return -1;
    if (initgroups(user, gid) < 0) {
        *why = "cannot set the supplementary groups";
        return -1;
    }
    if (setresgid(gid, gid, gid) < 0) {
        *why = "cannot change the group";
        return -1;
    }
    if (setresuid(uid, uid, uid) < 0) {
        *why = "cannot change the user";
        return -1;
    }
    /* A way back would make all of this worthless. */
    if (uid != 0 && (setuid(0) == 0 || geteuid() != uid || getegid() != gid)) {
        *why = "the privileges are still there after giving them up";
        errno = EPERM;
        return -1;
    }
    return 0;
}

void
lnt_process_user_name(char *text, size_t n)
{
    const struct passwd *pw = getpwuid(geteuid());

    if (pw)
        (void)snprintf(text, n, "user %s", pw->pw_name);
    else
        (void)snprintf(text, n, "user %u", (unsigned)geteuid());
}

/* In the child. */
static int
try_as(const char *user, const char *group, const char *path, int want, int fd)
{
    const char *why;
    struct lnt_barrier b = {0};

    if (lnt_process_drop(user, group, &why) < 0)
        return 1;
    int found = lnt_file_barrier(path, want, &b);
    if (found <= 0)
        return found == 0 ? 0 : 1;
    /* A pipe takes as much as this in one piece. */
    return write(fd, &b, sizeof(b)) == (ssize_t)sizeof(b) ? 2 : 1;
}

int
lnt_process_barrier(const char *user, const char *group, const char *path,
                    int want, struct lnt_barrier *b)
{
    int ends[2], status;
    size_t got = 0;

    if (pipe(ends) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(try_as(user, group, path, want, ends[1]));
    }
    close(ends[1]);
    while (child > 0 && got < sizeof(*b)) {
        ssize_t n = read(ends[0], (char *)b + got, sizeof(*b) - got);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    lnt_file_close(ends[0]);
    if (child < 0)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2 && got == sizeof(*b))
        return 1;
    errno = EPERM;
    return -1;
}
