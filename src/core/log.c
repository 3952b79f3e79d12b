/*
 * The log sink: levels, context, where lines go, and what happens when they
 * cannot be written.  How a line looks is log_line.c's; which file it is and
 * when it is opened again is left to the master.
 *
 * This is one of the two places with process-wide state (the other one is for
 * signals).  Nothing here allocates: it must work when memory has ended.
 */
#include "core/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>
#include <unistd.h>

#include "core/log_line.h"
#include "os/clock.h"
#include "os/file.h"

enum { NOTICE_EVERY_MS = 60000 };

enum target { TO_STDERR, TO_SYSLOG, TO_FILE, TO_OFF };

/* Shared by all processes of a server: a full disk is one piece of news, not
   one from each worker. */
struct shared {
    _Atomic uint64_t told; /* ms of the last notice; 0 never */
};

static struct {
    enum lnt_level level;
    enum target target;
    int fd; /* of TO_FILE and TO_STDERR */
    bool json;
    bool stderr_too;
    bool torn;    /* the last line went out only in part */
    bool failing; /* the last line did not go out */
    int slot;
    uint64_t conn;
    uint64_t lost, lost_told;
    struct shared *shared;
    char path[PATH_MAX];
} sink = {
    .level = LNT_NOTICE,
    .target = TO_STDERR,
    .fd = STDERR_FILENO,
    .slot = -1,
};

static struct shared only_here;

static void take_fd(int fd);
static void share(void);
static void write_sink(const struct lnt_log_fields *f);
static bool write_whole(int fd, const char *p, size_t n);
static void write_lost(void);
static void tell_failing(int error);
static int syslog_priority(enum lnt_level level);

int
lnt_log_open(const char *target, bool json)
{
    enum target to = TO_FILE;
    int fd = -1;

    share();
    if (strcmp(target, "stderr") == 0)
        to = TO_STDERR;
    else if (strcmp(target, "syslog") == 0)
        to = TO_SYSLOG;
    else if (strcmp(target, "off") == 0)
        to = TO_OFF;

    if (to == TO_FILE) {
        if (strlen(target) >= sizeof(sink.path)) {
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = lnt_file_append(target);
        if (fd < 0)
            return -1;
        take_fd(fd);
        /* target may be our own copy of the path, given back */
        memmove(sink.path, target, strlen(target) + 1);
    } else {
        if (sink.target == TO_FILE)
            close(sink.fd);
        sink.fd = to == TO_STDERR ? STDERR_FILENO : -1;
        sink.path[0] = '\0';
    }
    /* NDELAY: connected before privileges are dropped */
    if (to == TO_SYSLOG)
        openlog("linnet", LOG_PID | LOG_NDELAY, LOG_DAEMON);
    sink.target = to;
    sink.json = json;
    sink.torn = sink.failing = false;
    return 0;
}

void
lnt_log_take(int fd)
{
    share();
    take_fd(fd);
    sink.target = TO_FILE;
}

int
lnt_log_fd(void)
{
    return sink.target == TO_FILE ? sink.fd : -1;
}

int
lnt_log_reopen(void)
{
    if (sink.target != TO_FILE || !sink.path[0])
        return 0;
    int fd = lnt_file_append(sink.path);
    if (fd < 0)
        return -1;
    take_fd(fd);
    return 0;
}

void
lnt_log_level(enum lnt_level level)
{
    sink.level = level;
}

enum lnt_level
lnt_log_get_level(void)
{
    return sink.level;
}

void
lnt_log_stderr_too(bool on)
{
    sink.stderr_too = on;
}

void
lnt_log_slot(int slot)
{
    sink.slot = slot;
}

void
lnt_log_conn(uint64_t conn)
{
    sink.conn = conn;
}

uint64_t
lnt_log_lost(void)
{
    return sink.lost;
}

bool
lnt_log_wants(enum lnt_level level)
{
    if (level < sink.level)
        return false;
    return sink.target != TO_OFF || (sink.stderr_too && level >= LNT_ERROR);
}

void
lnt_log_write(enum lnt_level level, const char *fmt, ...)
{
    char text[LNT_LOG_LINE + 1];
    int saved = errno; /* a log line must not change what is being handled */
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0)
        n = snprintf(text, sizeof(text), "a message that cannot be formatted");

    struct lnt_log_fields f = {
        .level = level,
        .time_us = lnt_clock_wall_us(),
        .pid = getpid(),
        .slot = sink.slot,
        .conn = sink.conn,
        .text = text,
        .n = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1,
        .more = (size_t)n >= sizeof(text),
    };
    write_sink(&f);
    if (sink.stderr_too && sink.target != TO_STDERR && level >= LNT_ERROR) {
        char line[LNT_LOG_LINE];

        size_t len = lnt_log_line_short(line, &f);
        write_whole(STDERR_FILENO, line, len);
    }
    errno = saved;
}

void
lnt_assert_fail(const char *expr, const char *file, int line)
{
    lnt_log_alert("assertion failed: %s at %s:%d", expr, file, line);
    abort();
}

static void
take_fd(int fd)
{
    if (sink.target == TO_FILE && sink.fd != fd)
        close(sink.fd);
    sink.fd = fd;
    sink.target = TO_FILE;
    sink.torn = sink.failing = false;
}

static void
share(void)
{
    if (sink.shared)
        return;
    void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sink.shared = p == MAP_FAILED ? &only_here : p;
}

static void
write_sink(const struct lnt_log_fields *f)
{
    char line[LNT_LOG_LINE + 1]; /* a line break before it, when needed */
    size_t n;

    if (sink.target == TO_OFF)
        return;
    if (sink.target == TO_SYSLOG) {
        n = lnt_log_line_syslog(line, f);
        syslog(syslog_priority(f->level), "%.*s", (int)n, line);
        return;
    }
    line[0] = '\n';
    n = sink.json ? lnt_log_line_json(line + 1, f)
                  : lnt_log_line_text(line + 1, f);
    bool whole = sink.torn ? write_whole(sink.fd, line, n + 1)
                           : write_whole(sink.fd, line + 1, n);
    if (!whole) {
        int error = errno;

        sink.lost++;
        sink.failing = true;
        tell_failing(error);
        return;
    }
    if (sink.failing) {
        sink.failing = false;
        write_lost();
    }
}

/* One write(2) in all ordinary cases, so that lines of several processes do
   not mix. */
static bool
write_whole(int fd, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t w = write(fd, p + done, n - done);

        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0) {
            if (w == 0)
                errno = ENOSPC;
            /* A part of it is there: the next line begins on a new one. */
            if (done && fd == sink.fd)
                sink.torn = true;
            return false;
        }
        done += (size_t)w;
    }
    if (fd == sink.fd)
        sink.torn = false;
    return true;
}

/* Writing works again: says in the log itself what is missing from it. */
static void
write_lost(void)
{
    char text[96], line[LNT_LOG_LINE];
    int len = snprintf(text, sizeof(text),
                       "%llu log lines could not be written before this one",
                       (unsigned long long)(sink.lost - sink.lost_told));
    struct lnt_log_fields f = {
        .level = LNT_ERROR,
        .time_us = lnt_clock_wall_us(),
        .pid = getpid(),
        .slot = sink.slot,
        .text = text,
        .n = (size_t)len,
    };

    size_t n =
        sink.json ? lnt_log_line_json(line, &f) : lnt_log_line_text(line, &f);
    if (write_whole(sink.fd, line, n))
        sink.lost_told = sink.lost;
    else
        sink.failing = true;
}

/* To stderr and syslog, because the log is what does not work. */
static void
tell_failing(int error)
{
    struct shared *s = sink.shared ? sink.shared : &only_here;
    uint64_t now = lnt_clock_ms() + 1;
    uint64_t told = atomic_load(&s->told);

    if (told && now - told < NOTICE_EVERY_MS)
        return;
    if (!atomic_compare_exchange_strong(&s->told, &told, now))
        return; /* another process was faster */

    const char *name = sink.path[0] ? sink.path : "the log";
    if (sink.fd != STDERR_FILENO)
        dprintf(STDERR_FILENO,
                "linnet: cannot write to %s: %s; lines are being lost\n", name,
                strerror(error));
    syslog(LOG_DAEMON | LOG_ERR,
           "linnet: cannot write to %s: %s; lines are being lost", name,
           strerror(error));
}

static int
syslog_priority(enum lnt_level level)
{
    switch (level) {
    case LNT_DEBUG:
        return LOG_DEBUG;
    case LNT_INFO:
        return LOG_INFO;
    case LNT_NOTICE:
        return LOG_NOTICE;
    case LNT_WARN:
        return LOG_WARNING;
    case LNT_ERROR:
        return LOG_ERR;
    case LNT_ALERT:
        return LOG_ALERT;
    }
    return LOG_ERR;
}
