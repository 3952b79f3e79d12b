/*
 * Slots: respawning with exponential backoff.
 */
#include "master/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "master/child.h"
#include "master/lock_watch.h"
#include "master/master.h"

enum {
    DELAY_FIRST = 100, /* ms */
    DELAY_MAX = 15000,
    HEALTHY = 30000,
    LOCKED = 250, /* before the next try when the zone is locked */
};

static void on_timer(struct lnt_timer *t);

void
lnt_slots_make(struct lnt_master *m, struct lnt_generation *g)
{
    g->nslots = (size_t)g->config->server->workers;
    g->slots = lnt_calloc(g->nslots, sizeof(g->slots[0]));
    for (size_t i = 0; i < g->nslots; i++) {
        g->slots[i].m = m;
        g->slots[i].number = (unsigned)i;
        g->slots[i].timer.fn = on_timer;
    }
}

int
lnt_slots_fill(struct lnt_master *m, struct lnt_generation *g)
{
    for (size_t i = 0; i < g->nslots; i++) {
        struct lnt_slot *s = &g->slots[i];
        if (s->child)
            continue;
        lnt_timer_stop(m->loop, &s->timer);
        s->child = lnt_child_spawn(m, g, s);
        if (!s->child)
            return -1;
    }
    return 0;
}

struct lnt_slot *
lnt_slots_find(struct lnt_generation *g, const struct lnt_child *c)
{
    if (c->generation != g->number || c->slot >= g->nslots ||
        g->slots[c->slot].child != c)
        return NULL;
    return &g->slots[c->slot];
}

uint64_t
lnt_slots_delay(uint64_t lived, uint64_t before)
{
    uint64_t delay = before + before / 2;
    if (before == 0 || lived >= HEALTHY)
        return DELAY_FIRST;
    return delay < DELAY_MAX ? delay : DELAY_MAX;
}

/* For a worker that lived so long. */
static void
set_timer(struct lnt_slot *s, uint64_t lived)
{
    struct lnt_loop *loop = s->m->loop;
    s->delay = lnt_slots_delay(lived, s->delay);
    lnt_timer_at(loop, &s->timer, lnt_loop_now(loop) + s->delay);
}

void
lnt_slot_retry(struct lnt_slot *s, const struct lnt_child *c)
{
    s->child = NULL;
    s->last_cell = c->cell;
    s->last_incarnation = c->incarnation;
    s->restarts++;
    set_timer(s, lnt_loop_now(s->m->loop) - c->started);
    lnt_log_notice("worker %u starts again in %u ms", s->number,
                   (unsigned)s->delay);
}

/* That is nothing that the worker has done, and no reason to wait longer each
   time. */
static void
wait_for_lock(struct lnt_slot *s)
{
    struct lnt_loop *loop = s->m->loop;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_timer_at(loop, &s->timer, lnt_loop_now(loop) + LOCKED);
    lnt_lock_text(s->m, &why);
    lnt_log_info("cannot start worker %u yet: %s", s->number, why.p);
    lnt_strbuf_release(&why);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_slot *s = LNT_OWNER(t, struct lnt_slot, timer);
    s->child = lnt_child_spawn(s->m, &s->m->now, s);
    if (s->child)
        return;
    int error = errno;
    if (error == EBUSY) {
        wait_for_lock(s);
        return;
    }
    set_timer(s, 0);
    lnt_log_error("cannot start worker %u: %s; trying again in %u ms",
                  s->number, strerror(error), (unsigned)s->delay);
}

void
lnt_slots_free(struct lnt_master *m, struct lnt_generation *g)
{
    for (size_t i = 0; i < g->nslots; i++)
        lnt_timer_stop(m->loop, &g->slots[i].timer);
    free(g->slots);
    g->slots = NULL;
    g->nslots = 0;
}
