/*
 * Limits, processors and memory of a process, and whether it runs.  Which
 * limits are wanted is left to the configuration.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"
#include "os/process.h"

#ifndef SYS_pidfd_send_signal /* headers of Linux 5.0 and older */
#define SYS_pidfd_send_signal -1
#endif
#ifndef SYS_pidfd_open /* 5.2 and older */
#define SYS_pidfd_open -1
#endif

enum { CPUS_MAX = 8192 }; /* the largest number a kernel is built for */

static cpu_set_t *allowed(size_t *size);

uint64_t
lnt_process_nofile(uint64_t n)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return 0;
    if (n && n != lim.rlim_cur) {
        struct rlimit want = {.rlim_cur = n, .rlim_max = lim.rlim_max};

        /* Above the hard limit only root may go, and only up to the
           kernel's own; whoever may not takes all there is. */
        if (n > lim.rlim_max)
            want.rlim_max = n;
        if (setrlimit(RLIMIT_NOFILE, &want) < 0) {
            want.rlim_max = lim.rlim_max;
            want.rlim_cur = n < lim.rlim_max ? n : lim.rlim_max;
            setrlimit(RLIMIT_NOFILE, &want);
        }
        if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
            return 0;
    }
    return lim.rlim_cur;
}

int
lnt_process_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

unsigned
lnt_process_cpus(void)
{
    size_t size;
    cpu_set_t *set = allowed(&size);
    int n = set ? CPU_COUNT_S(size, set) : 0;

    CPU_FREE(set);
    return n > 0 ? (unsigned)n : 1;
}

int
lnt_process_pin(unsigned nth)
{
    size_t size;
    cpu_set_t *set = allowed(&size);
    int rc = -1;

    if (!set)
        return -1;
    int n = CPU_COUNT_S(size, set);
    unsigned skip = n > 0 ? nth % (unsigned)n : 0;
    for (size_t cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!CPU_ISSET_S(cpu, size, set) || skip-- > 0)
            continue;
        CPU_ZERO_S(size, set);
        CPU_SET_S(cpu, size, set);
        rc = sched_setaffinity(0, size, set);
        break;
    }
    int saved = errno;
    CPU_FREE(set);
    errno = saved;
    return rc;
}

int
lnt_process_watch(pid_t pid)
{
    /* Not all C libraries have a function for it; close-on-exec by itself. */
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool
lnt_process_alive(pid_t pid)
{
    int fd = lnt_process_watch(pid);
    struct pollfd p = {.fd = fd, .events = POLLIN};

    if (fd < 0 && errno == ESRCH)
        return false;
    if (fd < 0) /* a kernel before 5.3, or no descriptor is left */
        return kill(pid, 0) == 0 || errno != ESRCH;
    int n = poll(&p, 1, 0);
    lnt_file_close(fd);
    return n <= 0;
}

ssize_t
lnt_process_proc(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    do
        n = read(fd, text, size - 1);
    while (n < 0 && errno == EINTR);
    lnt_file_close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

uint64_t
lnt_process_rss(pid_t pid)
{
    char text[128];
    unsigned long long pages;

    if (lnt_process_proc(pid, "statm", text, sizeof(text)) <= 0 ||
        sscanf(text, "%*u %llu", &pages) != 1)
        return 0;
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The name in front of the state may have parentheses of its own. */
char
lnt_process_state(pid_t pid)
{
    char text[256], state;
    const char *end;

    if (lnt_process_proc(pid, "stat", text, sizeof(text)) <= 0)
        return 0;
    end = strrchr(text, ')');
    return end && sscanf(end, ") %c", &state) == 1 ? state : 0;
}

int
lnt_process_signal(int fd, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
}

/* The processors this process may run on; free with CPU_FREE. */
static cpu_set_t *
allowed(size_t *size)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);

    if (!set)
        return NULL;
    *size = CPU_ALLOC_SIZE(CPUS_MAX);
    CPU_ZERO_S(*size, set);
    if (sched_getaffinity(0, *size, set) < 0) {
        int saved = errno;

        CPU_FREE(set);
        errno = saved;
        return NULL;
    }
    return set;
}
