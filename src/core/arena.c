/*
 * An arena: small pieces from shared chunks, large ones in a chunk of their
 * own; all freed together.  Whose lifetime an arena has is left to its owner.
 */
#include "core/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

/* Under AddressSanitizer each piece is on its own, so that it sees what is
   written beyond one. */
#if defined(__SANITIZE_ADDRESS__)
#define ALONE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALONE 1
#endif
#endif

#ifdef ALONE
enum { CHUNK = 8192, LARGE = 0 };
#else
enum { CHUNK = 8192, LARGE = CHUNK / 4 };
#endif

struct chunk {
    struct chunk *next;
    alignas(max_align_t) char bytes[];
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *);
    void *arg;
};

struct lnt_arena {
    struct chunk *chunks;
    char *p; /* free room in the current chunk */
    size_t room;
    struct cleanup *cleanups;
};

static char *new_chunk(struct lnt_arena *a, size_t n);

struct lnt_arena *
lnt_arena_new(void)
{
    return lnt_calloc(1, sizeof(struct lnt_arena));
}

void *
lnt_arena_alloc(struct lnt_arena *a, size_t n)
{
    lnt_assert(n <= SIZE_MAX / 2);
    if (n == 0)
        n = 1;
    if (n > LARGE)
        return new_chunk(a, n);
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (n > a->room) {
        a->p = new_chunk(a, CHUNK);
        a->room = CHUNK;
    }
    char *p = a->p;
    a->p += n;
    a->room -= n;
    return p;
}

char *
lnt_arena_strndup(struct lnt_arena *a, const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = lnt_arena_alloc(a, len + 1);

    memcpy(copy, s, len);
    return copy;
}

char *
lnt_arena_strdup(struct lnt_arena *a, const char *s)
{
    return lnt_arena_strndup(a, s, strlen(s));
}

char *
lnt_arena_printf(struct lnt_arena *a, const char *fmt, ...)
{
    va_list ap;

    char first[256]; /* long enough for most, which are then done */

    va_start(ap, fmt);
    int n = vsnprintf(first, sizeof(first), fmt, ap);
    va_end(ap);
    lnt_assert(n >= 0);

    char *text = lnt_arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof(first)) {
        memcpy(text, first, (size_t)n);
        return text;
    }
    va_start(ap, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

void
lnt_arena_cleanup(struct lnt_arena *a, void (*fn)(void *), void *arg)
{
    struct cleanup *c = lnt_arena_alloc(a, sizeof(*c));

    c->fn = fn;
    c->arg = arg;
    c->next = a->cleanups;
    a->cleanups = c;
}

void
lnt_arena_free(struct lnt_arena *a)
{
    if (!a)
        return;
    /* A cleanup may add another one, though it should not. */
    while (a->cleanups) {
        struct cleanup *c = a->cleanups;

        a->cleanups = c->next;
        c->fn(c->arg);
    }
    while (a->chunks) {
        struct chunk *c = a->chunks;

        a->chunks = c->next;
        free(c);
    }
    free(a);
}

/* calloc, not malloc: what comes out of an arena is zeroed. */
static char *
new_chunk(struct lnt_arena *a, size_t n)
{
    struct chunk *c = lnt_calloc(1, offsetof(struct chunk, bytes) + n);

    c->next = a->chunks;
    a->chunks = c;
    return c->bytes;
}
