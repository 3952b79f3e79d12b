/*
 * A folder for the files of one unit program; gone when it ends.
 */
#ifndef LNT_T_TMP_H
#define LNT_T_TMP_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char tmp_folder[128];
static pid_t tmp_owner;

static inline int
tmp_remove_one(const char *path, const struct stat *st, int type,
               struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void
tmp_remove(void)
{
    if (getpid() == tmp_owner)
        nftw(tmp_folder, tmp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The folder, made at the first call: below $TMPDIR, or in /tmp when that is
   not set or too long for the path of a unix socket. */
static inline const char *
tmp_dir(void)
{
    if (!tmp_owner) {
        const char *root = getenv("TMPDIR");

        if (!root || root[0] != '/' || strlen(root) > 48)
            root = "/tmp";
        snprintf(tmp_folder, sizeof(tmp_folder), "%s/linnet-unit-XXXXXX", root);
        if (!mkdtemp(tmp_folder)) {
            perror(tmp_folder);
            exit(1);
        }
        tmp_owner = getpid();
        atexit(tmp_remove);
    }
    return tmp_folder;
}

/* A path in it; a few at a time. */
static inline const char *
tmp_path(const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *p = paths[next++ % 8];

    snprintf(p, PATH_MAX, "%s/%s", tmp_dir(), name);
    return p;
}

/* Writes a file there; its path. */
static inline const char *
tmp_write(const char *name, const void *text, size_t n)
{
    const char *path = tmp_path(name);
    FILE *f = fopen(path, "w");

    if (!f || fwrite(text, 1, n, f) != n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    return path;
}

/* A file whole, malloc'd, with a NUL behind it; "" when there is none. */
static inline char *
tmp_read(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    if (f) {
        size_t n = fread(text, 1, (1 << 20) - 1, f);

        text[n] = '\0';
        fclose(f);
    }
    return text;
}

#endif
