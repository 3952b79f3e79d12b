/*
 * Spawning, replacing and ending helpers.
 */
#include "master/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/place.h"
#include "config/privileges.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "os/file.h"
#include "os/process.h"
#include "zone/zone.h"

enum { SYNC_TIME = 10000 }; /* ms to write what was said so far */

/* ---- the store's folder ---- */

/* Makes the folder; when its last part was made here, that becomes the user's.
   What is there stays whose it is, however its path is spelt. */
static int
make_for_user(const struct lnt_config *c, const char *path)
{
    bool as_root = geteuid() == 0 && c->server->user;
    const char *slash = strrchr(path, '/');
    if (as_root && !c->identity) {
        errno = ETIMEDOUT; /* the user was not found in time */
        return -1;
    }
    if (slash && slash != path) {
        char *above = lnt_strndup(path, (size_t)(slash - path));
        int rc = lnt_file_mkdirs(above, 0755);
        int error = errno;
        free(above);
        errno = error;
        if (rc < 0)
            return -1;
    }
    if (mkdir(path, 0755) < 0)
        return errno == EEXIST ? 0 : -1;
    if (!as_root)
        return 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fchown(fd, c->identity->uid, c->identity->gid);
    lnt_file_close(fd);
    return rc;
}

static int
make_folder(const struct lnt_config *c, struct lnt_strbuf *why)
{
    const char *path = c->history->store, *slash = strrchr(path, '/');
    struct stat st;
    if (!slash || slash == path)
        return 0;
    char *folder = lnt_strndup(path, (size_t)(slash - path));
    int rc = stat(folder, &st) < 0 ? make_for_user(c, folder) : 0;
    if (rc < 0) {
        int error = errno;
        lnt_place_add(c, "history", "store", why);
        lnt_strbuf_addf(why, "store %s: cannot make its folder: %s", path,
                        strerror(error));
        lnt_privileges_explain(folder, W_OK, why);
    }
    free(folder);
    return rc;
}

/* ---- what differs from kind to kind ---- */

/* What it works on; NULL: that configuration needs none. */
static const char *
resource(enum lnt_child_kind kind, const struct lnt_config *c)
{
    return kind == LNT_KIND_STORE && c ? c->history->store : NULL;
}

static bool
same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether a process that knows a has nothing to learn from b. */
static bool
same_settings(enum lnt_child_kind kind, const struct lnt_config *a,
              const struct lnt_config *b)
{
    return same_text(resource(kind, a), resource(kind, b)) &&
           a->history->sync == b->history->sync &&
           same_text(a->server->user, b->server->user) &&
           same_text(a->server->group, b->server->group) &&
           same_text(a->log->error, b->log->error) &&
           a->log->format == b->log->format;
}

/* Whether another process writes the store: one of a master that goes on with
   the zone. */
static bool
is_kept(struct lnt_master *m)
{
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        if (lnt_cell_state(c) != LNT_CELL_FREE && !lnt_cell_is_worker(c))
            return true;
    }
    return false;
}

/* A store that is not there any more is neither well nor not. */
static void
forget_state(struct lnt_master *m)
{
    struct lnt_store_state *s = lnt_zone_store(m->zone);
    if (m->now.config->history->store && (!m->handed_over || is_kept(m)))
        return;
    __atomic_store_n(&s->synced_us, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->broken_us, 0, __ATOMIC_RELAXED);
}

/* ---- one of them ---- */

void
lnt_helpers_init(struct lnt_master *m)
{
    for (unsigned i = 0; i < LNT_HELPERS; i++)
        lnt_slot_init(&m->helpers[i].slot, m,
                      (enum lnt_child_kind)(LNT_KIND_STORE + i), 0);
}

struct lnt_helper *
lnt_helpers_find(struct lnt_master *m, const struct lnt_child *c)
{
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++)
        if (h->slot.kind == c->kind)
            return h;
    return NULL;
}

/* The folder must be there.  NULL with why. */
static struct lnt_child *
spawn(struct lnt_helper *h, const struct lnt_generation *g, unsigned how,
      struct lnt_strbuf *why)
{
    struct lnt_master *m = h->slot.m;
    if (h->slot.kind == LNT_KIND_STORE && make_folder(g->config, why) < 0)
        return NULL;
    struct lnt_child *c = lnt_child_spawn(m, g, &h->slot, how);
    if (c)
        return c;
    int error = errno;
    lnt_strbuf_addf(why, "cannot start %s: ", h->slot.name);
    lnt_lock_why_not(m, error, why);
    lnt_strbuf_addc(why, '\n');
    return NULL;
}

/* Writes what one that died has not written. */
static void
spawn_last(struct lnt_helper *h)
{
    struct lnt_master *m = h->slot.m;
    h->slot.child = lnt_child_spawn(m, &m->now, &h->slot, LNT_START_WAIT);
    if (h->slot.child)
        return;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_lock_why_not(m, errno, &why);
    lnt_log_error("cannot start %s: %s; what was said last is not in the store",
                  h->slot.name, why.p);
    lnt_strbuf_release(&why);
}

/* It was killed over the last word, or was stopped and had no time to write it:
   once more, unless another master's goes on. */
static void
end_again(struct lnt_helper *h, const struct lnt_child *c)
{
    bool cut = WIFSIGNALED(c->status) && (!c->late || c->stuck);
    if (!cut || !h->ended || !h->used || h->again || h->slot.m->handed_over)
        return;
    h->again = true;
    spawn_last(h);
    if (h->slot.child)
        lnt_child_end(h->slot.child, false);
}

bool
lnt_helpers_ended(struct lnt_master *m, struct lnt_child *c)
{
    struct lnt_helper *h = lnt_helpers_find(m, c);
    bool now = h->slot.child == c;
    if (h->coming == c)
        h->coming = NULL;
    if (c->kind == LNT_KIND_STORE)
        forget_state(m);
    if (!now)
        return false;
    h->used |= c->was_ready;
    h->slot.child = NULL;
    end_again(h, c);
    return !h->slot.child;
}

/* ---- generations ---- */

int
lnt_helpers_first(struct lnt_master *m, bool load, struct lnt_strbuf *why)
{
    unsigned how = LNT_START_STRICT | (load ? LNT_START_LOAD : 0) |
                   (m->older ? LNT_START_WAIT : 0);
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++) {
        if (!resource(h->slot.kind, m->now.config))
            continue;
        h->slot.child = spawn(h, &m->now, how, why);
        if (!h->slot.child)
            return -1;
    }
    return 0;
}

bool
lnt_helpers_are_ready(const struct lnt_master *m)
{
    for (unsigned i = 0; i < LNT_HELPERS; i++) {
        const struct lnt_helper *h = &m->helpers[i];
        const struct lnt_slot *s = &h->slot;
        bool ready = s->child && s->child->state == LNT_CHILD_READY;
        if (resource(s->kind, m->now.config) && !ready && !h->used)
            return false;
    }
    return true;
}

int
lnt_helpers_prepare(struct lnt_master *m, const struct lnt_generation *g,
                    struct lnt_strbuf *why)
{
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++) {
        const char *next = resource(h->slot.kind, g->config);
        if (!next || same_text(next, resource(h->slot.kind, m->now.config)))
            continue;
        h->coming = spawn(h, g, LNT_START_STRICT, why);
        if (!h->coming)
            return -1;
    }
    return 0;
}

bool
lnt_helpers_prepared(const struct lnt_master *m)
{
    for (unsigned i = 0; i < LNT_HELPERS; i++) {
        const struct lnt_child *c = m->helpers[i].coming;
        if (c && c->state != LNT_CHILD_READY)
            return false;
    }
    return true;
}

void
lnt_helpers_abandon(struct lnt_master *m)
{
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++) {
        if (h->coming)
            lnt_child_end(h->coming, true);
        h->coming = NULL;
    }
}

static void
swap(struct lnt_helper *h, const struct lnt_config *before)
{
    struct lnt_slot *s = &h->slot;
    struct lnt_master *m = s->m;
    const struct lnt_config *c = m->now.config;
    char level = (char)c->log->level;
    if (same_settings(s->kind, before, c)) {
        /* What "ctl log-level" said holds until the next reload. */
        if (s->child)
            (void)lnt_channel_send(&s->child->channel, LNT_FRAME_LEVEL, 0,
                                   lnt_str(&level, 1), NULL, 0);
        return;
    }
    bool wanted = resource(s->kind, c);
    h->used |= s->child && s->child->was_ready;
    lnt_timer_stop(m->loop, &s->timer);
    if (s->child)
        lnt_child_end(s->child, true);
    s->delay = 0;
    s->child = h->coming;
    h->coming = NULL;
    h->used = s->child || (wanted && h->used);
    if (s->child)
        lnt_child_begin(s->child);
    else if (wanted)
        lnt_slot_start(s);
}

void
lnt_helpers_swap(struct lnt_master *m, const struct lnt_config *before)
{
    for (unsigned i = 0; i < LNT_HELPERS; i++)
        swap(&m->helpers[i], before);
}

void
lnt_helpers_begin(struct lnt_master *m)
{
    for (unsigned i = 0; i < LNT_HELPERS; i++)
        if (m->helpers[i].slot.child)
            lnt_child_begin(m->helpers[i].slot.child);
}

/* ---- the end ---- */

static bool
any_left(const struct lnt_master *m)
{
    const struct lnt_child *c = NULL;
    while ((c = lnt_child_next(m, c)))
        if (c->kind >= LNT_KIND_STORE && c->kind < LNT_KIND_STORE + LNT_HELPERS)
            return true;
    return false;
}

bool
lnt_helpers_end(struct lnt_master *m)
{
    struct lnt_child *c = NULL;
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++) {
        if (h->ended)
            continue;
        h->ended = true;
        lnt_timer_stop(m->loop, &h->slot.timer);
        h->used |= h->slot.child && h->slot.child->was_ready;
        /* It died a moment ago. */
        if (!h->slot.child && h->used && resource(h->slot.kind, m->now.config))
            spawn_last(h);
        while ((c = lnt_child_next(m, c)))
            if (c->kind == h->slot.kind && !c->failed)
                lnt_child_end(c, c != h->slot.child);
    }
    return !any_left(m);
}

void
lnt_helpers_let_go(struct lnt_master *m)
{
    struct lnt_child *c = NULL;
    for (struct lnt_helper *h = m->helpers; h < m->helpers + LNT_HELPERS; h++) {
        h->ended = true;
        lnt_timer_stop(m->loop, &h->slot.timer);
        while ((c = lnt_child_next(m, c)))
            if (c->kind == h->slot.kind)
                lnt_child_end(c, true);
    }
}

bool
lnt_helpers_sync(struct lnt_master *m, lnt_reply_fn *fn, void *arg)
{
    const struct lnt_slot *s = &m->helpers[0].slot;
    struct lnt_child *c = s->child;
    if (!resource(s->kind, m->now.config))
        return false;
    if (c && c->state == LNT_CHILD_SERVING &&
        lnt_requests_send(m->requests, &c->channel, LNT_FRAME_SYNC,
                          lnt_str("", 0), SYNC_TIME, fn, arg) == 0)
        return true;
    lnt_log_error("the store's process does not serve; what was said last may "
                  "not be in the store");
    return false;
}
