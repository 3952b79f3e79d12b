/*
 * CPU time, memory and system calls of the server's processes, from /proc and
 * from strace.
 */
#include "t/bench/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/bench/bench.h"

enum { ALL_MAX = 65536, ATTACH_MS = 5000 };

/* The folder's next entry that is a number; 0 at the end. */
static pid_t
next_number(DIR *dir)
{
    struct dirent *e;
    while ((e = readdir(dir))) {
        int n = atoi(e->d_name);
        if (n > 0)
            return n;
    }
    return 0;
}

/* ---- the tree ---- */

static pid_t
parent_of(pid_t pid)
{
    char path[64], text[512];
    int parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    /* The name before it may hold anything, parentheses too. */
    char *behind = strrchr(text, ')');
    if (!behind || sscanf(behind + 1, " %*c %d", &parent) != 1)
        return 0;
    return parent;
}

void
server_find(struct server *s, pid_t first)
{
    static struct {
        pid_t pid, parent;
    } all[ALL_MAX];
    size_t n = 0;
    pid_t pid;
    s->n = 0;
    if (!first)
        return;
    if (kill(first, 0) < 0)
        give_up("--pid %d: %s", (int)first, strerror(errno));
    DIR *proc = opendir("/proc");
    if (!proc)
        give_up("/proc: %s", strerror(errno));
    while (n < ALL_MAX && (pid = next_number(proc))) {
        all[n].pid = pid;
        all[n++].parent = parent_of(pid);
    }
    closedir(proc);
    s->pids[s->n++] = first;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < n && s->n < SERVER_PROCESSES; k++)
            if (all[k].parent == s->pids[i])
                s->pids[s->n++] = all[k].pid;
}

/* ---- CPU ---- */

static uint64_t
thread_cpu(pid_t pid, pid_t thread)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid,
             (int)thread);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(f);
    return ns;
}

uint64_t
server_cpu(const struct server *s)
{
    uint64_t ns = 0;
    for (size_t i = 0; i < s->n; i++) {
        char path[64];
        pid_t thread;
        snprintf(path, sizeof(path), "/proc/%d/task", (int)s->pids[i]);
        DIR *tasks = opendir(path);
        if (!tasks)
            continue;
        while ((thread = next_number(tasks)))
            ns += thread_cpu(s->pids[i], thread);
        closedir(tasks);
    }
    return ns;
}

/* ---- memory ---- */

uint64_t
server_memory(const struct server *s)
{
    uint64_t kb = 0;
    for (size_t i = 0; i < s->n; i++) {
        char path[64], line[128];
        uint64_t n;
        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)s->pids[i]);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof(line), f))
            if (sscanf(line, "Pss: %" SCNu64, &n) == 1)
                kb += n;
        if (f)
            fclose(f);
    }
    return kb * 1024;
}

/* ---- system calls ---- */

static void
exec_strace(const struct server *s)
{
    char pids[SERVER_PROCESSES][16];
    const char *args[SERVER_PROCESSES * 2 + 8];
    size_t n = 0;
    args[n++] = "strace";
    args[n++] = "-qq";
    args[n++] = "-fc";
    args[n++] = "-o";
    args[n++] = s->trace_file;
    for (size_t i = 0; i < s->n; i++) {
        snprintf(pids[i], sizeof(pids[i]), "%d", (int)s->pids[i]);
        args[n++] = "-p";
        args[n++] = pids[i];
    }
    args[n] = NULL;
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

/* Whether somebody traces the process. */
static bool
is_traced(pid_t pid)
{
    char path[64], line[128];
    int tracer = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (f)
        fclose(f);
    return tracer != 0;
}

static bool
all_traced(const struct server *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!is_traced(s->pids[i]))
            return false;
    return true;
}

bool
server_trace_begin(struct server *s)
{
    const char *folder = getenv("TMPDIR");
    if (snprintf(s->trace_file, sizeof(s->trace_file), "%s/bench-strace-XXXXXX",
                 folder ? folder : "/tmp") >= (int)sizeof(s->trace_file))
        return false;
    int fd = mkstemp(s->trace_file);
    if (fd < 0)
        return false;
    close(fd);
    s->strace = fork();
    if (s->strace == 0)
        exec_strace(s);
    for (int i = 0; s->strace > 0 && i < ATTACH_MS; i++) {
        const struct timespec ms = {0, 1000000};
        if (all_traced(s))
            return true;
        if (waitpid(s->strace, NULL, WNOHANG) != 0)
            break;
        nanosleep(&ms, NULL);
    }
    s->strace = 0;
    unlink(s->trace_file);
    return false;
}

/* The line "100.00  0.5  8  26321  365 total": the fourth word.  Newer ones
   have no usecs/call there, so it is counted from the end. */
static int64_t
read_total(const char *path)
{
    char line[256];
    int64_t total = -1;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        int64_t words[6];
        int n = 0;
        if (!strstr(line, " total"))
            continue;
        for (char *w = strtok(line, " \n"); w && n < 6; w = strtok(NULL, " \n"))
            words[n++] = atoll(w);
        if (n >= 5)
            total = words[3];
    }
    if (f)
        fclose(f);
    return total;
}

int64_t
server_trace_end(struct server *s)
{
    if (!s->strace)
        return -1;
    kill(s->strace, SIGINT);
    while (waitpid(s->strace, NULL, 0) < 0 && errno == EINTR)
        ;
    s->strace = 0;
    int64_t total = read_total(s->trace_file);
    unlink(s->trace_file);
    return total;
}
