/*
 * Signals through a descriptor, and those that must not end a process.  What
 * each of the others means is left to the master and the workers.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "os/process.h"

static bool is_harmless(int signal);
static void ignore_one(int signal);

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
    /* All of the mask: whoever started us may have blocked others. */
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
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
lnt_signals_forked(void)
{
    struct sigaction action, now;

    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_DFL;
    /* Those that the parent ignores are never without that: one may come at
       any time. */
    for (int s = 1; s < NSIG; s++) {
        if (is_harmless(s) && sigaction(s, NULL, &now) == 0 &&
            now.sa_handler == SIG_IGN)
            continue;
        sigaction(s, &action, NULL);
    }
    lnt_signals_ignore();
}

void
lnt_signals_ignore(void)
{
    for (int s = 1; s < NSIG; s++)
        if (is_harmless(s))
            ignore_one(s);
}

static bool
is_harmless(int signal)
{
    /* Errors say the same as the first two: EPIPE, EFBIG.  The limit on CPU
       time has a hard value, too, at which the kernel sends SIGKILL.  SIGTTOU
       stops those in the background that write to a terminal with "stty
       tostop". */
    static const int harmless[] = {SIGPIPE,   SIGXFSZ, SIGXCPU, SIGALRM,
                                   SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,
#ifdef SIGSTKFLT /* not on every machine */
                                   SIGSTKFLT,
#endif
                                   SIGUSR1,   SIGUSR2, SIGTTOU};

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (harmless[i] == signal)
            return true;
    return signal >= SIGRTMIN && signal <= SIGRTMAX;
}

/* Unless it has a handler, which a tool that looks into us has set. */
static void
ignore_one(int signal)
{
    struct sigaction action;

    if (sigaction(signal, NULL, &action) < 0 ||
        (action.sa_flags & SA_SIGINFO) || action.sa_handler != SIG_DFL)
        return;
    memset(&action, 0, sizeof(action));
    action.sa_handler = SIG_IGN;
    sigaction(signal, &action, NULL);
}
