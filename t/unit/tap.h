/*
 * TAP for unit programs (https://testanything.org): no plan in advance, one
 * line a check, details behind "#".
 *
 *     ok(cond, "name %d", n);
 *     is_int(got, wanted, "name");
 *     is_str(got, wanted, "name");       NULL is a value of its own
 *     is_mem(p, n, "wanted", 6, "name");
 *     return done_testing();
 *
 * A check returns whether it held, so that what depends on it can be left out.
 */
#ifndef LNT_T_TAP_H
#define LNT_T_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count, tap_failed;

#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define pass(...) tap_ok(true, __FILE__, __LINE__, __VA_ARGS__)
#define fail(...) tap_ok(false, __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, wanted, ...)                                               \
    tap_is_int((long long)(got), (long long)(wanted), __FILE__, __LINE__,      \
               __VA_ARGS__)
#define is_str(got, wanted, ...)                                               \
    tap_is_str((got), (wanted), __FILE__, __LINE__, __VA_ARGS__)
#define is_mem(got, n, wanted, wanted_n, ...)                                  \
    tap_is_mem((got), (size_t)(n), (wanted), (size_t)(wanted_n), __FILE__,     \
               __LINE__, __VA_ARGS__)

/* A line of comment; to stdout, so that it stands beside its check. */
__attribute__((format(printf, 1, 2))) static inline void
diag(const char *fmt, ...)
{
    va_list ap;

    fputs("# ", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    fputc('\n', stdout);
}

__attribute__((format(printf, 4, 0))) static inline bool
tap_report(bool cond, const char *file, int line, const char *fmt, va_list ap)
{
    tap_count++;
    if (!cond)
        tap_failed++;
    printf("%sok %d - ", cond ? "" : "not ", tap_count);
    vprintf(fmt, ap);
    putchar('\n');
    if (!cond)
        printf("#   at %s line %d\n", file, line);
    fflush(stdout); /* what was checked is seen even if we crash next */
    return cond;
}

__attribute__((format(printf, 4, 5))) static inline bool
tap_ok(bool cond, const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_report(cond, file, line, fmt, ap);
    va_end(ap);
    return cond;
}

__attribute__((format(printf, 5, 6))) static inline bool
tap_is_int(long long got, long long wanted, const char *file, int line,
           const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_report(got == wanted, file, line, fmt, ap);
    va_end(ap);
    if (got != wanted)
        printf("#   got    %lld\n#   wanted %lld\n", got, wanted);
    return got == wanted;
}

/* Quoted, with control characters made visible. */
static inline void
tap_show(const char *what, const char *p, size_t n)
{
    printf("#   %s ", what);
    if (!p) {
        puts("NULL");
        return;
    }
    putchar('"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c < 0x20 || c >= 0x7f || c == '\\' || c == '"')
            printf("\\x%02x", c);
        else
            putchar(c);
    }
    printf("\" (%zu bytes)\n", n);
}

__attribute__((format(printf, 5, 6))) static inline bool
tap_is_str(const char *got, const char *wanted, const char *file, int line,
           const char *fmt, ...)
{
    bool same = got && wanted ? strcmp(got, wanted) == 0 : got == wanted;
    va_list ap;

    va_start(ap, fmt);
    tap_report(same, file, line, fmt, ap);
    va_end(ap);
    if (!same) {
        tap_show("got   ", got, got ? strlen(got) : 0);
        tap_show("wanted", wanted, wanted ? strlen(wanted) : 0);
    }
    return same;
}

__attribute__((format(printf, 7, 8))) static inline bool
tap_is_mem(const void *got, size_t n, const void *wanted, size_t wanted_n,
           const char *file, int line, const char *fmt, ...)
{
    bool same = n == wanted_n && (n == 0 || memcmp(got, wanted, n) == 0);
    va_list ap;

    va_start(ap, fmt);
    tap_report(same, file, line, fmt, ap);
    va_end(ap);
    if (!same) {
        tap_show("got   ", got, n);
        tap_show("wanted", wanted, wanted_n);
    }
    return same;
}

/* Counts as n passed checks that could not be made here. */
__attribute__((format(printf, 2, 3))) static inline void
skip(int n, const char *why, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, why);
    vsnprintf(text, sizeof(text), why, ap);
    va_end(ap);
    while (n-- > 0)
        printf("ok %d # SKIP %s\n", ++tap_count, text);
}

/* Prints the plan; the exit status of the program. */
static inline int
done_testing(void)
{
    printf("1..%d\n", tap_count);
    if (tap_failed)
        printf("# %d of %d checks failed\n", tap_failed, tap_count);
    fflush(stdout);
    return tap_failed ? 1 : 0;
}

#endif
