/*
 * Values packed into bytes and taken out again, for what travels between
 * processes.  Numbers are in the machine's own order: both ends are on one.
 */
#ifndef LNT_CORE_PACK_H
#define LNT_CORE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/str.h"
#include "core/strbuf.h"

static inline void
lnt_pack_u32(struct lnt_strbuf *b, uint32_t v)
{
    lnt_strbuf_add(b, &v, sizeof(v));
}

static inline void
lnt_pack_u64(struct lnt_strbuf *b, uint64_t v)
{
    lnt_strbuf_add(b, &v, sizeof(v));
}

/* With its length in front. */
static inline void
lnt_pack_str(struct lnt_strbuf *b, struct lnt_str s)
{
    lnt_pack_u32(b, (uint32_t)s.n);
    lnt_strbuf_add_str(b, s);
}

/* Each takes a value off the front of rest; false (and rest as it was) when
   there is not enough. */
static inline bool
lnt_unpack_bytes(struct lnt_str *rest, void *p, size_t n)
{
    if (rest->n < n)
        return false;
    memcpy(p, rest->p, n);
    *rest = lnt_str(rest->p + n, rest->n - n);
    return true;
}

static inline bool
lnt_unpack_u32(struct lnt_str *rest, uint32_t *v)
{
    return lnt_unpack_bytes(rest, v, sizeof(*v));
}

static inline bool
lnt_unpack_u64(struct lnt_str *rest, uint64_t *v)
{
    return lnt_unpack_bytes(rest, v, sizeof(*v));
}

/* s points into what rest points into. */
static inline bool
lnt_unpack_str(struct lnt_str *rest, struct lnt_str *s)
{
    struct lnt_str r = *rest;
    uint32_t n;
    if (!lnt_unpack_u32(&r, &n) || r.n < n)
        return false;
    *s = lnt_str(r.p, n);
    *rest = lnt_str(r.p + n, r.n - n);
    return true;
}

#endif
