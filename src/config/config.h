/*
 * One generation of the configuration: sections, modules, listeners.  Loaded
 * as a whole or not at all; const once loaded.
 */
#ifndef LNT_CONFIG_CONFIG_H
#define LNT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/conf.h"
#include "net/server_info.h"

struct lnt_arena;
struct lnt_endpoint;
struct lnt_module;
struct lnt_strbuf;

/* [server] */
struct lnt_server_conf {
    int64_t workers; /* resolved: at least 1 */
    const char *run_dir;
    uint64_t zone_size;
    uint64_t shutdown_timeout; /* ms */
    uint64_t start_timeout;    /* ms */
    uint64_t lock_timeout;     /* ms; 0 for ever */
    const char *user, *group;
    bool daemon;
    bool affinity;
    bool rebalance;
    uint64_t worker_memory; /* bytes; 0 no limit */
    int64_t open_files;
    struct lnt_strings load_module;
    struct lnt_strings include;
};

/* [log] */
struct lnt_log_conf {
    const char *error;
    int64_t level;
    const char *access;
    int64_t format; /* 0 text, 1 json */
};

/* [history] */
struct lnt_history_conf {
    const char *store; /* NULL: none */
    uint64_t sync;     /* ms */
    int64_t rooms;     /* that are not in the zone; 0: no limit */
};

/* [listen NAME] */
struct lnt_listen_conf {
    struct lnt_addrs address;
    const char *protocol, *app;
    int64_t backlog;
    int64_t mode; /* of a unix socket: octal digits as a decimal number */
};

/* What the command line says, for every load of the configuration. */
struct lnt_config_source {
    const char *prefix; /* absolute, ends with / */
    const char *path;   /* of server.ini, absolute */
    const char *const *overrides;
    size_t noverrides;
    const struct lnt_module *const *builtin;
    struct lnt_server_info *info;
};

struct lnt_listen {
    const struct lnt_listen_conf *conf;
    const struct lnt_endpoint *endpoint;
    const struct lnt_section *section;
    const struct lnt_origin *from; /* of each address */
    unsigned mode;                 /* of a unix socket */
};

struct lnt_config {
    struct lnt_arena *arena;
    struct lnt_schema *schema;
    struct lnt_section *sections;
    const struct lnt_module **modules; /* ends with NULL */
    const void **module_confs;
    size_t nmodules;
    const struct lnt_server_conf *server;
    const struct lnt_log_conf *log;
    const struct lnt_history_conf *history;
    struct lnt_listen *listens;
    size_t nlistens;
    const struct lnt_endpoint *endpoints; /* all, linked by next */
    const char *pid_path, *control_path;  /* in run_dir */
    const char *path;                     /* of server.ini */
    const struct lnt_report_line *warnings;
    const struct lnt_identity *identity; /* of [server] user; NULL: there is
                                            none, or it is not known */
};

/*
 * Loads and checks everything.  NULL when there are problems: they are
 * appended to errors, a line each.  Free with lnt_config_free.
 */
struct lnt_config *lnt_config_load(const struct lnt_config_source *source,
                                   struct lnt_strbuf *errors);
/* The warnings that came up meanwhile, to the log. */
void lnt_config_log_warnings(const struct lnt_config *c);
void lnt_config_free(struct lnt_config *c); /* NULL is fine */

/*
 * The path of the control socket from as little of the configuration as can
 * be: [server] run_dir, its default when the file cannot be read.  The caller
 * frees.
 */
char *lnt_config_control_path(const struct lnt_config_source *source);

/* Prints the reference manual of all directives known. */
void lnt_config_reference(const struct lnt_config_source *source,
                          struct lnt_strbuf *out);

#endif
