/*
 * An arena: memory that is freed together.  A configuration lives in one.
 */
#ifndef LNT_CORE_ARENA_H
#define LNT_CORE_ARENA_H

#include <stddef.h>

struct lnt_arena;

struct lnt_arena *lnt_arena_new(void);
/* Zeroed, aligned for any type.  Never NULL. */
void *lnt_arena_alloc(struct lnt_arena *a, size_t n);
char *lnt_arena_strndup(struct lnt_arena *a, const char *s, size_t n);
char *lnt_arena_strdup(struct lnt_arena *a, const char *s);
char *lnt_arena_printf(struct lnt_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* fn(arg) runs when the arena is freed, last added first. */
void lnt_arena_cleanup(struct lnt_arena *a, void (*fn)(void *), void *arg);
void lnt_arena_free(struct lnt_arena *a); /* NULL is fine */

#endif
