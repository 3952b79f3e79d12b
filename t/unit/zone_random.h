/*
 * Changes of the zone drawn at random, for tests in which processes die at them:
 * lists with several neighbours, rooms over their quota, creators with many
 * rooms.  The same seed draws the same changes.
 */
#ifndef LNT_T_ZONE_RANDOM_H
#define LNT_T_ZONE_RANDOM_H

#include "os/clock.h"
#include "t/unit/zone_ops.h"
#include "zone/map.h"
#include "zone/rebuild.h"

enum {
    DRAWN_USERS = 20,
    DRAWN_MEMBERS = 200,
    DRAWN_HOLDS = 60,
    DRAWN_VISITS = 60,
    DRAWN_ROOMS = 24,
    DRAWN_BEFORE = 150, /* changes that make the zone */
    DRAWN_CHANGES = 5,  /* to die in */
};

/* What there is.  A child that dies has changed its own copy alone. */
static struct {
    uint32_t seed;
    uint64_t last; /* session */
    unsigned nusers, nmembers, nholds, nvisits;
    struct {
        uint32_t node;
        uint64_t session;
    } users[DRAWN_USERS];
    struct {
        uint32_t node, user;
    } members[DRAWN_MEMBERS];
    uint32_t holds[DRAWN_HOLDS], visits[DRAWN_VISITS];
} drawn;

/* Below n. */
static unsigned
draw(unsigned n)
{
    drawn.seed = drawn.seed * 1103515245u + 12345u;
    return (drawn.seed >> 8) % n;
}

static struct lnt_str
draw_name(const char *kind, unsigned n)
{
    static char name[32];

    snprintf(name, sizeof(name), "%s%u", kind, draw(n));
    return lnt_str_c(name);
}

static struct lnt_str
draw_room(void)
{
    return draw_name("q", DRAWN_ROOMS);
}

/* LNT_ROOM_NONE: that one is not there. */
static uint32_t
find_room(struct lnt_zone *z)
{
    struct lnt_room_info info;

    return lnt_zone_room_find(z, 1, draw_room(), &info) < 0 ? LNT_ROOM_NONE
                                                            : info.room;
}

static struct lnt_creator
draw_creator(void)
{
    return (struct lnt_creator){
        .prefix = draw(3),
        .family = LNT_CREATOR_V4,
        .max_network = draw(2) ? 0 : 6,
    };
}

static void
draw_keep(struct lnt_zone *z, uint32_t room, unsigned bytes)
{
    const struct lnt_keep keep = {draw(30), draw(2) ? 0 : 100, draw(bytes)};

    lnt_zone_keep(z, room, &keep);
}

/* ---- changes ---- */

static void
change_add(struct lnt_zone *z)
{
    unsigned n = drawn.nusers;

    if (n == DRAWN_USERS)
        return;
    drawn.users[n].session = 1000 + ++drawn.last;
    if (lnt_zone_user_add(z, draw_name("p", 60), CELL, drawn.users[n].session,
                          &drawn.users[n].node) == 0)
        drawn.nusers++;
}

static void
change_remove(struct lnt_zone *z)
{
    if (drawn.nusers == 0 || draw(3))
        return;
    unsigned i = draw(drawn.nusers);
    uint32_t user = drawn.users[i].node;

    lnt_zone_user_remove(z, user, draw(2) ? ANNOUNCE_MAX : 0);
    drawn.users[i] = drawn.users[--drawn.nusers];
    for (unsigned k = 0; k < drawn.nmembers;) {
        if (drawn.members[k].user == user)
            drawn.members[k] = drawn.members[--drawn.nmembers];
        else
            k++;
    }
}

static void
change_rename(struct lnt_zone *z)
{
    if (drawn.nusers > 0)
        lnt_zone_user_rename(z, drawn.users[draw(drawn.nusers)].node,
                             draw_name("another", 60),
                             draw(2) ? ANNOUNCE_MAX : 0);
}

static void
change_move(struct lnt_zone *z)
{
    if (drawn.nusers == 0)
        return;
    unsigned i = draw(drawn.nusers);
    uint64_t session = 1000 + ++drawn.last;

    if (lnt_zone_user_move(z, drawn.users[i].node, drawn.users[i].session,
                           draw(2) ? CELL : 0, session) == 0)
        drawn.users[i].session = session;
}

static void
change_join(struct lnt_zone *z)
{
    struct lnt_creator by = draw_creator();
    struct lnt_room_info info;
    unsigned n = drawn.nmembers;

    if (drawn.nusers == 0 || n == DRAWN_MEMBERS)
        return;
    unsigned i = draw(drawn.nusers);
    if (draw(2)) {
        by.user = drawn.users[i].node;
        by.max_session = draw(2) ? 0 : 9;
    }
    if (lnt_zone_join_by(z, 1, draw_room(), &by, drawn.users[i].node,
                         drawn.users[i].session, draw(2) ? ANNOUNCE_MAX : 0,
                         &drawn.members[n].node, &info) < 0)
        return;
    drawn.members[n].user = drawn.users[i].node;
    drawn.nmembers++;
    if (draw(2))
        draw_keep(z, info.room, 20000);
}

static void
change_leave(struct lnt_zone *z)
{
    if (drawn.nmembers == 0)
        return;
    unsigned i = draw(drawn.nmembers);

    lnt_zone_leave(z, drawn.members[i].node, 1, draw(2) ? ANNOUNCE_MAX : 0);
    drawn.members[i] = drawn.members[--drawn.nmembers];
}

static void
change_hold(struct lnt_zone *z)
{
    struct lnt_creator by = draw_creator();
    struct lnt_room_info info;
    uint32_t *hold = &drawn.holds[drawn.nholds];

    if (drawn.nholds == DRAWN_HOLDS ||
        (draw(2) ? lnt_zone_hold_by : lnt_zone_listen_by)(
            z, 1, draw_room(), &by, CELL, hold, &info) < 0)
        return;
    drawn.nholds++;
    if (draw(3) == 0)
        lnt_zone_configured(z, info.room);
    if (draw(3) == 0)
        draw_keep(z, info.room, 90000);
}

static void
change_unhold(struct lnt_zone *z)
{
    if (drawn.nholds == 0)
        return;
    unsigned i = draw(drawn.nholds);

    lnt_zone_unhold(z, drawn.holds[i]);
    drawn.holds[i] = drawn.holds[--drawn.nholds];
}

static void
change_say(struct lnt_zone *z)
{
    static char text[9000];
    size_t n = draw(3) ? draw(900) : draw(8900);
    uint32_t room = find_room(z);

    memset(text, 't', n);
    text[n] = '\0';
    if (room == LNT_ROOM_NONE)
        return;
    for (unsigned k = draw(3) + 1; k > 0; k--)
        publish(z, room, draw(5) ? LNT_EVENT_HISTORY : 0, text, NULL);
}

static void
change_keep(struct lnt_zone *z)
{
    uint32_t room = find_room(z);

    if (room == LNT_ROOM_NONE)
        return;
    if (draw(2))
        draw_keep(z, room, 30000);
    else
        lnt_zone_unwake(z, CELL + 1, &room,
                        1); /* which subscribes to nothing */
}

static void
change_restore(struct lnt_zone *z)
{
    const struct lnt_event e = {
        .seq = draw(200) + 1,
        .time_us = draw(2) ? 1 : lnt_clock_wall_us(),
        .kind = KIND,
        .flags = LNT_EVENT_HISTORY,
        .data = LNT_STR("restored"),
    };
    const struct lnt_keep keep = {9, 1000, draw(20000)};
    const struct lnt_former former = {.parked = draw(2)};

    lnt_zone_restore_by(z, 1, draw_room(), &keep, &former, &e);
}

static void
change_visit(struct lnt_zone *z)
{
    const struct lnt_network from = {draw(9), 4};

    if (draw(2) && drawn.nvisits < DRAWN_VISITS) {
        drawn.nvisits += lnt_zone_peer_enter(z, &from, CELL, 0,
                                             &drawn.visits[drawn.nvisits]) == 0;
    } else if (drawn.nvisits > 0) {
        unsigned i = draw(drawn.nvisits);

        lnt_zone_peer_leave(z, drawn.visits[i], CELL);
        drawn.visits[i] = drawn.visits[--drawn.nvisits];
    }
}

static void
change_rest(struct lnt_zone *z)
{
    struct lnt_zone_usage u;

    if (draw(2)) {
        lnt_zone_sweep(z);
    } else if (draw(2)) {
        lnt_zone_usage(z, &u);
    } else {
        z->map->maintained = 0;
        lnt_zone_rebuild(z);
    }
}

static void
change(struct lnt_zone *z)
{
    static void (*const all[])(struct lnt_zone *) = {
        change_add,   change_remove, change_rename,  change_move,
        change_join,  change_join,   change_join,    change_join,
        change_leave, change_leave,  change_leave,   change_hold,
        change_say,   change_say,    change_say,     change_unhold,
        change_keep,  change_visit,  change_restore, change_rest,
    };

    all[draw(sizeof(all) / sizeof(*all))](z);
}

/* ---- for an operation ---- */

static unsigned random_seed;

static void
random_zone(struct lnt_zone *z)
{
    memset(&drawn, 0, sizeof(drawn));
    drawn.seed = random_seed * 7919 + 1;
    for (unsigned i = 0; i < DRAWN_BEFORE; i++)
        change(z);
}

static void
random_changes(struct lnt_zone *z)
{
    for (unsigned i = 0; i < DRAWN_CHANGES; i++)
        change(z);
}

#endif
