/*
 * The files in run_dir.  The control socket is made in control.c; here is when
 * it has to be made again.
 */
#include "master/run_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/place.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "master/control.h"
#include "master/master.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/process.h"
#include "os/socket.h"

#define ENV_NAME "LINNET_RUN_LOCK"

/* ---- the lock of the folder ---- */

/* From the old master; -1 when there is none, or it is of another folder. */
static int
inherit(const struct lnt_master *m, const char *folder)
{
    const char *value = getenv(ENV_NAME);
    int fd = value ? atoi(value) : -1;
    if (!m->older || fd < 3)
        return -1;
    if (lnt_dirlock_take(fd, folder) == 0)
        return fd;
    /* Whatever it is, it must not stay open in all that we run. */
    (void)lnt_fd_cloexec(fd, 1);
    return -1;
}

/* 0, or -1: it is another server's, whose pid is in *other. */
static int
lock_folder(struct lnt_run_files *f, const char *folder, pid_t *other)
{
    f->lock = lnt_dirlock_open(folder);
    if (f->lock >= 0)
        return 0;
    if (errno != EWOULDBLOCK) {
        /* Some file systems cannot.  The pidfile has a lock, too. */
        lnt_log_info("cannot lock %s: %s", folder, strerror(errno));
        return 0;
    }
    *other = lnt_dirlock_holder(folder, LNT_MASTER_TITLE);
    if (*other)
        return -1;
    lnt_log_warn("another program holds a lock on %s", folder);
    return 0;
}

/* ---- the start ---- */

static int
refuse(const struct lnt_config *c, pid_t other, struct lnt_strbuf *why)
{
    const char *folder = c->server->run_dir;
    char pid[32] = "";
    if (other > 0)
        snprintf(pid, sizeof(pid), " (pid %d)", (int)other);
    lnt_place_add(c, "server", "run_dir", why);
    lnt_strbuf_addf(why,
                    "another server%s runs in %s; stop it, or give this one a "
                    "run_dir of its own",
                    pid, folder);
    return -1;
}

int
lnt_run_files_take(struct lnt_master *m, const struct lnt_config *c,
                   struct lnt_strbuf *why)
{
    struct lnt_run_files *f = &m->files;
    const char *folder = c->server->run_dir;
    pid_t other = 0;
    if (lnt_file_mkdirs(folder, 0755) < 0) {
        int error = errno;
        lnt_place_add(c, "server", "run_dir", why);
        lnt_strbuf_addf(why, "cannot make %s: %s", folder, strerror(error));
        return -1;
    }
    f->lock = inherit(m, folder);
    if (f->lock < 0 && lock_folder(f, folder, &other) < 0 && !m->older)
        return refuse(c, other, why);
    /* One that has lost its pidfile, and could not lock the folder. */
    if (!m->older && lnt_socket_probe_unix(c->control_path, &other))
        return refuse(c, other, why);
    f->pidfile = lnt_pidfile_open(c->pid_path, &other);
    if (f->pidfile >= 0) {
        f->pid_path = lnt_strdup(c->pid_path);
        return 0;
    }
    if (errno == EWOULDBLOCK)
        return refuse(c, other, why);
    int error = errno;
    lnt_place_add(c, "server", "run_dir", why);
    lnt_strbuf_addf(why, "cannot write %s: %s", c->pid_path, strerror(error));
    return -1;
}

/* ---- what comes back ---- */

/* Whether the folder is ours to put something there. */
static bool
restore_folder(struct lnt_run_files *f, const char *folder)
{
    struct lnt_run_files again = LNT_RUN_FILES_INIT;
    pid_t other = 0;
    if (lnt_dirlock_is(f->lock, folder))
        return true;
    bool gone = access(folder, F_OK) < 0;
    if (gone && lnt_file_mkdirs(folder, 0755) < 0) {
        lnt_log_error("run_dir %s is gone and cannot be made again: %s", folder,
                      strerror(errno));
        return false;
    }
    if (gone)
        lnt_log_notice("run_dir %s was gone and has been made again", folder);
    if (lock_folder(&again, folder, &other) < 0) {
        lnt_log_error("run_dir %s belongs to another server (pid %d); this one "
                      "has no pidfile and no control socket any more",
                      folder, (int)other);
        return false;
    }
    if (again.lock >= 0) {
        lnt_dirlock_close(f->lock, f->ours);
        f->lock = again.lock;
    }
    return true;
}

static void
restore_pidfile(struct lnt_run_files *f)
{
    pid_t other = 0;
    int rc = lnt_pidfile_restore(&f->pidfile, f->pid_path, &other);
    if (rc > 0)
        lnt_log_notice("pidfile %s was gone and has been written again",
                       f->pid_path);
    else if (rc < 0 && errno == EWOULDBLOCK)
        lnt_log_error("pidfile %s is another process's (pid %d)", f->pid_path,
                      (int)other);
    else if (rc < 0)
        lnt_log_error("pidfile %s is gone and cannot be written again: %s",
                      f->pid_path, strerror(errno));
}

static void
restore_control(struct lnt_master *m, const char *path)
{
    pid_t other = 0;
    if (lnt_control_is_there(m->control))
        return;
    if (lnt_socket_probe_unix(path, &other))
        lnt_log_error("control socket %s is another process's (pid %d)", path,
                      (int)other);
    else if (lnt_control_retake(m->control) < 0)
        lnt_log_error("control socket %s is gone and cannot be made again: %s",
                      path, strerror(errno));
    else
        lnt_log_notice("control socket %s was gone and has been made again",
                       path);
}

void
lnt_run_files_restore(struct lnt_master *m)
{
    const struct lnt_config *c = m->now.config;
    /* In the middle of an upgrade there are those of two. */
    if (m->upgrade || m->handed_over ||
        !restore_folder(&m->files, c->server->run_dir))
        return;
    restore_pidfile(&m->files);
    restore_control(m, c->control_path);
}

void
lnt_run_files_retake(struct lnt_master *m)
{
    /* The new binary's, which is being killed. */
    (void)unlink(m->files.pid_path);
    restore_pidfile(&m->files);
}

/* ---- the end ---- */

void
lnt_run_files_hand_on(const struct lnt_master *m)
{
    char value[16];
    /* There may be one that we were given ourselves. */
    (void)unsetenv(ENV_NAME);
    if (m->files.lock < 0 || lnt_fd_cloexec(m->files.lock, 0) < 0)
        return;
    snprintf(value, sizeof(value), "%d", m->files.lock);
    (void)setenv(ENV_NAME, value, 1);
}

void
lnt_run_files_let_go(struct lnt_master *m)
{
    /* The lock stays for as long as the new master has its copy. */
    lnt_dirlock_close(m->files.lock, false);
    m->files.lock = -1;
}

void
lnt_run_files_release(struct lnt_master *m)
{
    struct lnt_run_files *f = &m->files;
    if (f->pidfile >= 0)
        lnt_pidfile_close(f->pidfile, f->pid_path);
    lnt_dirlock_close(f->lock, f->ours && !m->handed_over);
    free(f->pid_path);
    *f = LNT_RUN_FILES_INIT;
}
