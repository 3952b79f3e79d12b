/*
 * Writing without waiting.  Keeping what was not taken is left to callers.
 */
#include "os/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

/* What a terminal takes for sure when it is ready: its buffers are of 256. */
enum { TERMINAL_PIECE = 128 };

/* Ends of the pipe that write_pipe needs; -1: none.  Of this process alone:
   what one wrote another one would splice to where it does not belong. */
static int helper[2] = {-1, -1};

static int open_again(int fd);
static void empty_helper(void);
static void forget_helper(void);
static ssize_t write_plain(int fd, const char *p, size_t n);
static ssize_t write_socket(int fd, const char *p, size_t n);
static ssize_t write_pipe(int fd, const char *p, size_t n);
static ssize_t write_terminal(int fd, const char *p, size_t n);

void
lnt_nowait_own(int fd)
{
    struct stat st;
    int saved = errno;

    if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd))) {
        int own = open_again(fd);

        if (own >= 0) {
            (void)dup2(own, fd);
            close(own);
        }
    }
    errno = saved;
}

enum lnt_nowait
lnt_nowait_look(int fd)
{
    struct stat st;
    int saved = errno;
    enum lnt_nowait how = LNT_NOWAIT_FILE;

    if (fstat(fd, &st) < 0) {
        errno = saved;
        return how; /* the write says what is wrong */
    }
    if (S_ISSOCK(st.st_mode)) {
        how = LNT_NOWAIT_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0 && (flags & O_NONBLOCK))
            how = LNT_NOWAIT_OWN;
        else if (S_ISFIFO(st.st_mode))
            how = LNT_NOWAIT_PIPE;
        else if (isatty(fd))
            how = LNT_NOWAIT_TERMINAL;
    }
    /* Now, because later there may be no descriptor left; if there is none now,
       the first line tries again. */
    if (how == LNT_NOWAIT_PIPE)
        (void)lnt_nowait_prepare();
    errno = saved;
    return how;
}

ssize_t
lnt_nowait_write(int fd, enum lnt_nowait how, const char *p, size_t n)
{
    switch (how) {
    case LNT_NOWAIT_FILE:
    case LNT_NOWAIT_OWN:
        return write_plain(fd, p, n);
    case LNT_NOWAIT_PIPE:
        return write_pipe(fd, p, n);
    case LNT_NOWAIT_SOCKET:
        return write_socket(fd, p, n);
    case LNT_NOWAIT_TERMINAL:
        return write_terminal(fd, p, n);
    }
    errno = EINVAL;
    return -1;
}

bool
lnt_nowait_release(void)
{
    if (helper[0] < 0)
        return false;
    lnt_file_close(helper[0]);
    lnt_file_close(helper[1]);
    helper[0] = helper[1] = -1;
    return true;
}

int
lnt_nowait_prepare(void)
{
    static bool told;
    int ends[2];

    if (helper[0] >= 0)
        return 0;
    if (!told) {
        int error = pthread_atfork(NULL, NULL, forget_helper);

        if (error != 0) {
            errno = error;
            return -1;
        }
        told = true;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    helper[0] = ends[0];
    helper[1] = ends[1];
    return 0;
}

/* In a forked child. */
static void
forget_helper(void)
{
    (void)lnt_nowait_release();
}

void
lnt_nowait_text(int fd, const char *p, size_t n)
{
    enum lnt_nowait how = lnt_nowait_look(fd);

    while (n > 0) {
        ssize_t w = lnt_nowait_write(fd, how, p, n < PIPE_BUF ? n : PIPE_BUF);

        if (w < 0)
            return;
        p += w;
        n -= (size_t)w;
    }
}

/* A terminal of another user (after su) may be opened only under the name that
   every process has for its own one. */
static int
open_again(int fd)
{
    const int how = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    unsigned device, its;
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = open(path, how);
    if (own >= 0 || ioctl(fd, TIOCGDEV, &device) < 0)
        return own;
    own = open("/dev/tty", how);
    if (own >= 0 && (ioctl(own, TIOCGDEV, &its) < 0 || its != device)) {
        close(own);
        own = -1;
    }
    return own;
}

static ssize_t
write_plain(int fd, const char *p, size_t n)
{
    ssize_t w;

    do
        w = write(fd, p, n);
    while (w < 0 && errno == EINTR);
    if (w == 0 && n > 0) {
        errno = ENOSPC;
        return -1;
    }
    return w;
}

static ssize_t
write_socket(int fd, const char *p, size_t n)
{
    ssize_t w;

    do
        w = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (w < 0 && errno == EINTR);
    if (w < 0 && errno == ENOBUFS)
        errno = EAGAIN;
    return w;
}

/*
 * poll(2) and then write(2) could wait: another process may fill the pipe in
 * between.  A splice from a pipe of our own does not, whatever the flags of
 * the other one are.  What is spliced takes a slot of the other pipe however
 * short it is, and there are 16 by default; so callers that have several lines
 * write them at once.
 */
static ssize_t
write_pipe(int fd, const char *p, size_t n)
{
    if (lnt_nowait_prepare() < 0) {
        errno = EAGAIN; /* no descriptors left just now */
        return -1;
    }
    ssize_t there = write_plain(helper[1], p, n);
    if (there <= 0)
        return there;
    ssize_t w;
    do
        w = splice(helper[0], NULL, fd, NULL, (size_t)there, SPLICE_F_NONBLOCK);
    while (w < 0 && errno == EINTR);
    if (w == 0) {
        errno = EAGAIN;
        w = -1;
    }
    if (w < there)
        empty_helper();
    return w;
}

/* What the other pipe did not take is written to it again, from the start. */
static void
empty_helper(void)
{
    char rest[PIPE_BUF];
    int saved = errno;
    ssize_t n;

    do
        n = read(helper[0], rest, sizeof(rest));
    while (n > 0 || (n < 0 && errno == EINTR));
    if (errno != EAGAIN)
        (void)lnt_nowait_release();
    errno = saved;
}

/*
 * The last resort, for a terminal that may not be opened again.  Ready means
 * that it takes some text or one line end, which may become two bytes; not a
 * line end behind a text that has filled it.
 */
static ssize_t
write_terminal(int fd, const char *p, size_t n)
{
    const char *stop = memchr(p, '\n', n);
    size_t piece = !stop ? n : stop > p ? (size_t)(stop - p) : 1;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int rc;

    do
        rc = poll(&ready, 1, 0);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write_plain(fd, p, piece < TERMINAL_PIECE ? piece : TERMINAL_PIECE);
}
