/*
 * Files below a folder, and never outside of it.
 */
#ifndef LNT_STATIC_BENEATH_H
#define LNT_STATIC_BENEATH_H

/* A descriptor for lnt_static_open; -1 with errno. */
int lnt_static_open_root(const char *path);

/*
 * Opens path (relative, no leading slash) below root for reading; symlinks
 * that lead outside are refused.  -1 with errno; EXDEV or ELOOP: it would
 * leave the folder.
 */
int lnt_static_open(int root, const char *path);

/* The same for kernels that cannot see to it themselves: no symlink is
   followed.  lnt_static_open uses it when it has to. */
int lnt_static_open_walking(int root, const char *path);

#endif
