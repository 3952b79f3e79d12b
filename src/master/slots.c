/*
 * Slots: respawning with exponential backoff.
 */
#include "master/slots.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
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
lnt_slot_init(struct lnt_slot *s, struct lnt_master *m,
              enum lnt_child_kind kind, unsigned number)
{
    *s = (struct lnt_slot){
        .m = m, .kind = kind, .number = number, .timer.fn = on_timer};
    lnt_child_name(kind, number, s->name, sizeof(s->name));
}

void
lnt_slots_make(struct lnt_master *m, struct lnt_generation *g)
{
    g->nslots = (size_t)g->config->server->workers;
    g->slots = lnt_calloc(g->nslots, sizeof(g->slots[0]));
    for (size_t i = 0; i < g->nslots; i++)
        lnt_slot_init(&g->slots[i], m, LNT_KIND_WORKER, (unsigned)i);
}

int
lnt_slots_fill(struct lnt_master *m, struct lnt_generation *g)
{
    for (size_t i = 0; i < g->nslots; i++) {
        struct lnt_slot *s = &g->slots[i];
        if (s->child)
            continue;
        lnt_timer_stop(m->loop, &s->timer);
        s->child = lnt_child_spawn(m, g, s, 0);
        if (!s->child)
            return -1;
    }
    return 0;
}

struct lnt_slot *
lnt_slots_find(struct lnt_generation *g, const struct lnt_child *c)
{
    if (c->kind != LNT_KIND_WORKER || c->generation != g->number ||
        c->slot >= g->nslots || g->slots[c->slot].child != c)
        return NULL;
    return &g->slots[c->slot];
}

/* For one that lived so long. */
static void
set_timer(struct lnt_slot *s, uint64_t lived)
{
    struct lnt_loop *loop = s->m->loop;
    uint64_t delay = s->delay + s->delay / 2;
    if (s->delay == 0 || lived >= HEALTHY)
        s->delay = DELAY_FIRST;
    else
        s->delay = delay < DELAY_MAX ? delay : DELAY_MAX;
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
    lnt_log_notice("%s starts again in %u ms", c->name, (unsigned)s->delay);
}

/* A zone that is locked is nothing that the process has done, and no reason to
   wait longer each time. */
static void
cannot_start(struct lnt_slot *s, int error)
{
    struct lnt_loop *loop = s->m->loop;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_lock_why_not(s->m, error, &why);
    if (error == EBUSY) {
        lnt_timer_at(loop, &s->timer, lnt_loop_now(loop) + LOCKED);
        lnt_log_info("cannot start %s yet: %s", s->name, why.p);
    } else {
        set_timer(s, 0);
        lnt_log_error("cannot start %s: %s; trying again in %u ms", s->name,
                      why.p, (unsigned)s->delay);
    }
    lnt_strbuf_release(&why);
}

/* What a helper works on another one may still have for a moment. */
void
lnt_slot_start(struct lnt_slot *s)
{
    struct lnt_master *m = s->m;
    s->child = lnt_child_spawn(m, &m->now, s,
                               s->kind == LNT_KIND_WORKER ? 0 : LNT_START_WAIT);
    if (!s->child)
        cannot_start(s, errno);
}

static void
on_timer(struct lnt_timer *t)
{
    lnt_slot_start(LNT_OWNER(t, struct lnt_slot, timer));
}

void
lnt_slots_stop(struct lnt_master *m, struct lnt_generation *g)
{
    for (size_t i = 0; i < g->nslots; i++)
        lnt_timer_stop(m->loop, &g->slots[i].timer);
}

void
lnt_slots_free(struct lnt_master *m, struct lnt_generation *g)
{
    lnt_slots_stop(m, g);
    free(g->slots);
    g->slots = NULL;
    g->nslots = 0;
}
