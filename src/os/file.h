/*
 * Files and folders, whole.
 */
#ifndef LNT_OS_FILE_H
#define LNT_OS_FILE_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a regular file whole into malloc'd memory with a NUL behind it.
 * Refuses more than max bytes (EFBIG) and anything not a regular file (EISDIR
 * or EINVAL).  The caller frees.  NULL with errno.
 */
char *lnt_file_read(const char *path, size_t max, size_t *size);

/* What keeps a user from a file. */
struct lnt_barrier {
    char path[PATH_MAX]; /* the file, or a folder on the way to it */
    unsigned mode;
    int want; /* what is not allowed: R_OK, W_OK, or X_OK of a folder */
};
enum { LNT_BARRIER_TEXT = PATH_MAX + 256 };

/*
 * Whether a file, or on the way to it a folder, keeps this process (its real
 * user) from it: 1 with *b, 0 no, -1 with errno when it cannot be known.
 * path is absolute; want is R_OK, W_OK (also for what is yet to be made),
 * or X_OK for a folder.
 */
int lnt_file_barrier(const char *path, int want, struct lnt_barrier *b);
/* "PATH (mode 0700) cannot be searched by WHO"; text has LNT_BARRIER_TEXT. */
void lnt_file_barrier_text(const struct lnt_barrier *b, const char *who,
                           char *text);

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
