/*
 * Writing without waiting, to descriptors that may not take bytes: pipes,
 * FIFOs, terminals, sockets.  A description that other processes have too is
 * never made non-blocking: they did not ask for that.
 */
#ifndef LNT_OS_NOWAIT_H
#define LNT_OS_NOWAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum lnt_nowait {
    LNT_NOWAIT_FILE,     /* does not wait: a file, /dev/null */
    LNT_NOWAIT_OWN,      /* a pipe or device that is non-blocking already */
    LNT_NOWAIT_PIPE,     /* a pipe that blocks */
    LNT_NOWAIT_SOCKET,   /* any socket */
    LNT_NOWAIT_TERMINAL, /* a terminal that blocks */
};

/*
 * Gives fd an open file description of its own that is non-blocking, if it is
 * a pipe or terminal that this process may open; else changes nothing.
 */
void lnt_nowait_own(int fd);

/*
 * Writing to a pipe that blocks takes a pipe of this process's own, which is
 * made when lnt_nowait_look finds the first such one, and kept.  A forked child
 * has none: it never shares its parent's.  This closes it; true if there was
 * one.
 */
bool lnt_nowait_release(void);
/* Makes it, if there is none.  0, or -1 with errno. */
int lnt_nowait_prepare(void);

/* How to write to fd; a system call or two, so remember the answer. */
enum lnt_nowait lnt_nowait_look(int fd);

/*
 * Writes what fd takes at once, which may be less than n.  -1 with errno when
 * it takes nothing; EAGAIN: not now.  Up to PIPE_BUF bytes go into a pipe as a
 * whole or not at all, so lines of several processes do not mix.
 */
ssize_t lnt_nowait_write(int fd, enum lnt_nowait how, const char *p, size_t n);

/* A text for a person, as far as fd takes it. */
void lnt_nowait_text(int fd, const char *p, size_t n);

#endif
