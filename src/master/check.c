/*
 * Would it start?  Everything that a start opens, makes or becomes is looked
 * at, with the place in the configuration that asks for it.  What can be seen
 * in the text alone is config/config.c's, config/overlap.c's and the modules'.
 */
#include "master/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/config.h"
#include "config/place.h"
#include "core/arena.h"
#include "core/conf.h"
#include "core/ini.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "os/file.h"
#include "os/process.h"
#include "os/socket.h"
#include "store/store.h"
#include "zone/zone.h"

enum {
    FILES_NEEDED = 64, /* of a master, beside sockets and channels */
    CANNOT_BECOME = 255,
};

struct check {
    const struct lnt_config *c;
    struct lnt_report errors, warnings;
    bool root;
    bool runs; /* a server with this run_dir */
};

/* Whether this user cannot do what another one could. */
static bool
is_forbidden(const struct check *k, int error)
{
    return !k->root && (error == EACCES || error == EPERM);
}

static void complain(struct check *k, bool warn, struct lnt_origin at,
                     const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void
complain(struct check *k, bool warn, struct lnt_origin at, const char *fmt, ...)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&text, fmt, ap);
    va_end(ap);
    if (warn)
        lnt_report_warn(&k->warnings, at.file, at.line, "%s", text.p);
    else
        lnt_report_add(&k->errors, at.file, at.line, "%s", text.p);
    lnt_strbuf_release(&text);
}

/* A path that cannot be used; a warning when that is for want of rights. */
static void
complain_path(struct check *k, const char *kind, const char *key,
              const char *doing, const char *path, int error)
{
    bool warn = is_forbidden(k, error);
    complain(k, warn, lnt_place_of(k->c, kind, key),
             "[%s] %s: cannot %s %s: %s%s", kind, key, doing, path,
             strerror(error),
             warn ? "; the user who starts the server must be able to" : "");
}

/* ---- files and folders ---- */

/* 0 or errno. */
static int
may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) < 0 ? errno : 0;
}

static void
trim_slashes(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
}

/* Whether files can be made in the folder, and with make the folder itself and
   those above it.  0 or errno. */
static int
may_make_in(const char *folder, bool make)
{
    struct stat st;
    char *path = lnt_strdup(*folder ? folder : "/");
    int error = 0;
    trim_slashes(path);
    while (stat(path, &st) < 0) {
        char *slash = strrchr(path, '/');
        error = errno;
        /* What is there all the same is a symbolic link to nothing. */
        if (error != ENOENT || !make || !slash || lstat(path, &st) == 0)
            break;
        error = 0;
        slash[slash == path] = '\0';
        trim_slashes(path);
    }
    if (error == 0)
        error = S_ISDIR(st.st_mode) ? may(path, W_OK | X_OK) : ENOTDIR;
    free(path);
    return error;
}

/* A path that can only be a folder's. */
static bool
ends_with_slash(const char *path)
{
    return path[0] && path[strlen(path) - 1] == '/';
}

static char *
folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? lnt_strndup(path, (size_t)(slash - path)) : lnt_strdup(".");
}

/* Whether a log can be opened to append to; its folder is made at a start. */
static int
may_append(const char *path)
{
    struct stat st;
    if (strlen(path) >= PATH_MAX)
        return ENAMETOOLONG;
    if (ends_with_slash(path))
        return EISDIR;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return EISDIR;
        return S_ISSOCK(st.st_mode) ? ENXIO : may(path, W_OK);
    }
    int error = errno;
    if (error != ENOENT)
        return error;
    if (lstat(path, &st) == 0)
        return 0; /* a symbolic link, whose target may be made or not */
    char *folder = folder_of(path);
    error = may_make_in(folder, true);
    free(folder);
    return error;
}

static void
check_log(struct check *k, const char *key, const char *target)
{
    int error = target[0] == '/' ? may_append(target) : 0;
    if (error)
        complain_path(k, "log", key, "open", target, error);
}

static void
check_run_dir(struct check *k)
{
    const struct lnt_config *c = k->c;
    struct lnt_origin at = lnt_place_of(c, "server", "run_dir");
    struct stat st;
    int error = may_make_in(c->server->run_dir, true);
    if (error)
        complain_path(k, "server", "run_dir", "make files in",
                      c->server->run_dir, error);
    if (lstat(c->pid_path, &st) == 0 && !S_ISREG(st.st_mode))
        complain(k, false, at,
                 "[server] run_dir: %s is in the way of the pidfile: it is "
                 "not a regular file",
                 c->pid_path);
    if (lstat(c->control_path, &st) == 0 && S_ISDIR(st.st_mode))
        complain(k, false, at,
                 "[server] run_dir: %s is in the way of the control socket: "
                 "it is a folder",
                 c->control_path);
}

/* ---- what is done as the workers' user ---- */

struct store_use {
    const char *path, *folder;
};

/* What the store's process does first.  0 or errno. */
static int
use_store(const struct store_use *u)
{
    struct stat st;
    int error = may_make_in(u->folder, false);
    if (error || stat(u->path, &st) < 0)
        return error ? error : errno == ENOENT ? 0 : errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return may(u->path, R_OK | W_OK);
}

/* The same in a process that has become the workers' user, when the server's
   would.  0, errno or CANNOT_BECOME; without a store that alone. */
static int
use_store_as_user(const struct check *k, const struct store_use *u)
{
    const struct lnt_server_conf *s = k->c->server;
    const char *why;
    int status;
    if (!k->root || !s->user)
        return u ? use_store(u) : 0;
    pid_t pid = fork();
    if (pid < 0)
        return 0; /* not known */
    if (pid == 0) {
        if (lnt_process_drop(s->user, s->group, &why) < 0)
            _exit(CANNOT_BECOME);
        _exit(u ? use_store(u) : 0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void
check_user(struct check *k)
{
    const struct lnt_server_conf *s = k->c->server;
    if (use_store_as_user(k, NULL) == CANNOT_BECOME)
        complain(k, false, lnt_place_of(k->c, "server", "user"),
                 "[server] user: root may not become \"%s\" here (capabilities "
                 "SETUID and SETGID); leave user empty, or allow it",
                 s->user);
}

/* What is in the way of the workers' user, for a store that root makes for it;
   false when nothing is. */
static bool
blocks_user(const struct check *k, const char *folder, int want, char *text)
{
    const struct lnt_server_conf *s = k->c->server;
    struct lnt_barrier b;
    struct stat st;
    char who[80];
    if (!k->root || !s->user || !k->c->identity)
        return false;
    char *there = lnt_strdup(*folder ? folder : "/"), *slash;
    while (stat(there, &st) < 0 && (slash = strrchr(there, '/')) &&
           slash != there) {
        *slash = '\0';
        want = X_OK; /* root makes the rest, and gives it away */
    }
    bool found = lnt_process_barrier(k->c->identity, there, want, &b) > 0;
    free(there);
    if (found) {
        snprintf(who, sizeof(who), "user %s", s->user);
        lnt_file_barrier_text(&b, who, text);
    }
    return found;
}

static void
check_store(struct check *k)
{
    const char *path = k->c->history->store;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    char barrier[LNT_BARRIER_TEXT];
    struct stat st;
    if (!path)
        return;
    char *folder = folder_of(path);
    const struct store_use use = {path, folder};
    int error = EISDIR;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        complain(k, false, lnt_place_of(k->c, "history", "store"),
                 "[history] store: %s: Is a directory; name a file in it",
                 path);
        free(folder);
        return;
    }
    /* A start makes the folder and gives it to the user. */
    bool to_make = stat(folder, &st) < 0 && errno == ENOENT;
    if (!ends_with_slash(path))
        error =
            to_make ? may_make_in(folder, true) : use_store_as_user(k, &use);
    /* check_user has said the other. */
    if ((error == EACCES || (to_make && !error)) &&
        blocks_user(k, folder, error ? W_OK : X_OK, barrier))
        complain(k, false, lnt_place_of(k->c, "history", "store"),
                 "[history] store: cannot write %s: %s", path, barrier);
    else if (error && error != CANNOT_BECOME && k->root && k->c->server->user)
        complain(k, false, lnt_place_of(k->c, "history", "store"),
                 "[history] store: user \"%s\" cannot write %s: %s",
                 k->c->server->user, path, strerror(error));
    else if (error && error != CANNOT_BECOME)
        complain_path(k, "history", "store", "write", path, error);
    else if (lnt_store_look(path, &why) < 0)
        complain(k, false, lnt_place_of(k->c, "history", "store"),
                 "[history] %s", why.p);
    lnt_strbuf_release(&why);
    free(folder);
}

/* ---- listeners ---- */

static void
check_unix(struct check *k, const struct lnt_listen *l, size_t i)
{
    struct sockaddr_un un;
    struct stat st;
    memcpy(&un, &l->conf->address.v[i].ss, sizeof(un));
    char *folder = folder_of(un.sun_path);
    int error = may_make_in(folder, false);
    if (error)
        complain(k, is_forbidden(k, error), l->from[i],
                 "[listen %s]: cannot make a socket in the folder %s: %s",
                 l->section->name, *folder ? folder : "/", strerror(error));
    else if (lstat(un.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        complain(k, false, l->from[i],
                 "[listen %s]: %s is there already and is no socket; remove "
                 "it, or use another path",
                 l->section->name, un.sun_path);
    free(folder);
}

static void
check_inet(struct check *k, const struct lnt_listen *l, size_t i)
{
    const struct lnt_addr *a = &l->conf->address.v[i];
    const char *hint = "";
    char text[LNT_ADDR_TEXT];
    bool warn = false;
    if (lnt_socket_try(a) == 0)
        return;
    int error = errno;
    switch (error) {
    case EADDRINUSE:
        if (k->runs)
            return; /* most likely by that server itself */
        warn = true;
        hint = ": some program listens there now";
        break;
    case EACCES:
    case EPERM:
        warn = !k->root;
        hint = warn ? ": this user may not use that port; the user who starts "
                      "the server must be allowed to"
                    : ": root needs CAP_NET_BIND_SERVICE for that port";
        break;
    case EADDRNOTAVAIL:
        warn = k->runs; /* it may have it since before the address went */
        hint = ": no interface of this machine has that address";
        break;
    case EAFNOSUPPORT:
        hint = ": this machine has no IPv6";
        break;
    case EINVAL:
        hint = ": a link-local address needs its interface, as in "
               "[fe80::1%eth0]:80";
        break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return; /* that is about this process */
    default:
        break;
    }
    complain(k, warn, l->from[i], "[listen %s]: cannot listen on %s: %s%s",
             l->section->name, lnt_addr_format(a, text, sizeof(text)),
             strerror(error), hint);
}

/* ---- limits ---- */

static void
check_files(struct check *k)
{
    const struct lnt_server_conf *s = k->c->server;
    struct rlimit lim;
    size_t sockets = 0;
    /* Root takes what it wants. */
    if (k->root || getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    for (size_t i = 0; i < k->c->nlistens; i++)
        sockets += k->c->listens[i].conf->address.n;
    uint64_t needed = FILES_NEEDED + sockets + 2 * (uint64_t)s->workers;
    if (lim.rlim_max < needed)
        complain(k, true, lnt_place_of(k->c, "server", "workers"),
                 "this user may have %llu open files (ulimit -Hn), and the "
                 "master needs about %llu",
                 (unsigned long long)lim.rlim_max, (unsigned long long)needed);
    if ((uint64_t)s->open_files > lim.rlim_max)
        complain(k, true, lnt_place_of(k->c, "server", "open_files"),
                 "[server] open_files = %lld: this user may have %llu (ulimit "
                 "-Hn)",
                 (long long)s->open_files, (unsigned long long)lim.rlim_max);
}

static void
check_zone(struct check *k)
{
    struct lnt_origin at = lnt_place_of(k->c, "server", "zone_size");
    uint64_t size = k->c->server->zone_size;
    uint64_t needed = lnt_zone_mapping_size(size);
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t memory =
        pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    struct rlimit as, file;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_format_size(&text, size);
    lnt_strbuf_addf(&text, " takes %llu bytes, which",
                    (unsigned long long)needed);
    if (needed > memory)
        complain(k, true, at,
                 "[server] zone_size = %s is more than the memory of this "
                 "machine, %llu bytes; processes that run out of it are killed",
                 text.p, (unsigned long long)memory);
    if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_max < needed)
        complain(k, true, at,
                 "[server] zone_size = %s is more than a process of this user "
                 "may map (ulimit -v)",
                 text.p);
    if (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur < needed)
        complain(k, true, at,
                 "[server] zone_size = %s is more than a file of this user may "
                 "have (ulimit -f), and the zone counts as one",
                 text.p);
    lnt_strbuf_release(&text);
}

/* ---- all of it ---- */

/* Without looking at its lock, which cannot be done without taking it. */
static bool
server_runs(const struct lnt_config *c)
{
    size_t n;
    char *text = lnt_file_read(c->pid_path, 64, &n);
    long pid = text ? strtol(text, NULL, 10) : 0;
    free(text);
    return pid > 0 && pid <= INT_MAX &&
           (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

static void
add_lines(const struct lnt_report *r, struct lnt_strbuf *out)
{
    for (const struct lnt_report_line *l = r->first; l; l = l->next)
        lnt_strbuf_addf(out, "%s\n", l->text);
}

int
lnt_config_check(const struct lnt_config *c, struct lnt_strbuf *errors,
                 struct lnt_strbuf *warnings)
{
    struct lnt_arena *a = lnt_arena_new();
    struct check k = {.c = c, .root = geteuid() == 0, .runs = server_runs(c)};
    lnt_report_init(&k.errors, a);
    lnt_report_init(&k.warnings, a);
    check_run_dir(&k);
    check_user(&k);
    check_files(&k);
    check_zone(&k);
    check_log(&k, "error", c->log->error);
    check_log(&k, "access", c->log->access);
    check_store(&k);
    for (size_t i = 0; i < c->nlistens; i++) {
        const struct lnt_listen *l = &c->listens[i];
        for (size_t j = 0; j < l->conf->address.n; j++) {
            if (lnt_addr_is_unix(&l->conf->address.v[j]))
                check_unix(&k, l, j);
            else
                check_inet(&k, l, j);
        }
    }
    add_lines(&k.errors, errors);
    add_lines(&k.warnings, warnings);
    bool ok = k.errors.errors == 0;
    lnt_arena_free(a);
    return ok ? 0 : -1;
}
