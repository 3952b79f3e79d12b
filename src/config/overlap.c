/*
 * What a configuration asks for twice: an address, whole or in part, or a path
 * for two kinds of files.  Whether each alone can be had is master/check.c's.
 */
#include "config/overlap.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "config/config.h"
#include "config/place.h"
#include "core/conf.h"
#include "core/strbuf.h"
#include "os/socket.h"

/* One address of one [listen NAME]. */
struct use {
    const struct lnt_listen *listen;
    size_t i;
};

static const struct lnt_addr *
addr_of(const struct use *u)
{
    return &u->listen->conf->address.v[u->i];
}

/* "server.ini:7", or "command line". */
static const char *
place(const struct lnt_origin *o, struct lnt_strbuf *out)
{
    lnt_strbuf_clear(out);
    lnt_place_add_origin(o, out);
    return out->p;
}

static void
report_pair(const struct use *first, const struct use *second,
            struct lnt_report *report)
{
    const struct lnt_addr *a = addr_of(first), *b = addr_of(second);
    const struct lnt_origin *o = &second->listen->from[second->i];
    struct lnt_strbuf where = LNT_STRBUF_INIT;
    char x[LNT_ADDR_TEXT], y[LNT_ADDR_TEXT];
    lnt_addr_format(a, x, sizeof(x));
    lnt_addr_format(b, y, sizeof(y));
    place(&first->listen->from[first->i], &where);
    if (lnt_addr_equal(a, b))
        lnt_report_add(report, o->file, o->line,
                       "[listen %s]: address %s is used by [listen %s] (%s) "
                       "already",
                       second->listen->section->name, y,
                       first->listen->section->name, where.p);
    else if (lnt_addr_is_unix(b))
        lnt_report_add(report, o->file, o->line,
                       "[listen %s]: %s is the same file as %s of [listen %s] "
                       "(%s)",
                       second->listen->section->name, y, x,
                       first->listen->section->name, where.p);
    else
        lnt_report_add(report, o->file, o->line,
                       "[listen %s]: address %s overlaps with %s of [listen "
                       "%s] (%s); leave one of them out%s",
                       second->listen->section->name, y, x,
                       first->listen->section->name, where.p,
                       x[0] == '*' || y[0] == '*'
                           ? " (*:PORT, or PORT alone, is every address of "
                             "IPv4 and IPv6)"
                           : "");
    lnt_strbuf_release(&where);
}

/* Each later address is reported once, with the first one it overlaps. */
static void
check_addresses(const struct lnt_config *c, struct lnt_report *report)
{
    for (size_t i = 0; i < c->nlistens; i++) {
        for (size_t k = 0; k < c->listens[i].conf->address.n; k++) {
            const struct use later = {&c->listens[i], k};
            bool found = false;
            for (size_t j = 0; !found && j <= i; j++) {
                size_t n = j == i ? k : c->listens[j].conf->address.n;
                for (size_t l = 0; !found && l < n; l++) {
                    const struct use early = {&c->listens[j], l};
                    found = lnt_addr_overlaps(addr_of(&early), addr_of(&later));
                    if (found)
                        report_pair(&early, &later, report);
                }
            }
        }
    }
}

/* A file of the server. */
struct file {
    const char *path; /* NULL: none */
    const char *kind, *key;
    const char *what;
};

static const char *
log_file(const char *target)
{
    return target[0] == '/' ? target : NULL;
}

static void
report_file(const struct lnt_config *c, const struct lnt_origin *o,
            const char *user, const struct file *f, struct lnt_report *report)
{
    struct lnt_strbuf where = LNT_STRBUF_INIT;
    struct lnt_origin at = lnt_place_of(c, f->kind, f->key);
    lnt_report_add(report, o->file, o->line,
                   "%s is the path of %s ([%s] %s, %s); name another one", user,
                   f->what, f->kind, f->key, place(&at, &where));
    lnt_strbuf_release(&where);
}

static void
check_sockets(const struct lnt_config *c, const struct file *files, size_t n,
              struct lnt_report *report)
{
    for (size_t i = 0; i < c->nlistens; i++) {
        const struct lnt_listen *l = &c->listens[i];
        for (size_t k = 0; k < l->conf->address.n; k++) {
            struct sockaddr_un un;
            char user[LNT_ADDR_TEXT + 128];
            if (!lnt_addr_is_unix(&l->conf->address.v[k]))
                continue;
            memcpy(&un, &l->conf->address.v[k].ss, sizeof(un));
            snprintf(user, sizeof(user), "[listen %.80s]: unix:%s",
                     l->section->name, un.sun_path);
            for (size_t f = 0; f < n; f++)
                if (files[f].path && lnt_path_same(un.sun_path, files[f].path))
                    report_file(c, &l->from[k], user, &files[f], report);
        }
    }
}

void
lnt_overlap_check(const struct lnt_config *c, struct lnt_report *report)
{
    const struct file files[] = {
        {c->pid_path, "server", "run_dir", "the pidfile"},
        {c->control_path, "server", "run_dir", "the control socket"},
        {log_file(c->log->error), "log", "error", "the error log"},
        {log_file(c->log->access), "log", "access", "the access log"},
        {c->history->store, "history", "store", "the store"},
    };
    enum { N = sizeof(files) / sizeof(files[0]) };
    check_addresses(c, report);
    check_sockets(c, files, N, report);
    for (size_t i = 2; i < N; i++) {
        for (size_t k = 0; k < i; k++) {
            /* Both logs may go to one file. */
            if (!files[i].path || !files[k].path || (i == 3 && k == 2) ||
                !lnt_path_same(files[i].path, files[k].path))
                continue;
            struct lnt_strbuf user = LNT_STRBUF_INIT;
            struct lnt_origin o = lnt_place_of(c, files[i].kind, files[i].key);
            lnt_strbuf_addf(&user, "[%s] %s: %s", files[i].kind, files[i].key,
                            files[i].path);
            report_file(c, &o, user.p, &files[k], report);
            lnt_strbuf_release(&user);
        }
    }
}
