/*
 * Refcounted buffers: making and growing; references are in the header.  What
 * is framed into them is left to protocols.
 */
#include "core/buf.h"

#include <stddef.h>

#include "core/log.h"
#include "core/mem.h"

struct lnt_buf *
lnt_buf_new(size_t cap)
{
    lnt_assert(cap <= UINT32_MAX);
    struct lnt_buf *b = lnt_malloc(offsetof(struct lnt_buf, data) + cap);

    b->refs = 1;
    b->len = 0;
    b->cap = (uint32_t)cap;
    b->messages = 0;
    return b;
}

struct lnt_buf *
lnt_buf_grow(struct lnt_buf *b, size_t more)
{
    if (more <= b->cap - b->len)
        return b;
    lnt_assert(b->refs == 1);
    lnt_assert(more <= UINT32_MAX - b->len);

    size_t need = b->len + more, cap = (size_t)b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    b = lnt_realloc(b, offsetof(struct lnt_buf, data) + cap);
    b->cap = (uint32_t)cap;
    return b;
}
