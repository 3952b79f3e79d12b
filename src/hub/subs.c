/*
 * Who in this worker is subscribed to what: rooms by number, groups in a room,
 * dense arrays in a group.  Adding and removing cost the same for any number
 * of subscribers.  What is delivered to them is left to fanout.c.
 *
 * A new subscriber must not get what came before it, and the log may be ahead
 * of what this worker has read; so it waits until the reader has got there.
 */
#include "hub/subs.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/module.h"
#include "net/session.h"

enum {
    SLAB = 128, /* subs allocated at once */
    WAITING_MIN = 64,
    WAITING_KEEP = 4096, /* more are freed when nobody waits */
    GONE_MIN = 64,
    GONE_KEEP = 4096,
};
#define WAITS UINT32_C(0x80000000) /* in sub->at */

struct slab {
    struct slab *next;
    struct lnt_sub subs[SLAB];
};

struct waiting {
    struct lnt_sub *sub; /* NULL: has left */
    uint64_t start;
};

struct lnt_subs {
    struct lnt_map rooms; /* by number */
    struct lnt_sub *free;
    struct slab *slabs;
    struct waiting *waiting; /* in the order of their start */
    uint32_t first, last, cap;
    struct lnt_group *dirty;
    uint32_t *gone; /* numbers of rooms, for lnt_subs_gone */
    uint32_t ngone, gone_cap;
    bool busy;
};

struct lnt_subs *
lnt_subs_new(void)
{
    return lnt_calloc(1, sizeof(struct lnt_subs));
}

static void
free_group(struct lnt_group *g)
{
    free(g->entries);
    free(g);
}

void
lnt_subs_free(struct lnt_subs *t)
{
    LNT_MAP_EACH(&t->rooms, struct lnt_hub_room, r, node) {
        LNT_LIST_EACH(&r->groups, struct lnt_group, g, node)
            free_group(g);
        free(r);
    }
    while (t->slabs) {
        struct slab *s = t->slabs;

        t->slabs = s->next;
        free(s);
    }
    free(t->waiting);
    free(t->gone);
    lnt_map_release(&t->rooms);
    free(t);
}

/* ---- rooms ---- */

struct lnt_hub_room *
lnt_subs_room(const struct lnt_subs *t, uint32_t room)
{
    return LNT_MAP_FIND(&t->rooms, lnt_map_number(room), struct lnt_hub_room,
                        node);
}

struct lnt_hub_room *
lnt_subs_room_named(const struct lnt_subs *t, uint32_t app, struct lnt_str name)
{
    LNT_MAP_EACH(&t->rooms, struct lnt_hub_room, r, node) {
        if (r->app_id == app && lnt_str_eq(lnt_str(r->name, r->name_n), name))
            return r;
    }
    return NULL;
}

struct lnt_hub_room *
lnt_subs_room_take(struct lnt_subs *t, const struct lnt_room_info *info,
                   struct lnt_module_ctx *app)
{
    struct lnt_hub_room *r = lnt_subs_room(t, info->room);
    size_t n = strlen(info->name) + 1;

    if (r)
        return r;
    r = lnt_calloc(1, sizeof(*r) + n);
    r->room = info->room;
    r->app_id = info->app;
    r->app = app;
    r->name_n = (uint8_t)(n - 1);
    memcpy(r->name, info->name, n);
    lnt_map_add(&t->rooms, &r->node, lnt_map_number(r->room));
    return r;
}

static void
note_gone(struct lnt_subs *t, uint32_t room)
{
    if (t->ngone == t->gone_cap) {
        t->gone_cap = t->gone_cap ? t->gone_cap * 2 : GONE_MIN;
        t->gone = lnt_realloc(t->gone, t->gone_cap * sizeof(*t->gone));
    }
    t->gone[t->ngone++] = room;
}

bool
lnt_subs_many_gone(const struct lnt_subs *t)
{
    return t->ngone >= GONE_KEEP;
}

uint32_t
lnt_subs_gone(struct lnt_subs *t)
{
    if (t->ngone > 0)
        return t->gone[--t->ngone];
    if (t->gone_cap > GONE_KEEP) {
        free(t->gone);
        t->gone = NULL;
        t->gone_cap = 0;
    }
    return 0;
}

static void
free_room(struct lnt_subs *t, struct lnt_hub_room *r)
{
    lnt_map_remove(&t->rooms, &r->node);
    note_gone(t, r->room);
    free(r);
}

/* ---- groups ---- */

static struct lnt_group *
take_group(struct lnt_hub_room *r, const struct lnt_session *s, unsigned format)
{
    struct lnt_module_ctx *protocol = lnt_session_protocol(s);
    const struct lnt_protocol *p = protocol->module->protocol;
    unsigned variant = p->variant ? p->variant(s) : 0;
    struct lnt_group *new;

    LNT_LIST_EACH(&r->groups, struct lnt_group, g, node) {
        if (g->protocol == protocol && g->variant == variant &&
            g->format == format)
            return g;
    }
    new = lnt_calloc(1, sizeof(*new));
    new->room = r;
    new->protocol = protocol;
    new->variant = variant;
    new->format = (uint8_t)format;
    lnt_list_add_first(&r->groups, &new->node);
    return new;
}

static void
drop_group(struct lnt_subs *t, struct lnt_group *g)
{
    struct lnt_hub_room *r = g->room;

    lnt_list_remove(&r->groups, &g->node);
    free_group(g);
    if (!r->groups.first)
        free_room(t, r);
}

/* Rooms of few have little, rooms of many little more than they need. */
static void
grow_group(struct lnt_group *g)
{
    g->cap += g->cap < 2 ? 1 : g->cap < 64 ? g->cap / 2 + 1 : g->cap / 4;
    g->entries = lnt_realloc(g->entries, g->cap * sizeof(*g->entries));
}

static void
append_entry(struct lnt_group *g, struct lnt_sub *sub)
{
    if (g->n == g->cap)
        grow_group(g);
    sub->at = g->n;
    g->entries[g->n++] = (struct lnt_entry){sub->session, sub};
}

static void
remove_entry(struct lnt_group *g, uint32_t at)
{
    struct lnt_entry *last = &g->entries[--g->n];

    if (at != g->n) {
        g->entries[at] = *last;
        if (last->sub)
            last->sub->at = at;
    }
    if (g->n < g->cap / 4) {
        g->cap = g->n * 2;
        if (g->cap > 0)
            g->entries = lnt_realloc(g->entries, g->cap * sizeof(*g->entries));
    }
}

/* ---- those that wait ---- */

static void
wait_for(struct lnt_subs *t, struct lnt_sub *sub, uint64_t start)
{
    if (t->last == t->cap) {
        t->cap = t->cap ? t->cap * 2 : WAITING_MIN;
        t->waiting = lnt_realloc(t->waiting, t->cap * sizeof(*t->waiting));
    }
    lnt_assert(t->last < WAITS);
    /* In order of start; only one that has moved here is not the last. */
    uint32_t at = t->last++;
    for (; at > t->first && t->waiting[at - 1].start > start; at--) {
        t->waiting[at] = t->waiting[at - 1];
        if (t->waiting[at].sub)
            t->waiting[at].sub->at = at | WAITS;
    }
    sub->at = at | WAITS;
    t->waiting[at] = (struct waiting){sub, start};
}

uint64_t
lnt_subs_start(const struct lnt_subs *t, const struct lnt_sub *sub)
{
    return sub->at & WAITS ? t->waiting[sub->at & ~WAITS].start : 0;
}

uint64_t
lnt_subs_waiting(const struct lnt_subs *t)
{
    return t->first < t->last ? t->waiting[t->first].start : UINT64_MAX;
}

void
lnt_subs_reach(struct lnt_subs *t, uint64_t seq)
{
    while (t->first < t->last && t->waiting[t->first].start <= seq) {
        struct lnt_sub *sub = t->waiting[t->first++].sub;

        if (sub)
            append_entry(sub->group, sub);
    }
    if (t->first < t->last)
        return;
    t->first = t->last = 0;
    if (t->cap > WAITING_KEEP) {
        free(t->waiting);
        t->waiting = NULL;
        t->cap = 0;
    }
}

/* ---- subscribers ---- */

static struct lnt_sub *
take_sub(struct lnt_subs *t)
{
    struct lnt_sub *sub;

    if (!t->free) {
        struct slab *s = lnt_malloc(sizeof(*s));

        s->next = t->slabs;
        t->slabs = s;
        for (size_t i = SLAB; i-- > 0;) {
            s->subs[i].next = t->free;
            t->free = &s->subs[i];
        }
    }
    sub = t->free;
    t->free = sub->next;
    return sub;
}

struct lnt_sub *
lnt_subs_add(struct lnt_subs *t, struct lnt_hub_room *room,
             struct lnt_session *s, unsigned format, uint32_t member,
             uint64_t start, bool now)
{
    struct lnt_sub *sub = take_sub(t);

    lnt_assert(format < LNT_FORMATS_MAX);
    sub->session = s;
    sub->next = NULL;
    sub->member = member;
    sub->group = take_group(room, s, format);
    sub->group->subs++;
    if (now && !t->busy)
        append_entry(sub->group, sub);
    else
        wait_for(t, sub, start);
    return sub;
}

/* Out of its group or of those that wait; while busy the group is to be looked
   at when that is over. */
static void
take_out(struct lnt_subs *t, const struct lnt_sub *sub)
{
    struct lnt_group *g = sub->group;

    if (sub->at & WAITS)
        t->waiting[sub->at & ~WAITS].sub = NULL;
    else if (t->busy)
        g->entries[sub->at] = (struct lnt_entry){NULL, NULL};
    else
        remove_entry(g, sub->at);
    if (t->busy && !g->dirty) {
        g->dirty = true;
        g->dirty_next = t->dirty;
        t->dirty = g;
    }
}

void
lnt_subs_delay(struct lnt_subs *t, struct lnt_sub *sub, uint64_t start)
{
    take_out(t, sub);
    wait_for(t, sub, start);
}

void
lnt_subs_remove(struct lnt_subs *t, struct lnt_sub *sub)
{
    struct lnt_group *g = sub->group;

    g->subs--;
    take_out(t, sub);
    sub->next = t->free;
    t->free = sub;
    if (!t->busy && g->subs == 0)
        drop_group(t, g);
}

void
lnt_subs_begin(struct lnt_subs *t)
{
    t->busy = true;
}

void
lnt_subs_end(struct lnt_subs *t)
{
    t->busy = false;
    while (t->dirty) {
        struct lnt_group *g = t->dirty;

        t->dirty = g->dirty_next;
        g->dirty = false;
        for (uint32_t i = g->n; i-- > 0;) {
            if (!g->entries[i].session)
                remove_entry(g, i);
        }
        if (g->subs == 0)
            drop_group(t, g);
    }
}

void
lnt_subs_each(const struct lnt_subs *t,
              void (*fn)(void *arg, const struct lnt_sub *sub), void *arg)
{
    LNT_MAP_EACH(&t->rooms, const struct lnt_hub_room, r, node) {
        LNT_LIST_EACH(&r->groups, const struct lnt_group, g, node) {
            for (uint32_t k = 0; k < g->n; k++) {
                if (g->entries[k].sub)
                    fn(arg, g->entries[k].sub);
            }
        }
    }
    for (uint32_t i = t->first; i < t->last; i++) {
        if (t->waiting[i].sub)
            fn(arg, t->waiting[i].sub);
    }
}
