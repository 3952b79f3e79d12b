/*
 * Static pages: files of a folder, or assets compiled into a module.
 *
 *     [route page]
 *     listen  = web
 *     path    = /
 *     handler = static
 *     root    = builtin:chat
 */
#include "modules/static/static.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/conf.h"
#include "core/mem.h"
#include "modules/static/cache.h"
#include "net/module.h"
#include "net/server_info.h"
#include "os/file.h"
#include "os/process.h"

/* What the module adds to [route]. */
struct static_conf {
    const char *root, *index;
    uint64_t max_age;
    bool gzip;
};

#define FIELD(name) offsetof(struct static_conf, name)

static const struct lnt_directive static_directives[] = {
    {.name = "root",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(root),
     .help = "For handler = static: a folder, or builtin:NAME for the pages "
             "that are part of module NAME."},
    {.name = "index",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(index),
     .def = "index.html",
     .help = "For handler = static: the file that stands for its folder."},
    {.name = "max_age",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(max_age),
     .def = "0",
     .min = 0,
     .max = 366ll * 86400000,
     .help = "For handler = static: how long clients may use what they have "
             "without asking again."},
    {.name = "gzip",
     .type = LNT_TYPE_FLAG,
     .offset = FIELD(gzip),
     .def = "on",
     .help = "Compressed answers for clients that take it: builtin pages, of "
             "a folder's files the .gz beside them, what status says."},
    {.name = NULL},
};

static const struct lnt_directive_set static_set = {
    "static", sizeof(struct static_conf), static_directives};

static const struct lnt_section_extension extensions[] = {
    {"route", &static_set},
    {NULL, NULL},
};

/* ---- configuration ---- */

static int
complain(struct lnt_module_setup *setup, const struct lnt_section *route,
         const char *message, const char *name)
{
    struct lnt_origin o = lnt_section_origin(route, &static_set, "root");
    lnt_report_add(setup->report, o.file, o.line, "[route %s]: %s%s",
                   route->name, message, name);
    return -1;
}

static int
find_assets(struct lnt_module_setup *setup, const struct lnt_section *route,
            const char *name, struct lnt_static_route *out)
{
    const struct lnt_module *m = lnt_module_find(setup->modules, name);
    if (!m)
        return complain(setup, route, "there is no module ", name);
    if (!m->assets)
        return complain(setup, route, "no pages are part of module ", name);
    out->assets = m->assets;
    while (m->assets[out->nassets].path)
        out->nassets++;
    return 0;
}

/* A folder that workers may not search is no error: its mode can be changed at
   any time. */
static void
warn_barrier(struct lnt_module_setup *setup, const struct lnt_section *route,
             const char *path)
{
    struct lnt_barrier b;
    char user[64], text[LNT_BARRIER_TEXT];
    int found = 0;
    if (!setup->user)
        found = lnt_file_barrier(path, X_OK, &b);
    else if (setup->identity)
        found = lnt_process_barrier(setup->identity, path, X_OK, &b);
    if (found <= 0)
        return;
    if (setup->user)
        snprintf(user, sizeof(user), "user %s", setup->user);
    else
        lnt_process_user_name(user, sizeof(user));
    struct lnt_origin o = lnt_section_origin(route, &static_set, "root");
    lnt_file_barrier_text(&b, user, text);
    lnt_report_warn(setup->report, o.file, o.line,
                    "[route %s]: root: %s; requests will be answered with 403",
                    route->name, text);
}

static int
find_folder(struct lnt_module_setup *setup, const struct lnt_section *route,
            const char *path, struct lnt_static_route *out)
{
    struct stat st;
    out->root = path;
    if (path[0] != '/')
        out->root =
            lnt_arena_printf(setup->arena, "%s%s", setup->server->prefix, path);
    if (stat(out->root, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return complain(setup, route, "there is no folder ", out->root);
        warn_barrier(setup, route, out->root);
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return complain(setup, route, "not a folder: ", out->root);
    warn_barrier(setup, route, out->root);
    return 0;
}

static int
prepare(struct lnt_module_setup *setup, const struct lnt_section *route,
        const void **conf)
{
    static const char builtin[] = "builtin:";
    const size_t n = sizeof(builtin) - 1;
    const struct static_conf *c = lnt_section_data(route, &static_set);
    struct lnt_static_route *out = lnt_arena_alloc(setup->arena, sizeof(*out));
    *conf = out;
    if (!c->root)
        return complain(setup, route,
                        "handler = static needs a root, as in root = "
                        "/srv/www",
                        "");
    out->index = c->index ? c->index : "index.html";
    if (strchr(out->index, '/'))
        return complain(setup, route, "index is the name of a file, not ",
                        out->index);
    out->gzip = c->gzip;
    out->cache_control =
        c->max_age ? lnt_arena_printf(setup->arena,
                                      "Cache-Control: public, max-age=%llu\r\n",
                                      (unsigned long long)(c->max_age / 1000))
                   : "Cache-Control: no-cache\r\n";
    if (strncmp(c->root, builtin, n) == 0)
        return find_assets(setup, route, c->root + n, out);
    return find_folder(setup, route, c->root, out);
}

/* ---- requests ---- */

static struct lnt_static_site *
find_site(struct lnt_static_worker *w, const struct lnt_static_route *route)
{
    struct lnt_static_site *s = w->sites;
    while (s && s->route != route)
        s = s->next;
    if (s)
        return s;
    s = lnt_calloc(1, sizeof(*s));
    s->route = route;
    s->root = -1;
    s->next = w->sites;
    w->sites = s;
    return s;
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct lnt_static_worker *w = m->data;
    struct lnt_static_site *site = find_site(w, r->route->conf);
    if (site->route->assets)
        return lnt_static_serve_asset(w, site, r);
    return lnt_static_serve_file(w, site, r);
}

/* ---- workers ---- */

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    struct lnt_static_worker *w = lnt_calloc(1, sizeof(*w));
    w->cache = lnt_static_cache_new();
    m->data = w;
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct lnt_static_worker *w = m->data;
    while (w->sites) {
        struct lnt_static_site *s = w->sites;
        w->sites = s->next;
        lnt_static_free_pages(s);
        if (s->root >= 0)
            lnt_file_close(s->root);
        free(s);
    }
    lnt_static_cache_free(w->cache);
    lnt_strbuf_release(&w->headers);
    lnt_strbuf_release(&w->path);
    free(w);
    m->data = NULL;
}

static const struct lnt_http_handler handler = {
    .allow = "GET, HEAD",
    .prepare = prepare,
    .handle = handle,
};

const struct lnt_module lnt_module_static = {
    LNT_MODULE_HEAD,
    .name = "static",
    .help = "HTTP handler: files of a folder, and builtin pages.",
    .extensions = extensions,
    .handler = &handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
