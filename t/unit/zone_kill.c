/* LINK: hub/zone.c hub/zone_blocks.c hub/zone_check.c hub/zone_history.c
 *      hub/zone_lock.c hub/zone_log.c hub/zone_masters.c hub/zone_rebuild.c
 *      hub/zone_wakers.c hub/zone_step.c hub/zone_peers.c hub/zone_pool.c
 *      hub/zone_repair.c hub/zone_ring.c hub/zone_rooms.c hub/zone_steps.c
 *      hub/zone_users.c hub/zone_visits.c hub/zone_creators.c core/hash.c
 *      core/log.c core/log_line.c core/mem.c core/strbuf.c core/units.c
 *      core/utf8.c core/str.c os/clock.c os/file.c os/memory.c os/limits.c */
/*
 * Dying in the zone: for every operation a child is killed at each of its
 * steps in turn, and then, for each of these, the one that repairs is killed
 * at each step of the repair, too.  Afterwards everything must fit together,
 * and what others were told by events must be what the tables say.
 */
#include "t/unit/zone_help.h"

#include <signal.h>

#include "core/log.h"
#include "os/socket.h"

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
    lnt_zone_user_remove(z, WORKER, QUIET);
}

static void
op_rename(struct lnt_zone *z)
{
    lnt_zone_user_rename(z, WORKER - 1, LNT_STR("renamed-and-longer"), QUIET);
}

static void
op_join(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    lnt_zone_join(z, 1, LNT_STR("attic"), WORKER, 7, QUIET, &member, &info);
}

static void
op_join_new(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    lnt_zone_join(z, 1, LNT_STR("new"), WORKER, 7, QUIET, &member, &info);
    lnt_zone_leave(z, member, 7, QUIET);
}

static void
op_join_quiet(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    lnt_zone_join(z, 1, LNT_STR("attic"), WORKER, 7, 0, &member, &info);
    lnt_zone_leave(z, member, 7, 0);
}

static void
op_join_idle(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t member;

    lnt_zone_join(z, 1, LNT_STR("idle"), WORKER, 7, QUIET, &member, &info);
    lnt_zone_leave(z, member, 7, QUIET);
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
        if (lnt_zone_join_by(z, 1, lnt_str_c(name), &by, WORKER, 7, QUIET,
                             &member, &info) < 0)
            return;
        lnt_zone_keep(z, info.room, &(struct lnt_keep){5, 0, 1000});
        publish(z, info.room, LNT_EVENT_HISTORY, "kept", NULL);
        lnt_zone_leave(z, member, 7, QUIET);
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

#ifdef LNT_DEBUG_BUILD
static void
op_repair(struct lnt_zone *z) /* only locks */
{
    struct lnt_zone_usage u;

    lnt_zone_usage(z, &u);
}
#endif

static const struct op {
    const char *name;
    void (*fn)(struct lnt_zone *z);
    bool quiet; /* not all is told by events */
} ops[] = {
    {"user_add", op_user_add, false},
    {"users_add", op_users_add, false},
    {"user_remove", op_user_remove, false},
    {"rename", op_rename, false},
    {"join", op_join, false},
    {"join_new", op_join_new, false},
    {"join_quiet", op_join_quiet, true},
    {"join_idle", op_join_idle, false},
    {"hold", op_hold, false},
    {"publish", op_publish, false},
    {"publish_kept", op_publish_kept, false},
    {"publish_big", op_publish_big, false},
    {"keep", op_keep, false},
    {"cell_release", op_release, false},
    {"cell_take", op_cell_take, false},
    {"user_move", op_user_move, false},
    {"user_take", op_user_take, false},
    {"peer_enter", op_peer_enter, false},
    {"peer_leave", op_peer_leave, false},
    {"peer_move", op_peer_move, false},
    {"create", op_create, false},
    {"evict", op_evict, false},
    {"sweep", op_sweep, false},
};

/* ---- what others were told ---- */

/*
 * Plays the log since the start and compares who is in the rooms by it with
 * who is by the tables: "lobby ann bob, attic bob".
 */
enum { SEEN_ROOMS = 8, SEEN_NICKS = 32 };
struct seen {
    uint32_t room;
    char nicks[SEEN_NICKS][LNT_NICK_MAX + 1];
    unsigned n;
};

static struct seen *
seen_room(struct seen *v, uint32_t room)
{
    for (unsigned i = 0; i < SEEN_ROOMS; i++) {
        if (v[i].room == room || v[i].room == 0) {
            v[i].room = room;
            return &v[i];
        }
    }
    fail("too many rooms");
    exit(1);
}

static bool
seen_event(struct seen *s, const struct lnt_event *e)
{
    char data[2 * LNT_NICK_MAX + 2];
    const char *nick = data;
    unsigned i;

    if (e->kind >= LNT_EVENT_APP)
        return true;
    memcpy(data, e->data.p, e->data.n);
    data[e->data.n] = '\0';
    for (i = 0; i < s->n && strcmp(s->nicks[i], nick) != 0; i++)
        ;
    switch (e->kind) {
    case LNT_EVENT_JOIN:
        if (i < s->n)
            return false;
        strcpy(s->nicks[s->n++], nick);
        return true;
    case LNT_EVENT_LEAVE:
        if (i == s->n)
            return false;
        s->n--;
        memmove(s->nicks[i], s->nicks[i + 1], (s->n - i) * sizeof(s->nicks[0]));
        return true;
    case LNT_EVENT_NICK:
        if (i == s->n)
            return false;
        strcpy(s->nicks[i], data + strlen(data) + 1);
        return true;
    default:
        return true;
    }
}

static bool
told_truth(struct lnt_zone *z, struct lnt_cursor start, const char *name)
{
    struct seen v[SEEN_ROOMS];
    struct lnt_event e;
    struct lnt_strbuf said = LNT_STRBUF_INIT, nicks = LNT_STRBUF_INIT;
    bool good = true;

    memset(v, 0, sizeof(v));
    start.scratch = NULL;
    start.cap = 0;
    while (lnt_zone_read(z, &start, &e) == LNT_READ_ONE && good)
        good = seen_event(seen_room(v, e.room), &e);
    if (!good)
        diag("%s: record %llu does not follow", name,
             (unsigned long long)e.seq);
    for (unsigned i = 0; i < SEEN_ROOMS && v[i].room && good; i++) {
        unsigned n;

        lnt_strbuf_clear(&said);
        lnt_strbuf_clear(&nicks);
        for (unsigned k = 0; k < v[i].n; k++)
            lnt_strbuf_add(&said, v[i].nicks[k], strlen(v[i].nicks[k]) + 1);
        n = lnt_zone_room_nicks(z, v[i].room, 100, &nicks);
        good = n == v[i].n &&
               lnt_str_eq(lnt_strbuf_str(&said), lnt_strbuf_str(&nicks));
        if (!good)
            diag("%s: room %u has %u members, others were told of %u", name,
                 v[i].room, n, v[i].n);
    }
    lnt_strbuf_release(&said);
    lnt_strbuf_release(&nicks);
    free(start.scratch);
    return good;
}

/* ---- killing ---- */

#ifdef LNT_DEBUG_BUILD

struct victim {
    void (*fn)(struct lnt_zone *z);
    unsigned step;
};

/* A case as it is checked. */
struct trial {
    const char *name;
    const struct op *op;
    struct lnt_cursor start;
};

static int
die(struct lnt_zone *z, void *arg)
{
    const struct victim *v = arg;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    char n[16];

    snprintf(n, sizeof(n), "%u", v->step);
    setenv("LINNET_TEST_ZONE_KILL", n, 1);
    z = lnt_zone_attach(dup(lnt_zone_fd(z)), &why);
    if (!z)
        return 2;
    v->fn(z);
    return 0;
}

static bool
check(struct lnt_zone *z, const struct trial *t)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool good = lnt_zone_check(z, &why);

    if (!good)
        diag("%s: %s", t->name, why.p);
    lnt_strbuf_release(&why);
    return good && (t->op->quiet || told_truth(z, t->start, t->name));
}

/* The worker is dead: its cell is released, and nothing of it must be left. */
static bool
check_released(struct lnt_zone *z, const struct trial *t)
{
    struct lnt_zone_usage u;
    bool moved;

    lnt_zone_cell_release(z, CELL, incarnation);
    if (!check(z, t))
        return false;
    lnt_zone_usage(z, &u);
    /* The one that moved to another worker may stay; one that came from there
       is gone, or still what it was. */
    moved = (t->op->fn == op_user_move && u.users == 6) ||
            (t->op->fn == op_user_take && u.users == 4);
    if (!moved && lnt_zone_user_find(z, LNT_STR("user-0")) != 1) {
        diag("%s: a user whom nobody knows is left", t->name);
        return false;
    }
    if (u.visits != 1 && !(t->op->fn == op_peer_move && u.visits == 2)) {
        diag("%s: %llu visits are left", t->name, (unsigned long long)u.visits);
        return false;
    }
    if ((u.users == 5 || moved) && room_of(z, "cellar") == LNT_ROOM_NONE)
        return true;
    diag("%s: %llu users are left", t->name, (unsigned long long)u.users);
    return false;
}

static bool
history_holds(struct lnt_zone *z, const char *name)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    struct lnt_room_info info;
    struct lnt_str rest;
    struct lnt_event e;
    uint64_t last = 0;
    unsigned n, got = 0;
    bool good = true;

    if (lnt_zone_room_find(z, 1, LNT_STR("archive"), &info) < 0) {
        diag("%s: the archive is gone", name);
        return false;
    }
    n = lnt_zone_history(z, info.room, UINT64_MAX, 100, &out);
    rest = lnt_strbuf_str(&out);
    while (lnt_zone_kept_next(&rest, &e)) {
        good = good && e.seq > last && e.seq <= lnt_zone_head(z);
        last = e.seq;
        got++;
    }
    lnt_strbuf_release(&out);
    if (!good || got != n || n != info.kept)
        diag("%s: history of %u, told %u, read %u", name, info.kept, n, got);
    return good && got == n && n == info.kept;
}

/* Dies at that step, if the operation has so many; then what is left is
   checked.  true in *through when it had not. */
static bool
kill_at(const struct op *op, unsigned step, bool in_repair, bool *through,
        unsigned *repairs)
{
    struct victim v = {op->fn, step}, w = {op_repair, 1};
    struct lnt_room_info info;
    char name[64];
    struct trial t = {.name = name, .op = op};
    int sig;
    bool good;

    snprintf(name, sizeof(name), "%s, step %u", op->name, step);
    /* From the very first record. */
    t.start.position = 1u << 19;
    fill();
    good = in_child(die, zone, &v, &sig) == 0 || sig == SIGKILL;
    *through = sig == 0;
    while (good && in_repair && sig == SIGKILL) {
        good = in_child(die, zone, &w, &sig) == 0 || sig == SIGKILL;
        *repairs += sig == SIGKILL;
        w.step += 7; /* some of the many steps there are */
    }
    if (!good)
        diag("%s: signal %d", name, sig);
    good = good && check(zone, &t) && history_holds(zone, name) &&
           check_released(zone, &t);
    if (good) {
        /* And it goes on. */
        join(zone, "lobby", add_user(zone, "late", 0, 1), &info);
        publish(zone, room_of(zone, "archive"), LNT_EVENT_HISTORY, "on", NULL);
        good = check(zone, &t);
    }
    lnt_zone_close(zone);
    return good;
}

static void
kill_everywhere(const struct op *op, bool in_repair)
{
    unsigned deaths = 0, repairs = 0;
    bool good = true, through = false;

    while (good && !through) {
        good = kill_at(op, deaths + 1, in_repair, &through, &repairs);
        deaths += !through;
    }
    ok(good, "%s: %u deaths, %u in repairs", op->name, deaths, repairs);
}

int
main(void)
{
    lnt_log_level(LNT_ERROR);
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        kill_everywhere(&ops[i], false);
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        kill_everywhere(&ops[i], true);
    return done_testing();
}

#else

int
main(void)
{
    const struct lnt_cursor start = {.position = 1u << 19};

    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        fill();
        ops[i].fn(zone);
        is_sound(zone, ops[i].name);
        ok(ops[i].quiet || told_truth(zone, start, ops[i].name), "%s: told",
           ops[i].name);
        lnt_zone_close(zone);
    }
    skip(1, "deaths: needs configure --with-debug");
    return done_testing();
}

#endif
