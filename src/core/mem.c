/*
 * Allocation that does not fail.  Caps on what a peer may make us allocate
 * are left to the callers; when memory ends in spite of them, this process
 * ends and the master starts a fresh one.
 */
#include "core/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

static _Noreturn void out_of_memory(size_t n);

#ifdef LNT_DEBUG_BUILD
/*
 * For tests: LINNET_TEST_FAIL_MALLOC=n makes the n-th allocation of a process
 * fail.  A forked child goes on counting where its parent was.
 */
static bool
injected(void)
{
    static uint64_t fail_at = UINT64_MAX, count;

    if (fail_at == UINT64_MAX) {
        const char *text = getenv("LINNET_TEST_FAIL_MALLOC");

        fail_at = text ? strtoull(text, NULL, 10) : 0;
    }
    return fail_at && ++count == fail_at;
}
#else
static inline bool
injected(void)
{
    return false;
}
#endif

void *
lnt_malloc(size_t n)
{
    void *p = injected() ? NULL : malloc(n ? n : 1);

    if (!p)
        out_of_memory(n);
    return p;
}

void *
lnt_calloc(size_t count, size_t n)
{
    void *p = injected() ? NULL : calloc(count ? count : 1, n ? n : 1);

    if (!p)
        out_of_memory(n && count > SIZE_MAX / n ? SIZE_MAX : count * n);
    return p;
}

void *
lnt_realloc(void *p, size_t n)
{
    p = injected() ? NULL : realloc(p, n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

char *
lnt_strdup(const char *s)
{
    return lnt_strndup(s, strlen(s));
}

char *
lnt_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = lnt_malloc(len + 1);

    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

static _Noreturn void
out_of_memory(size_t n)
{
    /* The log takes no memory of its own. */
    lnt_log_alert("out of memory: %zu bytes wanted; this process ends", n);
    abort();
}
