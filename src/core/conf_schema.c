/*
 * The known directive tables, and whether they agree with each other.  Values
 * are conf_value.c's, sections conf.c's.
 */
#include "core/conf_schema.h"

#include <string.h>

#include "core/arena.h"
#include "core/log.h"

enum { DIRECTIVES_MAX = 64 }; /* bits of lnt_block.given */

static const char *owner_of(const struct lnt_directive_set *set);
static const char *shared_key(const struct lnt_directive_set *a,
                              const struct lnt_directive_set *b);

struct lnt_schema *
lnt_schema_new(struct lnt_arena *a)
{
    struct lnt_schema *s = lnt_arena_alloc(a, sizeof(*s));

    s->arena = a;
    s->last_kind = &s->kinds;
    s->last_extension = &s->extensions;
    return s;
}

void
lnt_schema_kind(struct lnt_schema *s, const struct lnt_section_kind *k)
{
    struct lnt_schema_kind *item = lnt_arena_alloc(s->arena, sizeof(*item));

    item->kind = k;
    *s->last_kind = item;
    s->last_kind = &item->next;
}

int
lnt_schema_extend(struct lnt_schema *s, const struct lnt_section_extension *e,
                  const char **why)
{
    struct lnt_schema_extension *item =
        lnt_arena_alloc(s->arena, sizeof(*item));
    struct lnt_schema_extension **last = s->last_extension;

    item->extension = e;
    *last = item;
    s->last_extension = &item->next;
    if (!lnt_schema_clash(s, e->kind, why))
        return 0;
    *last = NULL; /* as if it had not been */
    s->last_extension = last;
    return -1;
}

const struct lnt_section_kind *
lnt_schema_find(const struct lnt_schema *s, const char *kind)
{
    for (struct lnt_schema_kind *i = s->kinds; i; i = i->next) {
        if (strcmp(i->kind->kind, kind) == 0)
            return i->kind;
    }
    return NULL;
}

const struct lnt_directive_set *
lnt_schema_set(const struct lnt_schema *s, const char *kind, size_t i)
{
    const struct lnt_section_kind *k = lnt_schema_find(s, kind);

    if (k && k->set && i-- == 0)
        return k->set;
    for (struct lnt_schema_extension *e = s->extensions; e; e = e->next) {
        if (strcmp(e->extension->kind, kind) == 0 && i-- == 0)
            return e->extension->set;
    }
    return NULL;
}

bool
lnt_schema_clash(const struct lnt_schema *s, const char *kind, const char **why)
{
    const struct lnt_section_kind *first = lnt_schema_find(s, kind);
    const struct lnt_directive_set *a, *b;
    const char *key;

    for (struct lnt_schema_kind *i = s->kinds; i; i = i->next) {
        if (i->kind == first || strcmp(i->kind->kind, kind) != 0)
            continue;
        *why =
            lnt_arena_printf(s->arena, "[%s] is defined by %s and by %s", kind,
                             owner_of(first->set), owner_of(i->kind->set));
        return true;
    }
    for (size_t i = 0; (a = lnt_schema_set(s, kind, i)); i++) {
        lnt_assert(lnt_set_count(a) <= DIRECTIVES_MAX);
        for (size_t j = i + 1; (b = lnt_schema_set(s, kind, j)); j++) {
            key = shared_key(a, b);
            if (!key)
                continue;
            *why = lnt_arena_printf(s->arena,
                                    "\"%s\" in [%s] is defined by %s and by "
                                    "%s",
                                    key, kind, owner_of(a), owner_of(b));
            return true;
        }
    }
    return false;
}

size_t
lnt_set_count(const struct lnt_directive_set *set)
{
    size_t n = 0;

    while (set->directives[n].name)
        n++;
    return n;
}

static const char *
owner_of(const struct lnt_directive_set *set)
{
    return set && set->owner ? set->owner : "core";
}

static const char *
shared_key(const struct lnt_directive_set *a, const struct lnt_directive_set *b)
{
    for (const struct lnt_directive *i = a->directives; i->name; i++) {
        for (const struct lnt_directive *j = b->directives; j->name; j++) {
            if (strcmp(i->name, j->name) == 0)
                return i->name;
        }
    }
    return NULL;
}
