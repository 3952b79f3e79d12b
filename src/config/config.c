/*
 * Loading a configuration: [server] first, because it names the modules whose
 * tables say what else there may be; then everything else; then the modules'
 * own checks.
 */
#include "config/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auto_config.h"
#include "config/dso.h"
#include "config/overlap.h"
#include "core/arena.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/module.h"
#include "os/process.h"
#include "os/socket.h"

enum {
    WORKERS_MAX = 60,
    MODULES_MAX = 200,
    USER_TIME = 2000, /* ms for the user database to answer */
};

#ifdef LNT_HAVE_SQLITE
enum { BUILT_WITH_STORES = true };
#else
enum { BUILT_WITH_STORES = false };
#endif

#define FIELD(name) offsetof(struct lnt_server_conf, name)

static const struct lnt_enum_value auto_value[] = {{"auto", 0}, {NULL, 0}};

static const struct lnt_directive server_directives[] = {
    {.name = "workers",
     .type = LNT_TYPE_INT,
     .offset = FIELD(workers),
     .def = "auto",
     .min = 1,
     .max = WORKERS_MAX,
     .values = auto_value,
     .help = "Worker processes; auto: one for each CPU."},
    {.name = "run_dir",
     .type = LNT_TYPE_PATH,
     .offset = FIELD(run_dir),
     .def = LNT_RUN_DIR,
     .help = "Folder of linnet.pid and control.sock."},
    {.name = "zone_size",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(zone_size),
     .def = "64m",
     .min = 1 << 20,
     .max = 1ll << 36,
     .help = "Shared memory for messages, rooms and members; taken when the "
             "server starts, pages are used as they are needed. Some 8 % and "
             "half a MiB more are reserved for later releases."},
    {.name = "shutdown_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(shutdown_timeout),
     .def = "30s",
     .min = 0,
     .max = 86400000,
     .help = "How long a worker that drains waits for its connections."},
    {.name = "start_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(start_timeout),
     .def = "10s",
     .min = 100,
     .max = 3600000,
     .help = "How long a new worker may take to get ready."},
    {.name = "lock_timeout",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(lock_timeout),
     .def = "2s",
     .min = 0,
     .max = 3600000,
     .help = "How long a process may be stopped (SIGSTOP, a debugger) while it "
             "holds the lock of the shared memory, for which all others wait; "
             "then it is killed. 0: never."},
    {.name = "user",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(user),
     .def = LNT_USER,
     .help = "User that workers run as when the server is started by root."},
    {.name = "group",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(group),
     .def = LNT_GROUP,
     .help = "Group of the workers; empty: the user's."},
    {.name = "daemon",
     .type = LNT_TYPE_FLAG,
     .offset = FIELD(daemon),
     .def = "off",
     .help = "Detach from the terminal, as -d does."},
    {.name = "affinity",
     .type = LNT_TYPE_FLAG,
     .offset = FIELD(affinity),
     .def = "off",
     .help = "Bind each worker to a CPU of its own."},
    {.name = "rebalance",
     .type = LNT_TYPE_FLAG,
     .offset = FIELD(rebalance),
     .def = "on",
     .help = "Move connections from a worker that has more than 1.25 times the "
             "mean to others, a few at a time."},
    {.name = "worker_memory",
     .type = LNT_TYPE_SIZE,
     .offset = FIELD(worker_memory),
     .def = "0",
     .min = 0,
     .max = 1ll << 40,
     .help = "A worker that has grown past it (resident memory) is replaced; "
             "its connections move; 0: no limit."},
    {.name = "open_files",
     .type = LNT_TYPE_INT,
     .offset = FIELD(open_files),
     .def = "auto",
     .min = 64,
     .max = 1 << 24,
     .values = auto_value,
     .help = "Limit on open files (RLIMIT_NOFILE); auto: as many as the hard "
             "limit allows."},
    {.name = "load_module",
     .type = LNT_TYPE_PATHS,
     .offset = FIELD(load_module),
     .help = "A dynamic module to load; may repeat."},
    {.name = "include",
     .type = LNT_TYPE_LIST,
     .offset = FIELD(include),
     .help = "Files to read as part of this one, as in conf.d/*.ini, which "
             "is looked for beside this one; may repeat."},
    {.name = NULL},
};

static const struct lnt_directive_set server_set = {
    "core", sizeof(struct lnt_server_conf), server_directives};

#undef FIELD
#define FIELD(name) offsetof(struct lnt_log_conf, name)

static const struct lnt_enum_value level_values[] = {
    {"debug", LNT_DEBUG},
    {"info", LNT_INFO},
    {"notice", LNT_NOTICE},
    {"warn", LNT_WARN},
    {"error", LNT_ERROR},
    {"alert", LNT_ALERT},
    {NULL, 0},
};
static const struct lnt_enum_value format_values[] = {
    {"text", 0}, {"json", 1}, {NULL, 0}};

static const struct lnt_directive log_directives[] = {
    {.name = "error",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(error),
     .def = LNT_ERROR_LOG_PATH,
     .help = "Where the server's log goes: stderr, syslog, off or a path."},
    {.name = "level",
     .type = LNT_TYPE_ENUM,
     .offset = FIELD(level),
     .def = "notice",
     .values = level_values,
     .help = "The least important lines that are written."},
    {.name = "access",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(access),
     .def = "off",
     .help = "Where HTTP requests are logged: off, a path, stderr or syslog."},
    {.name = "format",
     .type = LNT_TYPE_ENUM,
     .offset = FIELD(format),
     .def = "text",
     .values = format_values,
     .help = "Lines of text, or one JSON object a line."},
    {.name = NULL},
};

static const struct lnt_directive_set log_set = {
    "core", sizeof(struct lnt_log_conf), log_directives};

#undef FIELD
#define FIELD(name) offsetof(struct lnt_listen_conf, name)

static const struct lnt_directive listen_directives[] = {
    {.name = "address",
     .type = LNT_TYPE_ADDRESSES,
     .offset = FIELD(address),
     .required = true,
     .help = "host:port, port (every address of IPv4 and IPv6), [v6]:port or "
             "unix:path; may repeat."},
    {.name = "protocol",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(protocol),
     .def = "raw",
     .help = "How bytes become messages: raw, line, http."},
    {.name = "app",
     .type = LNT_TYPE_STRING,
     .offset = FIELD(app),
     .help = "What is done with the messages: echo, chat. Not for http, where "
             "routes say it."},
    {.name = "backlog",
     .type = LNT_TYPE_INT,
     .offset = FIELD(backlog),
     .def = "4096",
     .min = 1,
     .max = 1 << 20,
     .help = "Connections the kernel holds until a worker accepts them."},
    {.name = "mode",
     .type = LNT_TYPE_INT,
     .offset = FIELD(mode),
     .def = "666",
     .min = 0,
     .max = 777,
     .help = "Permissions of a unix socket, in octal."},
    {.name = NULL},
};

static const struct lnt_directive_set listen_set = {
    "core", sizeof(struct lnt_listen_conf), listen_directives};

#undef FIELD
#define FIELD(name) offsetof(struct lnt_history_conf, name)

static const struct lnt_enum_value off_value[] = {{"off", 0}, {NULL, 0}};

static const struct lnt_directive history_directives[] = {
    {.name = "store",
     .type = LNT_TYPE_PATH,
     .offset = FIELD(store),
     .def = "off",
     .values = off_value,
     .help = "File in which the history of rooms outlives the server, or "
             "off."},
    {.name = "sync",
     .type = LNT_TYPE_DURATION,
     .offset = FIELD(sync),
     .def = "1s",
     .min = 10,
     .max = 3600000,
     .help = "How often the store is written: what was said since may be lost "
             "when the machine or all processes die."},
    {.name = "rooms",
     .type = LNT_TYPE_INT,
     .offset = FIELD(rooms),
     .def = "10000",
     .min = 0,
     .max = 100000000,
     .help = "Rooms in the store beside those in memory: evicted rooms, whose "
             "history returns at the next start; 0: no limit."},
    {.name = NULL},
};

static const struct lnt_directive_set history_set = {
    "core", sizeof(struct lnt_history_conf), history_directives};

static const struct lnt_section_kind kinds[] = {
    {.kind = "server", .help = "The server as a whole.", .set = &server_set},
    {.kind = "log", .help = "What is logged, and where.", .set = &log_set},
    {.kind = "limits",
     .help = "What clients may use; a listener or route can set its own.",
     .set = &lnt_limits_set},
    {.kind = "history",
     .help = "What becomes of messages that rooms keep.",
     .set = &history_set},
    {.kind = "listen",
     .named = true,
     .help = "Sockets that clients connect to.",
     .set = &listen_set},
};
static const struct lnt_section_extension limits_extensions[] = {
    {"listen", &lnt_limits_set}, {"route", &lnt_limits_set}};

/* ---- the steps of a load ---- */

static void
add_core_kinds(struct lnt_schema *s)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        lnt_schema_kind(s, &kinds[i]);
}

static void
add_module_kinds(struct lnt_config *c, struct lnt_report *report)
{
    const char *why = NULL;
    for (size_t i = 0; i < c->nmodules; i++) {
        const struct lnt_section_kind *k = c->modules[i]->sections;
        for (; k && k->kind; k++)
            lnt_schema_kind(c->schema, k);
    }
    for (size_t i = 0; i < 2; i++)
        if (lnt_schema_extend(c->schema, &limits_extensions[i], &why) < 0)
            lnt_report_add(report, NULL, 0, "%s", why);
    for (size_t i = 0; i < c->nmodules; i++) {
        const struct lnt_section_extension *e = c->modules[i]->extensions;
        for (; e && e->kind; e++)
            if (lnt_schema_extend(c->schema, e, &why) < 0)
                lnt_report_add(report, NULL, 0, "module %s: %s",
                               c->modules[i]->name, why);
    }
}

static void
add_module(struct lnt_config *c, const struct lnt_module *m,
           const struct lnt_origin *from, const char *path,
           struct lnt_report *report)
{
    struct lnt_origin o = from ? *from : (struct lnt_origin){0};
    for (size_t i = 0; i < c->nmodules; i++) {
        if (strcmp(c->modules[i]->name, m->name) != 0)
            continue;
        if (c->modules[i] != m)
            lnt_report_add(report, o.file, o.line,
                           "module \"%s\" of %s is there already; load it "
                           "once, or build without the other",
                           m->name, path ? path : "the program");
        return;
    }
    if (c->nmodules == MODULES_MAX) {
        lnt_report_add(report, o.file, o.line, "more than %d modules",
                       MODULES_MAX);
        return;
    }
    c->modules[c->nmodules++] = m;
    c->modules[c->nmodules] = NULL;
}

static void
load_modules(struct lnt_config *c, const struct lnt_config_source *source,
             const struct lnt_section *server, struct lnt_report *report)
{
    c->modules =
        lnt_arena_alloc(c->arena, (MODULES_MAX + 1) * sizeof(c->modules[0]));
    for (size_t i = 0; source->builtin[i]; i++)
        add_module(c, source->builtin[i], NULL, NULL, report);
    const struct lnt_server_conf *conf = c->server;
    for (size_t i = 0; i < conf->load_module.n; i++) {
        const char *path = conf->load_module.v[i], *why;
        const struct lnt_module *m = lnt_dso_load(c->arena, path, &why);
        struct lnt_origin o =
            lnt_section_origin_at(server, &server_set, "load_module", i);
        if (m)
            add_module(c, m, &o, path, report);
        else
            lnt_report_add(report, o.file, o.line, "load_module: %s", why);
    }
}

/* Numbers that depend on the machine. */
static void
resolve_server(struct lnt_server_conf *s)
{
    if (s->workers == 0) {
        unsigned cpus = lnt_process_cpus();
        s->workers = cpus < WORKERS_MAX ? (int64_t)cpus : WORKERS_MAX;
    }
}

/* Octal digits, which were read as a decimal number. */
static unsigned
octal(int64_t decimal, bool *ok)
{
    unsigned value = 0, unit = 1;
    *ok = true;
    for (; decimal; decimal /= 10, unit *= 8) {
        if (decimal % 10 > 7)
            *ok = false;
        value += (unsigned)(decimal % 10) * unit;
    }
    return value;
}

static void
check_run_dir(const struct lnt_section *s, struct lnt_server_conf *conf,
              struct lnt_report *report)
{
    if (conf->run_dir)
        return;
    struct lnt_origin o = lnt_section_origin(s, &server_set, "run_dir");
    lnt_report_add(report, o.file, o.line,
                   "\"run_dir\" must not be empty; leave it out for the "
                   "default, " LNT_RUN_DIR);
    conf->run_dir = LNT_RUN_DIR; /* for the checks that follow */
}

/* The user database may be slow, or not there: the workers ask it, too, and have
   start_timeout for that. */
static void
find_user(struct lnt_config *c, const struct lnt_section *s,
          const struct lnt_server_conf *conf, struct lnt_report *report)
{
    const char *why = NULL;
    struct lnt_identity id;
    if (!conf->user)
        return;
    if (lnt_process_identity(conf->user, conf->group, USER_TIME, &id, &why) ==
        0) {
        struct lnt_identity *kept = lnt_arena_alloc(c->arena, sizeof(*kept));
        *kept = id;
        kept->groups =
            lnt_arena_alloc(c->arena, (id.ngroups + 1) * sizeof(gid_t));
        memcpy(kept->groups, id.groups, id.ngroups * sizeof(gid_t));
        lnt_identity_release(&id);
        c->identity = kept;
        return;
    }
    int error = errno;
    struct lnt_origin o = lnt_section_origin(s, &server_set, "user");
    if (!why) {
        lnt_report_warn(report, o.file, o.line,
                        "user \"%s\" cannot be looked up now: %s; whether "
                        "workers can read their files is not checked",
                        conf->user, strerror(error));
        return;
    }
    lnt_report_add(report, o.file, o.line, "user \"%s\"%s%s%s: %s", conf->user,
                   conf->group ? ", group \"" : "",
                   conf->group ? conf->group : "", conf->group ? "\"" : "",
                   why);
}

/* The master listens at this path with its pid behind it, until it serves. */
static void
check_control_path(const struct lnt_section *s, const char *path,
                   struct lnt_report *report)
{
    const size_t most = LNT_UNIX_PATH_MAX - strlen(".4194304");
    if (strlen(path) <= most)
        return;
    struct lnt_origin o = lnt_section_origin(s, &server_set, "run_dir");
    lnt_report_add(report, o.file, o.line,
                   "[server] run_dir: %s is too long for a unix socket: %zu "
                   "bytes, %zu are possible; use a folder with a shorter path",
                   path, strlen(path), most);
}

static void
check_history(const struct lnt_section *s, struct lnt_history_conf *conf,
              struct lnt_report *report)
{
    if (conf->store && strcmp(conf->store, "off") == 0)
        conf->store = NULL;
    if (!conf->store || BUILT_WITH_STORES)
        return;
    struct lnt_origin o = lnt_section_origin(s, &history_set, "store");
    lnt_report_add(report, o.file, o.line,
                   "[history] store: this linnet was built without SQLite; "
                   "leave it out, or build one without --without-sqlite");
}

static void
build_listens(struct lnt_config *c, struct lnt_module_setup *setup,
              const char *path)
{
    size_t n = 0;
    struct lnt_section *s;
    for (s = lnt_section_find(c->sections, "listen"); s;
         s = lnt_section_find(s->next, "listen"))
        n++;
    c->listens = lnt_arena_alloc(c->arena, (n + 1) * sizeof(c->listens[0]));
    for (s = lnt_section_find(c->sections, "listen"); s;
         s = lnt_section_find(s->next, "listen")) {
        const struct lnt_listen_conf *conf = lnt_section_data(s, &listen_set);
        struct lnt_listen *l = &c->listens[c->nlistens];
        bool ok;
        l->conf = conf;
        l->section = s;
        l->mode = octal(conf->mode, &ok);
        struct lnt_origin o = lnt_section_origin(s, &listen_set, "mode");
        if (!ok)
            lnt_report_add(setup->report, o.file, o.line,
                           "[listen %s]: mode takes octal digits, as in 660",
                           s->name);
        l->endpoint =
            lnt_endpoint_make(setup, s, conf->protocol, conf->app, NULL);
        struct lnt_origin *from =
            lnt_arena_alloc(c->arena, (conf->address.n + 1) * sizeof(from[0]));
        for (size_t i = 0; i < conf->address.n; i++)
            from[i] = lnt_section_origin_at(s, &listen_set, "address", i);
        l->from = from;
        c->nlistens++;
    }
    if (n == 0 && setup->report->errors == 0)
        lnt_report_add(setup->report, path, 0,
                       "no [listen NAME] section: nobody could connect");
}

static void
configure_modules(struct lnt_config *c, struct lnt_module_setup *setup)
{
    c->module_confs =
        lnt_arena_alloc(c->arena, (c->nmodules + 1) * sizeof(void *));
    for (size_t i = 0; i < c->nmodules; i++) {
        unsigned before = setup->report->errors;
        setup->module = c->modules[i];
        setup->conf = NULL;
        if (c->modules[i]->configure && c->modules[i]->configure(setup) < 0 &&
            setup->report->errors == before)
            lnt_report_add(setup->report, NULL, 0,
                           "module %s refuses the configuration",
                           c->modules[i]->name);
        c->module_confs[i] = setup->conf;
    }
}

/* log = "stderr" and the like stand for themselves, the rest are paths. */
static const char *
log_path(struct lnt_arena *a, const char *prefix, const char *target)
{
    static const char *const words[] = {"stderr", "syslog", "off", NULL};
    if (!target)
        return "off";
    for (int i = 0; words[i]; i++)
        if (strcmp(target, words[i]) == 0)
            return target;
    return target[0] == '/' ? target
                            : lnt_arena_printf(a, "%s%s", prefix, target);
}

static void
build(struct lnt_config *c, const struct lnt_config_source *source,
      const struct lnt_ini_section *ini, struct lnt_report *report)
{
    c->path = source->path;
    add_core_kinds(c->schema);
    struct lnt_report ignored;
    lnt_report_init(&ignored, c->arena);
    /* Alone and quietly: what is wrong in it is said with all the rest. */
    struct lnt_section *first = lnt_conf_build(
        c->arena, c->schema, ini, "server", source->prefix, &ignored);
    c->server = lnt_section_data(first, &server_set);
    load_modules(c, source, first, report);
    add_module_kinds(c, report);

    c->sections =
        lnt_conf_build(c->arena, c->schema, ini, NULL, source->prefix, report);
    struct lnt_section *server = lnt_section_find(c->sections, "server");
    struct lnt_server_conf *conf = lnt_section_data(server, &server_set);
    resolve_server(conf);
    check_run_dir(server, conf, report);
    find_user(c, server, conf, report);
    c->server = conf;
    c->pid_path =
        lnt_arena_printf(c->arena, "%s/%s", conf->run_dir, LNT_PID_NAME);
    c->control_path =
        lnt_arena_printf(c->arena, "%s/control.sock", conf->run_dir);
    check_control_path(server, c->control_path, report);

    struct lnt_log_conf *log =
        lnt_section_data(lnt_section_find(c->sections, "log"), &log_set);
    log->error = log_path(c->arena, source->prefix, log->error);
    log->access = log_path(c->arena, source->prefix, log->access);
    c->log = log;

    struct lnt_section *s = lnt_section_find(c->sections, "history");
    struct lnt_history_conf *history = lnt_section_data(s, &history_set);
    check_history(s, history, report);
    c->history = history;

    struct lnt_module_setup setup = {
        .arena = c->arena,
        .sections = c->sections,
        .report = report,
        .server = source->info,
        .modules = c->modules,
        .user = geteuid() == 0 ? conf->user : NULL,
        .group = conf->group,
        .identity = c->identity,
    };
    /* Whatever is wrong so far: all that can be found is told at once. */
    build_listens(c, &setup, source->path);
    lnt_overlap_check(c, report);
    configure_modules(c, &setup);
    c->endpoints = setup.endpoints;
}

struct lnt_config *
lnt_config_load(const struct lnt_config_source *source,
                struct lnt_strbuf *errors)
{
    struct lnt_arena *a = lnt_arena_new();
    struct lnt_config *c = lnt_arena_alloc(a, sizeof(*c));
    struct lnt_report report;
    c->arena = a;
    c->schema = lnt_schema_new(a);
    lnt_report_init(&report, a);
    struct lnt_ini_section *ini = lnt_ini_load(
        a, source->path, source->overrides, source->noverrides, &report);
    build(c, source, ini, &report);
    c->warnings = report.first;
    if (report.errors == 0)
        return c;
    for (struct lnt_report_line *l = report.first; l; l = l->next)
        lnt_strbuf_addf(errors, "%s\n", l->text);
    lnt_config_free(c);
    return NULL;
}

void
lnt_config_log_warnings(const struct lnt_config *c)
{
    for (const struct lnt_report_line *l = c->warnings; l; l = l->next)
        lnt_log_warn("%s", l->text);
}

void
lnt_config_free(struct lnt_config *c)
{
    if (c)
        lnt_arena_free(c->arena);
}

char *
lnt_config_control_path(const struct lnt_config_source *source)
{
    struct lnt_arena *a = lnt_arena_new();
    struct lnt_schema *schema = lnt_schema_new(a);
    struct lnt_report report;
    add_core_kinds(schema);
    lnt_report_init(&report, a);
    struct lnt_ini_section *ini = lnt_ini_load(
        a, source->path, source->overrides, source->noverrides, &report);
    struct lnt_section *s =
        lnt_conf_build(a, schema, ini, "server", source->prefix, &report);
    const struct lnt_server_conf *conf = lnt_section_data(s, &server_set);
    struct lnt_strbuf path = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&path, "%s/control.sock", conf->run_dir);
    lnt_arena_free(a);
    return lnt_strbuf_detach(&path);
}

void
lnt_config_reference(const struct lnt_config_source *source,
                     struct lnt_strbuf *out)
{
    struct lnt_arena *a = lnt_arena_new();
    struct lnt_config c = {.arena = a, .schema = lnt_schema_new(a)};
    struct lnt_server_conf none = {0};
    struct lnt_report report;
    c.server = &none;
    lnt_report_init(&report, a);
    add_core_kinds(c.schema);
    load_modules(&c, source, NULL, &report);
    add_module_kinds(&c, &report);
    lnt_schema_reference(c.schema, out);
    lnt_arena_free(a);
}
