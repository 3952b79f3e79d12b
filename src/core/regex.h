/*
 * PCRE2 patterns: compiled once with the configuration, matched with one
 * match-data per process and a match limit of 10000.
 */
#ifndef LNT_CORE_REGEX_H
#define LNT_CORE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/str.h"

struct lnt_arena;
struct lnt_strbuf;
struct lnt_regex;

enum { LNT_CAPTURES_MAX = 16 };

/*
 * Compiles pattern (UTF, JIT where the machine allows it; without it matching
 * is only slower).  Lives in the arena.  NULL with a message in *error.
 */
struct lnt_regex *lnt_regex_compile(struct lnt_arena *a, const char *pattern,
                                    struct lnt_strbuf *error);
const char *lnt_regex_pattern(const struct lnt_regex *r);

/*
 * Whether the pattern matches somewhere in s.  With captures not NULL, fills
 * up to LNT_CAPTURES_MAX slices of s (0 is the whole match; unset groups have
 * p NULL) and *ncaptures.  A match that hits the limit is "no", counted and
 * logged at most once a minute.
 */
bool lnt_regex_match(const struct lnt_regex *r, struct lnt_str s,
                     struct lnt_str *captures, size_t *ncaptures);

/* Number of the named group, or -1. */
int lnt_regex_group(const struct lnt_regex *r, const char *name);

#endif
