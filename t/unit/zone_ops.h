/*
 * A small zone with something of everything in it, and all that processes do in
 * it: for tests in which they die at it.
 */
#ifndef LNT_T_ZONE_OPS_H
#define LNT_T_ZONE_OPS_H

#include "core/mem.h"
#include "os/memory.h"
#include "os/socket.h"
#include "t/unit/zone_help.h"

enum { CELL = 5 };

static struct lnt_zone *zone;
static uint32_t incarnation; /* of the cell the victims work for */

/* ---- a zone with something of everything in it ---- */

static void
fill(void)
{
    struct lnt_room_info info;
    uint32_t user, hold, visit;
    char text[64];
    int cell;

    zone = new_zone(LNT_ZONE_MIN_SIZE);
    do
        cell = lnt_zone_cell_take(zone, 0, 1);
    while (cell < CELL);
    incarnation = lnt_zone_cell(zone, CELL)->incarnation;
    for (unsigned i = 0; i < 7; i++) {
        snprintf(text, sizeof(text), "user-%u", i);
        user = add_user(zone, text, i < 5 ? 0 : CELL, i + 1);
        join(zone, "lobby", user, &info);
        if (i % 2)
            join(zone, "attic", user, &info);
    }
    lnt_zone_hold(zone, 1, LNT_STR("cellar"), CELL, &hold, &info);
    lnt_zone_hold(zone, 1, LNT_STR("archive"), 0, &hold, &info);
    lnt_zone_keep(zone, info.room, &(struct lnt_keep){20, 0, 4000});
    for (unsigned i = 0; i < 300; i++) {
        snprintf(text, sizeof(text), "message %u of the archive", i);
        publish(zone, info.room, LNT_EVENT_HISTORY, text, NULL);
    }
    /* One from here, and two that are the victim's. */
    lnt_zone_peer_enter(zone, &(struct lnt_network){1, 4}, 0, 0, &visit);
    lnt_zone_peer_enter(zone, &(struct lnt_network){1, 4}, CELL, 0, &visit);
    lnt_zone_peer_enter(zone, &(struct lnt_network){1, 6}, CELL, 0, &visit);
    /* An empty one, that may be thrown out. */
    lnt_zone_hold(zone, 1, LNT_STR("idle"), 0, &hold, &info);
    lnt_zone_keep(zone, info.room, &(struct lnt_keep){20, 0, 4000});
    publish(zone, info.room, LNT_EVENT_HISTORY, "one", NULL);
    lnt_zone_unhold(zone, hold);
}

/* The zone as it is, so that one can begin again with it many times. */
static inline char *
take_image(void)
{
    const size_t size = lnt_memfd_size(lnt_zone_fd(zone));
    char *image = lnt_malloc(size);

    if (pread(lnt_zone_fd(zone), image, size, 0) != (ssize_t)size) {
        perror("pread");
        exit(1);
    }
    return image;
}

static inline void
back_to(const char *image)
{
    const size_t size = lnt_memfd_size(lnt_zone_fd(zone));

    if (pwrite(lnt_zone_fd(zone), image, size, 0) != (ssize_t)size) {
        perror("pwrite");
        exit(1);
    }
}

static uint32_t
room_of(struct lnt_zone *z, const char *name)
{
    struct lnt_room_info info;

    if (lnt_zone_room_find(z, 1, lnt_str_c(name), &info) < 0)
        return LNT_ROOM_NONE;
    return info.room;
}

/* ---- operations; the user that works is user-6, node 7 ---- */

enum { WORKER = 7, VISIT = 2 };

static void
op_user_add(struct lnt_zone *z)
{
    uint32_t user;

    lnt_zone_user_add(z, LNT_STR("newcomer"), CELL, 99, &user);
}

static void
op_users_add(struct lnt_zone *z) /* so many that slots are split */
{
    uint32_t user;
    char nick[16];

    for (unsigned i = 0; i < 6; i++) {
        snprintf(nick, sizeof(nick), "new-%u", i);
        lnt_zone_user_add(z, lnt_str_c(nick), CELL, 99, &user);
    }
}

static void
op_user_remove(struct lnt_zone *z)
{
    lnt_zone_user_remove(z, WORKER, ANNOUNCE_MAX);
}

static void
op_rename(struct lnt_zone *z)
{
    lnt_zone_user_rename(z, WORKER - 1, LNT_STR("renamed-and-longer"),
                         ANNOUNCE_MAX);
}

static void
op_join(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    server_join(z, 1, LNT_STR("attic"), WORKER, 7, ANNOUNCE_MAX, &member,
                &info);
}

static void
op_join_new(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    server_join(z, 1, LNT_STR("new"), WORKER, 7, ANNOUNCE_MAX, &member, &info);
    lnt_zone_leave(z, member, 7, ANNOUNCE_MAX);
}

static void
op_join_quiet(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    server_join(z, 1, LNT_STR("attic"), WORKER, 7, 0, &member, &info);
    lnt_zone_leave(z, member, 7, 0);
}

static void
op_join_idle(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    server_join(z, 1, LNT_STR("idle"), WORKER, 7, ANNOUNCE_MAX, &member, &info);
    lnt_zone_leave(z, member, 7, ANNOUNCE_MAX);
}

static void
op_hold(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t hold;

    lnt_zone_hold(z, 1, LNT_STR("held"), CELL, &hold, &info);
    lnt_zone_unhold(z, hold);
}

static void
op_publish(struct lnt_zone *z)
{
    publish(z, room_of(z, "lobby"), 0, "hello", NULL);
}

static void
op_publish_kept(struct lnt_zone *z)
{
    char text[400];

    memset(text, 'k', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < 4; i++)
        publish(z, room_of(z, "archive"), LNT_EVENT_HISTORY, text, NULL);
}

static void
op_publish_big(struct lnt_zone *z)
{
    static char text[6000];

    memset(text, 'B', sizeof(text) - 1);
    publish(z, room_of(z, "archive"), LNT_EVENT_HISTORY, text, NULL);
}

static void
op_keep(struct lnt_zone *z)
{
    lnt_zone_keep(z, room_of(z, "archive"), &(struct lnt_keep){3, 0, 100000});
    lnt_zone_keep(z, room_of(z, "lobby"), &(struct lnt_keep){3, 0, 200000});
    lnt_zone_keep(z, room_of(z, "archive"), &(struct lnt_keep){0});
}

static void
op_release(struct lnt_zone *z)
{
    lnt_zone_cell_release(z, CELL, incarnation);
}

static void
op_cell_take(struct lnt_zone *z)
{
    int cell = lnt_zone_cell_take(z, 9, 1);

    lnt_zone_cell_release(z, (unsigned)cell,
                          lnt_zone_cell(z, (unsigned)cell)->incarnation);
}

static void
op_user_move(struct lnt_zone *z)
{
    lnt_zone_user_move(z, WORKER, 7, 0, 4711);
}

/* The other way round: user-0 comes here. */
static void
op_user_take(struct lnt_zone *z)
{
    lnt_zone_user_move(z, 1, 1, CELL, 4711);
}

static const struct lnt_network here = {1, 4};

static void
op_peer_enter(struct lnt_zone *z)
{
    uint32_t visit;

    lnt_zone_peer_enter(z, &here, CELL, 10, &visit);
    for (uint64_t i = 0; i < 6; i++) /* so many that slots are split */
        lnt_zone_peer_enter(z, &(struct lnt_network){i, 6}, CELL, 0, &visit);
}

static void
op_peer_leave(struct lnt_zone *z)
{
    lnt_zone_peer_leave(z, VISIT, CELL);
    lnt_zone_peer_leave(z, VISIT + 1, CELL);
}

static void
op_peer_move(struct lnt_zone *z)
{
    lnt_zone_peer_move(z, lnt_zone_peer_name(z, VISIT), 0);
}

/* Rooms of sessions and networks come, and go again with the next ones. */
static void
op_create(struct lnt_zone *z)
{
    struct lnt_creator by = {.prefix = 9,
                             .family = LNT_CREATOR_V4,
                             .user = WORKER,
                             .max_session = 3,
                             .max_network = 3};
    struct lnt_room_info info;
    uint32_t member;
    char name[16];

    for (unsigned i = 0; i < 4; i++) {
        by.prefix = 9 + i / 2;
        snprintf(name, sizeof(name), "by-%u", i);
        if (lnt_zone_join_by(z, 1, lnt_str_c(name), &by, WORKER, 7,
                             ANNOUNCE_MAX, &member, &info) < 0)
            return;
        lnt_zone_keep(z, info.room, &(struct lnt_keep){5, 0, 1000});
        publish(z, info.room, LNT_EVENT_HISTORY, "kept", NULL);
        lnt_zone_leave(z, member, 7, ANNOUNCE_MAX);
    }
}

/* A room for which all others without members have to go. */
static void
op_evict(struct lnt_zone *z)
{
    struct lnt_room_info info;
    struct lnt_zone_usage u;
    uint32_t hold;

    op_create(z);
    lnt_zone_usage(z, &u);
    lnt_zone_hold(z, 1, LNT_STR("held"), CELL, &hold, &info);
    lnt_zone_configured(z, info.room);
    lnt_zone_keep(z, info.room,
                  &(struct lnt_keep){5, 0, u.history_bytes - 12000});
    lnt_zone_unhold(z, hold);
}

static void
op_sweep(struct lnt_zone *z)
{
    lnt_zone_sweep(z);
}

static const struct op {
    const char *name;
    void (*fn)(struct lnt_zone *z);
    bool quiet;                          /* not all is told by events */
    void (*prepare)(struct lnt_zone *z); /* or NULL */
} ops[] = {
    {"user_add", op_user_add, false, NULL},
    {"users_add", op_users_add, false, NULL},
    {"user_remove", op_user_remove, false, NULL},
    {"rename", op_rename, false, NULL},
    {"join", op_join, false, NULL},
    {"join_new", op_join_new, false, NULL},
    {"join_quiet", op_join_quiet, true, NULL},
    {"join_idle", op_join_idle, false, NULL},
    {"hold", op_hold, false, NULL},
    {"publish", op_publish, false, NULL},
    {"publish_kept", op_publish_kept, false, NULL},
    {"publish_big", op_publish_big, false, NULL},
    {"keep", op_keep, false, NULL},
    {"cell_release", op_release, false, NULL},
    {"cell_take", op_cell_take, false, NULL},
    {"user_move", op_user_move, false, NULL},
    {"user_take", op_user_take, false, NULL},
    {"peer_enter", op_peer_enter, false, NULL},
    {"peer_leave", op_peer_leave, false, NULL},
    {"peer_move", op_peer_move, false, NULL},
    {"create", op_create, false, NULL},
    {"evict", op_evict, false, NULL},
    {"sweep", op_sweep, false, NULL},
};
enum { OPS = sizeof(ops) / sizeof(*ops) };

#endif
