#include "core/arena.h"

#include <signal.h>
#include <stdalign.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static int order[4], norder;

static void
note_order(void *arg)
{
    order[norder++] = *(int *)arg;
}

static void
arenas(void)
{
    struct lnt_arena *a = lnt_arena_new();
    static int one = 1, two = 2, three = 3;
    bool aligned = true, zero = true;

    for (size_t n = 0; n < 5000; n += 7) {
        unsigned char *p = lnt_arena_alloc(a, n);

        aligned = aligned && (uintptr_t)p % alignof(max_align_t) == 0;
        for (size_t i = 0; i < n; i++)
            zero = zero && p[i] == 0;
        memset(p, 0xff, n); /* ASan would see an overlap or an overflow */
    }
    ok(aligned, "aligned");
    ok(zero, "zeroed, also after others were written");
    char *big = lnt_arena_alloc(a, 1 << 20);
    ok(big[0] == 0 && big[(1 << 20) - 1] == 0, "a large piece");
    is_str(lnt_arena_strdup(a, "hello"), "hello", "strdup");
    is_str(lnt_arena_strndup(a, "hello", 2), "he", "strndup cuts");
    is_str(lnt_arena_strndup(a, "hello", 99), "hello", "strndup ends at NUL");
    is_str(lnt_arena_strndup(a, "", 0), "", "strndup of nothing");
    is_str(lnt_arena_printf(a, "%s-%05d", "x", 42), "x-00042", "printf");
    is_int(strlen(lnt_arena_printf(a, "%050000d", 1)), 50000, "a long printf");
    lnt_arena_cleanup(a, note_order, &one);
    lnt_arena_cleanup(a, note_order, &two);
    lnt_arena_cleanup(a, note_order, &three);
    lnt_arena_free(a);
    ok(norder == 3 && order[0] == 3 && order[1] == 2 && order[2] == 1,
       "cleanups ran, last added first");
    lnt_arena_free(NULL);
    pass("free of NULL");
}

static void
bufs(void)
{
    struct lnt_buf *b = lnt_buf_new(10);

    ok(b->refs == 1 && b->len == 0 && b->cap >= 10 && b->messages == 0,
       "a new buffer");
    memcpy(b->data, "0123456789", 10);
    b->len = 10;
    b->messages = 3;
    ok(lnt_buf_grow(b, 0) == b, "no room wanted, nothing moves");
    b = lnt_buf_grow(b, 100000);
    ok(b->cap - b->len >= 100000, "grown");
    is_mem(b->data, b->len, "0123456789", 10, "with what was in it");
    is_int(b->messages, 3, "and its count");
    struct lnt_buf *same = lnt_buf_ref(b);
    ok(same == b && b->refs == 2, "a reference");
    lnt_buf_unref(b);
    is_int(same->refs, 1, "one less");
    lnt_buf_unref(same);
    b = lnt_buf_new(0);
    b = lnt_buf_grow(b, 1);
    ok(b->cap >= 1, "grown from nothing");
    lnt_buf_unref(b);
}

static void
allocations(void)
{
    char *p = lnt_malloc(0);
    char *q = lnt_calloc(0, 0);

    ok(p && q, "of no bytes");
    p = lnt_realloc(p, 0);
    ok(p != NULL, "realloc to none");
    free(p);
    free(q);
    p = lnt_strdup("abc");
    is_str(p, "abc", "strdup");
    free(p);
    p = lnt_strndup("abc", 2);
    is_str(p, "ab", "strndup");
    free(p);
}

/* Runs fn in a child whose log is a file; its wait status. */
static int
in_child(void (*fn)(void), const char *log)
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (lnt_log_open(log, false) < 0)
            _exit(9);
        fn();
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    return status;
}

static void
third_fails(void)
{
    setenv("LINNET_TEST_FAIL_MALLOC", "3", 1);
    char *a = lnt_malloc(1), *b = lnt_calloc(1, 1);
    free(a);
    free(b);
    lnt_strdup("1234567890123456");
}

static void
grow_shared(void)
{
    struct lnt_buf *b = lnt_buf_new(1);

    lnt_buf_ref(b);
    lnt_buf_grow(b, 100);
}

static void
out_of_memory(void)
{
    const char *log = tmp_path("oom.log");
    int status;
    char *text;

#ifdef LNT_DEBUG_BUILD
    status = in_child(third_fails, log);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
       "the third allocation fails: the process aborts");
    text = tmp_read(log);
    ok(strstr(text, "[alert]") && strstr(text, "out of memory: 17 bytes"),
       "having said so in the log");
    free(text);
#else
    skip(2, "only in builds with --with-debug");
    (void)third_fails;
#endif
    unlink(log);
    status = in_child(grow_shared, log);
    text = tmp_read(log);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
       "a shared buffer does not grow");
    ok(strstr(text, "assertion failed: b->refs == 1 at"),
       "the assertion names itself");
    free(text);
}

int
main(void)
{
    out_of_memory(); /* first: the environment is looked at once a process */
    arenas();
    bufs();
    allocations();
    return done_testing();
}
