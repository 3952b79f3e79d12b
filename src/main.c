/*
 * The command line.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auto_config.h"
#include "config/config.h"
#include "core/conf.h"
#include "core/ini.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ctl/ctl.h"
#include "master/check.h"
#include "master/run.h"
#include "master/takeover.h"
#include "net/module.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/nowait.h"
#include "os/process.h"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78 };

extern const struct lnt_module *const lnt_static_modules[];

static const char usage_text[] =
    "usage: linnet [-hvVtTqd] [-p prefix] [-c file] [-o section.key=value]\n"
    "              [-s stop|quit|reload|reopen|upgrade]\n"
    "       linnet [-p prefix] [-c file] ctl COMMAND ...\n"
    "\n"
    "  -h          this text\n"
    "  -v          the version\n"
    "  -V          the version and how it was built\n"
    "  -t          test the configuration and exit\n"
    "  -T          the same, and print it: effective values, and where each "
    "comes from\n"
    "  -q          no messages other than errors, with -t\n"
    "  -d          detach from the terminal\n"
    "  -p prefix   folder that relative paths start at (" LNT_PREFIX ")\n"
    "  -c file     configuration (" LNT_CONF_PATH ")\n"
    "  -o ...      set section.key, or \"section name.key\", to value; may "
    "repeat\n"
    "  -s ...      tell the running server to stop, quit, reload, reopen or "
    "upgrade\n"
    "\n"
    "  ctl status [--json] | reload | reopen | quit | stop |\n"
    "      upgrade [--new-zone] | rooms | conns | kick ID | publish ROOM TEXT "
    "|\n"
    "      broadcast TEXT | get KEY | set KEY VALUE | unset KEY | values | "
    "zone "
    "|\n"
    "      workers N | drain SLOT | log-level LEVEL\n";

struct options {
    const char *prefix, *conf, *command;
    const char **overrides;
    size_t noverrides;
    bool test, dump, quiet, detach, reference;
    char **ctl; /* words behind "ctl" */
    size_t nctl;
};

static void
print_build(void)
{
    printf("linnet %s\nbuilt with %s\nconfigure arguments:%s%s\nmodules:",
           LNT_VERSION, LNT_COMPILER, LNT_CONFIGURE_ARGS[0] ? " " : "",
           LNT_CONFIGURE_ARGS);
    for (int i = 0; lnt_static_modules[i]; i++)
        printf(" %s", lnt_static_modules[i]->name);
    printf("\n");
}

static bool
is_signal_word(const char *word)
{
    static const char *const words[] = {"stop",   "quit",    "reload",
                                        "reopen", "upgrade", NULL};
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

/* -1 to go on, or the exit status. */
static int
parse_options(int argc, char **argv, struct options *o)
{
    int c;
    o->overrides = lnt_calloc((size_t)argc + 1, sizeof(char *));
    /* "+": ctl's own words are not ours to read. */
    while ((c = getopt(argc, argv, "+hvVtTqdRp:c:o:s:")) != -1) {
        switch (c) {
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        case 'v':
            printf("linnet %s\n", LNT_VERSION);
            return 0;
        case 'V':
            print_build();
            return 0;
        case 't':
            o->test = true;
            break;
        case 'T':
            o->test = o->dump = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'd':
            o->detach = true;
            break;
        case 'R': /* the reference manual, for docs/ */
            o->reference = true;
            break;
        case 'p':
            o->prefix = optarg;
            break;
        case 'c':
            o->conf = optarg;
            break;
        case 'o':
            o->overrides[o->noverrides++] = optarg;
            break;
        case 's':
            if (!is_signal_word(optarg)) {
                fprintf(stderr,
                        "linnet: -s takes stop, quit, reload, reopen or "
                        "upgrade, not \"%s\"\n",
                        optarg);
                return EXIT_USAGE;
            }
            o->command = optarg;
            break;
        default:
            fputs(usage_text, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    if (strcmp(argv[optind], "ctl") != 0) {
        fprintf(stderr,
                "linnet: unexpected argument \"%s\"; linnet -h tells more\n",
                argv[optind]);
        return EXIT_USAGE;
    }
    o->ctl = argv + optind + 1;
    o->nctl = (size_t)(argc - optind - 1);
    if (o->nctl > 0)
        return -1;
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

/* path as it is when absolute, else in the folder (which ends with /). */
static char *
absolute(const char *folder, const char *path)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (path[0] != '/')
        lnt_strbuf_adds(&b, folder);
    lnt_strbuf_adds(&b, path);
    return lnt_strbuf_detach(&b);
}

static char *
working_folder(void)
{
    char *cwd = getcwd(NULL, 0);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&b, cwd ? cwd : "");
    lnt_strbuf_addc(&b, '/');
    free(cwd);
    return lnt_strbuf_detach(&b);
}

/* Our own file, by a name that a later version of it will have, too. */
static char *
own_path(const char *argv0, const char *cwd)
{
    char buf[PATH_MAX];
    if (strchr(argv0, '/'))
        return absolute(cwd, argv0);
    ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf) - 1);
    return n > 0 ? lnt_strndup(buf, (size_t)n) : lnt_strdup(argv0);
}

static int
print_reference(const struct lnt_config_source *source)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&out, "# Configuration reference\n\n"
                          "Written by `make docs` from the tables that the "
                          "program itself reads its configuration\nby; "
                          "[server.ini](../conf/server.ini) explains more. "
                          "Defaults of paths and users are those\nof a plain "
                          "`./configure`.\n\n");
    lnt_config_reference(source, &out);
    fwrite(out.p, 1, out.n, stdout);
    lnt_strbuf_release(&out);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int
talk(const struct lnt_config_source *source, const struct options *o)
{
    char *path = lnt_config_control_path(source);
    char *word = lnt_strdup(o->command ? o->command : "");
    int status = o->command ? lnt_ctl_run(path, &word, 1)
                            : lnt_ctl_run(path, o->ctl, o->nctl);
    free(word);
    free(path);
    return status;
}

static int
report_bad(const struct options *o, const char *path,
           const struct lnt_strbuf *errors)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_add(&text, errors->p, errors->n);
    lnt_strbuf_addf(&text,
                    o->test ? "linnet: configuration file %s test failed\n"
                            : "linnet: not started: the configuration %s has "
                              "errors\n",
                    path);
    if (o->test)
        fwrite(text.p, 1, text.n, stderr);
    else
        lnt_nowait_text(STDERR_FILENO, text.p, text.n);
    lnt_strbuf_release(&text);
    if (!o->test)
        lnt_takeover_refuse(NULL, errors->p);
    return EXIT_CONFIG;
}

/* The text is right: is it for this machine, too? */
static int
test(const struct options *o, const char *path, const struct lnt_config *config,
     struct lnt_strbuf *errors)
{
    struct lnt_strbuf warnings = LNT_STRBUF_INIT;
    int rc = lnt_config_check(config, errors, &warnings);
    if (o->dump) {
        struct lnt_strbuf out = LNT_STRBUF_INIT;
        lnt_conf_print(config->sections, &out);
        fwrite(out.p, 1, out.n, stdout);
        lnt_strbuf_release(&out);
    }
    const struct lnt_report_line *l = config->warnings;
    for (; l && !o->quiet; l = l->next)
        fprintf(stderr, "%s\n", l->text);
    if (!o->quiet && warnings.n)
        fwrite(warnings.p, 1, warnings.n, stderr);
    lnt_strbuf_release(&warnings);
    if (rc < 0)
        return report_bad(o, path, errors);
    if (!o->quiet)
        fprintf(stderr, "linnet: configuration file %s test is successful\n",
                path);
    return fflush(stdout) == 0 ? 0 : 1;
}

/* On the terminal too, when the log is elsewhere. */
static void
show_warnings(const struct lnt_config *config)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    if (strcmp(config->log->error, "stderr") == 0)
        return;
    for (const struct lnt_report_line *l = config->warnings; l; l = l->next)
        lnt_strbuf_addf(&text, "%s\n", l->text);
    if (text.n)
        lnt_nowait_text(STDERR_FILENO, text.p, text.n);
    lnt_strbuf_release(&text);
}

static int
serve_or_test(const struct options *o, const struct lnt_config_source *source,
              struct lnt_server_info *info, const char *cwd, char **argv)
{
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    int status;
    /* A server does not wait for those who read its messages. */
    if (!o->test)
        lnt_nowait_own(STDERR_FILENO);
    struct lnt_config *config = lnt_config_load(source, &errors);
    if (!config) {
        status = report_bad(o, source->path, &errors);
    } else if (o->test) {
        status = test(o, source->path, config, &errors);
        lnt_config_free(config);
    } else {
        char *binary = own_path(argv[0], cwd);
        struct lnt_run_params p = {
            .source = source,
            .info = info,
            .config = config,
            .binary = binary,
            .argv = argv,
            .detach = o->detach || config->server->daemon,
        };
        /* A new binary is started by the old one and has its place. */
        if (getenv(LNT_TAKEOVER_ENV))
            p.detach = false;
        show_warnings(config);
        status = lnt_server_run(&p);
        free(binary);
    }
    lnt_strbuf_release(&errors);
    return status;
}

/* A socket or a log with the number of standard output or error would get
   what is written there. */
static int
open_standard(void)
{
    static const char *const names[] = {"input", "output", "error"};
    int which;
    if (lnt_fds_standard(&which) == 0)
        return 0;
    fprintf(stderr,
            "linnet: standard %s is closed, and /dev/null cannot be opened in "
            "its place: %s\n",
            names[which], strerror(errno));
    return -1;
}

int
main(int argc, char **argv)
{
    if (open_standard() < 0)
        return 1;
    struct options o = {.prefix = LNT_PREFIX, .conf = LNT_CONF_PATH};
    /* The title is written over argv: what is kept, is kept elsewhere. */
    char **kept = lnt_calloc((size_t)argc + 1, sizeof(char *));
    for (int i = 0; i < argc; i++)
        kept[i] = lnt_strdup(argv[i]);
    lnt_title_init(argc, argv);
    int status = parse_options(argc, kept, &o);
    char *cwd = working_folder();
    char *folder = absolute(cwd, o.prefix);
    struct lnt_strbuf prefix = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&prefix, folder);
    if (prefix.p[prefix.n - 1] != '/')
        lnt_strbuf_addc(&prefix, '/');
    char *path = absolute(prefix.p, o.conf);
    struct lnt_server_info info = {
        .version = LNT_VERSION,
        .prefix = prefix.p,
        .started_ms = lnt_clock_ms(),
        .slot = -1,
        .access_fd = -1,
    };
    struct lnt_config_source source = {
        .prefix = prefix.p,
        .path = path,
        .overrides = o.overrides,
        .noverrides = o.noverrides,
        .builtin = lnt_static_modules,
        .info = &info,
    };
    if (status < 0) {
        if (o.reference)
            status = print_reference(&source);
        else if (o.command || o.ctl)
            status = talk(&source, &o);
        else
            status = serve_or_test(&o, &source, &info, cwd, kept);
    }
    free(path);
    lnt_strbuf_release(&prefix);
    free(folder);
    free(cwd);
    free(o.overrides);
    for (int i = 0; i < argc; i++)
        free(kept[i]);
    free(kept);
    return status;
}
