/*
 * The descriptors of a process as a whole, the standard ones among them.
 */
#ifndef LNT_OS_FDS_H
#define LNT_OS_FDS_H

#include <stddef.h>

/*
 * Opens /dev/null on those of 0, 1 and 2 that are closed: 0 for reading, 1 and
 * 2 for writing.  Call it before anything else is opened.  0, or -1 with errno
 * and *which of them could not be opened.
 */
int lnt_fds_standard(int *which);
/* Closes every descriptor above 2 that is not among the n of keep (sorted by
   this call; -1s are skipped), but for those of os/nowait.h. */
void lnt_fds_keep(int *keep, size_t n);
/* Makes fd stand for what with stands for, close-on-exec: whoever remembers the
   number fd is never left with another file.  0, or -1 with errno. */
int lnt_fd_replace(int fd, int with);
/* Sets or clears close-on-exec.  0, or -1 with errno. */
int lnt_fd_cloexec(int fd, int on);

#endif
