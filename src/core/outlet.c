/*
 * An outlet for lines.  When to try again, and whom to tell of lost lines, is
 * left to the owner.  Allocates nothing.
 */
#include "core/outlet.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "os/syslog.h"

static size_t push(struct lnt_outlet *o, const char *p, size_t n);
static uint64_t hold(struct lnt_outlet *o, const char *p, size_t n);
static size_t next_piece(const struct lnt_outlet *o, const char *p, size_t n);
static ssize_t write_piece(struct lnt_outlet *o, bool rest, const char *p,
                           size_t n);
static void skip_rest(struct lnt_outlet *o);
static bool end_torn(struct lnt_outlet *o);
static bool goes_on(int fd);
static uint64_t count_lines(const char *p, size_t n);

void
lnt_outlet_init(struct lnt_outlet *o, char *held, size_t size)
{
    *o = (struct lnt_outlet){.fd = -1, .held = held, .room = size};
}

uint64_t
lnt_outlet_use(struct lnt_outlet *o, int fd, bool syslog)
{
    uint64_t lost = 0;
    bool half = o->torn || o->mid;

    /* Heads of the system log belong nowhere else, and it needs them. */
    if (lnt_outlet_holds(o) && (fd < 0 || syslog != o->syslog)) {
        lost = lnt_outlet_drop(o);
    } else if (o->mid) {
        /* The other half is in the old file. */
        skip_rest(o);
        lost = 1;
    }
    o->fd = fd;
    o->syslog = syslog;
    o->how = fd < 0 ? LNT_NOWAIT_FILE : lnt_nowait_look(fd);
    o->stream = syslog && fd >= 0 && lnt_syslog_is_stream(fd);
    /* It may be the same file, with the torn line at its end. */
    o->torn = half && fd >= 0 && !syslog && goes_on(fd);
    o->mid = false;
    o->opened++;
    return lost;
}

uint64_t
lnt_outlet_put(struct lnt_outlet *o, const char *p, size_t n)
{
    uint64_t lost = lnt_outlet_flush(o);

    if (lnt_outlet_holds(o))
        return lost + hold(o, p, n);
    size_t done = push(o, p, n);
    if (done == n)
        return lost;
    int error = errno;
    bool half = done > 0 && p[done - 1] != '\n';
    if (error == EAGAIN) {
        uint64_t more = hold(o, p + done, n - done);

        o->mid = half && lnt_outlet_holds(o);
        o->torn = half && !o->mid;
        return lost + more;
    }
    o->torn = o->torn || half;
    errno = error;
    return lost + count_lines(p + done, n - done);
}

uint64_t
lnt_outlet_flush(struct lnt_outlet *o)
{
    uint64_t lost = 0;

    if (!lnt_outlet_holds(o)) {
        o->full = false;
        return 0;
    }
    int error = 0;
    while (lnt_outlet_holds(o)) {
        size_t done = push(o, o->held + o->from, o->end - o->from);

        int now = errno;
        if (done > 0)
            o->mid = o->held[o->from + done - 1] != '\n';
        o->from += done;
        if (!lnt_outlet_holds(o))
            break;
        error = now;
        if (error == EAGAIN)
            break;
        if (o->syslog && o->mid && error == EPIPE) {
            /* The first half went with the connection; the next message makes
               a new one. */
            skip_rest(o);
            lost++;
            continue;
        }
        o->torn = o->torn || o->mid;
        lost += lnt_outlet_drop(o);
    }
    if (!lnt_outlet_holds(o)) {
        o->from = o->end = 0;
        o->mid = false;
    }
    if (o->end - o->from <= o->room / 2)
        o->full = false;
    errno = error;
    return lost;
}

uint64_t
lnt_outlet_drop(struct lnt_outlet *o)
{
    uint64_t lost = count_lines(o->held + o->from, o->end - o->from);

    o->from = o->end = 0;
    o->mid = o->full = false;
    return lost;
}

const char *
lnt_outlet_reason(int error)
{
    return error == EAGAIN ? "it takes no more bytes" : strerror(error);
}

/* Writes until nothing is left or it fails: how much it was, and errno. */
static size_t
push(struct lnt_outlet *o, const char *p, size_t n)
{
    size_t done = 0;

    if (o->torn && n > 0 && !end_torn(o))
        return 0;
    while (done < n) {
        bool rest = done > 0 ? p[done - 1] != '\n' : o->mid;
        ssize_t w =
            write_piece(o, rest, p + done, next_piece(o, p + done, n - done));

        if (w < 0)
            break;
        done += (size_t)w;
    }
    o->taken += done;
    return done;
}

/* Keeps the lines that there is room for. */
static uint64_t
hold(struct lnt_outlet *o, const char *p, size_t n)
{
    size_t fits = n;

    if (o->from > 0 && n > o->room - o->end) {
        memmove(o->held, o->held + o->from, o->end - o->from);
        o->end -= o->from;
        o->from = 0;
    }
    if (n > o->room - o->end) {
        const char *last = memrchr(p, '\n', o->room - o->end);

        fits = last ? (size_t)(last + 1 - p) : 0;
    }
    if (o->full)
        fits = 0;
    memcpy(o->held + o->end, p, fits);
    o->end += fits;
    o->full = fits < n;
    errno = EAGAIN;
    return count_lines(p + fits, n - fits);
}

/* What is written at once: of lines that others write to the same pipe, as
   many as it takes whole; one longer than that alone. */
static size_t
next_piece(const struct lnt_outlet *o, const char *p, size_t n)
{
    const char *stop = NULL;

    if (!o->syslog && (o->how == LNT_NOWAIT_FILE || n <= PIPE_BUF))
        return n;
    if (!o->syslog)
        stop = memrchr(p, '\n', PIPE_BUF);
    if (!stop)
        stop = memchr(p, '\n', n);
    return stop ? (size_t)(stop + 1 - p) : n;
}

/* rest: the beginning of the line has been taken. */
static ssize_t
write_piece(struct lnt_outlet *o, bool rest, const char *p, size_t n)
{
    return o->syslog ? lnt_syslog_send(o->fd, &o->stream, rest, p, n)
                     : lnt_nowait_write(o->fd, o->how, p, n);
}

/* False: not yet, with errno. */
static bool
end_torn(struct lnt_outlet *o)
{
    /* EPIPE of the system log: it ended with its connection. */
    if (write_piece(o, true, "\n", 1) < 0 && !(o->syslog && errno == EPIPE))
        return false;
    o->torn = false;
    return true;
}

/* What is held begins with the rest of a line. */
static void
skip_rest(struct lnt_outlet *o)
{
    const char *p = o->held + o->from;
    const char *stop = memchr(p, '\n', o->end - o->from);

    o->from = stop ? (size_t)(stop + 1 - o->held) : o->end;
    o->mid = false;
}

/* Whether something may stand before what is written to fd now. */
static bool
goes_on(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > 0);
}

static uint64_t
count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}
