/*
 * Endpoints: names in a section resolved into modules and limits.
 */
#include "net/endpoint.h"

#include "core/arena.h"
#include "core/conf.h"
#include "net/limits.h"
#include "net/module.h"

static bool
is_protocol(const struct lnt_module *m)
{
    return m->protocol != NULL;
}

static bool
is_app(const struct lnt_module *m)
{
    return m->app != NULL;
}

/* Where the key was written, whichever set it is of. */
static struct lnt_origin
key_origin(const struct lnt_section *s, const char *key)
{
    for (const struct lnt_block *b = s->blocks; b; b = b->next)
        for (const struct lnt_directive *d = b->set->directives; d->name; d++)
            if (strcmp(d->name, key) == 0)
                return lnt_section_origin(s, b->set, key);
    return (struct lnt_origin){s->file, s->line};
}

/* The index of the module of that name and use; -1 after a report. */
static int
resolve(struct lnt_module_setup *setup, const struct lnt_section *s,
        const char *key, const char *name,
        bool (*use)(const struct lnt_module *))
{
    const char *names[256];
    size_t n = 0;
    for (int i = 0; setup->modules[i]; i++) {
        const struct lnt_module *m = setup->modules[i];
        if (!use(m))
            continue;
        if (strcmp(m->name, name) == 0)
            return i;
        if (n < sizeof(names) / sizeof(names[0]) - 1)
            names[n++] = m->name;
    }
    names[n] = NULL;
    const char *near = lnt_str_nearest(name, names);
    struct lnt_origin o = key_origin(s, key);
    lnt_report_add(setup->report, o.file, o.line,
                   "[%s %s]: there is no %s \"%s\"%s%s%s", s->kind->kind,
                   s->name, key, name, near ? "; did you mean \"" : "",
                   near ? near : "; is its module built in or in load_module?",
                   near ? "\"?" : "");
    return -1;
}

struct lnt_endpoint *
lnt_endpoint_make(struct lnt_module_setup *setup, struct lnt_section *section,
                  const char *protocol, const char *app,
                  const struct lnt_section *up)
{
    int p = resolve(setup, section, "protocol", protocol, is_protocol);
    int a = app ? resolve(setup, section, "app", app, is_app) : -1;
    if (p < 0 || (app && a < 0))
        return NULL;
    bool bare = setup->modules[p]->protocol->bare;
    if (bare == (app != NULL)) {
        lnt_report_add(setup->report, section->file, section->line,
                       bare ? "[%s %s]: protocol %s takes no app; name the app "
                              "in its [route] sections"
                            : "[%s %s]: protocol %s needs an app, as in app = "
                              "echo",
                       section->kind->kind, section->name, protocol);
        return NULL;
    }
    if (!up)
        up = lnt_section_find(setup->sections, "limits");
    struct lnt_block *limits = NULL;
    for (struct lnt_block *b = section->blocks; b; b = b->next)
        if (b->set == &lnt_limits_set)
            limits = b;
    const struct lnt_block *from = lnt_section_block(up, &lnt_limits_set);
    if (limits)
        lnt_block_inherit(limits, from);

    struct lnt_endpoint *e = lnt_arena_alloc(setup->arena, sizeof(*e));
    e->name = lnt_arena_printf(setup->arena, "%s %s", section->kind->kind,
                               section->name);
    e->protocol = setup->modules[p];
    e->protocol_index = (unsigned)p;
    if (app) {
        e->app = setup->modules[a];
        e->app_index = (unsigned)a;
    }
    e->limits = limits ? limits->data : from->data;
    e->section = section;
    e->next = setup->endpoints;
    setup->endpoints = e;
    return e;
}
