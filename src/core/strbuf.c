/*
 * A growing byte string.  Caps on how long it may become are left to who
 * fills it.
 */
#include "core/strbuf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"

void
lnt_strbuf_release(struct lnt_strbuf *b)
{
    free(b->p);
    *b = (struct lnt_strbuf)LNT_STRBUF_INIT;
}

char *
lnt_strbuf_reserve(struct lnt_strbuf *b, size_t more)
{
    if (b->p && more < b->cap - b->n)
        return b->p + b->n;

    lnt_assert(more < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    size_t cap = b->cap * 2;
    if (cap < b->n + more + 1)
        cap = b->n + more + 1;
    if (cap < 64)
        cap = 64;
    b->p = lnt_realloc(b->p, cap);
    b->cap = cap;
    b->p[b->n] = '\0';
    return b->p + b->n;
}

void
lnt_strbuf_add(struct lnt_strbuf *b, const void *p, size_t n)
{
    char *to = lnt_strbuf_reserve(b, n);

    if (n)
        memcpy(to, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void
lnt_strbuf_add_str(struct lnt_strbuf *b, struct lnt_str s)
{
    lnt_strbuf_add(b, s.p, s.n);
}

void
lnt_strbuf_addc(struct lnt_strbuf *b, char c)
{
    lnt_strbuf_add(b, &c, 1);
}

void
lnt_strbuf_addu(struct lnt_strbuf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    lnt_strbuf_add(b, digits + at, sizeof(digits) - at);
}

void
lnt_strbuf_addf(struct lnt_strbuf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    lnt_strbuf_vaddf(b, fmt, ap);
    va_end(ap);
}

void
lnt_strbuf_vaddf(struct lnt_strbuf *b, const char *fmt, va_list ap)
{
    va_list again;
    char *to = lnt_strbuf_reserve(b, 64);

    va_copy(again, ap);
    int n = vsnprintf(to, b->cap - b->n, fmt, ap);
    lnt_assert(n >= 0);
    if ((size_t)n >= b->cap - b->n) {
        to = lnt_strbuf_reserve(b, (size_t)n);
        vsnprintf(to, b->cap - b->n, fmt, again);
    }
    va_end(again);
    b->n += (size_t)n;
}

static void
add_escaped(struct lnt_strbuf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *e = c ? strchr(shorts, c) : NULL;

    /* the letters stand in the table, too, but never get here */
    if (e) {
        lnt_strbuf_addc(b, '\\');
        lnt_strbuf_addc(b, e[1]);
    } else {
        char u[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

        lnt_strbuf_add(b, u, sizeof(u));
    }
}

static inline bool
needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

void
lnt_strbuf_add_json(struct lnt_strbuf *b, struct lnt_str s)
{
    lnt_strbuf_reserve(b, s.n + 2);
    lnt_strbuf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        size_t from = i;

        while (i < s.n && !needs_escape((unsigned char)s.p[i]))
            i++;
        /* all that needs no escape, in one copy */
        lnt_strbuf_add(b, s.p + from, i - from);
        if (i < s.n)
            add_escaped(b, (unsigned char)s.p[i]);
    }
    lnt_strbuf_addc(b, '"');
}

char *
lnt_strbuf_detach(struct lnt_strbuf *b)
{
    lnt_strbuf_reserve(b, 0);
    char *p = b->p;

    *b = (struct lnt_strbuf)LNT_STRBUF_INIT;
    return p;
}
