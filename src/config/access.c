/*
 * Where the access log goes: a file, the standard error of the server, or a
 * socket to the system log.
 */
#include "config/access.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"
#include "os/syslog.h"

int
lnt_access_open(const char *target)
{
    if (strcmp(target, "syslog") == 0)
        return lnt_syslog_open();
    /* What stderr is as soon as the server serves. */
    if (strcmp(target, "stderr") == 0 && lnt_daemon_waited_for())
        return lnt_file_append("/dev/null");
    /* A copy: whoever has it closes it, as any other. */
    if (strcmp(target, "stderr") == 0)
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return lnt_file_append(target);
}
