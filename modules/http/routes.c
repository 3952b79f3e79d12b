/*
 * The [route] sections of a configuration, made into one table a listener.
 * Every name in them is resolved here, so that a request meets no question
 * that could have been asked at start.
 */
#include "modules/http/routes.h"

#include <stdarg.h>
#include <string.h>

#include "core/arena.h"
#include "core/regex.h"
#include "core/strbuf.h"
#include "modules/http/path.h"
#include "modules/http/route.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"

struct route_conf {
    struct lnt_strings listen;
    const char *path;
    struct lnt_regex *match;
    struct lnt_regexes host, origin;
    const char *protocol, *app, *handler;
};

#define FIELD(name) offsetof(struct route_conf, name)

static const struct lnt_directive route_directives[] = {
    {.name = "listen",
     .type = LNT_TYPE_LIST,
     .offset = FIELD(listen),
     .required = true,
     .help = "Names of the [listen] sections it is for; may repeat."},
    {.name = "path",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(path),
     .help = "/x/ is all below it, /x also itself, / what no other route "
             "takes; the longest wins."},
    {.name = "match",
     .type = LNT_TYPE_REGEX,
     .offset = FIELD(match),
     .help = "Instead of path: a pattern (PCRE2) for the decoded path; tried "
             "before paths, in the order of the file."},
    {.name = "host",
     .type = LNT_TYPE_REGEXES,
     .offset = FIELD(host),
     .help = "Only for hosts that match this pattern (lower case, without "
             "port); tried before routes without; may repeat."},
    {.name = "handler",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(handler),
     .help = "The module that answers: static, status, chat_api."},
    {.name = "protocol",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(protocol),
     .help = "Instead of handler: the protocol that the connection changes "
             "to: websocket, sse."},
    {.name = "app",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(app),
     .help = "The application over that protocol: chat, echo."},
    {.name = "origin",
     .type = LNT_TYPE_REGEXES,
     .offset = FIELD(origin),
     .help = "Pages that may use it (websocket, sse, chat_api): a pattern for "
             "their Origin, which is compared in lower case; may repeat; "
             "none: only pages of the same host."},
    {.name = NULL},
};

const struct lnt_directive_set lnt_http_route_set = {
    "http", sizeof(struct route_conf), route_directives};

/* A table while it is made. */
struct draft {
    struct lnt_http_table *table;
    size_t cap;
};

struct maker {
    struct lnt_module_setup *setup;
    struct draft *drafts; /* one a listener that some route names */
    size_t n;
};

/* ---- messages ---- */

__attribute__((format(printf, 4, 5))) static void
complain(struct maker *m, const struct lnt_section *s, const char *key,
         const char *fmt, ...)
{
    struct lnt_origin o = lnt_section_origin(s, &lnt_http_route_set, key);
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&text, fmt, ap);
    va_end(ap);
    lnt_report_add(m->setup->report, o.file, o.line, "%s", text.p);
    lnt_strbuf_release(&text);
}

/* The same with the nearest of some names, or all of them. */
static void
complain_near(struct maker *m, const struct lnt_section *s, const char *key,
              const char *what, const char *word, const char *const *names)
{
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    const char *near = lnt_str_nearest(word, names);
    for (size_t i = 0; names[i]; i++)
        lnt_strbuf_addf(&all, "%s%s", i > 0 ? ", " : "; there are ", names[i]);
    if (near)
        complain(m, s, key, "there is no %s \"%s\"; did you mean \"%s\"?", what,
                 word, near);
    else
        complain(m, s, key, "there is no %s \"%s\"%s", what, word,
                 all.n ? all.p : "");
    lnt_strbuf_release(&all);
}

/* ---- listeners ---- */

/* A flag of whatever set has it; on when none has. */
static bool
section_flag(const struct lnt_section *s, const char *key)
{
    const bool *flag = lnt_section_value(s, key, LNT_TYPE_FLAG, NULL);
    return !flag || *flag;
}

static void
complain_listener(struct maker *m, const struct lnt_section *route,
                  const char *name)
{
    const char *names[64];
    size_t n = 0;
    struct lnt_section *s = lnt_section_find(m->setup->sections, "listen");
    for (; s && n < 63; s = lnt_section_find(s->next, "listen"))
        names[n++] = s->name;
    names[n] = NULL;
    complain_near(m, route, "listen", "[listen] section", name, names);
}

/* The draft for the listener of that name; NULL after a report. */
static struct draft *
find_draft(struct maker *m, const struct lnt_section *route, const char *name)
{
    const struct lnt_section *s =
        lnt_section_named(m->setup->sections, "listen", name);
    if (!s) {
        complain_listener(m, route, name);
        return NULL;
    }
    const char *protocol = lnt_section_text(s, "protocol", NULL);
    if (!protocol || strcmp(protocol, "http") != 0) {
        complain(m, route, "listen",
                 "[listen %s] has no routes; it needs protocol = http", name);
        return NULL;
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->drafts[i].table->listener == s)
            return &m->drafts[i];
    struct draft *drafts =
        lnt_arena_alloc(m->setup->arena, (m->n + 1) * sizeof(*drafts));
    if (m->n > 0)
        memcpy(drafts, m->drafts, m->n * sizeof(*drafts));
    m->drafts = drafts;
    struct draft *d = &drafts[m->n++];
    d->table = lnt_arena_alloc(m->setup->arena, sizeof(*d->table));
    d->table->listener = s;
    return d;
}

static void
add_entry(struct maker *m, struct draft *d, const struct lnt_http_entry *e)
{
    struct lnt_http_table *t = d->table;
    if (t->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 16;
        const struct lnt_http_entry **v =
            lnt_arena_alloc(m->setup->arena, d->cap * sizeof(*v));
        if (t->n > 0)
            memcpy(v, t->entries, t->n * sizeof(*v));
        t->entries = v;
    }
    t->entries[t->n++] = e;
    t->hosts |= e->hosts.n > 0;
}

/* ---- order ---- */

/* Smaller is tried first; equal ones stay in the order of the file. */
static int
compare(const struct lnt_http_entry *a, const struct lnt_http_entry *b)
{
    if ((a->hosts.n > 0) != (b->hosts.n > 0))
        return a->hosts.n > 0 ? -1 : 1;
    if ((a->route.match != NULL) != (b->route.match != NULL))
        return a->route.match ? -1 : 1;
    if (a->route.match || a->path_len == b->path_len)
        return 0;
    return a->path_len > b->path_len ? -1 : 1;
}

static void
sort_entries(struct lnt_http_table *t)
{
    for (size_t i = 1; i < t->n; i++) {
        const struct lnt_http_entry *e = t->entries[i];
        size_t at = i;
        for (; at > 0 && compare(e, t->entries[at - 1]) < 0; at--)
            t->entries[at] = t->entries[at - 1];
        t->entries[at] = e;
    }
}

static bool
same_hosts(const struct lnt_http_entry *a, const struct lnt_http_entry *b)
{
    if (a->hosts.n != b->hosts.n)
        return false;
    for (size_t i = 0; i < a->hosts.n; i++)
        if (strcmp(lnt_regex_pattern(a->hosts.v[i]),
                   lnt_regex_pattern(b->hosts.v[i])) != 0)
            return false;
    return true;
}

static bool
same_place(const struct lnt_http_entry *a, const struct lnt_http_entry *b)
{
    if (!same_hosts(a, b))
        return false;
    if (a->route.match && b->route.match)
        return strcmp(lnt_regex_pattern(a->route.match),
                      lnt_regex_pattern(b->route.match)) == 0;
    return a->route.path && b->route.path &&
           strcmp(a->route.path, b->route.path) == 0;
}

static void
check_doubles(struct maker *m, const struct draft *d,
              const struct lnt_http_entry *e)
{
    const char *key = e->route.match ? "match" : "path";
    for (size_t i = 0; i < d->table->n; i++) {
        const struct lnt_http_entry *other = d->table->entries[i];
        if (!same_place(e, other))
            continue;
        struct lnt_origin here =
            lnt_section_origin(e->route.section, &lnt_http_route_set, key);
        struct lnt_origin there =
            lnt_section_origin(other->route.section, &lnt_http_route_set, key);
        lnt_report_add(m->setup->report, here.file, here.line,
                       "[listen %s] has a route for this %s already: [route "
                       "%s] at %s:%u",
                       d->table->listener->name, key,
                       other->route.section->name, there.file, there.line);
        return;
    }
}

/* ---- one route ---- */

static bool
is_handler(const struct lnt_module *mod, bool upgrades)
{
    return mod->handler && !mod->handler->upgrades == !upgrades;
}

/* Whether the name is right and the key is not, which is reported. */
static bool
complain_key(struct maker *m, const struct lnt_section *s, const char *key,
             const char *name, bool upgrades)
{
    for (unsigned i = 0; m->setup->modules[i]; i++) {
        const struct lnt_module *mod = m->setup->modules[i];
        if (!is_handler(mod, !upgrades) || strcmp(mod->name, name) != 0)
            continue;
        if (upgrades)
            complain(m, s, key,
                     "%s is a handler, not a protocol for routes; did you mean "
                     "\"handler = %s\", without app?",
                     name, name);
        else
            complain(m, s, key,
                     "%s is a protocol, not a handler; did you mean \"protocol "
                     "= %s\", with an app?",
                     name, name);
        return true;
    }
    return false;
}

/* The module that a route names; NULL after a report. */
static const struct lnt_module *
find_module(struct maker *m, const struct lnt_section *s, const char *key,
            const char *name, bool upgrades, unsigned *index)
{
    const char *names[64];
    size_t n = 0;
    for (unsigned i = 0; m->setup->modules[i]; i++) {
        const struct lnt_module *mod = m->setup->modules[i];
        if (!is_handler(mod, upgrades))
            continue;
        *index = i;
        if (strcmp(mod->name, name) == 0)
            return mod;
        if (n < 63)
            names[n++] = mod->name;
    }
    names[n] = NULL;
    if (complain_key(m, s, key, name, upgrades))
        return NULL;
    complain_near(m, s, key, upgrades ? "protocol for routes" : "handler", name,
                  names);
    return NULL;
}

static bool
check_path(struct maker *m, const struct lnt_section *s, const char *path)
{
    struct lnt_str p = lnt_str_c(path);
    const char *why = NULL;
    char *out = lnt_arena_alloc(m->setup->arena, p.n + 1);
    long n = -1;
    if (strpbrk(path, "?#"))
        why = "? and # are not part of a path";
    else
        n = lnt_http_path_normalise(p, out, &why);
    if (n < 0) {
        complain(m, s, "path", "bad path: %s", why);
        return false;
    }
    if (strcmp(out, path) != 0) {
        complain(m, s, "path",
                 "paths are compared decoded and normalised; write \"%s\"",
                 out);
        return false;
    }
    return true;
}

/* Limits are a connection's, and one that a handler answers may be asked for
   other routes next. */
static bool
check_limits(struct maker *m, const struct lnt_section *s)
{
    const struct lnt_block *b = lnt_section_block(s, &lnt_limits_set);
    for (size_t i = 0; b && lnt_limits_set.directives[i].name; i++)
        if (b->given & 1ull << i)
            lnt_report_add(m->setup->report, b->origins[i].file,
                           b->origins[i].line,
                           "a route with a handler has the limits of its "
                           "[listen]; %s is to go there",
                           lnt_limits_set.directives[i].name);
    return !b || !b->given;
}

static bool
check_route(struct maker *m, const struct lnt_section *s,
            const struct route_conf *c)
{
    bool good = true;
    if (!c->path == !c->match) {
        complain(m, s, c->path ? "path" : "",
                 c->path ? "[route %s] has both path and match, one is to go"
                         : "[route %s] needs a path or a match",
                 s->name);
        good = false;
    }
    if (!c->handler == !c->protocol) {
        complain(m, s, c->handler ? "handler" : "",
                 c->handler
                     ? "[route %s] has both handler and protocol, one is to go"
                     : "[route %s] needs a handler, or a protocol with an app",
                 s->name);
        good = false;
    }
    if (c->handler && c->app) {
        complain(m, s, "app", "app goes with protocol, not with handler = %s",
                 c->handler);
        good = false;
    }
    if (c->handler && !check_limits(m, s))
        good = false;
    if (c->path && !check_path(m, s, c->path))
        good = false;
    return good;
}

static uint32_t
parse_methods(const char *allow)
{
    static const char *const names[] = {
        [LNT_HTTP_GET] = "GET",       [LNT_HTTP_HEAD] = "HEAD",
        [LNT_HTTP_POST] = "POST",     [LNT_HTTP_PUT] = "PUT",
        [LNT_HTTP_DELETE] = "DELETE", [LNT_HTTP_OPTIONS] = "OPTIONS",
        [LNT_HTTP_PATCH] = "PATCH",
    };
    uint32_t methods = 0;
    for (const char *p = allow; *p;) {
        size_t n = strcspn(p, ", ");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (strlen(names[i]) == n && memcmp(names[i], p, n) == 0)
                methods |= 1u << i;
        p += n;
        p += strspn(p, ", ");
    }
    return methods;
}

static void
set_methods(struct maker *m, struct lnt_http_entry *e)
{
    const char *allow = e->route.handler->allow;
    if (!allow)
        allow = "GET, HEAD";
    e->methods = parse_methods(allow);
    bool has_options =
        (e->methods & 1u << LNT_HTTP_OPTIONS) || e->route.handler->upgrades;
    e->allow = lnt_arena_printf(m->setup->arena, "Allow: %s%s\r\n", allow,
                                has_options ? "" : ", OPTIONS");
}

/* The handler's own check of the section, once for all listeners. */
static bool
prepare(struct maker *m, const struct lnt_section *s,
        const struct lnt_module *mod, const void **conf)
{
    struct lnt_module_setup own = *m->setup;
    own.module = mod;
    own.conf = NULL;
    *conf = NULL;
    return !mod->handler->prepare || mod->handler->prepare(&own, s, conf) == 0;
}

static void
add_route(struct maker *m, struct lnt_section *s)
{
    const struct route_conf *c = lnt_section_data(s, &lnt_http_route_set);
    if (!check_route(m, s, c))
        return;
    unsigned index = 0;
    bool upgrades = c->protocol != NULL;
    const char *name = upgrades ? c->protocol : c->handler;
    const struct lnt_module *mod = find_module(
        m, s, upgrades ? "protocol" : "handler", name, upgrades, &index);
    const void *conf;
    if (!mod || !prepare(m, s, mod, &conf))
        return;
    for (size_t i = 0; i < c->listen.n; i++) {
        struct draft *d = find_draft(m, s, c->listen.v[i]);
        if (!d)
            continue;
        struct lnt_http_entry *e = lnt_arena_alloc(m->setup->arena, sizeof(*e));
        e->route = (struct lnt_http_route){.path = c->path,
                                           .match = c->match,
                                           .module = mod,
                                           .handler = mod->handler,
                                           .section = s,
                                           .gzip = section_flag(s, "gzip"),
                                           .origins = &c->origin,
                                           .conf = conf};
        e->path_len = c->path ? strlen(c->path) : 0;
        e->folder = e->path_len > 0 && c->path[e->path_len - 1] == '/';
        e->hosts = c->host;
        e->module_index = index;
        set_methods(m, e);
        if (upgrades) {
            e->route.endpoint = lnt_endpoint_make(m->setup, s, c->protocol,
                                                  c->app, d->table->listener);
            if (!e->route.endpoint)
                return;
        }
        check_doubles(m, d, e);
        add_entry(m, d, e);
    }
}

void
lnt_http_routes_make(struct lnt_module_setup *setup,
                     const struct lnt_http_table **tables)
{
    struct maker m = {.setup = setup};
    struct lnt_section *s = lnt_section_find(setup->sections, "route");
    for (; s; s = lnt_section_find(s->next, "route"))
        add_route(&m, s);
    *tables = NULL;
    for (size_t i = 0; i < m.n; i++) {
        sort_entries(m.drafts[i].table);
        m.drafts[i].table->next = *tables;
        *tables = m.drafts[i].table;
    }
}
