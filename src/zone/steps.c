/*
 * Rooms and members, one change at a time.
 *
 * A change that others are told of by an event must be seen whole or not at
 * all, also when the process dies half way.  So it is written into the journal
 * first, with the log's seq: from that repair knows whether the events are
 * out.  Whether a change is allowed is left to users.c and rooms.c.
 */
#include "zone/steps.h"

#include <errno.h>
#include <string.h>

#include "os/clock.h"
#include "zone/blocks.h"
#include "zone/creators.h"
#include "zone/pool.h"
#include "zone/ring.h"
#include "zone/undo.h"
#include "zone/wakers.h"

/* ---- rooms ---- */

static uint32_t
make_room(struct lnt_zone *z, uint32_t app, struct lnt_str name,
          const struct lnt_creator *by)
{
    uint32_t room = lnt_pool_take(z, &z->map->parts.rooms);
    struct lnt_zone_room *r = lnt_room_at(z, room);
    uint32_t gen;

    if (room == 0)
        return 0;
    gen = r->gen;
    lnt_pool_clear(z, &z->map->parts.rooms, room, 0);
    r->gen = gen;
    r->app = app;
    r->last_seq = r->born_seq = r->lost_seq = z->map->seq;
    memcpy(r->name, name.p, name.n);
    r->name_len = (uint8_t)name.n;
    lnt_creator_name(z, room, by);
    LNT_ZONE_STEP(z);
    r->state = LNT_NODE_USED;
    LNT_ZONE_STEP(z);
    lnt_creator_add(z, room);
    lnt_slots_add(z, LNT_SLOTS_NAMES, room);
    return room;
}

/* Frees a room in which nobody is, history and all. */
static void
free_room(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);

    lnt_kept_clear(z, room);
    lnt_kept_reserve(z, room, 0);
    if (r->idle)
        lnt_creator_busy(z, room);
    lnt_slots_remove(z, LNT_SLOTS_NAMES, room);
    LNT_UNDO_SAVE(z, r);
    r->gen++;
    LNT_ZONE_STEP(z);
    r->state = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    lnt_creator_remove(z, room);
    lnt_pool_give(z, &z->map->parts.rooms, room);
}

/* room 0: there is none to evict. */
static bool
evict(struct lnt_zone *z, uint32_t room)
{
    if (!room)
        return false;
    LNT_UNDO_SAVE(z, &z->map->evicted);
    z->map->evicted++;
    free_room(z, room);
    return true;
}

bool
lnt_room_evict(struct lnt_zone *z, uint32_t except, bool quota)
{
    return evict(z, lnt_creator_victim(z, except, quota));
}

/* Whether one more room may be created.  A network that has created too many
   loses an idle one of its own for it: refusing would lock out all clients of
   that network for as long as the history of its rooms is kept. */
static int
admit(struct lnt_zone *z, const struct lnt_creator *by)
{
    int e = lnt_creator_check(z, by);

    return e == EUSERS && evict(z, lnt_creator_own(z, by)) ? 0 : e;
}

uint32_t
lnt_room_take(struct lnt_zone *z, uint32_t app, struct lnt_str name,
              const struct lnt_creator *by, int *e)
{
    uint32_t room = lnt_slots_name(z, app, name);

    if (room)
        return room;
    *e = by ? admit(z, by) : ENOENT;
    if (*e)
        return 0;
    room = make_room(z, app, name, by);
    if (!room && lnt_room_evict(z, 0, false))
        room = make_room(z, app, name, by);
    if (!room)
        *e = ENOSPC;
    return room;
}

void
lnt_room_settle(struct lnt_zone *z, uint32_t room)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);

    /* Whoever holds rooms of the configuration has let go of it. */
    if (!r->holds && r->configured) {
        LNT_UNDO_SAVE(z, &r->configured);
        r->configured = 0;
    }
    if (r->members > 0 || r->holds) {
        if (r->idle)
            lnt_creator_busy(z, room);
    } else if (r->kept == 0) {
        free_room(z, room);
    } else if (!r->idle) {
        lnt_creator_idle(z, room);
    }
}

/* ---- members ---- */

void
lnt_member_link(struct lnt_zone *z, uint32_t member)
{
    struct lnt_zone_member *m = lnt_member_at(z, member);
    struct lnt_zone_room *r = lnt_room_at(z, m->room);

    LNT_UNDO_SAVE(z, m);
    LNT_UNDO_SAVE(z, r);
    lnt_waker_add(z, member);
    if (lnt_member_holds(m)) {
        m->prev = 0;
        m->next = r->holds;
        if (r->holds)
            LNT_UNDO_SAVE(z, lnt_member_at(z, r->holds));
        if (r->holds)
            lnt_member_at(z, r->holds)->prev = member;
        r->holds = member;
        LNT_ZONE_STEP(z);
        return;
    }
    m->next = 0;
    m->prev = r->last_member;
    if (r->last_member) {
        LNT_UNDO_SAVE(z, lnt_member_at(z, r->last_member));
        lnt_member_at(z, r->last_member)->next = member;
    } else {
        r->first = member;
    }
    r->last_member = member;
    r->members++;
    LNT_ZONE_STEP(z);
    /* The latest first: repair relies on that order. */
    m->user_next = lnt_user_at(z, m->user)->members;
    LNT_UNDO_SAVE(z, &lnt_user_at(z, m->user)->members);
    lnt_user_at(z, m->user)->members = member;
    LNT_ZONE_STEP(z);
}

/* In the list of the room. */
static void
save_neighbours(struct lnt_zone *z, const struct lnt_zone_member *m)
{
    if (m->prev)
        LNT_UNDO_SAVE(z, lnt_member_at(z, m->prev));
    if (m->next)
        LNT_UNDO_SAVE(z, lnt_member_at(z, m->next));
}

static void
unlink_member(struct lnt_zone *z, uint32_t member)
{
    const struct lnt_zone_member *m = lnt_member_at(z, member);
    struct lnt_zone_room *r = lnt_room_at(z, m->room);
    uint32_t *at = &lnt_user_at(z, m->user)->members;

    LNT_UNDO_SAVE(z, r);
    save_neighbours(z, m);
    if (m->prev)
        lnt_member_at(z, m->prev)->next = m->next;
    else
        r->first = m->next;
    if (m->next)
        lnt_member_at(z, m->next)->prev = m->prev;
    else
        r->last_member = m->prev;
    r->members--;
    LNT_ZONE_STEP(z);
    while (*at != member)
        at = &lnt_member_at(z, *at)->user_next;
    LNT_UNDO_SAVE(z, at);
    *at = m->user_next;
    LNT_ZONE_STEP(z);
}

/* Fills a node that was taken; its state makes it real. */
static void
set_member(struct lnt_zone *z, uint32_t member, uint32_t user, uint32_t room,
           enum lnt_node_state state)
{
    struct lnt_zone_member *m = lnt_member_at(z, member);
    struct lnt_zone_map *map = z->map;
    uint64_t now = lnt_clock_wall_us();

    LNT_UNDO_SAVE(z, &map->order);
    lnt_pool_clear(z, &map->parts.members, member, LNT_MEMBER_KNOWN);
    m->user = user;
    m->room = room;
    m->joined =
        now > map->born_us ? (uint32_t)((now - map->born_us) / 1000000) : 0;
    LNT_ZONE_STEP(z);
    m->tag = ++map->order << 8 | state;
    LNT_ZONE_STEP(z);
}

static void
drop_member(struct lnt_zone *z, uint32_t member)
{
    lnt_pool_give(z, &z->map->parts.members, member);
}

/* ---- with events ---- */

static void
tell(struct lnt_zone *z, uint32_t room, uint16_t kind, uint64_t origin,
     struct lnt_str data)
{
    struct lnt_event e = {
        .time_us = lnt_clock_wall_us(),
        .origin = origin,
        .app = lnt_room_at(z, room)->app,
        .kind = kind,
        .data = data,
    };

    lnt_ring_append(z, room, &e);
}

static struct lnt_str
nick_of(const struct lnt_zone *z, uint32_t user)
{
    return lnt_str(lnt_user_at(z, user)->nick, lnt_user_at(z, user)->nick_len);
}

static void
journal(struct lnt_zone *z, enum lnt_journal_op op, uint32_t node,
        uint64_t origin)
{
    struct lnt_zone_journal *j = &z->map->journal;

    LNT_UNDO_SAVE(z, j);
    j->node = node;
    j->seq = z->map->seq;
    j->origin = origin;
    LNT_ZONE_STEP(z);
    j->op = op;
    LNT_ZONE_STEP(z);
}

static void
journal_end(struct lnt_zone *z)
{
    LNT_UNDO_SAVE(z, &z->map->journal.op);
    z->map->journal.op = LNT_JOURNAL_NONE;
    LNT_ZONE_STEP(z);
}

uint32_t
lnt_member_join(struct lnt_zone *z, uint32_t user, uint32_t room,
                uint64_t origin, unsigned announce_max)
{
    struct lnt_zone_room *r = lnt_room_at(z, room);
    uint32_t member = lnt_pool_take(z, &z->map->parts.members);
    bool told = r->members < announce_max;

    if (member == 0)
        return 0;
    if (told)
        journal(z, LNT_JOURNAL_JOIN, member, origin);
    set_member(z, member, user, room, LNT_NODE_USED);
    lnt_member_link(z, member);
    LNT_UNDO_SAVE(z, &r->announce_max);
    r->announce_max = announce_max;
    lnt_room_settle(z, room);
    if (told) {
        tell(z, room, LNT_EVENT_JOIN, origin, nick_of(z, user));
        journal_end(z);
    }
    return member;
}

void
lnt_member_leave(struct lnt_zone *z, uint32_t member, uint64_t origin,
                 bool told)
{
    struct lnt_zone_member *m = lnt_member_at(z, member);
    uint32_t room = m->room;

    if (told) {
        journal(z, LNT_JOURNAL_LEAVE, member, origin);
        tell(z, room, LNT_EVENT_LEAVE, origin, nick_of(z, m->user));
    }
    LNT_UNDO_SAVE(z, m);
    m->tag = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    unlink_member(z, member);
    drop_member(z, member);
    lnt_room_settle(z, room);
    journal_end(z);
}

uint32_t
lnt_member_hold(struct lnt_zone *z, uint32_t room, unsigned cell,
                uint32_t incarnation, bool listens)
{
    uint32_t member = lnt_pool_take(z, &z->map->parts.members);

    if (member == 0)
        return 0;
    lnt_member_at(z, member)->user_next = cell;
    set_member(z, member, incarnation, room,
               listens ? LNT_NODE_LISTEN : LNT_NODE_HOLD);
    lnt_member_link(z, member);
    lnt_room_settle(z, room);
    return member;
}

void
lnt_member_unhold(struct lnt_zone *z, uint32_t member)
{
    struct lnt_zone_member *m = lnt_member_at(z, member);
    uint32_t room = m->room;

    LNT_UNDO_SAVE(z, m);
    LNT_UNDO_SAVE(z, lnt_room_at(z, room));
    save_neighbours(z, m);
    m->tag = LNT_NODE_FREE;
    LNT_ZONE_STEP(z);
    if (m->prev)
        lnt_member_at(z, m->prev)->next = m->next;
    else
        lnt_room_at(z, room)->holds = m->next;
    if (m->next)
        lnt_member_at(z, m->next)->prev = m->prev;
    LNT_ZONE_STEP(z);
    drop_member(z, member);
    lnt_room_settle(z, room);
}

/* ---- nicks ---- */

static void
set_nick(struct lnt_zone_user *u, struct lnt_str nick)
{
    memcpy(u->nick, nick.p, nick.n);
    u->nick_len = (uint8_t)nick.n;
}

/* Tells the user's rooms, but not the first skip ones of those to be told. */
static void
tell_nicks(struct lnt_zone *z, uint32_t user, uint64_t skip)
{
    const struct lnt_zone_journal *j = &z->map->journal;
    char data[2 * LNT_NICK_MAX + 1];
    size_t n = j->nick_len;
    struct lnt_str nick = nick_of(z, user);

    memcpy(data, j->nick, n);
    data[n++] = '\0';
    memcpy(data + n, nick.p, nick.n);
    n += nick.n;
    for (uint32_t i = lnt_user_at(z, user)->members; i;
         i = lnt_member_at(z, i)->user_next) {
        uint32_t room = lnt_member_at(z, i)->room;

        if (lnt_room_at(z, room)->members > j->announce_max)
            continue;
        if (skip > 0)
            skip--;
        else
            tell(z, room, LNT_EVENT_NICK, lnt_user_at(z, user)->session,
                 lnt_str(data, n));
    }
}

void
lnt_user_rename(struct lnt_zone *z, uint32_t user, struct lnt_str nick,
                unsigned announce_max)
{
    struct lnt_zone_journal *j = &z->map->journal;
    struct lnt_zone_user *u = lnt_user_at(z, user);

    LNT_UNDO_SAVE(z, j);
    LNT_UNDO_SAVE(z, u);
    memcpy(j->nick, u->nick, u->nick_len);
    j->nick_len = u->nick_len;
    j->announce_max = announce_max;
    journal(z, LNT_JOURNAL_RENAME, user, 0);
    lnt_slots_remove(z, LNT_SLOTS_NICKS, user);
    set_nick(u, nick);
    LNT_ZONE_STEP(z);
    lnt_slots_add(z, LNT_SLOTS_NICKS, user);
    z->map->journal.op = LNT_JOURNAL_NICKS;
    LNT_ZONE_STEP(z);
    tell_nicks(z, user, 0);
    journal_end(z);
}

/* ---- after a crash ---- */

void
lnt_journal_undo(struct lnt_zone *z)
{
    const struct lnt_zone_journal *j = &z->map->journal;

    if (j->op != LNT_JOURNAL_RENAME)
        return;
    set_nick(lnt_user_at(z, j->node), lnt_str(j->nick, j->nick_len));
    LNT_ZONE_STEP(z);
    journal_end(z);
}

void
lnt_journal_finish(struct lnt_zone *z)
{
    const struct lnt_zone_journal *j = &z->map->journal;
    uint64_t out = z->map->seq - j->seq; /* events */
    bool alive;

    switch ((enum lnt_journal_op)j->op) {
    case LNT_JOURNAL_NONE:
    case LNT_JOURNAL_RENAME:
        break;
    case LNT_JOURNAL_JOIN:
        alive = lnt_member_state(lnt_member_at(z, j->node)) == LNT_NODE_USED;
        if (alive && out == 0)
            lnt_member_leave(z, j->node, 0, false);
        break;
    case LNT_JOURNAL_LEAVE:
        alive = lnt_member_state(lnt_member_at(z, j->node)) == LNT_NODE_USED;
        if (alive)
            lnt_member_leave(z, j->node, j->origin, out == 0);
        break;
    case LNT_JOURNAL_NICKS:
        tell_nicks(z, j->node, out);
        break;
    }
    journal_end(z);
}
