/*
 * Where in the configuration something is said.
 */
#include "config/place.h"

#include <string.h>

#include "config/config.h"
#include "core/conf.h"
#include "core/strbuf.h"

struct lnt_origin
lnt_place_of(const struct lnt_config *c, const char *kind, const char *key)
{
    const struct lnt_section *s = lnt_section_find(c->sections, kind);
    struct lnt_origin o = {0};
    for (const struct lnt_block *b = s ? s->blocks : NULL; b; b = b->next)
        for (const struct lnt_directive *d = b->set->directives; d->name; d++)
            if (strcmp(d->name, key) == 0)
                o = lnt_section_origin(s, b->set, key);
    return o.file ? o : (struct lnt_origin){c->path, 0};
}

void
lnt_place_add_origin(const struct lnt_origin *o, struct lnt_strbuf *out)
{
    lnt_strbuf_adds(out, o->file ? o->file : "default");
    if (o->line)
        lnt_strbuf_addf(out, ":%u", o->line);
}

void
lnt_place_add(const struct lnt_config *c, const char *kind, const char *key,
              struct lnt_strbuf *out)
{
    struct lnt_origin o = lnt_place_of(c, kind, key);
    lnt_place_add_origin(&o, out);
    lnt_strbuf_addf(out, ": [%s] %s: ", kind, key);
}
