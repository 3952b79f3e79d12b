/*
 * A growing byte string.  p is always NUL-terminated behind n bytes once
 * something was added; init and clear need no memory.
 */
#ifndef LNT_CORE_STRBUF_H
#define LNT_CORE_STRBUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/str.h"

struct lnt_strbuf {
    char *p;
    size_t n, cap;
};

#define LNT_STRBUF_INIT                                                        \
    {                                                                          \
        0                                                                      \
    }

void lnt_strbuf_release(struct lnt_strbuf *b); /* frees; usable again */
static inline void
lnt_strbuf_clear(struct lnt_strbuf *b) /* keeps the memory */
{
    b->n = 0;
    if (b->p)
        b->p[0] = '\0';
}
/* Room for more bytes behind n (and a NUL); returns p + n. */
char *lnt_strbuf_reserve(struct lnt_strbuf *b, size_t more);
void lnt_strbuf_add(struct lnt_strbuf *b, const void *p, size_t n);
/* Inline, so that the length of a literal is known. */
static inline void
lnt_strbuf_adds(struct lnt_strbuf *b, const char *s)
{
    lnt_strbuf_add(b, s, strlen(s));
}
void lnt_strbuf_add_str(struct lnt_strbuf *b, struct lnt_str s);
void lnt_strbuf_addc(struct lnt_strbuf *b, char c);
void lnt_strbuf_addu(struct lnt_strbuf *b, uint64_t v); /* decimal */
void lnt_strbuf_addf(struct lnt_strbuf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void lnt_strbuf_vaddf(struct lnt_strbuf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes (RFC 8259, section 7).  s must be UTF-8. */
void lnt_strbuf_add_json(struct lnt_strbuf *b, struct lnt_str s);
/* Gives the malloc'd string away (never NULL); b is empty afterwards. */
char *lnt_strbuf_detach(struct lnt_strbuf *b);

static inline struct lnt_str
lnt_strbuf_str(const struct lnt_strbuf *b)
{
    return lnt_str(b->p ? b->p : "", b->n);
}

#endif
