/*
 * Signals through a descriptor.  What each of them means is left to the
 * master and the workers.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "os/process.h"

int
lnt_signals_open(const int *signals, size_t n)
{
    struct sigaction action;
    sigset_t set;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++) {
        if (sigaddset(&set, signals[i]) < 0)
            return -1;
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -1;
    /* Who started us may ignore them: then there would be no SIGCHLD, and
       nothing to wait for. */
    for (size_t i = 0; i < n; i++) {
        if (sigaction(signals[i], &action, NULL) < 0)
            return -1;
    }
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int
lnt_signals_read(int fd, pid_t *sender)
{
    struct signalfd_siginfo info;
    ssize_t n;

    do
        n = read(fd, &info, sizeof(info));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if ((size_t)n < sizeof(info)) {
        errno = EIO;
        return -1;
    }
    if (sender)
        *sender = (pid_t)info.ssi_pid;
    return (int)info.ssi_signo;
}

void
lnt_signals_reset(void)
{
    struct sigaction action;
    sigset_t none;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &action, NULL); /* KILL, STOP and libc's own refuse */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void
lnt_signals_ignore_pipe(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGTTOU, &action, NULL);
}
