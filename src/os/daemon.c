/*
 * Going into the background, in such a way that whoever started us learns
 * whether it worked.  When that is known is left to the master.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"

/* Where the waiting parent listens; -1 when there is none. */
static int ready_fd = -1;

static _Noreturn void wait_for_child(int fd, pid_t child);
static int to_null(int fd, int flags);

int
lnt_daemon_detach(void)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    fflush(NULL); /* or both would write what is pending */
    pid_t pid = fork();
    if (pid < 0) {
        lnt_file_close(fds[0]);
        lnt_file_close(fds[1]);
        return -1;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(fds[0], pid);
    }
    close(fds[0]);
    ready_fd = fds[1];
    if (setsid() < 0)
        return -1;
    if (to_null(STDIN_FILENO, O_RDONLY) < 0 ||
        to_null(STDOUT_FILENO, O_WRONLY) < 0)
        return -1;
    return 0;
}

void
lnt_daemon_ready(int status)
{
    uint8_t byte = (uint8_t)status;

    if (ready_fd < 0)
        return;
    to_null(STDERR_FILENO, O_WRONLY);
    /* The parent may have been killed: then nobody wants to know. */
    while (write(ready_fd, &byte, 1) < 0 && errno == EINTR)
        ;
    close(ready_fd);
    ready_fd = -1;
}

bool
lnt_daemon_waited_for(void)
{
    return ready_fd >= 0;
}

void
lnt_daemon_let_go(void)
{
    if (ready_fd >= 0)
        to_null(STDERR_FILENO, O_WRONLY);
}

static _Noreturn void
wait_for_child(int fd, pid_t child)
{
    uint8_t byte = 1;
    ssize_t n;
    int status;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(byte);
    /* It ended without a word.  Reaped here, so that nobody who looks right
       after us finds a zombie. */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    _exit(1);
}

static int
to_null(int fd, int flags)
{
    int null = open("/dev/null", flags | O_CLOEXEC);

    if (null < 0)
        return -1;
    int rc = dup2(null, fd); /* without close-on-exec, as it should be */
    if (null != fd)
        lnt_file_close(null);
    return rc < 0 ? -1 : 0;
}
