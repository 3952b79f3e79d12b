/*
 * UTF-8 as RFC 3629 defines it, checked as it streams.
 */
#ifndef LNT_CORE_UTF8_H
#define LNT_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* State between pieces, below 256; 0 is "at a character boundary" and the
   start. */
typedef uint32_t lnt_utf8_state;
enum { LNT_UTF8_BAD = 1 };

/* Checks n more bytes; LNT_UTF8_BAD as soon as no continuation can be valid
   (it stays bad). */
lnt_utf8_state lnt_utf8_check(lnt_utf8_state s, const void *p, size_t n);

/* Whether the n bytes are valid and complete. */
static inline bool
lnt_utf8_valid(const void *p, size_t n)
{
    return lnt_utf8_check(0, p, n) == 0;
}

#endif
