/*
 * Allocation that does not fail: out of memory is logged and aborts the
 * process (the master respawns a worker).  Free with free().
 */
#ifndef LNT_CORE_MEM_H
#define LNT_CORE_MEM_H

#include <stddef.h>

void *lnt_malloc(size_t n) __attribute__((malloc, returns_nonnull));
void *lnt_calloc(size_t count, size_t n)
    __attribute__((malloc, returns_nonnull));
void *lnt_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *lnt_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *lnt_strndup(const char *s, size_t n)
    __attribute__((malloc, returns_nonnull));

#endif
