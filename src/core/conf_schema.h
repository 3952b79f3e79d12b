/*
 * The tables a schema holds; for the conf_*.c files.  What they mean is in
 * core/conf.h.
 */
#ifndef LNT_CORE_CONF_SCHEMA_H
#define LNT_CORE_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/conf.h"

struct lnt_schema_kind {
    const struct lnt_section_kind *kind;
    struct lnt_schema_kind *next;
};

struct lnt_schema_extension {
    const struct lnt_section_extension *extension;
    struct lnt_schema_extension *next;
};

/* In the order in which they were added. */
struct lnt_schema {
    struct lnt_arena *arena;
    struct lnt_schema_kind *kinds, **last_kind;
    struct lnt_schema_extension *extensions, **last_extension;
};

/* The kind of that name; NULL. */
const struct lnt_section_kind *lnt_schema_find(const struct lnt_schema *s,
                                               const char *kind);
/* The i-th set of a kind, its own first; NULL behind the last. */
const struct lnt_directive_set *lnt_schema_set(const struct lnt_schema *s,
                                               const char *kind, size_t i);
/* Whether a kind is owned twice or one of its keys exists twice; why (arena)
   says so. */
bool lnt_schema_clash(const struct lnt_schema *s, const char *kind,
                      const char **why);

/* How many directives a set has. */
size_t lnt_set_count(const struct lnt_directive_set *set);

#endif
