#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "core/log_line.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static const char *path;

static bool
matches(const char *text, const char *pattern)
{
    regex_t re;

    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool found = regexec(&re, text, 0, NULL, 0) == 0;
    regfree(&re);
    return found;
}

static bool
log_matches(const char *pattern)
{
    char *text = tmp_read(path);
    bool found = matches(text, pattern);

    if (!found)
        diag("the log has: %s", text);
    free(text);
    return found;
}

static void
fresh(bool json)
{
    unlink(path);
    lnt_log_open(path, json);
}

#define DATE "^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} "

static void
text_lines(void)
{
    fresh(false);
    errno = 42;
    lnt_log_notice("hello %s", "world");
    is_int(errno, 42, "errno stays");
    ok(log_matches(DATE "\\[notice\\] [0-9]+#-: hello world\n$"),
       "a line of the master");
    fresh(false);
    lnt_log_slot(3);
    lnt_log_conn(15);
    lnt_log_alert("x");
    ok(log_matches(DATE "\\[alert\\] [0-9]+#3 \\*15: x\n$"),
       "a line about a connection");
    fresh(false);
    lnt_log_conn(0);
    lnt_log_slot(0);
    lnt_log_error("one\ntwo\r\t\x1b[31m\x7f \xc3\xa4 \xc2\x9b \xff\xc3 "
                  "\xed\xa0\x80 back\\slash");
    ok(log_matches("one\\\\ntwo\\\\r\\\\t\\\\x1b\\[31m\\\\x7f \xc3\xa4 "
                   "\\\\xc2\\\\x9b \\\\xff\\\\xc3 \\\\xed\\\\xa0\\\\x80 "
                   "back\\\\slash\n$"),
       "control characters and bad UTF-8 are escaped, good UTF-8 is not");
    fresh(false);
    lnt_log_error("%s", "");
    ok(log_matches("#0: \n$"), "an empty message");
    lnt_log_slot(-1);
}

static void
levels(void)
{
    char *text;

    for (int i = 0; i <= LNT_ALERT; i++) {
        fresh(false);
        lnt_log_level((enum lnt_level)i);
        lnt_log_debug("m0");
        lnt_log_info("m1");
        lnt_log_notice("m2");
        lnt_log_warn("m3");
        lnt_log_error("m4");
        lnt_log_alert("m5");
        text = tmp_read(path);
        bool good = true;
        for (int k = 0; k <= LNT_ALERT; k++) {
            char word[16];

            snprintf(word, sizeof(word), "m%d", k);
            good = good && (strstr(text, word) != NULL) == (k >= i);
        }
        ok(good, "lets through what it should");
        free(text);
    }
    is_str(lnt_level_names[LNT_ALERT + 1], NULL, "the names end");
    lnt_log_level(LNT_NOTICE);
}

static void
json_lines(void)
{
    json_t *o;
    json_int_t pid = getpid();

    fresh(true);
    lnt_log_slot(2);
    lnt_log_conn(77);
    lnt_log_warn("say \"hi\" \\ \n \x01 \xc3\xa4 \xc2\x9b \xff %d", 5);
    char *text = tmp_read(path);
    o = json_loads(text, 0, NULL);
    ok(o != NULL, "parses");
    is_str(json_string_value(json_object_get(o, "level")), "warn", "level");
    is_int(json_integer_value(json_object_get(o, "pid")), pid, "pid");
    is_int(json_integer_value(json_object_get(o, "slot")), 2, "slot");
    is_int(json_integer_value(json_object_get(o, "conn")), 77, "conn");
    is_str(json_string_value(json_object_get(o, "message")),
           "say \"hi\" \\ \n \x01 \xc3\xa4 \xc2\x9b \xef\xbf\xbd 5",
           "message, what is no UTF-8 replaced");
    const char *time = json_string_value(json_object_get(o, "time"));
    ok(time && matches(time, "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:"
                             "[0-9]{2}\\.[0-9]{3}Z$"),
       "time");
    json_decref(o);
    ok(text[strlen(text) - 1] == '\n' && !strstr(text, "\\n \n"), "one line");
    free(text);

    fresh(true);
    lnt_log_slot(-1);
    lnt_log_conn(0);
    lnt_log_warn("m");
    text = tmp_read(path);
    o = json_loads(text, 0, NULL);
    ok(o && json_is_null(json_object_get(o, "slot")), "slot of the master");
    ok(!json_object_get(o, "conn"), "no connection");
    json_decref(o);
    free(text);
}

/* All lengths around the limit, of characters of all widths. */
static void
long_lines(void)
{
    static const char *const chars[] = {
        "a", "\"", "\n", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\xa6", "\xff",
    };
    static char text[LNT_LOG_LINE + 1], line[LNT_LOG_LINE];
    bool fits = true, valid = true, marked = true, ends = true;

    for (size_t c = 0; c < sizeof(chars) / sizeof(chars[0]); c++) {
        for (size_t want = 500; want <= LNT_LOG_LINE; want += 13) {
            size_t n = 0, len = strlen(chars[c]);

            while (n + len <= want) {
                memcpy(text + n, chars[c], len);
                n += len;
            }
            struct lnt_log_fields f = {.level = LNT_INFO,
                                       .pid = 1,
                                       .text = text,
                                       .n = n,
                                       .more = want > 4000};
            size_t got = lnt_log_line_text(line, &f);
            fits = fits && got <= LNT_LOG_LINE;
            ends = ends && line[got - 1] == '\n' &&
                   memchr(line, '\n', got) == line + got - 1;
            if (f.more)
                marked = marked && memcmp(line + got - 4, "...\n", 4) == 0;
            got = lnt_log_line_json(line, &f);
            fits = fits && got <= LNT_LOG_LINE;
            json_t *o = json_loadb(line, got, 0, NULL);
            valid = valid && o != NULL;
            const char *m = json_string_value(json_object_get(o, "message"));
            if (f.more)
                marked = marked && m && strlen(m) > 3 &&
                         strcmp(m + strlen(m) - 3, "...") == 0;
            json_decref(o);
        }
    }
    ok(fits, "no line is over the limit");
    ok(ends, "each is one line");
    ok(valid, "JSON stays JSON, characters stay whole");
    ok(marked, "what is cut says so");

    fresh(false);
    memset(text, 'x', LNT_LOG_LINE);
    lnt_log_error("%s%s", text, text);
    char *written = tmp_read(path);
    is_int(strlen(written), LNT_LOG_LINE, "a whole line of the full length");
    ok(strcmp(written + LNT_LOG_LINE - 5, "x...\n") == 0, "cut");
    free(written);
    fresh(false);
    size_t head = 0;
    lnt_log_error("%s", "");
    written = tmp_read(path);
    head = strlen(written);
    free(written);
    fresh(false);
    lnt_log_error("%.*s", (int)(LNT_LOG_LINE - head), text);
    written = tmp_read(path);
    is_int(strlen(written), LNT_LOG_LINE, "one that just fits");
    ok(strcmp(written + LNT_LOG_LINE - 5, "xxxx\n") == 0, "is not cut");
    free(written);
}

static void
sinks(void)
{
    char *text;

    fresh(false);
    lnt_log_error("before");
    is_int(lnt_log_open(tmp_dir(), false), -1, "a folder is no log");
    is_int(errno, EISDIR, "EISDIR");
    is_int(lnt_log_open("/no/such/folder/x", false), -1, "nor is this");
    lnt_log_error("after");
    ok(log_matches("before\n.*after\n$"), "the old sink stayed");

    const char *moved = tmp_path("moved.log");
    rename(path, moved);
    lnt_log_error("into the moved one");
    is_int(lnt_log_reopen(), 0, "reopen");
    lnt_log_error("into the new one");
    text = tmp_read(moved);
    ok(strstr(text, "moved one\n") && !strstr(text, "new one"),
       "until then into the old file");
    free(text);
    ok(log_matches("^[^\n]*new one\n$"), "then into the new one");

    int fd = open(moved, O_WRONLY | O_APPEND | O_CLOEXEC);
    lnt_log_take(fd);
    is_int(lnt_log_fd(), fd, "a descriptor from elsewhere");
    lnt_log_error("taken");
    text = tmp_read(moved);
    ok(strstr(text, "taken\n") != NULL, "is written to");
    free(text);

    is_int(lnt_log_open("off", false), 0, "off");
    is_int(lnt_log_fd(), -1, "has no descriptor");
    ok(!lnt_log_wants(LNT_ALERT), "wants nothing");
    lnt_log_alert("nowhere");
    is_int(lnt_log_reopen(), 0, "nothing to open again");
}

/* With stderr into a file, which is what is returned. */
static char *
stderr_of(void (*fn)(void))
{
    const char *file = tmp_path("stderr");
    int keep = dup(STDERR_FILENO);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);

    dup2(fd, STDERR_FILENO);
    close(fd);
    fn();
    dup2(keep, STDERR_FILENO);
    close(keep);
    return tmp_read(file);
}

static void
to_stderr(void)
{
    lnt_log_open("stderr", false);
    lnt_log_stderr_too(true);
    lnt_log_error("once");
    lnt_log_stderr_too(false);
}

static void
to_both(void)
{
    fresh(false);
    lnt_log_stderr_too(true);
    lnt_log_warn("not you");
    lnt_log_error("you %d", 2);
    lnt_log_open("off", false);
    lnt_log_error("even now");
    lnt_log_stderr_too(false);
    lnt_log_error("not any more");
}

static void
stderrs(void)
{
    char *text = stderr_of(to_stderr);

    ok(matches(text, "^[^\n]*\\[error\\] [0-9]+#-: once\n$"), "to stderr once");
    free(text);
    text = stderr_of(to_both);
    is_str(text, "linnet: [error] you 2\nlinnet: [error] even now\n",
           "errors on stderr, too");
    free(text);
}

static void
full(void)
{
    if (lnt_log_open("/dev/full", false) < 0)
        return;
    for (int i = 0; i < 100; i++)
        lnt_log_error("lost %d", i);
}

static void
torn(void)
{
    struct rlimit limit = {100, RLIM_INFINITY};

    fresh(false);
    lnt_log_error("the report of what was lost before comes first");
    fresh(false);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    lnt_log_error("a line that fits");
    lnt_log_error("a line that does not fit into the hundred bytes any more");
    lnt_log_error("nor does this");
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    lnt_log_error("there is room again");
    lnt_log_error("and goes on");
}

static void
failures(void)
{
    uint64_t lost = 0, before;
    char *text;

    lnt_log_count(&lost);
    before = lost;
    text = stderr_of(full);

    if (access("/dev/full", W_OK) == 0) {
        is_int(lost - before, 100, "every lost line is counted");
        ok(matches(text, "^linnet: cannot write to /dev/full: [^\n]*; lines "
                         "are being lost\n$"),
           "and told on stderr once");
    } else {
        skip(2, "no /dev/full");
    }
    free(text);
    before = lost;
    text = stderr_of(torn);
    is_int(lost - before, 2, "two more");
    is_str(text, "", "not told again within a minute");
    free(text);
    ok(log_matches("^[^\n]*a line that fits\n" /* then the torn one */
                   "[^\n]*\n"
                   "[^\n]*\\[error\\][^\n]*: [0-9]+ log lines could not be "
                   "written before this one\n[^\n]*: there is room again\n"
                   "[^\n]*: and goes on\n$"),
       "a torn line is ended, and the log says there what is missing");
}

/* Four processes, one file, which is moved away ten times. */
static void
together(void)
{
    enum { PROCESSES = 4, LINES = 2000, ROTATIONS = 10 };
    char filler[200];
    unsigned seen = 0, bad = 0;

    memset(filler, 'f', sizeof(filler));
    fresh(false);
    fflush(NULL);
    for (int p = 0; p < PROCESSES; p++) {
        if (fork() != 0)
            continue;
        for (int i = 0; i < LINES; i++) {
            lnt_log_error("p%d l%d %.*s end", p, i, i % 200, filler);
            if (i % (LINES / ROTATIONS) == 0 && p == 0) {
                char to[PATH_MAX + 16];

                snprintf(to, sizeof(to), "%s.%d", path, i);
                rename(path, to);
            }
            if (i % 50 == 0)
                lnt_log_reopen();
        }
        _exit(0);
    }
    while (wait(NULL) > 0)
        ;
    for (int i = -1; i < LINES; i++) {
        char from[PATH_MAX + 16], line[8192];

        snprintf(from, sizeof(from), i < 0 ? "%s" : "%s.%d", path, i);
        FILE *f = fopen(from, "r");
        while (f && fgets(line, sizeof(line), f)) {
            if (matches(line, DATE "\\[error\\] [0-9]+#-: p[0-3] l[0-9]+ "
                                   "f* end\n$"))
                seen++;
            else
                bad++;
        }
        if (f)
            fclose(f);
    }
    is_int(seen, PROCESSES * LINES, "no line is lost by rotation");
    is_int(bad, 0, "none is torn");
}

/* One message, from a few system logs' sockets, which are streams. */
static ssize_t
receive(int fd, int type, char *got, size_t size)
{
    if (type == SOCK_DGRAM)
        return recv(fd, got, size, 0);
    int peer = accept(fd, NULL, NULL);
    ssize_t n = recv(peer, got, size, 0);
    /* a NUL ends it there */
    return n > 0 && got[n - 1] == '\0' ? n - 1 : -1;
}

/* In a namespace of its own, whose /dev/log is ours. */
static int
syslog_child(int type)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    struct timeval wait_for = {.tv_sec = 10};
    char got[512];

    if (unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev", "tmpfs", 0, NULL) < 0)
        return 77;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
        (type == SOCK_STREAM && listen(fd, 5) < 0))
        return 77;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait_for, sizeof(wait_for));
    if (lnt_log_open("syslog", false) < 0)
        return 1;
    lnt_log_slot(1);
    lnt_log_warn("to %s\nx", "syslog");
    ssize_t n = receive(fd, type, got, sizeof(got) - 1);
    if (n < 0)
        return 2;
    got[n] = '\0';
    return matches(got, "^<28>.*linnet\\[[0-9]+\\]: \\[warn\\] #1: to "
                        "syslog\\\\nx$")
               ? 0
               : 3;
}

static void
to_syslog(int type)
{
    int status;

    fflush(NULL);
    if (fork() == 0)
        _exit(syslog_child(type));
    wait(&status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(1, "no mount namespace of our own to be had");
    else
        is_int(status, 0, "syslog gets priority, name, pid and text");
}

int
main(void)
{
    path = strdup(tmp_path("test.log"));
    text_lines();
    levels();
    json_lines();
    long_lines();
    sinks();
    stderrs();
    failures();
    together();
    to_syslog(SOCK_DGRAM);
    to_syslog(SOCK_STREAM);
    lnt_log_open("stderr", false);
    return done_testing();
}
