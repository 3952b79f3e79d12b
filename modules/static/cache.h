/*
 * Small files that were asked for before: their answers, ready to be sent as
 * long as the file has not changed.
 */
#ifndef LNT_STATIC_CACHE_H
#define LNT_STATIC_CACHE_H

#include <stdbool.h>
#include <sys/stat.h>

struct lnt_http_prepared;
struct lnt_static_cache;

enum {
    LNT_STATIC_CACHED_MAX = 16 * 1024, /* bytes of a file that is kept */
    LNT_STATIC_ETAG = 64,
};

struct lnt_static_cached {
    int root; /* identity of the route: the folder's descriptor */
    char *path;
    bool packed; /* the answer is that of the name without .gz */
    struct stat st;
    char etag[LNT_STATIC_ETAG];
    struct lnt_http_prepared *answer;
};

struct lnt_static_cache *lnt_static_cache_new(void);
void lnt_static_cache_free(struct lnt_static_cache *c);

/* What is kept for path below root, when the file is still the same one (one
   system call); NULL.  Valid until something is added.  A .gz has two answers:
   its own, and, packed, that of the file which it lies beside. */
const struct lnt_static_cached *
lnt_static_cache_find(struct lnt_static_cache *c, int root, const char *path,
                      bool packed);

/* Keeps an answer (owned from here on), maybe instead of another. */
void lnt_static_cache_add(struct lnt_static_cache *c, int root,
                          const char *path, bool packed, const struct stat *st,
                          const char *etag, struct lnt_http_prepared *answer);

/* A folder was opened anew: forgets what was below the old descriptor. */
void lnt_static_cache_drop(struct lnt_static_cache *c, int root);

#endif
