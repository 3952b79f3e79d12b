/*
 * Opening logs, and opening them again.
 */
#include "master/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/access.h"
#include "config/place.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/gather.h"
#include "master/master.h"
#include "master/waiters.h"
#include "os/file.h"

/* The folder of a path. */
static void
make_parent(const char *path)
{
    const char *slash = path[0] == '/' ? strrchr(path, '/') : path;
    if (slash == path)
        return;
    char *dir = lnt_strndup(path, (size_t)(slash - path));
    (void)lnt_file_mkdirs(dir, 0755); /* the open that follows says why */
    free(dir);
}

static int
cannot_open(const struct lnt_config *c, const char *key, const char *what,
            const char *path, struct lnt_strbuf *errors)
{
    int error = errno;
    lnt_place_add(c, "log", key, errors);
    lnt_strbuf_addf(errors, "cannot open %s %s: %s\n", what, path,
                    strerror(error));
    return -1;
}

int
lnt_logs_open(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    make_parent(c->log->error);
    if (lnt_log_open(c->log->error, c->log->format == 1) < 0)
        return cannot_open(c, "error", "log", c->log->error, errors);
    lnt_log_level((enum lnt_level)c->log->level);
    return 0;
}

int
lnt_logs_try(const struct lnt_config *c, struct lnt_strbuf *errors)
{
    if (c->log->error[0] != '/')
        return 0;
    make_parent(c->log->error);
    int fd = lnt_file_append(c->log->error);
    if (fd < 0)
        return cannot_open(c, "error", "log", c->log->error, errors);
    close(fd);
    return 0;
}

int
lnt_logs_open_access(struct lnt_generation *g, struct lnt_strbuf *errors)
{
    const char *target = g->config->log->access;
    int fd = -1;
    if (strcmp(target, "off") != 0) {
        make_parent(target);
        fd = lnt_access_open(target);
        if (fd < 0)
            return cannot_open(g->config, "access", "access log", target,
                               errors);
    }
    if (g->access_fd >= 0)
        close(g->access_fd);
    g->access_fd = fd;
    return 0;
}

/* ---- for all processes ---- */

enum { REPLY_TIME = 10000 }; /* ms */

/* What all are told to do, until each has replied that it has. */
struct told {
    const char *name;
    const char *done;
    struct lnt_waiter *waiter;
};

static void
on_all(void *arg, const struct lnt_strbuf *answers,
       const struct lnt_strbuf *problems)
{
    struct told *t = arg;
    bool ok = problems->n == 0;
    (void)answers;
    if (t->waiter)
        t->waiter->done(t->waiter, ok, ok ? t->done : problems->p);
    else if (!ok)
        lnt_log_error("%s: %s", t->name, problems->p);
    free(t);
}

/* Those of a generation to come have their own files and level. */
static bool
is_meant(const struct lnt_master *m, const struct lnt_child *c)
{
    return lnt_channel_is_open(&c->channel) && c->generation <= m->now.number;
}

/* Type, payload and fds of f go to all workers that serve or have served, and to
   helpers.  w hears the answer, later or from here; without one (NULL), the log
   gets what went wrong.  Who ends meanwhile is not waited for, and not complained
   of. */
static void
tell_all(struct lnt_master *m, const struct lnt_frame *f, const char *done,
         struct lnt_waiter *w)
{
    struct told *told = lnt_malloc(sizeof(*told));
    *told = (struct told){lnt_frame_names[f->type], done, w};
    struct lnt_gather *g =
        lnt_gather_new(m->requests, "; ", true, on_all, told);
    struct lnt_child *c = NULL;
    while ((c = lnt_child_next(m, c)))
        if (is_meant(m, c))
            lnt_gather_ask(g, &c->channel, c->name, f, REPLY_TIME);
    lnt_gather_wait(g);
}

/* Here; the files for the others go along. */
static int
reopen_here(struct lnt_master *m, struct lnt_strbuf *why)
{
    if (lnt_log_reopen() < 0) {
        lnt_strbuf_addf(why, "cannot open %s: %s", m->now.config->log->error,
                        strerror(errno));
        return -1;
    }
    return lnt_logs_open_access(&m->now, why);
}

static void
cannot_reopen(struct lnt_strbuf *why, struct lnt_waiter *w)
{
    while (why->n && why->p[why->n - 1] == '\n')
        why->p[--why->n] = '\0';
    if (w)
        w->done(w, false, why->p);
    else
        lnt_log_error("reopen: %s", why->p);
}

void
lnt_logs_reopen(struct lnt_master *m, struct lnt_waiter *w)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    char which[2] = {'-', '-'};
    int fds[2];
    struct lnt_frame f = {
        .type = LNT_FRAME_REOPEN, .payload = lnt_str(which, 2), .fds = fds};
    if (reopen_here(m, &why) < 0) {
        cannot_reopen(&why, w);
        lnt_strbuf_release(&why);
        return;
    }
    if (lnt_log_fd() >= 0) {
        which[0] = 'e';
        fds[f.nfds++] = lnt_log_fd();
    }
    if (m->now.access_fd >= 0) {
        which[1] = 'a';
        fds[f.nfds++] = m->now.access_fd;
    }
    if (m->changes.now)
        lnt_changes_ask(m, &(struct lnt_change){.kind = LNT_CHANGE_REOPEN},
                        NULL);
    lnt_log_notice("logs reopened");
    tell_all(m, &f, "reopened", w);
}

void
lnt_logs_level(struct lnt_master *m, enum lnt_level level, struct lnt_waiter *w)
{
    char byte = (char)level;
    struct lnt_frame f = {.type = LNT_FRAME_LEVEL,
                          .payload = lnt_str(&byte, 1)};
    lnt_log_level(level);
    tell_all(m, &f, "log level set until the next reload", w);
}
