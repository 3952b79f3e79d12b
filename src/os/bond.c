/*
 * Whether others would end together with this process.  The kernel does not
 * tell which process waits for this one; this goes by what can be seen from inside.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"

/* The inode number of the first pid namespace of a machine, which the kernel
   fixes (PROC_PID_INIT_INO). */
#define MACHINE "pid:[4026531836]"

static bool
in_container(void)
{
    char name[64];
    ssize_t n = readlink("/proc/self/ns/pid", name, sizeof(name) - 1);

    if (n < 0)
        return false;
    name[n] = '\0';
    return strcmp(name, MACHINE) != 0;
}

/* Started by process 1 itself, that is, and not adopted: an orphan of another
   session than that of process 1 leads none of its own. */
static bool
is_child_of_init(void)
{
    pid_t session = getsid(0);

    return getppid() == 1 && (session == getsid(1) || session == getpid());
}

enum lnt_bond
lnt_process_bond(void)
{
    const char *notify = getenv("NOTIFY_SOCKET");
    const char *systemd = getenv("SYSTEMD_EXEC_PID");

    if (getpid() == 1)
        return LNT_BOND_INIT;
    if (notify && *notify)
        return LNT_BOND_NONE; /* will be told */
    if (systemd && strtol(systemd, NULL, 10) == (long)getpid())
        return LNT_BOND_SYSTEMD;
    if (is_child_of_init() && in_container())
        return LNT_BOND_CHILD;
    return LNT_BOND_NONE;
}
