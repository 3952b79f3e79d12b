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
#include "master/master.h"
#include "master/orders.h"
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
    lnt_orders_give(m, &f, "reopened", w);
}

void
lnt_logs_level(struct lnt_master *m, enum lnt_level level, struct lnt_waiter *w)
{
    char byte = (char)level;
    struct lnt_frame f = {.type = LNT_FRAME_LEVEL,
                          .payload = lnt_str(&byte, 1)};
    lnt_log_level(level);
    lnt_orders_give(m, &f, "log level set until the next reload", w);
}
