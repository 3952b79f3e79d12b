/*
 * Values packed into bytes and taken out again, for what travels between
 * processes.  Numbers are in the machine's own order: both ends are on one.
 *
 * The two ends may be of different releases, either of which may be the newer
 * one.  So what can outlive a release (the state of a connection that moves)
 * keeps to these rules:
 *
 *   - It begins with its version and the oldest version whose readers understand
 *     it (lnt_pack_version).  Readers take whatever does not need a newer one.
 *   - It grows at its end.  A part in its middle and each element of a list are
 *     counted (lnt_pack_begin, lnt_pack_end), so that they can grow at theirs.
 *     Readers take the fields that they know and leave the rest.
 *   - A field that was appended is taken with lnt_unpack_late_...: it is 0 when
 *     who wrote the bytes did not know it.  Bytes that end within a field are
 *     refused, and so are bytes that end before a field of the first version.
 *   - What a field means never changes.  A change that cannot be made by
 *     appending is another version that needs itself; whoever can, reads the
 *     older ones, too.
 *
 * Lengths and counts are never trusted: each value is held against the bytes
 * that are there.
 */
#ifndef LNT_CORE_PACK_H
#define LNT_CORE_PACK_H

#include <errno.h>
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

/* What is packed between the two is counted in front of it.  begin returns what
   end wants to know. */
static inline size_t
lnt_pack_begin(struct lnt_strbuf *b)
{
    lnt_pack_u32(b, 0);
    return b->n;
}

static inline void
lnt_pack_end(struct lnt_strbuf *b, size_t begin)
{
    uint32_t n = (uint32_t)(b->n - begin);
    memcpy(b->p + begin - sizeof(n), &n, sizeof(n));
}

/* At most 65535 each; versions begin with 1, and needs is none of a later one
   (0: even who knows no version at all may take it). */
struct lnt_pack_version {
    uint32_t is, needs;
};

static inline void
lnt_pack_version(struct lnt_strbuf *b, uint32_t is, uint32_t needs)
{
    lnt_pack_u32(b, needs << 16 | is);
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

/* What was packed between begin and end, to take values off. */
static inline bool
lnt_unpack_part(struct lnt_str *rest, struct lnt_str *part)
{
    return lnt_unpack_str(rest, part);
}

/* The same for a field that was appended: 0 or empty when the bytes end before
   it, false when they end within it. */
static inline bool
lnt_unpack_late_u32(struct lnt_str *rest, uint32_t *v)
{
    *v = 0;
    return rest->n == 0 || lnt_unpack_u32(rest, v);
}

static inline bool
lnt_unpack_late_u64(struct lnt_str *rest, uint64_t *v)
{
    *v = 0;
    return rest->n == 0 || lnt_unpack_u64(rest, v);
}

static inline bool
lnt_unpack_late_str(struct lnt_str *rest, struct lnt_str *s)
{
    *s = lnt_str("", 0);
    return rest->n == 0 || lnt_unpack_str(rest, s);
}

/*
 * The version, for a reader that knows those up to known; v->is may be a later
 * one.  false with errno: EPROTO, it is none; ENOTSUP, it needs a newer reader
 * (v says which).  true leaves EPROTO there, for what follows and cannot be read.
 */
static inline bool
lnt_unpack_version(struct lnt_str *rest, uint32_t known,
                   struct lnt_pack_version *v)
{
    uint32_t both;
    *v = (struct lnt_pack_version){0, 0};
    errno = EPROTO;
    if (!lnt_unpack_u32(rest, &both) || (both & 0xffff) == 0 ||
        both >> 16 > (both & 0xffff))
        return false;
    *v = (struct lnt_pack_version){both & 0xffff, both >> 16};
    if (v->needs <= known)
        return true;
    errno = ENOTSUP;
    return false;
}

#endif
