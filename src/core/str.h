/*
 * String slices: a pointer and a length, owned by someone else.
 */
#ifndef LNT_CORE_STR_H
#define LNT_CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct lnt_str {
    const char *p;
    size_t n;
};

#define LNT_STR(literal) ((struct lnt_str){"" literal, sizeof(literal) - 1})
#define LNT_STR_ARG(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct lnt_str
lnt_str(const void *p, size_t n)
{
    return (struct lnt_str){p, n};
}

static inline struct lnt_str
lnt_str_c(const char *p)
{
    return (struct lnt_str){p, p ? strlen(p) : 0};
}

static inline bool
lnt_str_eq(struct lnt_str a, struct lnt_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
lnt_str_ieq(struct lnt_str a, struct lnt_str b) /* ASCII case folded */
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

/* The value of a hexadecimal digit of either case; -1: it is none. */
int lnt_hex_digit(char c);

/* Without leading and trailing blanks and tabs. */
struct lnt_str lnt_str_trim(struct lnt_str s);

/* The candidate nearest to word, or NULL when none is near enough to be a
   misspelling.  candidates ends with NULL. */
const char *lnt_str_nearest(const char *word, const char *const *candidates);

#endif
