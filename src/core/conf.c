/*
 * Sections: matches entries with the directive tables, fills the structs, and
 * reports everything that is wrong.  Tables are conf_schema.c's, values
 * conf_value.c's, and printing conf_print.c's; opening or starting what is
 * configured is left to modules and the master.
 */
#include "core/conf.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "core/strbuf.h"

/* Where one value of a key that may repeat was written. */
struct value {
    size_t directive;
    struct lnt_origin origin;
    struct value *next;
};

/* A block with its origins, which outside only show as const. */
struct block {
    struct lnt_block b;
    uint64_t filled; /* bit i: directive i has something in it */
    struct value *values, **last;
    struct lnt_origin origins[];
};

struct build {
    struct lnt_arena *arena;
    const struct lnt_schema *schema;
    const char *only;
    const char *prefix;
    struct lnt_report *report;
    struct lnt_section *first, **last;
};

static void build_written(struct build *b, const struct lnt_ini_section *ini);
static struct lnt_section *new_section(struct build *b,
                                       const struct lnt_section_kind *kind);
static void set_entry(struct build *b, struct lnt_section *s,
                      const struct lnt_ini_entry *e);
static void set_value(struct build *b, struct block *block, size_t i,
                      const struct lnt_ini_entry *e);
static void finish_section(struct build *b, struct lnt_section *s);
static void set_default(struct build *b, struct lnt_section *s,
                        struct block *block, size_t i);
static void unknown_section(struct build *b, const struct lnt_ini_section *ini);
static void unknown_key(struct build *b, const struct lnt_section *s,
                        const struct lnt_ini_entry *e);

static inline struct block *
owner(struct lnt_block *b)
{
    return (struct block *)b; /* its first member */
}

/* "[listen web]" for messages; valid until the arena goes. */
static const char *
title(struct build *b, const struct lnt_section *s)
{
    return lnt_arena_printf(b->arena, "[%s%s%s]", s->kind->kind,
                            *s->name ? " " : "", s->name);
}

struct lnt_section *
lnt_conf_build(struct lnt_arena *a, const struct lnt_schema *s,
               const struct lnt_ini_section *ini, const char *only,
               const char *prefix, struct lnt_report *report)
{
    struct build b = {
        .arena = a,
        .schema = s,
        .only = only,
        .prefix = prefix,
        .report = report,
    };

    b.last = &b.first;
    for (struct lnt_schema_kind *k = s->kinds; k; k = k->next) {
        const char *why;

        /* once a kind, for the first that claims it */
        if (lnt_schema_find(s, k->kind->kind) == k->kind &&
            lnt_schema_clash(s, k->kind->kind, &why))
            lnt_report_add(report, NULL, 0,
                           "%s: these modules do not go together", why);
    }
    for (; ini; ini = ini->next)
        build_written(&b, ini);
    for (struct lnt_schema_kind *k = s->kinds; k; k = k->next) {
        if (k->kind->named || (only && strcmp(only, k->kind->kind) != 0) ||
            lnt_section_find(b.first, k->kind->kind))
            continue;
        finish_section(&b, new_section(&b, k->kind));
    }
    return b.first;
}

struct lnt_section *
lnt_section_find(struct lnt_section *s, const char *kind)
{
    while (s && strcmp(s->kind->kind, kind) != 0)
        s = s->next;
    return s;
}

struct lnt_section *
lnt_section_named(struct lnt_section *s, const char *kind, const char *name)
{
    for (s = lnt_section_find(s, kind); s;
         s = lnt_section_find(s->next, kind)) {
        if (strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

const struct lnt_block *
lnt_section_block(const struct lnt_section *s,
                  const struct lnt_directive_set *set)
{
    const struct lnt_block *b = s->blocks;

    while (b && b->set != set)
        b = b->next;
    return b;
}

void *
lnt_section_data(const struct lnt_section *s,
                 const struct lnt_directive_set *set)
{
    const struct lnt_block *b = lnt_section_block(s, set);

    return b ? b->data : NULL;
}

const void *
lnt_section_value(const struct lnt_section *s, const char *key,
                  enum lnt_type type, const struct lnt_directive_set **of)
{
    for (const struct lnt_block *b = s->blocks; b; b = b->next) {
        for (const struct lnt_directive *d = b->set->directives; d->name; d++) {
            if (d->type != type || strcmp(d->name, key) != 0)
                continue;
            if (of)
                *of = b->set;
            return (const char *)b->data + d->offset;
        }
    }
    return NULL;
}

const char *
lnt_section_text(const struct lnt_section *s, const char *key,
                 const struct lnt_directive_set **of)
{
    const char *const *text = lnt_section_value(s, key, LNT_TYPE_STRING, of);

    return text ? *text : NULL;
}

struct lnt_origin
lnt_section_origin(const struct lnt_section *s,
                   const struct lnt_directive_set *set, const char *key)
{
    const struct lnt_block *b = lnt_section_block(s, set);
    struct lnt_origin section = {s->file, s->line};

    for (size_t i = 0; b && set->directives[i].name; i++) {
        if (strcmp(set->directives[i].name, key) == 0 && b->origins[i].file)
            return b->origins[i];
    }
    return section;
}

struct lnt_origin
lnt_section_origin_at(const struct lnt_section *s,
                      const struct lnt_directive_set *set, const char *key,
                      size_t i)
{
    const struct lnt_block *b = lnt_section_block(s, set);
    const struct value *v = b ? ((const struct block *)b)->values : NULL;

    for (; v; v = v->next) {
        if (strcmp(set->directives[v->directive].name, key) == 0 && i-- == 0)
            return v->origin;
    }
    return lnt_section_origin(s, set, key);
}

void *
lnt_block_inherit(struct lnt_arena *a, struct lnt_block *b,
                  const struct lnt_block *from)
{
    size_t n = lnt_set_count(b->set);
    void *data = lnt_arena_alloc(a, b->set->size);

    memcpy(data, b->data, b->set->size);
    for (size_t i = 0; i < n; i++) {
        const struct lnt_directive *d = &b->set->directives[i];
        struct lnt_origin *o = &owner(b)->origins[i];

        if (b->given >> i & 1)
            continue;
        memcpy((char *)data + d->offset, (const char *)from->data + d->offset,
               lnt_value_size(d));
        if (!b->inherited)
            *o = from->origins[i];
        else if (o->file != from->origins[i].file ||
                 o->line != from->origins[i].line)
            b->varies |= UINT64_C(1) << i;
    }
    if (!b->inherited)
        memcpy(b->data, data, b->set->size);
    b->inherited = true;
    return data;
}

static void
build_written(struct build *b, const struct lnt_ini_section *ini)
{
    const struct lnt_section_kind *kind = lnt_schema_find(b->schema, ini->kind);
    struct lnt_section *s;

    if (b->only && strcmp(b->only, ini->kind) != 0)
        return;
    if (!kind) {
        unknown_section(b, ini);
        return;
    }
    if (kind->named && !*ini->name)
        lnt_report_add(b->report, ini->file, ini->line,
                       "[%s] needs a name of its own: write [%s NAME]",
                       ini->kind, ini->kind);
    if (!kind->named && *ini->name)
        lnt_report_add(b->report, ini->file, ini->line,
                       "[%s %s]: this section has no name; write [%s]",
                       ini->kind, ini->name, ini->kind);
    s = new_section(b, kind);
    s->name = ini->name;
    s->file = ini->file;
    s->line = ini->line;
    for (const struct lnt_ini_entry *e = ini->entries; e; e = e->next)
        set_entry(b, s, e);
    finish_section(b, s);
}

/* Linked, with an empty block for each set. */
static struct lnt_section *
new_section(struct build *b, const struct lnt_section_kind *kind)
{
    struct lnt_section *s = lnt_arena_alloc(b->arena, sizeof(*s));
    struct lnt_block **last = &s->blocks;
    const struct lnt_directive_set *set;

    s->kind = kind;
    s->name = "";
    for (size_t i = 0; (set = lnt_schema_set(b->schema, kind->kind, i)); i++) {
        size_t n = lnt_set_count(set);
        struct block *block = lnt_arena_alloc(
            b->arena, sizeof(*block) + n * sizeof(block->origins[0]));

        block->b.set = set;
        block->b.data = lnt_arena_alloc(b->arena, set->size);
        block->b.origins = block->origins;
        block->last = &block->values;
        *last = &block->b;
        last = &block->b.next;
    }
    *b->last = s;
    b->last = &s->next;
    return s;
}

static void
set_entry(struct build *b, struct lnt_section *s, const struct lnt_ini_entry *e)
{
    for (struct lnt_block *block = s->blocks; block; block = block->next) {
        const struct lnt_directive *d = block->set->directives;

        for (size_t i = 0; d[i].name; i++) {
            if (strcmp(d[i].name, e->key) == 0) {
                set_value(b, owner(block), i, e);
                return;
            }
        }
    }
    unknown_key(b, s, e);
}

static void
note_value(struct build *b, struct block *block, size_t i,
           const struct lnt_ini_entry *e)
{
    struct value *v = lnt_arena_alloc(b->arena, sizeof(*v));

    v->directive = i;
    v->origin = (struct lnt_origin){e->file, e->line};
    *block->last = v;
    block->last = &v->next;
}

static void
set_value(struct build *b, struct block *block, size_t i,
          const struct lnt_ini_entry *e)
{
    const struct lnt_directive *d = &block->b.set->directives[i];
    const struct lnt_origin *first = &block->origins[i];
    uint64_t bit = (uint64_t)1 << i;
    struct lnt_strbuf error = LNT_STRBUF_INIT;

    if (first->file && !lnt_value_is_list(d)) {
        if (first->line)
            lnt_report_add(b->report, e->file, e->line,
                           "\"%s\" is given twice, first at %s:%u; it takes "
                           "one value",
                           e->key, first->file, first->line);
        else
            lnt_report_add(b->report, e->file, e->line,
                           "\"%s\" is given twice; it takes one value", e->key);
        return;
    }
    if (!first->file) {
        block->origins[i].file = e->file;
        block->origins[i].line = e->line;
    }
    if (!e->value) { /* the report has it already */
        block->b.given |= bit;
        block->filled |= bit;
        return;
    }
    /* "" for a number without a default: as if it were not there */
    if (!*e->value && !d->def && !lnt_value_may_be_empty(d)) {
        block->origins[i].file = NULL;
        return;
    }
    block->b.given |= bit;
    if (*e->value)
        block->filled |= bit;
    if (lnt_value_parse(b->arena, d, b->prefix, e->value, block->b.data,
                        &error) < 0)
        lnt_report_add(b->report, e->file, e->line, "\"%s\" = \"%s\": %s",
                       e->key, e->value, error.p);
    else if (*e->value && lnt_value_is_list(d))
        note_value(b, block, i, e);
    lnt_strbuf_release(&error);
}

/* Defaults, and what has to be there. */
static void
finish_section(struct build *b, struct lnt_section *s)
{
    for (struct lnt_block *i = s->blocks; i; i = i->next) {
        struct block *block = owner(i);

        for (size_t k = 0; i->set->directives[k].name; k++)
            set_default(b, s, block, k);
    }
}

static void
set_default(struct build *b, struct lnt_section *s, struct block *block,
            size_t i)
{
    const struct lnt_directive *d = &block->b.set->directives[i];
    uint64_t bit = (uint64_t)1 << i;
    struct lnt_strbuf error = LNT_STRBUF_INIT;

    if (!(block->b.given & bit) && d->def) {
        if (lnt_value_parse(b->arena, d, b->prefix, d->def, block->b.data,
                            &error) < 0)
            lnt_report_add(b->report, s->file, s->line,
                           "the default \"%s\" of \"%s\" in %s is wrong in "
                           "module %s itself: %s",
                           d->def, d->name, title(b, s), block->b.set->owner,
                           error.p);
        lnt_strbuf_release(&error);
        return;
    }
    if (!d->required || (block->filled & bit))
        return;
    const char *help = d->help ? d->help : "it has no default";
    if (block->origins[i].file)
        lnt_report_add(b->report, block->origins[i].file,
                       block->origins[i].line,
                       "\"%s\" in %s must not be empty: %s", d->name,
                       title(b, s), help);
    else
        lnt_report_add(b->report, s->file, s->line, "%s needs \"%s = ...\": %s",
                       title(b, s), d->name, help);
}

static void
unknown_section(struct build *b, const struct lnt_ini_section *ini)
{
    const char **names;
    size_t n = 0;

    for (struct lnt_schema_kind *k = b->schema->kinds; k; k = k->next)
        n++;
    names = lnt_arena_alloc(b->arena, (n + 1) * sizeof(*names));
    n = 0;
    for (struct lnt_schema_kind *k = b->schema->kinds; k; k = k->next)
        names[n++] = k->kind->kind;
    const char *near = lnt_str_nearest(ini->kind, names);
    if (near)
        lnt_report_add(b->report, ini->file, ini->line,
                       "unknown section [%s]; did you mean [%s]?", ini->kind,
                       near);
    else
        lnt_report_add(b->report, ini->file, ini->line,
                       "unknown section [%s]; no module that is loaded has "
                       "one of that name",
                       ini->kind);
}

static void
unknown_key(struct build *b, const struct lnt_section *s,
            const struct lnt_ini_entry *e)
{
    const char **names;
    size_t n = 0;

    for (struct lnt_block *i = s->blocks; i; i = i->next)
        n += lnt_set_count(i->set);
    names = lnt_arena_alloc(b->arena, (n + 1) * sizeof(*names));
    n = 0;
    for (struct lnt_block *i = s->blocks; i; i = i->next) {
        for (size_t k = 0; i->set->directives[k].name; k++)
            names[n++] = i->set->directives[k].name;
    }
    const char *near = lnt_str_nearest(e->key, names);
    if (near)
        lnt_report_add(b->report, e->file, e->line,
                       "unknown key \"%s\" in [%s]; did you mean \"%s\"?",
                       e->key, s->kind->kind, near);
    else
        lnt_report_add(b->report, e->file, e->line,
                       "unknown key \"%s\" in [%s]", e->key, s->kind->kind);
}
