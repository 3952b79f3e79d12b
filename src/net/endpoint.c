/*
 * Endpoints: names in a section resolved into modules and limits.
 */
#include "net/endpoint.h"

#include <string.h>

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

static const struct lnt_limits *
effective_limits(struct lnt_arena *a, struct lnt_section *section,
                 const struct lnt_section *up)
{
    const struct lnt_block *from = lnt_section_block(up, &lnt_limits_set);
    for (struct lnt_block *b = section->blocks; b; b = b->next)
        if (b->set == &lnt_limits_set)
            return lnt_block_inherit(a, b, from);
    return from->data;
}

/* That of the listener with that section. */
static const struct lnt_endpoint *
find_listener(const struct lnt_module_setup *setup,
              const struct lnt_section *section)
{
    const struct lnt_endpoint *e = setup->endpoints;
    while (e && e->section != section)
        e = e->next;
    return e;
}

/* Whether it understands nothing but events with names. */
static bool
needs_events(const struct lnt_app *app)
{
    return app->call && !app->message;
}

static void
report_no_events(struct lnt_module_setup *setup, const struct lnt_section *s,
                 const char *protocol, const char *app)
{
    struct lnt_origin o = key_origin(s, "app");
    const char *can = NULL;
    for (int i = 0; setup->modules[i] && !can; i++)
        if (setup->modules[i]->protocol && setup->modules[i]->protocol->emit)
            can = setup->modules[i]->name;
    lnt_report_add(setup->report, o.file, o.line,
                   "[%s %s]: app %s takes events with names, which protocol %s "
                   "does not have; %s%s",
                   s->kind->kind, s->name, app, protocol,
                   can ? can : "no protocol that is built in or loaded does",
                   can ? " does" : "");
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
    if (app && needs_events(setup->modules[a]->app) &&
        !setup->modules[p]->protocol->emit) {
        report_no_events(setup, section, protocol, app);
        return NULL;
    }
    struct lnt_endpoint *e = lnt_arena_alloc(setup->arena, sizeof(*e));
    e->name = lnt_arena_printf(setup->arena, "%s %s", section->kind->kind,
                               section->name);
    e->id = e->name;
    if (up) {
        e->listener = find_listener(setup, up);
        e->id = lnt_arena_printf(setup->arena, "%s\n%s", e->name, up->name);
    } else {
        up = lnt_section_find(setup->sections, "limits");
    }
    e->limits = effective_limits(setup->arena, section, up);
    e->protocol = setup->modules[p];
    e->protocol_index = (unsigned)p;
    if (app) {
        e->app = setup->modules[a];
        e->app_index = (unsigned)a;
    }
    e->section = section;
    e->next = setup->endpoints;
    setup->endpoints = e;
    return e;
}

const struct lnt_endpoint *
lnt_endpoint_find(const struct lnt_endpoint *list, struct lnt_str id)
{
    const struct lnt_endpoint *same = NULL;
    const char *end = memchr(id.p, '\n', id.n);
    struct lnt_str name = lnt_str(id.p, end ? (size_t)(end - id.p) : id.n);
    for (const struct lnt_endpoint *e = list; e; e = e->next) {
        if (lnt_str_eq(id, lnt_str_c(e->id)))
            return e;
        if (lnt_str_eq(name, lnt_str_c(e->name)))
            same = e;
    }
    return same;
}
