/*
 * The descriptors of a process as a whole.
 */
#ifndef LNT_OS_FDS_H
#define LNT_OS_FDS_H

#include <stddef.h>

/* Closes every descriptor above 2 that is not among the n of keep (sorted by
   this call; -1s are skipped). */
void lnt_fds_keep(int *keep, size_t n);
/* Sets or clears close-on-exec.  0, or -1 with errno. */
int lnt_fd_cloexec(int fd, int on);

#endif
