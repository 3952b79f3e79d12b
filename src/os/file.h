/*
 * Files and folders, whole.
 */
#ifndef LNT_OS_FILE_H
#define LNT_OS_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a regular file whole into malloc'd memory with a NUL behind it.
 * Refuses more than max bytes (EFBIG) and anything not a regular file (EISDIR
 * or EINVAL).  The caller frees.  NULL with errno.
 */
char *lnt_file_read(const char *path, size_t max, size_t *size);

/* Creates the folder and its parents; existing ones are fine.  0 or -1. */
int lnt_file_mkdirs(const char *path, mode_t mode);

/*
 * Opens for appending, creating it; close-on-exec.  What is no regular file is
 * non-blocking, and a FIFO does not need to have a reader: what is written
 * waits for the next one.  fd, or -1; ENXIO: a FIFO without a reader that may
 * not be opened for reading, or a socket.
 */
int lnt_file_append(const char *path);

/* Closes fd, keeping errno. */
void lnt_file_close(int fd);

#endif
