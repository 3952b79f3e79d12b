#include "core/conf.h"

#include "core/arena.h"
#include "core/regex.h"
#include "core/strbuf.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

struct server {
    int64_t workers;
    uint64_t zone;
    uint64_t timeout;
    uint64_t rate;
    bool daemon;
    int64_t policy;
    const char *name;
    const char *run_dir;
    const char *log;
    const char *root;
    struct lnt_strings tags;
    struct lnt_strings paths;
    struct lnt_regex *match;
    struct lnt_regexes origins;
    struct lnt_addr admin;
    int64_t offset;
    uint64_t cache;
    uint64_t linger;
    uint64_t bare_size;
    bool bare_flag;
    int64_t bare_enum;
};

static const struct lnt_enum_value autos[] = {{"auto", -1}, {NULL, 0}};
static const struct lnt_enum_value offs[] = {
    {"off", 0}, {"shared", -2}, {"own", -3}, {NULL, 0}};
static const struct lnt_enum_value policies[] = {
    {"close", 0}, {"drop", 1}, {NULL, 0}};
static const struct lnt_enum_value logs[] = {
    {"stderr", 0}, {"off", 0}, {NULL, 0}};
static const struct lnt_enum_value builtins[] = {{"builtin:", 0}, {NULL, 0}};

#define F(field) offsetof(struct server, field)
static const struct lnt_directive server_keys[] = {
    {"workers", LNT_TYPE_INT, F(workers), "auto", 1, 64, autos, false, false,
     "how many | or so"},
    {"zone_size", LNT_TYPE_SIZE, F(zone), "64m", 1 << 20, INT64_MAX, NULL,
     false, false, "bytes shared"},
    {"timeout", LNT_TYPE_DURATION, F(timeout), "30s", 1000, 3600000, NULL,
     false, false, "how long"},
    {"rate", LNT_TYPE_RATE, F(rate), "0", 0, 100000, NULL, false, false,
     "how often"},
    {"daemon", LNT_TYPE_FLAG, F(daemon), "off", 0, 0, NULL, false, false,
     "detach"},
    {"policy", LNT_TYPE_ENUM, F(policy), "close", 0, 0, policies, false, false,
     "what then"},
    {"name", LNT_TYPE_STRING, F(name), NULL, 0, 0, NULL, false, false,
     "a name"},
    {"run_dir", LNT_TYPE_PATH, F(run_dir), "run", 0, 0, NULL, false, false,
     "where"},
    {"log", LNT_TYPE_PATH, F(log), "logs/error.log", 0, 0, logs, false, false,
     "where to"},
    {"root", LNT_TYPE_PATH, F(root), "builtin:chat", 0, 0, builtins, false,
     false, "what"},
    {"tag", LNT_TYPE_LIST, F(tags), "one", 0, 0, NULL, false, false, "tags"},
    {"load", LNT_TYPE_PATHS, F(paths), NULL, 0, 0, NULL, false, false, "paths"},
    {"match", LNT_TYPE_REGEX, F(match), "^/$", 0, 0, NULL, false, false,
     "pattern"},
    {"origin", LNT_TYPE_REGEXES, F(origins), NULL, 0, 0, NULL, false, false,
     "patterns"},
    {"admin", LNT_TYPE_ADDRESS, F(admin), "unix:run/admin.sock", 0, 0, NULL,
     false, false, "an address"},
    {"offset", LNT_TYPE_INT, F(offset), "-3", -10, 10, NULL, false, false,
     "signed"},
    {"cache", LNT_TYPE_SIZE, F(cache), "shared", 4096, 262144, offs, false,
     false, "a window"},
    {"linger", LNT_TYPE_DURATION, F(linger), NULL, 1, 5, NULL, false, false,
     "nothing by default"},
    {"bare_size", LNT_TYPE_SIZE, F(bare_size), "0", 0, 0, NULL, false, false,
     ""},
    {"bare_flag", LNT_TYPE_FLAG, F(bare_flag), NULL, 0, 0, NULL, false, false,
     NULL},
    {"bare_enum", LNT_TYPE_ENUM, F(bare_enum), NULL, 0, 0, policies, false,
     false, NULL},
    {NULL, 0, 0, NULL, 0, 0, NULL, false, false, NULL},
};
static const struct lnt_directive_set server_set = {
    "core", sizeof(struct server), server_keys};
static const struct lnt_section_kind server_kind = {
    "server", false, "The server as a whole.", &server_set};

struct place {
    struct lnt_addrs addresses;
    const char *app;
    int64_t needed;
};
static const struct lnt_directive listen_keys[] = {
    {"address", LNT_TYPE_ADDRESSES, offsetof(struct place, addresses), NULL, 0,
     0, NULL, true, false, "where to listen"},
    {"app", LNT_TYPE_STRING, offsetof(struct place, app), NULL, 0, 0, NULL,
     false, false, "what runs there"},
    {NULL, 0, 0, NULL, 0, 0, NULL, false, false, NULL},
};
static const struct lnt_directive_set listen_set = {
    "core", sizeof(struct place), listen_keys};
static const struct lnt_section_kind listen_kind = {
    "listen", true, "One place to listen at.", &listen_set};

struct limits {
    uint64_t message_size;
    int64_t connections;
    struct lnt_strings words;
};
static const struct lnt_directive limit_keys[] = {
    {"message_size", LNT_TYPE_SIZE, offsetof(struct limits, message_size),
     "64k", 1024, 64 << 20, NULL, false, false, "bytes of a message"},
    {"connections", LNT_TYPE_INT, offsetof(struct limits, connections), "100",
     0, 0, NULL, false, false, "how many"},
    {"word", LNT_TYPE_LIST, offsetof(struct limits, words), NULL, 0, 0, NULL,
     false, false, "words"},
    {NULL, 0, 0, NULL, 0, 0, NULL, false, false, NULL},
};
static const struct lnt_directive_set limits_set = {
    "core", sizeof(struct limits), limit_keys};
static const struct lnt_section_kind limits_kind = {"limits", false, "Limits.",
                                                    &limits_set};
static const struct lnt_section_extension listen_limits = {"listen",
                                                           &limits_set};

static struct lnt_arena *arena;
static struct lnt_report report;
static struct lnt_schema *schema;
static struct lnt_section *sections;

static struct lnt_section *
build_file(const char *path, const char *const *overrides, size_t n,
           const char *only)
{
    const char *why;

    lnt_arena_free(arena);
    arena = lnt_arena_new();
    lnt_report_init(&report, arena);
    schema = lnt_schema_new(arena);
    /* an extension may come before its kind */
    if (lnt_schema_extend(schema, &listen_limits, &why) < 0)
        fail("%s", why);
    lnt_schema_kind(schema, &server_kind);
    lnt_schema_kind(schema, &listen_kind);
    lnt_schema_kind(schema, &limits_kind);
    struct lnt_ini_section *ini =
        lnt_ini_load(arena, path, overrides, n, &report);
    sections = lnt_conf_build(arena, schema, ini, only, "/prefix", &report);
    return sections;
}

static struct lnt_section *
build(const char *text)
{
    tmp_write("c.ini", text, strlen(text));
    return build_file("c.ini", NULL, 0, NULL);
}

static struct server *
server(void)
{
    struct lnt_section *s = lnt_section_find(sections, "server");

    return lnt_section_data(s, &server_set);
}

/* All errors as one text, without the name of the file. */
static char *
errors(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    for (struct lnt_report_line *l = report.first; l; l = l->next) {
        bool here = strncmp(l->text, "c.ini:", 6) == 0;

        lnt_strbuf_addf(&b, "%s\n", l->text + (here ? 6 : 0));
    }
    return lnt_strbuf_detach(&b);
}

static void
expect_errors(const char *name, const char *text, const char *wanted)
{
    build(text);
    char *got = errors();
    is_str(got, wanted, "%s", name);
    free(got);
}

static void
defaults(void)
{
    build("");
    is_int(report.errors, 0, "nothing is fine");
    struct server *s = server();
    is_int(s->workers, -1, "int by name");
    is_int(s->zone, 64 << 20, "size");
    is_int(s->timeout, 30000, "duration");
    is_int(s->rate, 0, "rate");
    ok(!s->daemon, "flag");
    is_int(s->policy, 0, "enum");
    is_str(s->name, NULL, "string, empty");
    is_str(s->run_dir, "/prefix/run", "path, from the prefix");
    is_str(s->log, "/prefix/logs/error.log", "path with names");
    is_str(s->root, "builtin:chat", "path that begins as it may");
    ok(s->tags.n == 1 && strcmp(s->tags.v[0], "one") == 0, "list");
    is_int(s->paths.n, 0, "paths, empty");
    is_str(lnt_regex_pattern(s->match), "^/$", "regex");
    is_int(s->origins.n, 0, "regexes, empty");
    char text[LNT_ADDR_TEXT];
    is_str(lnt_addr_format(&s->admin, text, sizeof(text)),
           "unix:/prefix/run/admin.sock", "unix address, from the prefix");
    is_int(s->offset, -3, "negative");
    is_int(s->cache, -2, "size by name, stored as it is");
    is_int(s->linger, 0, "no default");
    is_int(s->bare_enum, 0, "nor this");
    ok(!lnt_section_find(sections, "listen"), "no named section by itself");
    ok(lnt_section_find(sections, "limits"), "unnamed ones are always there");
    struct lnt_section *sec = lnt_section_find(sections, "server");
    ok(!sec->file && sec->line == 0 && !*sec->name, "which nobody wrote");
}

static void
values(void)
{
    build("[server]\nworkers = 4\nzone_size = 1m\ntimeout = 5m\nrate = 20/s\n"
          "daemon = yes\npolicy = drop\nname = a b\nrun_dir = /x/y\n"
          "log = stderr\nroot = pages\ntag = a\ntag = b\ntag = c\n"
          "load = m/a.so\nload = /m/b.so\nmatch = ^/a$\norigin = ^x$\n"
          "origin = ^y$\nadmin = 127.0.0.1:9\noffset = -10\ncache = 16k\n"
          "linger = 3ms\n"
          "[listen web]\naddress = 8080\naddress = unix:a.sock\napp = chat\n"
          "message_size = 1k\n[listen b]\naddress = 1\n");
    char *got = errors();
    is_str(got, "", "no errors");
    free(got);
    struct server *s = server();
    is_int(s->workers, 4, "int");
    is_int(s->zone, 1 << 20, "size");
    is_int(s->timeout, 300000, "duration");
    is_int(s->rate, 20000, "rate");
    ok(s->daemon, "flag");
    is_int(s->policy, 1, "enum");
    is_str(s->name, "a b", "string");
    is_str(s->run_dir, "/x/y", "path");
    is_str(s->log, "stderr", "name for a path");
    is_str(s->root, "/prefix/pages", "path");
    ok(s->tags.n == 3 && strcmp(s->tags.v[2], "c") == 0,
       "a list, without its default");
    ok(s->paths.n == 2 && strcmp(s->paths.v[0], "/prefix/m/a.so") == 0,
       "paths");
    ok(lnt_regex_match(s->match, LNT_STR("/a"), NULL, NULL), "regex");
    ok(s->origins.n == 2 &&
           lnt_regex_match(s->origins.v[1], LNT_STR("y"), NULL, NULL),
       "regexes");
    is_int(s->offset, -10, "negative");
    is_int(s->cache, 16384, "size with names");
    is_int(s->linger, 3, "duration");

    struct lnt_section *web = lnt_section_named(sections, "listen", "web");
    struct lnt_section *b = lnt_section_named(sections, "listen", "b");
    ok(web && b && lnt_section_find(sections, "listen") == web &&
           lnt_section_find(web->next, "listen") == b,
       "named sections in order");
    ok(!lnt_section_named(sections, "listen", "c"), "no such name");
    ok(!lnt_section_find(sections, "nope"), "no such kind");
    struct place *p = lnt_section_data(web, &listen_set);
    char text[LNT_ADDR_TEXT];
    is_int(p->addresses.n, 2, "addresses");
    is_str(lnt_addr_format(&p->addresses.v[1], text, sizeof(text)),
           "unix:/prefix/a.sock", "the second");
    ok(!lnt_section_data(b, &server_set), "a set that is not part of it");
    struct lnt_origin o = lnt_section_origin(web, &listen_set, "app");
    ok(strcmp(o.file, "c.ini") == 0 && o.line == 27, "place of a key");
    o = lnt_section_origin(web, &limits_set, "connections");
    is_int(o.line, 24, "of one that is not given: that of the section");
    o = lnt_section_origin(web, &server_set, "x");
    is_int(o.line, 24, "of one that does not exist");
    o = lnt_section_origin_at(web, &listen_set, "address", 1);
    is_int(o.line, 26, "of the second value of a key");
    o = lnt_section_origin_at(sections, &server_set, "tag", 2);
    is_int(o.line, 14, "of the third of another one");
    o = lnt_section_origin_at(web, &listen_set, "address", 2);
    is_int(o.line, 25, "of one that is not there: that of the first");

    struct limits *l = lnt_section_data(web, &limits_set);
    is_int(l->message_size, 1024, "a key of an extension");
    is_int(l->connections, 100, "its default");
}

static void
many(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    bool good = true;

    lnt_strbuf_adds(&b, "[server]\n");
    for (int i = 0; i < 1000; i++)
        lnt_strbuf_addf(&b, "tag = t%d\n", i);
    build(b.p);
    lnt_strbuf_release(&b);
    struct lnt_strings *l = &server()->tags;
    for (size_t i = 0; i < l->n; i++) {
        char text[32];

        snprintf(text, sizeof(text), "t%zu", i);
        good = good && strcmp(l->v[i], text) == 0;
    }
    ok(good && l->n == 1000, "a long list");
}

static void
wrong_values(void)
{
    expect_errors(
        "numbers",
        "[server]\nworkers = many\nzone_size = 1\ntimeout = 10\n"
        "rate = 1\ndaemon = 1\npolicy = dorp\noffset = 11\n"
        "cache = 1k\nlinger = 6ms\nname = ok\n"
        "[limits]\nconnections = -1\nmessage_size = 1g\n",
        "2: \"workers\" = \"many\": expected a whole number, or auto\n"
        "3: \"zone_size\" = \"1\": must be at least 1m\n"
        "4: \"timeout\" = \"10\": expected a duration with its unit, such as "
        "500ms, 10s, 5m, 2h or 1d\n"
        "5: \"rate\" = \"1\": expected a rate such as 20/s or 30/m, or 0\n"
        "6: \"daemon\" = \"1\": expected on or off\n"
        "7: \"policy\" = \"dorp\": expected one of close or drop; did you mean "
        "\"drop\"?\n"
        "8: \"offset\" = \"11\": must be -10 to 10\n"
        "9: \"cache\" = \"1k\": must be 4k to 256k, or off, shared or own\n"
        "10: \"linger\" = \"6ms\": must be 1ms to 5ms\n"
        "13: \"connections\" = \"-1\": must be 0 or more\n"
        "14: \"message_size\" = \"1g\": must be 1k to 64m\n");
    expect_errors(
        "others",
        "[server]\nmatch = (\norigin = a\norigin = [\n"
        "admin = example.org:80\n[listen a]\naddress = 0\n"
        "address = 99999\n",
        "2: \"match\" = \"(\": expected a PCRE2 pattern: missing closing "
        "parenthesis at byte 2 of the pattern\n"
        "4: \"origin\" = \"[\": expected a PCRE2 pattern: missing terminating "
        "] for character class at byte 2 of the pattern\n"
        "5: \"admin\" = \"example.org:80\": expected host:port, port, "
        "[v6]:port or unix:path (numeric hosts, localhost or *)\n"
        "7: \"address\" = \"0\": expected a port from 1 to 65535\n"
        "8: \"address\" = \"99999\": expected a port from 1 to 65535\n");
    expect_errors(
        "empty ones",
        "[server]\nworkers =\nzone_size =\ndaemon =\nlinger =\n"
        "bare_flag =\nbare_enum =\nname =\nmatch =\nadmin =\ntag =\n",
        "2: \"workers\" = \"\": expected a whole number, or auto\n"
        "3: \"zone_size\" = \"\": expected a size such as 512, 64k, 16m or 1g\n"
        "4: \"daemon\" = \"\": expected on or off\n");
    struct server *s = server();
    ok(!s->name && !s->match && !s->admin.len && s->tags.n == 0,
       "what may be empty is");
}

static void
wrong_keys(void)
{
    expect_errors(
        "misspelt",
        "[listen a]\nadress = 1\naddress = 2\nmessagesize = 1k\n"
        "banana = 1\n[sever]\n[lissten b]\nx = 1\n[zzzzzz]\n"
        "[server]\nworker = 1\n",
        "2: unknown key \"adress\" in [listen]; did you mean \"address\"?\n"
        "4: unknown key \"messagesize\" in [listen]; did you mean "
        "\"message_size\"?\n"
        "5: unknown key \"banana\" in [listen]\n"
        "6: unknown section [sever]; did you mean [server]?\n"
        "7: unknown section [lissten]; did you mean [listen]?\n"
        "9: unknown section [zzzzzz]; no module that is loaded has one of that "
        "name\n"
        "11: unknown key \"worker\" in [server]; did you mean \"workers\"?\n");
    expect_errors(
        "twice", "[server]\nname = a\n\nname = b\ntag = 1\ntag = 2\n",
        "4: \"name\" is given twice, first at c.ini:2; it takes one value\n");
    expect_errors(
        "missing",
        "[listen a]\napp = x\n[listen b]\naddress =\n"
        "[listen c]\naddress = ${NOPE}\n[listen d]\n"
        "address = x\n",
        "6: \"address\": the environment has no NOPE; set it, or write "
        "${NOPE:-default}\n"
        "1: [listen a] needs \"address = ...\": where to listen\n"
        "4: \"address\" in [listen b] must not be empty: where to listen\n"
        "8: \"address\" = \"x\": expected host:port, port, [v6]:port or "
        "unix:path (numeric hosts, localhost or *)\n");
    expect_errors("names", "[listen]\naddress = 1\n[server x]\nworkers = 2\n",
                  "1: [listen] needs a name of its own: write [listen NAME]\n"
                  "3: [server x]: this section has no name; write [server]\n");
    static const char *const twice[] = {"server.name=a", "server.name=b"};
    build_file(tmp_write("c.ini", "[server]\nname = x\n", 18), twice, 2, NULL);
    char *got = errors();
    is_str(got, "command line: \"name\" is given twice; it takes one value\n",
           "twice with -o");
    free(got);
}

static void
only_one(void)
{
    static const char text[] = "[server]\nworkers = 7\n[zzz]\nx = 1\n"
                               "[listen a]\nbad = 1\n[limits]\nbad = 2\n";

    tmp_write("c.ini", text, strlen(text));
    build_file("c.ini", NULL, 0, "server");
    is_int(report.errors, 0, "of one kind: nothing is said of others");
    is_int(server()->workers, 7, "it is read");
    ok(!sections->next, "alone");
    build_file(tmp_write("c.ini", "", 0), NULL, 0, "limits");
    ok(sections && !sections->next &&
           strcmp(sections->kind->kind, "limits") == 0,
       "defaults of that kind alone");
}

static void
clashes(void)
{
    static const struct lnt_directive mine[] = {
        {"app", LNT_TYPE_FLAG, 0, "maybe", 0, 0, NULL, false, false, "?"},
        {NULL, 0, 0, NULL, 0, 0, NULL, false, false, NULL},
    };
    static const struct lnt_directive_set my_set = {"mine", 8, mine};
    static const struct lnt_section_extension e = {"listen", &my_set};
    static const struct lnt_section_kind again = {"listen", true, "", &my_set};
    static const struct lnt_section_kind bad = {"bad", false, "", &my_set};
    const char *why = NULL;

    build("");
    is_int(lnt_schema_extend(schema, &e, &why), -1, "a key twice in a kind");
    is_str(why, "\"app\" in [listen] is defined by core and by mine", "named");
    lnt_conf_build(arena, schema, NULL, NULL, NULL, &report);
    is_int(report.errors, 0, "and not added");

    struct lnt_schema *s = lnt_schema_new(arena);
    is_int(lnt_schema_extend(s, &e, &why), 0, "before its kind");
    lnt_schema_kind(s, &listen_kind);
    lnt_schema_kind(s, &again);
    lnt_schema_kind(s, &bad);
    lnt_conf_build(arena, s, NULL, NULL, NULL, &report);
    char *got = errors();
    is_str(got,
           "[listen] is defined by core and by mine: these modules do not go "
           "together\n"
           "the default \"maybe\" of \"app\" in [bad] is wrong in module mine "
           "itself: expected on or off\n",
           "found when sections are built");
    free(got);
    s = lnt_schema_new(arena);
    lnt_report_init(&report, arena);
    lnt_schema_extend(s, &e, &why);
    lnt_schema_kind(s, &listen_kind);
    lnt_conf_build(arena, s, NULL, NULL, NULL, &report);
    got = errors();
    is_str(got,
           "\"app\" in [listen] is defined by core and by mine: these "
           "modules do not go together\n",
           "a key twice when the kind came later");
    free(got);
}

static void
inheriting(void)
{
    build("[limits]\nmessage_size = 2k\nword = a\nword = b\n"
          "[listen a]\naddress = 1\nconnections = 5\n"
          "[listen b]\naddress = 2\nmessage_size = 3k\n");
    struct lnt_section *top = lnt_section_find(sections, "limits");
    const struct lnt_block *from = lnt_section_block(top, &limits_set);
    struct lnt_section *a = lnt_section_named(sections, "listen", "a");
    struct lnt_section *b = lnt_section_named(sections, "listen", "b");

    for (struct lnt_block *i = a->blocks; i; i = i->next) {
        if (i->set == &limits_set)
            lnt_block_inherit(arena, i, from);
    }
    for (struct lnt_block *i = b->blocks; i; i = i->next) {
        if (i->set == &limits_set)
            lnt_block_inherit(arena, i, from);
    }
    struct limits *l = lnt_section_data(a, &limits_set);
    ok(l->message_size == 2048 && l->connections == 5 && l->words.n == 2,
       "what was not given is inherited");
    l = lnt_section_data(b, &limits_set);
    ok(l->message_size == 3072 && l->connections == 100, "what was is not");
    is_int(lnt_section_origin(a, &limits_set, "message_size").line, 2,
           "with its place");
}

static char *
printed(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    lnt_conf_print(sections, &b);
    return lnt_strbuf_detach(&b);
}

/* Values only: the comments tell of places, which differ. */
static char *
without_comments(const char *text)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    while (*text) {
        size_t n = strcspn(text, "\n");
        const char *c = memmem(text, n, " ; ", 3);

        if (text[0] != ';')
            lnt_strbuf_addf(&b, "%.*s\n", (int)(c ? (size_t)(c - text) : n),
                            text);
        text += n + (text[n] == '\n');
    }
    return lnt_strbuf_detach(&b);
}

static void
print_reads_back(const char *name)
{
    unsigned before = report.errors;
    char *first = printed();
    build(first);
    char *second = printed();
    char *a = without_comments(first), *b = without_comments(second);

    ok(before == 0 && report.errors == 0, "%s: printed without an error", name);
    is_str(b, a, "%s: reads back the same", name);
    free(a);
    free(b);
    free(first);
    free(second);
}

static void
printing(void)
{
    build("[server]\nworkers = 3\n[listen web]\naddress = 8080\n"
          "address = 127.0.0.1:1\n");
    char *got = printed();
    is_mem(got, strlen("[server]\n"), "[server]\n", 9, "the first section");
    char wanted[PATH_MAX + 200];
    snprintf(wanted, sizeof(wanted),
             "workers = 3                     ; %s:2\n"
             "zone_size = 64m                 ; default\n",
             "c.ini");
    ok(strstr(got, wanted) != NULL, "given and default");
    snprintf(wanted, sizeof(wanted),
             "\n[listen web]\n"
             "address = 8080                  ; %s:4\n"
             "address = 127.0.0.1:1           ; %s:4\n"
             "app =                           ; default\n",
             "c.ini", "c.ini");
    ok(strstr(got, wanted) != NULL, "a list, and an empty one");
    ok(strstr(got, "\n[limits]\n") != NULL, "sections nobody wrote");
    free(got);

    static const char *const with_o[] = {"server.workers=5"};
    build_file(tmp_write("c.ini", "", 0), with_o, 1, NULL);
    got = printed();
    ok(strstr(got, "workers = 5                     ; command line\n"),
       "from the command line");
    free(got);

    build("");
    print_reads_back("defaults");
    setenv("LNT_T", " ;odd ;; $${x} ${y} ; \t", 1);
    build("[server]\nname = ${LNT_T}\ntag = $${a}\ntag = ${:-;}x\n"
          "tag = a ${:-;}\nworkers = 64\nrate = 17/m\ncache = own\n"
          "log = off\nmatch = ^\\$${a;b}; $\ndaemon = on\nlinger = 5ms\n"
          "admin = [::1]:99\n[listen a]\naddress = *:5\n"
          "address = unix:x y.sock\n[listen b]\naddress = [fe80::1%lo]:7\n");
    print_reads_back("odd values");
    is_str(server()->name, " ;odd ;; $${x} ${y} ; \t", "as it was");

    char *value = calloc(1, 500);
    memset(value, 'v', 400);
    setenv("LNT_T", value, 1);
    free(value);
    build("[server]\nname = ${LNT_T}\n");
    got = printed();
    ok(strstr(got, "\n; 407 bytes: more than fit on a line, so this comes "
                   "from a variable or a file\nname = vvv"),
       "too long for a line: said so");
    free(got);
}

static void
reference(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    build("");
    lnt_schema_reference(schema, &b);
    ok(strncmp(b.p, "## [server]\n\nThe server as a whole.\n\n| key |", 40) ==
           0,
       "begins with the first kind");
    ok(strstr(b.p, "\n\n## [listen NAME]\n\nOne place to listen at.\n\nMay "
                   "stand any number of times"),
       "a named one");
    static const char *const rows[] = {
        "| `workers` | number | `auto` | 1 to 64, `auto` | how many \\| or so "
        "| core |\n",
        "| `zone_size` | size | `64m` | at least 1m | bytes shared | core |\n",
        "| `timeout` | duration | `30s` | 1s to 1h | how long | core |\n",
        "| `daemon` | flag | `off` | `on`, `off` | detach | core |\n",
        "| `policy` | one of | `close` | `close`, `drop` | what then | core "
        "|\n",
        "| `tag` | text, may be repeated | `one` |  | tags | core |\n",
        "| `address` | address, may be repeated | required |  | where to "
        "listen | core |\n",
        "| `cache` | size | `shared` | 4k to 256k, `off`, `shared`, `own` | a "
        "window | core |\n",
        "| `message_size` | size | `64k` | 1k to 64m | bytes of a message | "
        "core |\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ok(strstr(b.p, rows[i]) != NULL, "row %zu", i);
    lnt_strbuf_release(&b);
}

int
main(void)
{
    if (chdir(tmp_dir()) < 0)
        return 1;
    unsetenv("NOPE");
    defaults();
    values();
    many();
    wrong_values();
    wrong_keys();
    only_one();
    clashes();
    inheriting();
    printing();
    reference();
    lnt_arena_free(arena);
    return done_testing();
}
