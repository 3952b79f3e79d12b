/*
 * Small files that were asked for before.  A file is looked at for every
 * request, so a change shows at once; what is saved is opening, reading and
 * putting the answer together.
 *
 * The look follows links wherever they lead; it only compares.  Whatever is
 * not the very file that was opened beneath the root is opened again, under
 * the rules of beneath.h.
 */
#include "modules/static/cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/mem.h"
#include "modules/http/http.h"

enum { SLOTS = 256 }; /* at most that many times LNT_STATIC_CACHED_MAX */

struct lnt_static_cache {
    uint64_t key;
    struct lnt_static_cached *slots[SLOTS];
};

struct lnt_static_cache *
lnt_static_cache_new(void)
{
    struct lnt_static_cache *c = lnt_calloc(1, sizeof(*c));
    lnt_random(&c->key, sizeof(c->key));
    return c;
}

static void
drop_slot(struct lnt_static_cached **slot)
{
    struct lnt_static_cached *e = *slot;
    *slot = NULL;
    if (!e)
        return;
    lnt_http_prepared_free(e->answer);
    free(e->path);
    free(e);
}

void
lnt_static_cache_free(struct lnt_static_cache *c)
{
    for (size_t i = 0; i < SLOTS; i++)
        drop_slot(&c->slots[i]);
    free(c);
}

void
lnt_static_cache_drop(struct lnt_static_cache *c, int root)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (c->slots[i] && c->slots[i]->root == root)
            drop_slot(&c->slots[i]);
}

static struct lnt_static_cached **
slot_of(struct lnt_static_cache *c, int root, const char *path, bool packed)
{
    uint64_t h =
        lnt_hash(c->key + (uint64_t)root * 2 + packed, path, strlen(path));
    return &c->slots[h % SLOTS];
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mode == b->st_mode &&
           same_time(&a->st_mtim, &b->st_mtim) &&
           same_time(&a->st_ctim, &b->st_ctim);
}

const struct lnt_static_cached *
lnt_static_cache_find(struct lnt_static_cache *c, int root, const char *path,
                      bool packed)
{
    struct stat st;
    struct lnt_static_cached **slot = slot_of(c, root, path, packed);
    struct lnt_static_cached *e = *slot;
    if (!e || e->root != root || e->packed != packed ||
        strcmp(e->path, path) != 0)
        return NULL;
    if (fstatat(root, path, &st, 0) == 0 && same_file(&st, &e->st))
        return e;
    drop_slot(slot);
    return NULL;
}

void
lnt_static_cache_add(struct lnt_static_cache *c, int root, const char *path,
                     bool packed, const struct stat *st, const char *etag,
                     struct lnt_http_prepared *answer)
{
    struct lnt_static_cached **slot = slot_of(c, root, path, packed);
    drop_slot(slot);
    struct lnt_static_cached *e = lnt_calloc(1, sizeof(*e));
    e->root = root;
    e->path = lnt_strdup(path);
    e->packed = packed;
    e->st = *st;
    strncpy(e->etag, etag, sizeof(e->etag) - 1);
    e->answer = answer;
    *slot = e;
}
