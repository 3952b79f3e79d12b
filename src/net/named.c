/*
 * Named events as bytes: version; name, arguments, and counted the attachments.
 */
#include "net/named.h"

#include "core/pack.h"

enum { VERSION = 1, NEEDS = 1 };

bool
lnt_named_fits(const struct lnt_named *e)
{
    return e->args.n >= 2 && e->args.p[0] == '[' &&
           e->args.p[e->args.n - 1] == ']' &&
           e->nattachments <= LNT_ATTACHMENTS_MAX;
}

size_t
lnt_named_size(const struct lnt_named *e)
{
    size_t n = e->name.n + e->args.n;

    for (size_t i = 0; i < e->nattachments; i++)
        n += e->attachments[i].n;
    return n;
}

void
lnt_named_add(struct lnt_strbuf *out, const struct lnt_named *e)
{
    lnt_pack_version(out, VERSION, NEEDS);
    lnt_pack_str(out, e->name);
    lnt_pack_str(out, e->args);
    lnt_pack_u32(out, (uint32_t)e->nattachments);
    for (size_t i = 0; i < e->nattachments; i++)
        lnt_pack_str(out, e->attachments[i]);
}

bool
lnt_named_read(struct lnt_str bytes, struct lnt_named *e)
{
    struct lnt_pack_version v;
    uint32_t n;

    if (!lnt_unpack_version(&bytes, VERSION, &v) ||
        !lnt_unpack_str(&bytes, &e->name) ||
        !lnt_unpack_str(&bytes, &e->args) || !lnt_unpack_u32(&bytes, &n) ||
        n > LNT_ATTACHMENTS_MAX)
        return false;
    e->nattachments = n;
    for (uint32_t i = 0; i < n; i++) {
        if (!lnt_unpack_str(&bytes, &e->attachments[i]))
            return false;
    }
    return lnt_named_fits(e);
}
