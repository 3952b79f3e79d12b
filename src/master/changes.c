/*
 * The queue of changes.
 */
#include "master/changes.h"

#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "master/master.h"
#include "master/waiters.h"

static struct lnt_change **
find(struct lnt_master *m, enum lnt_change_kind kind)
{
    struct lnt_change **link = &m->changes.waiting;
    if (kind == LNT_CHANGE_END)
        return &m->changes.end;
    while (*link && (*link)->kind != kind)
        link = &(*link)->next;
    return link;
}

/* The master would end with the processes that it started. */
static const char *
bond_refusal(enum lnt_bond bond)
{
    switch (bond) {
    case LNT_BOND_NONE:
        break;
    case LNT_BOND_INIT:
        return "this server is process 1 of its container, which would end "
               "with it; reload for another configuration, and start another "
               "container for another binary";
    case LNT_BOND_CHILD:
        return "this server was started by process 1 of the container, which "
               "waits for it and would end all with it (as tini and docker "
               "run --init do); reload for another configuration, and start "
               "another container for another binary";
    case LNT_BOND_SYSTEMD:
        return "systemd would end all with this process; the unit needs "
               "Type=notify and NotifyAccess=all for upgrades (see "
               "contrib/linnet.service)";
    }
    return NULL;
}

static const char *
state_refusal(const struct lnt_master *m, enum lnt_change_kind kind)
{
    if (m->handed_over)
        return "another process has taken over from this one";
    switch (m->state) {
    case LNT_MASTER_STARTING:
        return "the server is still starting";
    case LNT_MASTER_RUNNING:
        return NULL;
    case LNT_MASTER_IDLE:
        return kind == LNT_CHANGE_UPGRADE
                   ? "the workers were told to end (WINCH); reload first"
                   : NULL;
    case LNT_MASTER_QUITTING:
    case LNT_MASTER_STOPPING:
        break;
    }
    return "the server ends";
}

/* Whether an upgrade will begin before a reload that is asked for now: there may
   be nobody here then who could do that. */
static bool
upgrade_is_next(const struct lnt_master *m)
{
    const struct lnt_change *w = m->changes.waiting;
    while (w && w->kind != LNT_CHANGE_UPGRADE && w->kind != LNT_CHANGE_RELOAD)
        w = w->next;
    return w && w->kind == LNT_CHANGE_UPGRADE;
}

/* A reload waits for another one, nothing else does. */
static const char *
going_refusal(const struct lnt_master *m, enum lnt_change_kind kind)
{
    const struct lnt_change *now = m->changes.now;
    if (kind == LNT_CHANGE_RELOAD && upgrade_is_next(m))
        return "an upgrade is going on; try again after it";
    if (!now || (now->kind == LNT_CHANGE_RELOAD && kind == LNT_CHANGE_RELOAD))
        return NULL;
    if (now->kind == LNT_CHANGE_RELOAD)
        return "a reload is going on; try again after it";
    return kind == LNT_CHANGE_UPGRADE
               ? "another upgrade is going on"
               : "an upgrade is going on; try again after it";
}

static bool
other_number_waits(const struct lnt_master *m, const struct lnt_change *c)
{
    const struct lnt_change *w = m->changes.waiting;
    while (w && w->kind != LNT_CHANGE_RELOAD)
        w = w->next;
    return w && w->workers && c->workers && w->workers != c->workers;
}

const char *
lnt_changes_refusal(const struct lnt_master *m, const struct lnt_change *c)
{
    const char *why = NULL;
    if (c->kind == LNT_CHANGE_END || c->kind == LNT_CHANGE_REOPEN)
        return NULL;
    if (c->kind == LNT_CHANGE_UPGRADE)
        why = bond_refusal(m->bond);
    if (!why)
        why = state_refusal(m, c->kind);
    if (!why)
        why = going_refusal(m, c->kind);
    if (!why && other_number_waits(m, c))
        why = "another number of workers waits to take effect; try again "
              "after it";
    return why;
}

void
lnt_changes_ask(struct lnt_master *m, const struct lnt_change *c,
                struct lnt_waiter *w)
{
    const char *why = lnt_changes_refusal(m, c);
    if (why) {
        lnt_log_error("%s refused: %s",
                      c->kind == LNT_CHANGE_UPGRADE ? "upgrade" : "reload",
                      why);
        if (w)
            w->done(w, false, why);
        return;
    }
    struct lnt_change **link = find(m, c->kind);
    if (!*link) {
        *link = lnt_malloc(sizeof(**link));
        **link = (struct lnt_change){.kind = c->kind};
    }
    if (c->workers)
        (*link)->workers = c->workers;
    (*link)->new_zone |= c->new_zone;
    (*link)->at_once |= c->at_once;
    lnt_waiters_add(&(*link)->waiters, w);
}

bool
lnt_changes_any(const struct lnt_master *m)
{
    return m->changes.now || m->changes.waiting;
}

struct lnt_change *
lnt_changes_take(struct lnt_master *m, enum lnt_change_kind kind)
{
    struct lnt_change **link = find(m, kind), *c = *link;
    if (c)
        *link = c->next;
    return c;
}

static void
finish(struct lnt_change *c, bool ok, const char *text)
{
    if (c)
        lnt_waiters_tell(&c->waiters, ok, text);
    free(c);
}

void
lnt_changes_done(struct lnt_master *m, bool ok, const char *text)
{
    struct lnt_change *c = m->changes.now;
    m->changes.now = NULL;
    finish(c, ok, text);
}

void
lnt_changes_cancel(struct lnt_master *m, const char *why)
{
    struct lnt_change *c;
    while ((c = m->changes.waiting)) {
        m->changes.waiting = c->next;
        finish(c, false, why);
    }
}

void
lnt_changes_release(struct lnt_master *m)
{
    finish(m->changes.end, true, "ended");
    m->changes.end = NULL;
}
