/*
 * [route] sections: every refusal with its place, and which route a request
 * takes.
 */
#include "modules/http/routes.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/conf.h"
#include "core/regex.h"
#include "modules/http/route.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

/* ---- modules to be named ---- */

static unsigned prepared;

static int
prepare(struct lnt_module_setup *setup, const struct lnt_section *route,
        const void **conf)
{
    prepared++;
    *conf = route->name;
    if (strcmp(setup->module->name, "page") == 0 &&
        strcmp(route->name, "bad") != 0)
        return 0;
    lnt_report_add(setup->report, route->file, route->line, "prepared in vain");
    return -1;
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    (void)r;
    return LNT_GO_ON;
}

static const struct lnt_http_handler page_handler = {.prepare = prepare,
                                                     .handle = handle};
static const struct lnt_http_handler ws_handler = {
    .upgrades = "a thing", .allow = "GET", .handle = handle};
static const struct lnt_http_handler api_handler = {.allow = "POST, OPTIONS",
                                                    .handle = handle};
static const struct lnt_protocol bare = {.bare = true}, framed = {0};
static const struct lnt_app app = {0};
static const struct lnt_module http = {.name = "http", .protocol = &bare};
static const struct lnt_module ws = {
    .name = "ws", .protocol = &framed, .handler = &ws_handler};
static const struct lnt_module page = {.name = "page",
                                       .handler = &page_handler};
static const struct lnt_module api = {.name = "api", .handler = &api_handler};
static const struct lnt_module chat = {.name = "chat", .app = &app};
static const struct lnt_module *const modules[] = {&http, &ws,   &page,
                                                   &api,  &chat, NULL};

/* ---- the core's kinds ---- */

struct listen {
    const char *protocol;
};
static const struct lnt_directive listen_directives[] = {
    {.name = "protocol",
     .type = LNT_TYPE_STRING,
     .offset = offsetof(struct listen, protocol),
     .def = "raw"},
    {.name = NULL},
};
static const struct lnt_directive_set listen_set = {
    "core", sizeof(struct listen), listen_directives};
static const struct lnt_section_kind kinds[] = {
    {.kind = "limits", .set = &lnt_limits_set},
    {.kind = "listen", .named = true, .set = &listen_set},
    {.kind = "route", .named = true, .set = &lnt_http_route_set},
};
static const struct lnt_section_extension limits[] = {
    {"route", &lnt_limits_set}, {"listen", &lnt_limits_set}};

static struct lnt_arena *arena;
static struct lnt_report report;
static struct lnt_module_setup setup;

static const struct lnt_http_table *
load(const char *text)
{
    const struct lnt_http_table *tables = NULL;
    lnt_arena_free(arena);
    arena = lnt_arena_new();
    lnt_report_init(&report, arena);
    struct lnt_schema *schema = lnt_schema_new(arena);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        lnt_schema_kind(schema, &kinds[i]);
    const char *why;
    lnt_schema_extend(schema, &limits[0], &why);
    lnt_schema_extend(schema, &limits[1], &why);
    const char *path = tmp_write("server.ini", text, strlen(text));
    struct lnt_ini_section *ini = lnt_ini_load(arena, path, NULL, 0, &report);
    setup = (struct lnt_module_setup){
        .module = &http,
        .arena = arena,
        .report = &report,
        .modules = modules,
        .sections = lnt_conf_build(arena, schema, ini, NULL, "/", &report)};
    if (report.errors == 0)
        lnt_http_routes_make(&setup, &tables);
    for (struct lnt_report_line *l = report.first; l; l = l->next)
        diag("%s", l->text);
    return tables;
}

#define WEB "[listen web]\nprotocol = http\n"

/* Exactly one problem, at that line, with these words. */
static void
wrong(const char *text, unsigned line, const char *words)
{
    char place[32];
    snprintf(place, sizeof(place), "server.ini:%u:", line);
    load(text);
    ok(report.errors == 1 && strstr(report.first->text, place) &&
           strstr(report.first->text, words),
       "refused: %s", words);
}

static void
test_errors(void)
{
    wrong(WEB "[route a]\nlisten = web\nhandler = page\n", 3,
          "needs a path or a match");
    wrong(WEB "[route a]\nlisten = web\npath = /\nmatch = ^/\n"
              "handler = page\n",
          5, "both path and match");
    wrong(WEB "[route a]\nlisten = web\npath = /\n", 3, "needs a handler");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = page\n"
              "protocol = ws\n",
          6, "both handler and protocol");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = page\napp = chat\n",
          7, "app goes with protocol");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = page\n"
              "idle_timeout = 0\n",
          7, "idle_timeout is to go there");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = pagee\n", 6,
          "did you mean \"page\"");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = ws\n", 6,
          "did you mean \"protocol = ws\", with an app?");
    wrong(WEB "[route a]\nlisten = web\npath = /\nprotocol = page\n"
              "app = chat\n",
          6, "did you mean \"handler = page\", without app?");
    wrong(WEB "[route a]\nlisten = web\npath = /\nhandler = chat\n", 6,
          "no handler \"chat\"");
    wrong(WEB "[route a]\nlisten = web\npath = /\nprotocol = wss\n"
              "app = chat\n",
          6, "did you mean \"ws\"");
    wrong(WEB "[route a]\nlisten = web\npath = /\nprotocol = ws\n", 3,
          "needs an app");
    wrong(WEB "[route a]\nlisten = web\npath = /\nprotocol = ws\napp = chatt\n",
          7, "did you mean \"chat\"");
    wrong(WEB "[route a]\nlisten = wed\npath = /\nhandler = page\n", 4,
          "did you mean \"web\"");
    wrong("[listen raw]\n[route a]\nlisten = raw\npath = /\nhandler = page\n",
          3, "needs protocol = http");
    wrong(WEB "[route a]\npath = /\nhandler = page\n", 3, "listen");
    wrong(WEB "[route a]\nlisten = web\npath = x\nhandler = page\n", 5,
          "starts with /");
    wrong(WEB "[route a]\nlisten = web\npath = /a/../..\nhandler = page\n", 5,
          "leaves the root");
    wrong(WEB "[route a]\nlisten = web\npath = /a//b\nhandler = page\n", 5,
          "write \"/a/b\"");
    wrong(WEB "[route a]\nlisten = web\npath = /a?b\nhandler = page\n", 5,
          "not part of a path");
    wrong(WEB "[route bad]\nlisten = web\npath = /\nhandler = page\n", 3,
          "prepared in vain");
    wrong(WEB "[route a]\nlisten = web\npath = /x\nhandler = page\n"
              "[route b]\nlisten = web\npath = /x\nhandler = api\n",
          9, "server.ini:5");
    wrong(WEB "[route a]\nlisten = web\nmatch = ^/x\nhandler = page\n"
              "[route b]\nlisten = web\nmatch = ^/x\nhandler = api\n",
          9, "this match already");
    wrong(WEB "[route a]\nlisten = web\nlisten = web\npath = /x\n"
              "handler = page\n",
          6, "already");
}

static struct lnt_http_request r;

/* "name:rest" of the route taken, "-" for none. */
static const char *
taken(const struct lnt_http_table *t, const char *host, const char *path)
{
    static char out[256];
    r.host = lnt_str_c(host);
    r.path = lnt_str_c(path);
    const struct lnt_http_entry *e = lnt_http_route_find(t, &r);
    if (!e)
        return "-";
    snprintf(out, sizeof(out), "%s:%.*s", e->route.section->name,
             LNT_STR_ARG(r.rest));
    return out;
}

static void
test_choice(void)
{
    unsigned before = prepared;
    const struct lnt_http_table *t =
        load(WEB "[listen two]\nprotocol = http\n"
                 "[route root]\nlisten = web\nlisten = two\npath = /\n"
                 "handler = page\n"
                 "[route chat]\nlisten = web\npath = /chat\nprotocol = ws\n"
                 "app = chat\nmessage_size = 1k\n"
                 "[route files]\nlisten = web\npath = /files/\n"
                 "handler = page\n"
                 "[route deep]\nlisten = web\npath = /files/deep/\n"
                 "handler = api\n"
                 "[route room]\nlisten = web\n"
                 "match = ^/rooms/(?<room>[a-z]+)(?:/(?<more>.*))?$\n"
                 "handler = page\n"
                 "[route late]\nlisten = web\nmatch = ^/rooms/\n"
                 "handler = api\n"
                 "[route host]\nlisten = web\nhost = ^a\\.example$\n"
                 "host = ^\\[::1\\]$\npath = /\nhandler = api\n");
    const struct lnt_section *web =
        lnt_section_named(setup.sections, "listen", "web");
    is_int(report.errors, 0, "a configuration with seven routes");
    is_int(prepared - before, 3, "each is prepared once");
    t = lnt_http_table_find(t, web);
    is_str(taken(t, "x", "/"), "root:", "/");
    is_str(taken(t, "x", "/a/b"), "root:a/b", "what nothing else takes");
    is_str(taken(t, "x", "/chat"), "chat:", "a path itself");
    is_str(taken(t, "x", "/chat/"), "chat:", "with a slash");
    is_str(taken(t, "x", "/chat/a/b"), "chat:a/b", "below it");
    is_str(taken(t, "x", "/chatter"), "root:chatter", "not beside it");
    is_str(taken(t, "x", "/files"), "root:files",
           "a folder is not the name without its slash");
    is_str(taken(t, "x", "/files/"), "files:", "a folder");
    is_str(taken(t, "x", "/files/deep/x"), "deep:x", "the longest wins");
    is_str(taken(t, "x", "/rooms/abc/d"), "room:rooms/abc/d",
           "patterns in the order of the file");
    is_int(r.ncaptures, 3, "captures");
    int room = lnt_regex_group(r.route->match, "room");
    ok(room == 1 && lnt_str_eq(r.captures[room], LNT_STR("abc")),
       "a named one");
    is_str(taken(t, "x", "/rooms/1"), "late:rooms/1", "the next pattern");
    is_str(taken(t, "x", "/none"), "root:none", "no pattern");
    is_int(r.ncaptures, 0, "no captures");
    is_str(taken(t, "A.Example:8080", "/chat"), "host:chat",
           "a host comes first, without case and port");
    is_str(taken(t, "a.example.", "/"), "host:", "nor the last dot");
    is_str(taken(t, "[::1]:80", "/"), "host:", "an address");
    is_str(taken(t, "b.a.example", "/"), "root:", "another host");
    is_str(taken(t, "", "/"), "root:", "no host");

    t = lnt_http_table_find(load(WEB "[route a]\nlisten = web\npath = /a\n"
                                     "handler = api\n"),
                            NULL);
    ok(!t, "a listener without routes has no table");
    is_str(taken(t, "x", "/"), "-", "and no route");
}

static void
test_entry(void)
{
    const struct lnt_http_table *t =
        load(WEB "[route a]\nlisten = web\npath = /a\nhandler = api\n"
                 "[route b]\nlisten = web\npath = /b\nprotocol = ws\n"
                 "app = chat\nmessage_size = 3k\n"
                 "[route c]\nlisten = web\npath = /c\nhandler = page\n");
    taken(t, "", "/a");
    const struct lnt_http_entry *a = t->entries[0], *b = t->entries[1],
                                *c = t->entries[2];
    is_str(a->allow, "Allow: POST, OPTIONS\r\n", "methods of the handler");
    is_int(a->methods, 1u << LNT_HTTP_POST | 1u << LNT_HTTP_OPTIONS, "bits");
    is_str(b->allow, "Allow: GET\r\n", "another protocol begins with GET");
    is_int(b->methods, 1u << LNT_HTTP_GET, "but ours");
    is_str(c->allow, "Allow: GET, HEAD, OPTIONS\r\n", "by default");
    is_int(a->module_index, 3, "index of the module");
    ok(!a->route.endpoint && b->route.endpoint, "an endpoint for upgrades");
    is_str(b->route.endpoint->name, "route b", "its name");
    ok(b->route.endpoint->protocol == &ws && b->route.endpoint->app == &chat,
       "its modules");
    is_int(b->route.endpoint->limits->message_size, 3072, "its limits");
    is_str(c->route.conf, "c", "what prepare gave");
}

int
main(void)
{
    test_errors();
    test_choice();
    test_entry();
    lnt_arena_free(arena);
    return done_testing();
}
