/*
 * Users and groups by name, and becoming one of them for good.  When to do it
 * is left to who is still root then.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
