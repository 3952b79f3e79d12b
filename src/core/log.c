/*
 * The log sink: levels, context, where lines go, and what happens when they
 * cannot be written.  How a line looks is log_line.c's, keeping what the log
 * does not take now is outlet.c's; which file it is and when it is opened
 * again is left to the master.
 *
 * This is one of the few places with process-wide state.  Nothing here
 * allocates: it must work when memory has ended.
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
#include "core/outlet.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/nowait.h"
#include "os/syslog.h"

enum { NOTICE_EVERY_MS = 60000 };

enum target { TO_STDERR, TO_SYSLOG, TO_FILE, TO_OFF };

/* Shared by all processes of a server: a full disk is one piece of news, not
   one from each worker. */
struct shared {
    _Atomic uint64_t told; /* ms of the last notice; 0 never */
};

static char held[LNT_OUTLET_ROOM];

static struct {
    enum lnt_level level;
    enum target target;
    bool json;
    bool stderr_too;
    int slot;
    uint64_t conn;
    uint64_t lost, lost_told;
    uint64_t *counter; /* shared by all processes; NULL: none yet */
    uint64_t counted;  /* of lost, those that are in it */
    struct shared *shared;
    struct lnt_outlet out;
    char path[PATH_MAX];
} sink = {
    .level = LNT_NOTICE,
    .target = TO_STDERR,
    .slot = -1,
    .out = {.fd = -1, .held = held, .room = sizeof(held)},
};

static struct shared only_here;

static void use(enum target to, int fd);
static void share(void);
static void write_sink(const struct lnt_log_fields *f);
static size_t format_line(char *line, const struct lnt_log_fields *f);
static void lose(uint64_t lines);
static void count_lost(void);
static bool report_lost(void);
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
        /* target may be our own copy of the path, given back */
        if (fd >= 0)
            memmove(sink.path, target, strlen(target) + 1);
    } else if (to == TO_SYSLOG) {
        fd = lnt_syslog_open();
    }
    if (fd < 0 && (to == TO_FILE || to == TO_SYSLOG))
        return -1;
    if (to != TO_FILE)
        sink.path[0] = '\0';
    use(to, to == TO_STDERR ? STDERR_FILENO : fd);
    sink.json = json;
    return 0;
}

void
lnt_log_take(int fd)
{
    share();
    use(TO_FILE, fd);
}

int
lnt_log_fd(void)
{
    return sink.target == TO_FILE ? sink.out.fd : -1;
}

int
lnt_log_socket(void)
{
    return sink.target == TO_SYSLOG ? sink.out.fd : -1;
}

int
lnt_log_reopen(void)
{
    if (sink.target != TO_FILE || !sink.path[0])
        return 0;
    int fd = lnt_file_append(sink.path);
    if (fd < 0)
        return -1;
    use(TO_FILE, fd);
    return 0;
}

void
lnt_log_level(enum lnt_level level)
{
    sink.level = level;
}

void
lnt_log_stderr_too(bool on)
{
    sink.stderr_too = on;
    if (sink.target == TO_STDERR &&
        lnt_nowait_look(STDERR_FILENO) != sink.out.how)
        use(TO_STDERR, STDERR_FILENO);
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

void
lnt_log_count(uint64_t *counter)
{
    count_lost();
    sink.counter = counter;
    count_lost();
}

const struct lnt_outlet *
lnt_log_outlet(void)
{
    return &sink.out;
}

void
lnt_log_flush(void)
{
    int saved = errno;

    lose(lnt_outlet_flush(&sink.out));
    (void)report_lost();
    errno = saved;
}

void
lnt_log_forked(void)
{
    (void)lnt_outlet_drop(&sink.out);
    if (sink.out.fd >= 0 && sink.out.how == LNT_NOWAIT_PIPE)
        (void)lnt_nowait_prepare(); /* else with the first line */
    sink.lost = sink.lost_told = sink.counted = 0;
}

void
lnt_log_end(void)
{
    lnt_log_flush();
    sink.lost += lnt_outlet_drop(&sink.out);
    lnt_log_count(NULL);
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
        lnt_nowait_text(STDERR_FILENO, line, len);
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
use(enum target to, int fd)
{
    int before = sink.out.fd;
    bool ours = sink.target == TO_FILE || sink.target == TO_SYSLOG;
    uint64_t lost = lnt_outlet_use(&sink.out, fd, to == TO_SYSLOG);

    if (ours && before >= 0 && before != fd)
        close(before);
    sink.target = to;
    if (lost > 0) {
        errno = EAGAIN;
        lose(lost);
    }
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
    char line[LNT_SYSLOG_HEAD + LNT_LOG_LINE + 1];

    if (sink.target == TO_OFF)
        return;
    if (sink.out.fd < 0) /* before it was opened: to stderr */
        use(TO_STDERR, STDERR_FILENO);
    lose(lnt_outlet_flush(&sink.out));
    /* The report stands where the lines are missing. */
    if (!report_lost()) {
        lose(1);
        return;
    }
    size_t n = format_line(line, f);
    lose(lnt_outlet_put(&sink.out, line, n));
}

static size_t
format_line(char *line, const struct lnt_log_fields *f)
{
    if (sink.target != TO_SYSLOG)
        return sink.json ? lnt_log_line_json(line, f)
                         : lnt_log_line_text(line, f);
    size_t head = lnt_syslog_head(line, LOG_DAEMON | syslog_priority(f->level));
    size_t n = head + lnt_log_line_syslog(line + head, f);
    line[n++] = '\n';
    return n;
}

/* errno is why. */
static void
lose(uint64_t lines)
{
    int error = errno;

    if (lines == 0)
        return;
    sink.lost += lines;
    count_lost();
    tell_failing(error);
    errno = error;
}

static void
count_lost(void)
{
    if (!sink.counter)
        return;
    __atomic_fetch_add(sink.counter, sink.lost - sink.counted,
                       __ATOMIC_RELAXED);
    sink.counted = sink.lost;
}

/* Says in the log itself what is missing from it.  False: it cannot yet. */
static bool
report_lost(void)
{
    char text[96], line[LNT_SYSLOG_HEAD + LNT_LOG_LINE + 1];

    if (sink.lost == sink.lost_told)
        return true;
    if (sink.target == TO_OFF || sink.out.full) {
        errno = EAGAIN;
        return false;
    }
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

    size_t n = format_line(line, &f);
    if (lnt_outlet_put(&sink.out, line, n) > 0)
        return false;
    sink.lost_told = sink.lost;
    return true;
}

/* To stderr and syslog, because the log is what does not work. */
static void
tell_failing(int error)
{
    struct shared *s = sink.shared ? sink.shared : &only_here;
    uint64_t now = lnt_clock_ms() + 1;
    uint64_t told = atomic_load(&s->told);
    char text[PATH_MAX + 256];

    if (told && now - told < NOTICE_EVERY_MS)
        return;
    if (!atomic_compare_exchange_strong(&s->told, &told, now))
        return; /* another process was faster */

    int n = snprintf(text, sizeof(text),
                     "linnet: cannot write to %s: %s; lines are being lost\n",
                     sink.path[0] ? sink.path : "the log",
                     lnt_outlet_reason(error));
    if (n <= 0 || (size_t)n >= sizeof(text))
        return;
    if (sink.target != TO_STDERR)
        lnt_nowait_text(STDERR_FILENO, text, (size_t)n);
    if (sink.target == TO_SYSLOG)
        return;
    text[n - 1] = '\0';
    lnt_syslog_say(LOG_DAEMON | LOG_ERR, text);
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
