/*
 * Outlets that stall: pipes, terminals, sockets.  Nothing here may wait; an
 * alarm ends the program when something does.
 */
#include "core/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/nowait.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

enum { ROOM = 20000, LINE = 100 };

static char held[ROOM];
static struct lnt_outlet out;

/* "00000012 xxx...x\n", LINE bytes. */
static uint64_t
put(unsigned number)
{
    char line[LINE + 1];

    snprintf(line, sizeof(line), "%08u ", number);
    memset(line + 9, 'x', LINE - 10);
    line[LINE - 1] = '\n';
    return lnt_outlet_put(&out, line, LINE);
}

static void
nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct seen {
    unsigned lines, torn, out_of_order;
    unsigned first_gap; /* the number before the first one that is missing */
    char part[LINE + 1];
    size_t n;
    unsigned next;
};

static void
see(struct seen *s, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r') /* of a terminal */
            continue;
        if (s->n < LINE)
            s->part[s->n] = p[i];
        s->n++;
        if (p[i] != '\n')
            continue;
        unsigned number = (unsigned)strtoul(s->part, NULL, 10);
        s->torn += s->n != LINE;
        s->out_of_order += s->lines > 0 && number < s->next;
        if (number > s->next && !s->first_gap)
            s->first_gap = s->next;
        s->next = number + 1;
        s->lines++;
        s->n = 0;
    }
}

/* Reads what there is. */
static void
drain(int fd, struct seen *s)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        see(s, buf, (size_t)n);
}

/* Reader and writer of one kind; both ends are closed. */
static void
stall(const char *what, enum lnt_nowait how, int reader, int writer)
{
    struct seen s = {0};
    uint64_t lost = 0, wanted;
    unsigned n = 0, flags = (unsigned)fcntl(writer, F_GETFL);

    lnt_outlet_init(&out, held, sizeof(held));
    lnt_outlet_use(&out, writer, false);
    is_int(out.how, how, "%s: found out how to write to it", what);
    while (lost == 0 && n < 100000)
        lost = put(n++);
    is_int(lost, 1, "%s: lines are lost at last", what);
    is_int(errno, EAGAIN, "... because it does not take them now");
    ok(lnt_outlet_holds(&out), "... while others are held");
    unsigned first_lost = n - 1;
    for (int i = 0; i < 500; i++)
        lost += put(n++);
    is_int(lost, 501, "... and as long as nobody reads");
    wanted = n;
    nonblocking(reader);
    for (int i = 0; lnt_outlet_holds(&out) && i < 10000; i++) {
        drain(reader, &s);
        lost += lnt_outlet_flush(&out);
    }
    ok(!lnt_outlet_holds(&out), "%s: all that was held goes out", what);
    lost += put(n++);
    wanted++;
    drain(reader, &s);
    is_int(lost, 501, "... and nothing more is lost");
    is_int(s.lines + lost, wanted, "... each line came or was counted");
    is_int(s.torn, 0, "... each is whole");
    is_int(s.out_of_order, 0, "... in order");
    is_int(s.first_gap, first_lost, "... the gap is where it was counted");
    is_int(fcntl(writer, F_GETFL), flags, "... and its flags are as before");
    close(reader);
    close(writer);
}

static void
pipes(void)
{
    int p[2];

    if (pipe(p) < 0)
        return;
    stall("a pipe that blocks", LNT_NOWAIT_PIPE, p[0], p[1]);
    if (pipe(p) < 0)
        return;
    nonblocking(p[1]);
    stall("a pipe that does not", LNT_NOWAIT_OWN, p[0], p[1]);
}

static void
sockets(void)
{
    int s[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
        return;
    stall("a stream", LNT_NOWAIT_SOCKET, s[0], s[1]);
}

static int
terminal(int *master)
{
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0 || grantpt(*master) < 0 || unlockpt(*master) < 0)
        return -1;
    return open(ptsname(*master), O_RDWR | O_NOCTTY);
}

static void
terminals(void)
{
    int master, tty = terminal(&master);

    if (tty < 0) {
        skip(1, "no terminals here");
        return;
    }
    stall("a terminal that blocks", LNT_NOWAIT_TERMINAL, master, tty);
    tty = terminal(&master);
    nonblocking(tty);
    stall("a terminal that does not", LNT_NOWAIT_OWN, master, tty);

    tty = terminal(&master);
    lnt_outlet_init(&out, held, sizeof(held));
    lnt_outlet_use(&out, tty, false);
    tcflow(tty, TCOOFF);
    is_int(put(0), 0, "output is stopped: a line is held");
    ok(lnt_outlet_holds(&out), "... and did not go out");
    tcflow(tty, TCOON);
    is_int(lnt_outlet_flush(&out), 0, "output goes on");
    ok(!lnt_outlet_holds(&out), "... and so does the line");
    close(tty);
    close(master);
}

/* A description of its own, and the one it came from unchanged. */
static void
own(void)
{
    int p[2];

    if (pipe(p) < 0)
        return;
    int mine = dup(p[1]);
    lnt_nowait_own(mine);
    ok(fcntl(mine, F_GETFL) & O_NONBLOCK, "a pipe is opened again");
    ok(!(fcntl(p[1], F_GETFL) & O_NONBLOCK), "... others keep theirs");
    close(mine);
    close(p[0]);
    mine = dup(p[1]);
    lnt_nowait_own(mine);
    is_int(lnt_nowait_write(mine, lnt_nowait_look(mine), "x", 1), -1,
           "one without a reader");
    is_int(errno, EPIPE, "... is EPIPE");
    close(mine);
    close(p[1]);
    mine = open(tmp_path("file"), O_WRONLY | O_CREAT, 0644);
    lnt_nowait_own(mine);
    ok(write(mine, "abc", 3) == 3 && lseek(mine, 0, SEEK_CUR) == 3 &&
           !(fcntl(mine, F_GETFL) & O_NONBLOCK),
       "a file stays as it is");
    close(mine);
    errno = 42;
    lnt_nowait_own(-1);
    is_int(errno, 42, "nor is anything done to no descriptor");
}

/* A line that no pipe takes whole is finished before others follow. */
static void
long_line(void)
{
    static char big[100000], room[200000], got[200000];
    size_t n = 0;
    ssize_t r;
    int p[2];

    if (pipe(p) < 0)
        return;
    nonblocking(p[0]);
    nonblocking(p[1]);
    lnt_outlet_init(&out, room, sizeof(room));
    lnt_outlet_use(&out, p[1], false);
    memset(big, 'b', sizeof(big));
    big[sizeof(big) - 1] = '\n';
    is_int(lnt_outlet_put(&out, big, sizeof(big)), 0, "a long line");
    ok(out.mid, "... is half out");
    is_int(lnt_outlet_put(&out, "next\n", 5), 0, "another one");
    for (int i = 0; i < 1000 && n < sizeof(big) + 5; i++) {
        while ((r = read(p[0], got + n, sizeof(got) - n)) > 0)
            n += (size_t)r;
        (void)lnt_outlet_flush(&out);
    }
    is_int(n, sizeof(big) + 5, "both arrive");
    ok(memcmp(got, big, sizeof(big)) == 0 &&
           memcmp(got + sizeof(big), "next\n", 5) == 0,
       "... one after the other");

    /* Another file instead, while half of it is out. */
    (void)lnt_outlet_put(&out, big, sizeof(big));
    (void)lnt_outlet_put(&out, "next\n", 5);
    int fd = open(tmp_path("instead"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    is_int(lnt_outlet_use(&out, fd, false), 1, "half a line is lost");
    is_int(lnt_outlet_flush(&out), 0, "the next one");
    char *text = tmp_read(tmp_path("instead"));
    is_str(text, "next\n", "... is written elsewhere");
    free(text);
    close(fd);

    /* No room to keep the rest of it. */
    while (read(p[0], got, sizeof(got)) > 0)
        ;
    lnt_outlet_init(&out, held, sizeof(held));
    lnt_outlet_use(&out, p[1], false);
    is_int(lnt_outlet_put(&out, big, sizeof(big)), 1, "too long to be kept");
    n = 0;
    while ((r = read(p[0], got + n, sizeof(got) - n)) > 0)
        n += (size_t)r;
    is_int(lnt_outlet_put(&out, "next\n", 5), 0, "the next one");
    n += (size_t)read(p[0], got + n, sizeof(got) - n);
    ok(n > 6 && memcmp(got + n - 7, "b\nnext\n", 7) == 0,
       "... begins on a line of its own");
    close(p[0]);
    close(p[1]);
}

static void
gone(void)
{
    int p[2];

    if (pipe(p) < 0)
        return;
    lnt_outlet_init(&out, held, sizeof(held));
    lnt_outlet_use(&out, p[1], false);
    for (unsigned i = 0; !lnt_outlet_holds(&out); i++)
        (void)put(i);
    (void)put(0);
    close(p[0]);
    is_int(lnt_outlet_flush(&out), 2, "the reader goes: what is held is lost");
    is_int(errno, EPIPE, "EPIPE");
    is_int(put(1), 1, "so is what comes then");
    is_int(lnt_outlet_use(&out, -1, false), 0, "no outlet");
    close(p[1]);
}

static unsigned
open_files(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* In a child that closed all but the pipe and has other files since. */
static int
write_as_child(int writer)
{
    int keep[] = {writer};
    int others[8];

    lnt_fds_keep(keep, 1);
    for (int i = 0; i < 8; i++)
        if ((others[i] = open(tmp_path("others"), O_RDWR)) < 0)
            return 1;
    if (put(1) != 0 || lnt_outlet_holds(&out))
        return 2;
    for (int i = 0; i < 8; i++)
        if (lseek(others[i], 0, SEEK_END) != 0)
            return 3;
    return 0;
}

static void
helper_pipe(void)
{
    struct seen s = {0};
    struct rlimit before, none;
    int p[2], status = -1;

    close(open(tmp_path("others"), O_WRONLY | O_CREAT, 0644));
    if (pipe(p) < 0)
        return;
    nonblocking(p[0]);
    lnt_nowait_release();
    unsigned files = open_files();
    lnt_outlet_init(&out, held, sizeof(held));
    lnt_outlet_use(&out, p[1], false);
    is_int(open_files(), files + 2, "one pipe to write to those that block");
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    is_int(put(0), 0, "no descriptor is left: a line");
    ok(!lnt_outlet_holds(&out), "... goes out all the same");
    setrlimit(RLIMIT_NOFILE, &before);
    is_int(open_files(), files + 2, "... and no pipe more");

    pid_t pid = fork();
    if (pid == 0)
        _exit(write_as_child(p[1]));
    waitpid(pid, &status, 0);
    is_int(status, 0, "a child writes with one of its own");
    is_int(put(2), 0, "the parent goes on with its one");
    drain(p[0], &s);
    is_int(s.lines, 3, "all three lines are in the pipe");
    is_int(s.torn + s.out_of_order, 0, "... whole and in order");
    ok(lnt_nowait_release() && open_files() == files, "it is closed");
    is_int(put(3), 0, "a line when there is none");
    ok(!lnt_outlet_holds(&out) && open_files() == files + 2, "... makes one");
    close(p[0]);
    close(p[1]);
}

/* What a stream of the system log has, with '|' for each NUL. */
static size_t
read_stream(int fd, char *got, size_t size)
{
    size_t n = 0;
    ssize_t r;

    while (n < size && (r = read(fd, got + n, size - n)) > 0)
        n += (size_t)r;
    for (size_t i = 0; i < n; i++)
        if (got[i] == '\0')
            got[i] = '|';
    return n;
}

/* A stream of which the first message is only taken in part. */
static bool
half_message(int s[2], char *big, size_t n)
{
    int small = 1;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0)
        return false;
    setsockopt(s[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    nonblocking(s[0]);
    memset(big, 'b', n);
    big[n - 1] = '\n';
    lnt_outlet_init(&out, held, sizeof(held));
    is_int(lnt_outlet_use(&out, s[1], true), 0, "a system log of a stream");
    ok(out.stream, "... is known as one");
    is_int(lnt_outlet_put(&out, big, n), 0, "a message it takes in part");
    return out.mid && out.end - out.from < n;
}

static void
system_log(void)
{
    static char big[10000], got[2 * sizeof(big)];
    size_t n = 0;
    int s[2];

    ok(half_message(s, big, sizeof(big)), "... and the rest is held");
    is_int(lnt_outlet_put(&out, "next\n", 5), 0, "the next one");
    for (int i = 0; i < 1000 && n < sizeof(big) + 5; i++) {
        n += read_stream(s[0], got + n, sizeof(got) - n);
        (void)lnt_outlet_flush(&out);
    }
    is_int(n, sizeof(big) + 5, "both arrive");
    big[sizeof(big) - 1] = '|';
    ok(memcmp(got, big, sizeof(big)) == 0 &&
           memcmp(got + sizeof(big), "next|", 5) == 0,
       "... each ends with its NUL");
    close(s[0]);
    close(s[1]);

    /* The system log ends in the middle of a message. */
    ok(half_message(s, big, sizeof(big)), "... and the rest is held again");
    close(s[0]);
    is_int(lnt_outlet_flush(&out), 1, "its reader goes: it is lost");
    is_int(errno, EPIPE, "EPIPE");
    ok(!out.torn && !out.mid && !lnt_outlet_holds(&out),
       "... and the next message needs nothing before it");
    close(s[1]);
}

/* A file that takes no more than limit bytes for now. */
static void
limit_files(rlim_t limit)
{
    struct rlimit lim;

    getrlimit(RLIMIT_FSIZE, &lim);
    lim.rlim_cur = limit;
    setrlimit(RLIMIT_FSIZE, &lim);
}

static void
torn(void)
{
    static const char *const names[] = {"it goes on", "it is opened again",
                                        "a new one"};
    struct rlimit before;

    getrlimit(RLIMIT_FSIZE, &before);
    for (int i = 0; i < 3; i++) {
        const char *path = tmp_path("torn"), *other = tmp_path("torn.new");
        int how = O_WRONLY | O_CREAT | O_APPEND;
        int fd = open(path, how | O_TRUNC, 0644);

        lnt_outlet_init(&out, held, sizeof(held));
        lnt_outlet_use(&out, fd, false);
        limit_files(15);
        is_int(lnt_outlet_put(&out, "0123456789\n", 11), 0, "a line");
        is_int(lnt_outlet_put(&out, "abcdefghij\n", 11), 1,
               "a file is full in the middle of the next one: it is lost");
        is_int(errno, EFBIG, "EFBIG");
        limit_files(before.rlim_cur);
        if (i > 0) {
            int again = open(i == 1 ? path : other, how, 0644);

            is_int(lnt_outlet_use(&out, again, false), 0, "%s", names[i]);
            close(fd);
            fd = again;
        }
        is_int(lnt_outlet_put(&out, "next\n", 5), 0, "the next line");
        char *text = tmp_read(i == 2 ? other : path);
        is_str(text, i == 2 ? "next\n" : "0123456789\nabcd\nnext\n",
               "%s: ... is one of its own", names[i]);
        free(text);
        close(fd);
    }
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    alarm(60);
    pipes();
    sockets();
    terminals();
    own();
    long_line();
    gone();
    system_log();
    torn();
    helper_pipe();
    return done_testing();
}
