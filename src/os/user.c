/*
 * Users and groups by name, and becoming one of them for good.  When to do it
 * is left to who is still root then.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
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

int
lnt_process_owner(pid_t pid, uid_t *uid)
{
    char path[32];
    struct stat st;

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (stat(path, &st) < 0)
        return -1;
    *uid = st.st_uid;
    return 0;
}

/* ---- look-ups that are bounded in time ---- */

/* What the child sends first; the groups follow. */
struct looked_up {
    enum { FOUND, NO_USER, NO_GROUP } result;
    uid_t uid;
    gid_t gid;
    int ngroups;
};

static bool
write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

/* In the child. */
static bool
look_up(const char *user, const char *group, int fd)
{
    struct looked_up found = {.result = FOUND};
    const char *why;
    gid_t *groups = NULL;

    if (lnt_process_user(user, NULL, &found.uid, &found.gid, &why) < 0)
        found.result = NO_USER;
    else if (group &&
             lnt_process_user(user, group, &found.uid, &found.gid, &why) < 0)
        found.result = NO_GROUP;
    for (int room = 64; found.result == FOUND; room = found.ngroups) {
        gid_t *more = realloc(groups, (size_t)room * sizeof(groups[0]));
        if (!more)
            return false;
        groups = more;
        found.ngroups = room;
        if (getgrouplist(user, found.gid, groups, &found.ngroups) >= 0)
            break;
        if (found.ngroups <= room) /* some libraries do not say how many */
            found.ngroups = 2 * room;
    }
    return write_all(fd, &found, sizeof(found)) &&
           write_all(fd, groups, (size_t)found.ngroups * sizeof(groups[0]));
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* 0, or -1 with errno: ETIMEDOUT, or EPIPE when the child has ended. */
static int
read_until(int fd, void *bytes, size_t n, uint64_t end)
{
    char *at = bytes;

    while (n > 0) {
        uint64_t now = now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = now < end ? poll(&p, 1, (int)(end - now)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready <= 0)
            return -1;
        ssize_t got = read(fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EPIPE;
        if (got <= 0)
            return -1;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

static int
receive_identity(int fd, unsigned ms, struct lnt_identity *id, const char **why)
{
    uint64_t end = now_ms() + ms;
    struct looked_up found;

    if (read_until(fd, &found, sizeof(found), end) < 0)
        return -1;
    if (found.result != FOUND) {
        *why = found.result == NO_USER ? "there is no such user"
                                       : "there is no such group";
        errno = ENOENT;
        return -1;
    }
    size_t n = (size_t)found.ngroups;
    gid_t *groups = calloc(n + 1, sizeof(groups[0]));
    if (!groups)
        return -1;
    if (read_until(fd, groups, n * sizeof(groups[0]), end) < 0) {
        int error = errno;
        free(groups);
        errno = error;
        return -1;
    }
    *id = (struct lnt_identity){found.uid, found.gid, groups, n};
    return 0;
}

int
lnt_process_identity(const char *user, const char *group, unsigned ms,
                     struct lnt_identity *id, const char **why)
{
    int ends[2];

    *why = NULL;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(look_up(user, group, ends[1]) ? 0 : 1);
    }
    int error = errno;
    close(ends[1]);
    int rc = -1;
    if (child > 0) {
        rc = receive_identity(ends[0], ms, id, why);
        error = errno;
        (void)kill(child, SIGKILL);
        /* One that hangs in the kernel is not waited for: it is reaped like
           any child whose SIGCHLD comes. */
        int how = rc < 0 && error == ETIMEDOUT ? WNOHANG : 0;
        while (waitpid(child, NULL, how) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    errno = error;
    return rc;
}

void
lnt_identity_release(struct lnt_identity *id)
{
    free(id->groups);
    *id = (struct lnt_identity){0};
}

/* ---- what another user may do ---- */

static bool
has_group(const struct lnt_identity *id, gid_t gid)
{
    if (gid == id->gid)
        return true;
    for (size_t i = 0; i < id->ngroups; i++)
        if (gid == id->groups[i])
            return true;
    return false;
}

/* A list of access rights may allow what the mode does not; whoever has set
   one knows why.  There the mode says nothing. */
static bool
has_list(const char *path)
{
    return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

/* 1 with *b, 0 no, -1 with errno. */
static int
is_barrier_to(const struct lnt_identity *id, const char *path, int want,
              struct lnt_barrier *b)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -1;
    unsigned shift = st.st_uid == id->uid       ? 6
                     : has_group(id, st.st_gid) ? 3
                                                : 0;
    unsigned allowed = (st.st_mode >> shift) & 7;
    if (id->uid == 0 || (allowed & (unsigned)want) == (unsigned)want ||
        has_list(path))
        return 0;
    memcpy(b->path, path, strlen(path) + 1);
    b->mode = st.st_mode & 07777;
    b->want = want;
    return 1;
}

/* All folders on the way, and the end of it. */
static int
walk(const struct lnt_identity *id, const char *path, int want,
     struct lnt_barrier *b)
{
    char folder[PATH_MAX];
    size_t n = strlen(path);
    int rc = 0;

    memcpy(folder, path, n + 1);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (path[i] != '/')
            continue;
        folder[i] = '\0';
        rc = is_barrier_to(id, i ? folder : "/", X_OK, b);
        folder[i] = '/';
    }
    return rc ? rc : is_barrier_to(id, path, want, b);
}

int
lnt_process_barrier(const struct lnt_identity *id, const char *path, int want,
                    struct lnt_barrier *b)
{
    if (path[0] != '/' || strlen(path) >= sizeof(b->path)) {
        errno = path[0] == '/' ? ENAMETOOLONG : EINVAL;
        return -1;
    }
    int rc = walk(id, path, want, b);
    if (rc != 0)
        return rc;
    /* Links may lead through other folders. */
    char *real = realpath(path, NULL);
    if (!real)
        return -1;
    if (strcmp(real, path) != 0 && strlen(real) < sizeof(b->path))
        rc = walk(id, real, want, b);
    int error = errno;
    free(real);
    errno = error;
    return rc;
}
