/*
 * Rooms and members, for those outside: checks, the lock, and copies of what
 * is asked for.  The changes themselves are in steps.c.
 */
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "zone/map.h"
#include "zone/pool.h"
#include "zone/steps.h"
#include "zone/undo.h"

enum {
    ROOMS_AT_ONCE = 32, /* copied in one locked section */
    MEMBERS_AT_ONCE = 64,
};

static bool
is_name(struct lnt_str name)
{
    if (name.n > 0 && name.n <= LNT_ROOM_NAME_MAX)
        return true;
    errno = EINVAL;
    return false;
}

static void
fill_info(const struct lnt_zone *z, uint32_t room, struct lnt_room_info *info)
{
    const struct lnt_zone_room *r = lnt_room_at(z, room);

    info->room = lnt_room_number(z, room);
    info->app = r->app;
    info->members = r->members;
    info->kept = r->kept;
    info->seq = r->last_seq;
    info->next = z->map->seq + 1;
    info->created = false;
    memcpy(info->name, r->name, r->name_len);
    info->name[r->name_len] = '\0';
}

/* ---- coming and going ---- */

static bool
is_in(const struct lnt_zone *z, uint32_t user, uint32_t room)
{
    uint32_t i = lnt_user_at(z, user)->members;

    while (i && lnt_member_at(z, i)->room != room)
        i = lnt_member_at(z, i)->user_next;
    return i != 0;
}

static int
join(struct lnt_zone *z, uint32_t user, uint32_t room, uint64_t origin,
     unsigned announce_max, uint32_t *member, struct lnt_room_info *info)
{
    if (is_in(z, user, room))
        return EEXIST;
    *member = lnt_member_join(z, user, room, origin, announce_max);
    if (!*member) {
        lnt_room_settle(z, room);
        return ENOSPC;
    }
    fill_info(z, room, info);
    info->seq = z->map->seq;
    return 0;
}

int
lnt_zone_join_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                 const struct lnt_creator *by, uint32_t user, uint64_t origin,
                 unsigned announce_max, uint32_t *member,
                 struct lnt_room_info *info)
{
    uint32_t room;
    int e = 0;

    if (!is_name(name))
        return -1;
    lnt_zone_lock(z);
    lnt_assert(lnt_user_at(z, user)->state == LNT_NODE_USED);
    room = lnt_room_take(z, app, name, by, &e);
    if (room)
        e = join(z, user, room, origin, announce_max, member, info);
    lnt_zone_unlock(z);
    if (e == 0)
        return 0;
    errno = e;
    return -1;
}

void
lnt_zone_leave(struct lnt_zone *z, uint32_t member, uint64_t origin,
               unsigned announce_max)
{
    const struct lnt_zone_member *m = lnt_member_at(z, member);

    lnt_zone_lock(z);
    lnt_assert(lnt_member_state(m) == LNT_NODE_USED);
    lnt_member_leave(z, member, origin,
                     lnt_room_at(z, m->room)->members <= announce_max);
    lnt_zone_unlock(z);
}

bool
lnt_zone_is_member(struct lnt_zone *z, uint32_t member, uint32_t room,
                   uint64_t session)
{
    bool is = false;

    lnt_zone_lock(z);
    if (member > 0 && member < z->map->parts.members.fresh) {
        const struct lnt_zone_member *m = lnt_member_at(z, member);

        is = lnt_member_state(m) == LNT_NODE_USED && m->room > 0 &&
             m->room == lnt_room_index(z, room) &&
             m->user < z->map->parts.users.fresh &&
             lnt_user_at(z, m->user)->state == LNT_NODE_USED &&
             lnt_user_at(z, m->user)->session == session;
    }
    lnt_zone_unlock(z);
    return is;
}

static int
hold_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
        const struct lnt_creator *by, unsigned cell, bool listens,
        uint32_t *hold, struct lnt_room_info *info)
{
    uint32_t room;
    int e = ENOSPC;

    lnt_assert(cell < lnt_cells_of(z));
    if (!is_name(name))
        return -1;
    *hold = 0;
    lnt_zone_lock(z);
    room = lnt_room_take(z, app, name, by, &e);
    if (room) {
        *hold = lnt_member_hold(z, room, cell,
                                lnt_cell_at(z, cell)->incarnation, listens);
        if (*hold)
            fill_info(z, room, info);
        else
            lnt_room_settle(z, room);
    }
    lnt_zone_unlock(z);
    if (*hold)
        return 0;
    errno = e;
    return -1;
}

int
lnt_zone_hold_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                 const struct lnt_creator *by, unsigned cell, uint32_t *hold,
                 struct lnt_room_info *info)
{
    return hold_by(z, app, name, by, cell, false, hold, info);
}

int
lnt_zone_listen_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                   const struct lnt_creator *by, unsigned cell, uint32_t *hold,
                   struct lnt_room_info *info)
{
    return hold_by(z, app, name, by, cell, true, hold, info);
}

void
lnt_zone_configured(struct lnt_zone *z, uint32_t room)
{
    uint32_t i;

    lnt_zone_lock(z);
    i = lnt_room_index(z, room);
    if (i && lnt_room_at(z, i)->holds) {
        LNT_UNDO_SAVE(z, &lnt_room_at(z, i)->configured);
        lnt_room_at(z, i)->configured = 1;
    }
    lnt_zone_unlock(z);
}

void
lnt_zone_unhold(struct lnt_zone *z, uint32_t hold)
{
    lnt_zone_lock(z);
    lnt_assert(lnt_member_holds(lnt_member_at(z, hold)));
    lnt_member_unhold(z, hold);
    lnt_zone_unlock(z);
}

/* ---- looking ---- */

int
lnt_zone_room_find(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                   struct lnt_room_info *info)
{
    uint32_t room = 0;

    if (name.n > 0 && name.n <= LNT_ROOM_NAME_MAX) {
        lnt_zone_lock(z);
        room = lnt_slots_name(z, app, name);
        if (room)
            fill_info(z, room, info);
        lnt_zone_unlock(z);
    }
    if (room)
        return 0;
    errno = ENOENT;
    return -1;
}

int
lnt_zone_room_info(struct lnt_zone *z, uint32_t room,
                   struct lnt_room_info *info)
{
    uint32_t i;

    lnt_zone_lock(z);
    i = lnt_room_index(z, room);
    if (i)
        fill_info(z, i, info);
    lnt_zone_unlock(z);
    if (i)
        return 0;
    errno = ENOENT;
    return -1;
}

int
lnt_zone_rooms(struct lnt_zone *z, uint32_t app,
               void (*fn)(void *arg, const struct lnt_room_info *info),
               void *arg)
{
    const struct lnt_zone_pool *p = &z->map->parts.rooms;
    struct lnt_room_info v[ROOMS_AT_ONCE];
    uint32_t i = 1, looked;
    size_t n;

    do {
        n = 0;
        looked = 0;
        if (lnt_zone_lock_soon(z) < 0)
            return -1;
        for (; i < p->fresh && n < ROOMS_AT_ONCE && looked < 1024; i++) {
            const struct lnt_zone_room *r = lnt_room_at(z, i);

            looked++;
            if (r->state == LNT_NODE_USED && (app == 0 || r->app == app))
                fill_info(z, i, &v[n++]);
        }
        lnt_zone_unlock(z);
        for (size_t k = 0; k < n; k++)
            fn(arg, &v[k]);
    } while (looked > 0);
    return 0;
}

/* A copy of some members. */
struct batch {
    uint32_t last; /* node of the last one, and its tag */
    uint64_t tag;
    unsigned total; /* members in the room */
    size_t n;
    uint8_t len[MEMBERS_AT_ONCE];
    char nicks[MEMBERS_AT_ONCE][LNT_NICK_MAX];
};

/* Where to go on: behind the last one, or, when that is gone, behind those
   that joined before it. */
static uint32_t
go_on(const struct lnt_zone *z, const struct lnt_zone_room *r,
      const struct batch *b)
{
    uint32_t i = r->first;

    if (b->last && lnt_member_at(z, b->last)->tag == b->tag)
        return lnt_member_at(z, b->last)->next;
    while (i && lnt_member_at(z, i)->tag <= b->tag)
        i = lnt_member_at(z, i)->next;
    return i;
}

static void
copy_members(const struct lnt_zone *z, uint32_t number, unsigned max,
             struct batch *b)
{
    uint32_t room = lnt_room_index(z, number), i;

    b->n = 0;
    b->total = room ? lnt_room_at(z, room)->members : 0;
    if (!room)
        return;
    for (i = go_on(z, lnt_room_at(z, room), b);
         i && b->n < max && b->n < MEMBERS_AT_ONCE;
         i = lnt_member_at(z, i)->next) {
        const struct lnt_zone_member *m = lnt_member_at(z, i);
        const struct lnt_zone_user *u = lnt_user_at(z, m->user);

        memcpy(b->nicks[b->n], u->nick, u->nick_len);
        b->len[b->n++] = u->nick_len;
        b->last = i;
        b->tag = m->tag;
    }
}

unsigned
lnt_zone_room_nicks(struct lnt_zone *z, uint32_t room, unsigned max,
                    struct lnt_strbuf *out)
{
    struct batch b;
    bool more;

    b.last = 0;
    b.tag = 0;
    do {
        lnt_zone_lock(z);
        copy_members(z, room, max, &b);
        lnt_zone_unlock(z);
        more = b.n == MEMBERS_AT_ONCE && max > b.n;
        max -= (unsigned)b.n;
        for (size_t i = 0; i < b.n; i++) {
            lnt_strbuf_add(out, b.nicks[i], b.len[i]);
            lnt_strbuf_addc(out, '\0');
        }
    } while (more);
    return b.total;
}
