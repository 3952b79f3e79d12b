/*
 * Whom a record wakes: the workers that subscribe to its room, and nobody else,
 * whatever has happened before.
 */
#include <stdio.h>

#include "core/log.h"
#include "t/lib/zone_check.h"
#include "t/unit/zone_help.h"
#include "zone/map.h"
#include "zone/rebuild.h"
#include "zone/repair.h"
#include "zone/wakers.h"

enum { CELLS = 5 };

static struct lnt_zone *z;

static void
start(void)
{
    z = new_zone(4u << 20);
    for (uint32_t i = 0; i < CELLS; i++)
        if (lnt_zone_cell_take(z, i, 1) != (int)i)
            fail("cell %u", i);
}

static void
stop(const char *name)
{
    is_sound(z, name);
    lnt_zone_close(z);
}

/* "1 3": of all cells, which sleep, those that are to be rung by now. */
static const char *
rung(void)
{
    static char text[256];
    uint8_t cells[LNT_CELLS];
    size_t n, len = 0;

    for (unsigned i = 0; i < CELLS; i++)
        lnt_zone_cell(z, i)->asleep = 1;
    n = lnt_zone_sleepers(z, 0, cells);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u",
                                i ? " " : "", cells[i]);
    return text;
}

#define EVERYBODY "1 2 3 4"

static const char *
say(uint32_t room)
{
    if (publish(z, room, 0, "hello", NULL) != 0)
        fail("publish");
    return rung();
}

static const char *
tell(uint64_t session)
{
    struct lnt_event e = {
        .target = session,
        .app = 1,
        .room = LNT_ROOM_NONE,
        .kind = KIND,
        .flags = LNT_EVENT_DIRECT,
        .data = LNT_STR("psst"),
    };

    if (lnt_zone_publish(z, &e) < 0)
        fail("direct");
    return rung();
}

/* Nobody is there; kept by cell 0. */
static uint32_t
make_room(const char *name)
{
    struct lnt_room_info info;
    uint32_t hold;

    if (lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info) < 0)
        fail("hold");
    return info.room;
}

static uint32_t
listen_to(const char *name, unsigned cell)
{
    const struct lnt_creator by = {.family = LNT_CREATOR_SERVER};
    struct lnt_room_info info;
    uint32_t hold = 0;

    if (lnt_zone_listen_by(z, 1, lnt_str_c(name), &by, cell, &hold, &info) < 0)
        fail("listen");
    return hold;
}

static void
test_members(void)
{
    struct lnt_room_info info;

    start();
    uint32_t room = make_room("r"), other = make_room("other");
    is_str(say(room), "", "nobody is in the room: nobody is rung");
    uint32_t ann = add_user(z, "ann", 2, 0x102);
    uint32_t member = join(z, "r", ann, &info);
    is_str(rung(), "2", "who joins is rung for that, if another worker did it");
    is_str(say(room), "2", "the worker of a member");
    is_str(say(other), "", "not for another room");
    (void)say(other);
    is_str(rung(), "", "and only once");
    uint32_t bob = add_user(z, "bob", 3, 0x103);
    uint32_t second = join(z, "r", bob, &info);
    (void)rung();
    is_str(say(room), "2 3", "both workers");
    lnt_zone_leave(z, member, 0, ANNOUNCE_MAX);
    (void)rung();
    is_str(say(room), "2 3", "one that left: until its worker says so");
    lnt_zone_unwake(z, 2, &room, 1);
    is_str(say(room), "3", "not any more");
    publish(z, room, 0, "one", NULL);
    publish(z, other, 0, "two", NULL);
    is_str(rung(), "3", "rooms of several records are put together");
    lnt_zone_leave(z, second, 0, ANNOUNCE_MAX);
    lnt_zone_unwake(z, 3, &room, 1);
    (void)rung();
    is_str(say(room), "", "and nobody again");
    is_str(say(LNT_ROOM_NONE), EVERYBODY, "without a room: everybody");
    stop("members");
}

static void
test_holds(void)
{
    start();
    uint32_t room = make_room("r");
    uint32_t hold = listen_to("r", 4);
    is_str(say(room), "4", "a listener");
    lnt_zone_unhold(z, listen_to("r", 4));
    is_str(say(room), "4", "and another one, that has gone again");
    lnt_zone_unhold(z, hold);
    lnt_zone_unwake(z, 4, &room, 1);
    is_str(say(room), "", "the last has gone");
    struct lnt_room_info info;
    lnt_zone_hold(z, 1, LNT_STR("r"), 3, &hold, &info);
    is_str(say(room), "", "one that only keeps the room");
    stop("holds");
}

static void
test_move(void)
{
    struct lnt_room_info info;

    start();
    uint32_t a = make_room("a"), b = make_room("b");
    uint32_t ann = add_user(z, "ann", 1, 0x101);
    (void)join(z, "a", ann, &info);
    (void)join(z, "b", ann, &info);
    (void)rung();
    lnt_zone_user_move(z, ann, 0x101, 4, 0x104);
    is_str(say(a), "1 4", "where it went, and where it was");
    is_str(say(b), "1 4", "in all of its rooms");
    lnt_zone_unwake(z, 1, (uint32_t[]){a, b}, 2);
    is_str(say(a), "4", "where it was nobody is any more");
    stop("move");
}

/* A session has left its worker, and no other one has it yet. */
static void
test_on_the_way(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_room_info info;

    start();
    uint32_t room = make_room("r");
    uint32_t ann = add_user(z, "ann", 1, 0x101);
    (void)join(z, "r", ann, &info);
    lnt_zone_unwake(z, 1, &room, 1);
    ok(!lnt_zone_check(z, &why), "a worker that serves has to be woken");
    lnt_cell_set_state(lnt_zone_cell(z, 1), LNT_CELL_DRAINING);
    is_sound(z, "one that drains need not");
    lnt_zone_user_move(z, ann, 0x101, 4, 0x104);
    (void)rung();
    is_str(say(room), "4", "and then the one that it moved to");
    lnt_strbuf_release(&why);
    stop("on the way");
}

static void
test_direct(void)
{
    start();
    uint32_t ann = add_user(z, "ann", 1, 0x101);
    (void)add_user(z, "bob", 2, 0x102);
    is_str(tell(lnt_zone_user_find(z, LNT_STR("ann"))), "1",
           "a direct message wakes one");
    is_str(tell(lnt_zone_user_find(z, LNT_STR("bob"))), "2", "or another");
    is_str(tell(0x101), EVERYBODY, "one that was not looked for: everybody");
    uint64_t target = lnt_zone_user_find(z, LNT_STR("ann"));
    lnt_zone_user_move(z, ann, 0x101, 4, 0x104);
    is_str(tell(target), EVERYBODY, "one that has moved since: everybody");
    is_str(tell(lnt_zone_user_find(z, LNT_STR("ann"))), "4", "where it went");
    lnt_zone_user_remove(z, ann, ANNOUNCE_MAX);
    is_str(tell(0x104), EVERYBODY, "one that is gone: everybody");
    stop("direct");
}

static void
test_repair(void)
{
    struct lnt_room_info info;
    const uint64_t stale = UINT64_C(1) << 3;

    start();
    uint32_t room = make_room("r"), other = make_room("other");
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    (void)listen_to("other", 4);
    int store = lnt_zone_cell_take(z, LNT_SLOT_STORE, 1);
    (void)rung();
    lnt_room_at(z, lnt_room_index(z, room))->wakers[0] = stale;
    lnt_room_at(z, lnt_room_index(z, other))->wakers[0] = stale;
    z->map->readers[0] = 0;
    /* Without what was saved all is made again. */
    lnt_zone_lock(z);
    z->undo_size = 0;
    lnt_zone_repair(z);
    lnt_zone_unlock(z);
    is_str(rung(), EVERYBODY, "after a repair everybody is rung");
    is_str(say(room), "2", "members");
    is_str(say(other), "4", "and listeners");
    ok(z->map->readers[0] == UINT64_C(1) << store, "and the store");
    stop("repair");
}

static void
test_release(void)
{
    struct lnt_room_info info;

    start();
    uint32_t room = make_room("r");
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    (void)join(z, "r", add_user(z, "bob", 3, 0x103), &info);
    (void)listen_to("r", 2);
    uint32_t incarnation = lnt_zone_cell(z, 2)->incarnation;
    lnt_zone_cell_release(z, 2, incarnation);
    is_str(rung(), "1 3 4", "what a dead worker did not ring for");
    is_int(lnt_zone_cell_take(z, 9, 2), 2, "the cell is used again");
    is_str(say(room), "3", "and has nobody in that room");
    (void)join(z, "r", add_user(z, "cy", 2, 0x202), &info);
    (void)rung();
    lnt_zone_cell_release(z, 2, incarnation);
    (void)rung();
    is_str(say(room), "2 3", "who is released twice is not its successor");
    stop("release");
}

static void
test_readers(void)
{
    start();
    uint32_t room = make_room("r");
    lnt_zone_cell_release(z, 3, lnt_zone_cell(z, 3)->incarnation);
    is_int(lnt_zone_cell_take(z, LNT_SLOT_STORE, 1), 3, "the store's process");
    (void)rung();
    is_str(say(room), "3", "is rung for every record");
    lnt_zone_cell_release(z, 3, lnt_zone_cell(z, 3)->incarnation);
    (void)lnt_zone_cell_take(z, 3, 1);
    (void)rung();
    is_str(say(room), "", "whoever has its cell later is not");
    stop("readers");
}

/* A worker of a release without masks joins, and what it does it does not
   say. */
static void
test_rebuild(void)
{
    struct lnt_room_info info;

    start();
    const struct lnt_zone_map *map = z->map;
    uint32_t room = make_room("r"), other = make_room("other");
    lnt_zone_cell(z, 4)->features = 0;
    z->map->maintained = 0;
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    lnt_room_at(z, lnt_room_index(z, room))->wakers[0] = UINT64_C(1) << 3;
    (void)rung();
    is_str(say(room), EVERYBODY, "not maintained: everybody");
    is_str(tell(lnt_zone_user_find(z, LNT_STR("ann"))), EVERYBODY,
           "for direct messages, too");
    lnt_zone_rebuild(z);
    ok(map->maintained == 0, "nothing to rely on while it is there");
    lnt_zone_cell_release(z, 4, lnt_zone_cell(z, 4)->incarnation);
    (void)lnt_zone_cell_take(z, 4, 1);
    (void)rung();
    is_str(say(room), EVERYBODY, "nor when it is gone, yet");
    z->map->masters[1] = (struct lnt_zone_master){.pid = getppid()};
    lnt_zone_rebuild(z);
    ok(map->maintained == 0, "nor while its master is there");
    z->map->masters[1].pid = 0;
    lnt_zone_rebuild(z);
    ok(map->maintained & LNT_ZONE_F_WAKERS, "when all is right again");
    is_str(say(room), "2", "the one who is there");
    is_str(say(other), "", "or nobody");
    stop("rebuild");
}

/* A master of an older release was killed, and one with its pid comes. */
static void
test_same_pid(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_zone *other;

    start();
    z->map->masters[0].pid = 0;
    for (unsigned i = 1; i < LNT_ZONE_MASTERS; i++)
        z->map->masters[i] = (struct lnt_zone_master){.pid = getpid()};
    z->map->maintained = 0;
    other = lnt_zone_attach(dup(lnt_zone_fd(z)), &why);
    ok(other != NULL, "a master whose pid others had: %s", why.p ? why.p : "");
    lnt_zone_rebuild(z);
    ok(z->map->maintained & LNT_ZONE_F_WAKERS, "... relies on no dead one");
    lnt_zone_close(other);
    lnt_strbuf_release(&why);
    stop("same pid");
}

/* ---- what others do between two locked sections ---- */

enum { MANY = 1000 }; /* rooms: more than are gone through at once */

static unsigned commits, unsound;
static uint32_t gone;

/* Each with a listener in that cell. */
static void
make_many(unsigned cell)
{
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];

        snprintf(name, sizeof(name), "many%u", i);
        (void)listen_to(name, cell);
    }
}

/* Nor has one begun that is not through: its masks are not there yet. */
static void
begin_another(void)
{
    z->map->arrivals++;
    for (unsigned i = 1; i <= MANY; i++)
        lnt_wakers_clear(z, i);
}

/* Calls fn as another process would run it: the lock has just been let go. */
static void
between(void (*fn)(void))
{
    void (*hook)(struct lnt_zone *) = z->on_commit;

    z->on_commit = NULL;
    pthread_mutex_unlock(&z->map->lock);
    fn();
    pthread_mutex_lock(&z->map->lock);
    z->on_commit = hook;
}

static void
look(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    unsound += !lnt_zone_check(z, &why);
    lnt_strbuf_release(&why);
}

static void
rebuild(void)
{
    lnt_zone_rebuild(z);
}

static void
rebuild_and_look(struct lnt_zone *zone)
{
    (void)zone;
    commits++;
    if (commits == 2) /* it has begun, and cleared some */
        between(rebuild);
    else
        between(look);
}

static void
test_two_rebuild(void)
{
    start();
    make_many(3);
    z->map->maintained = 0;
    z->on_commit = rebuild_and_look;
    lnt_zone_rebuild(z);
    z->on_commit = NULL;
#ifdef LNT_DEBUG_BUILD
    ok(commits > 2, "two masters make the masks again at the same time");
#endif
    ok(z->map->maintained & LNT_ZONE_F_WAKERS, "one of them comes to an end");
    is_int(unsound, 0, "the other one takes nothing back");
    stop("two rebuild");
}

static void
begin_another_once(struct lnt_zone *zone)
{
    (void)zone;
    if (++commits == 3)
        between(begin_another);
}

static void
test_unfinished_rebuild(void)
{
    start();
    make_many(3);
    z->map->maintained = 0;
    commits = 0;
    z->on_commit = begin_another_once;
    lnt_zone_rebuild(z);
    z->on_commit = NULL;
#ifdef LNT_DEBUG_BUILD
    ok(commits > 3, "another master begins in the middle of it");
    is_int(z->map->maintained & LNT_ZONE_F_WAKERS, 0,
           "and what it has cleared is not relied on");
#endif
    stop("unfinished rebuild");
}

static void
take_again(void)
{
    lnt_zone_cell_release(z, 2, gone);
    if (lnt_zone_cell_take(z, 7, 2) != 2)
        fail("cell 2");
    make_many(2);
}

static void
take_again_once(struct lnt_zone *zone)
{
    (void)zone;
    if (commits++ == 0)
        between(take_again);
}

/* Both masters of an upgrade may release a cell, and then it is taken again. */
static void
test_late_release(void)
{
    start();
    make_many(3);
    gone = lnt_zone_cell(z, 2)->incarnation;
    commits = 0;
    z->on_commit = take_again_once;
    lnt_wakers_sweep(z, 2, gone);
    z->on_commit = NULL;
    stop("late release");
}

/* Who sleeps must wake up before the log goes over it. */
static void
test_lap(void)
{
    static char text[1000];
    struct lnt_cursor c;
    uint64_t begin, most = 0;

    start();
    uint32_t room = make_room("r");
    lnt_zone_cursor_init(z, &c);
    begin = c.position;
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t lag;

        publish(z, room, 0, text, NULL);
        lag = lnt_zone_lag(z, &c);
        most = lag > most ? lag : most;
        if (strcmp(rung(), EVERYBODY) == 0)
            c.position += lag;
    }
    ok(c.position - begin > 2 * z->map->ring_size, "the log went round");
    ok(most <= z->map->ring_size / 8 + 2048,
       "a sleeper was at most an eighth behind (%llu of %llu)",
       (unsigned long long)most, (unsigned long long)z->map->ring_size);
    ok(most > z->map->ring_size / 16, "and not rung all the time");
    stop("lap");
}

/* ---- reading on ---- */

static bool
no(void *arg, const struct lnt_event *e)
{
    uint32_t *wanted = arg;

    return e->room == *wanted;
}

static void
test_pass(void)
{
    struct lnt_cursor c;
    struct lnt_event e;

    start();
    uint32_t room = make_room("r"), other = make_room("other");
    struct lnt_wanted w = {no, &room, 10};
    lnt_zone_cursor_init(z, &c);
    is_int(lnt_zone_pass(z, &c, &w), LNT_READ_NONE, "there is nothing");
    for (int i = 0; i < 5; i++)
        publish(z, other, 0, "other", NULL);
    publish(z, room, 0, "one", NULL);
    publish(z, other, 0, "other", NULL);
    is_int(lnt_zone_pass(z, &c, &w), LNT_READ_ONE, "up to one that is wanted");
    is_int(w.left, 5, "over five");
    is_int(c.seq, 5, "they count as read");
    is_int(lnt_zone_read(z, &c, &e), LNT_READ_ONE, "which can be read");
    ok(lnt_str_eq(e.data, LNT_STR("one")), "whole");
    is_int(lnt_zone_pass(z, &c, &w), LNT_READ_NONE, "the rest is not wanted");
    ok(!lnt_zone_pending(z, &c), "and read");
    for (int i = 0; i < 7; i++)
        publish(z, other, 0, "other", NULL);
    is_int(lnt_zone_pass(z, &c, &w), LNT_READ_NONE, "as many as was said");
    ok(w.left == 0 && lnt_zone_pending(z, &c) && c.seq == 11, "and no more");
    while (!strstr(say(other), EVERYBODY))
        ;
    for (uint64_t n = 0; n <= z->map->ring_size; n += 32)
        publish(z, other, 0, "other", NULL);
    w.left = 1;
    is_int(lnt_zone_pass(z, &c, &w), LNT_READ_LAPPED, "overwritten");
    is_int(lnt_zone_read(z, &c, &e), LNT_READ_LAPPED,
           "which is told once more");
    free(c.scratch);
    stop("pass");
}

/* Over nothing that was published while a master of an older release was there,
   and not while somebody else has the lock. */
static void
test_jump_with_others(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_ahead ahead = {.known = false};
    struct lnt_room_info info;
    struct lnt_cursor c;

    start();
    uint32_t room = make_room("r");
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    lnt_zone_cursor_init(z, &c);
    uint64_t seq = c.seq;
    lnt_zone_jump(z, 2, &c, &ahead);
    struct lnt_zone *other = lnt_zone_attach(dup(lnt_zone_fd(z)), &why);
    z->map->maintained = 0;
    publish(z, room, 0, "of an older release", NULL);
    z->map->maintained = LNT_ZONE_FEATURES;
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq, "not over what was not noted for want of masks");
    publish(z, room, 0, "more", NULL);
    pthread_mutex_lock(&z->map->lock);
    lnt_zone_jump(z, 2, &c, &ahead);
    pthread_mutex_unlock(&z->map->lock);
    is_int(c.seq, seq, "nor does it wait for the lock");
    lnt_zone_close(other);
    lnt_strbuf_release(&why);
    stop("jump with others");
}

static void
test_jump(void)
{
    struct lnt_ahead ahead = {.known = false};
    struct lnt_room_info info;
    struct lnt_cursor c;
    struct lnt_event e;

    start();
    uint32_t room = make_room("r"), other = make_room("other");
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    lnt_zone_cursor_init(z, &c);
    uint64_t seq = c.seq;
    publish(z, other, 0, "1", NULL);
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq, "nothing is known at first");
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq, "nor of what was there before that");
    lnt_zone_read(z, &c, &e);
    publish(z, other, 0, "2", NULL);
    publish(z, other, 0, "3", NULL);
    publish(z, room, 0, "4", NULL);
    publish(z, other, 0, "5", NULL);
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 3, "to the first that concerns it");
    is_int(lnt_zone_read(z, &c, &e), LNT_READ_ONE, "which is read");
    ok(lnt_str_eq(e.data, LNT_STR("4")) && e.seq == seq + 4, "and is that one");
    lnt_zone_read(z, &c, &e);
    publish(z, other, 0, "6", NULL);
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 6, "to the end if there is none");
    ok(!lnt_zone_pending(z, &c), "which is the end");

    publish(z, other, 0, "7", NULL);
    ahead.base = z->map->head;
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 6, "not over what the process has to see");
    lnt_zone_read(z, &c, &e);
    publish(z, other, 0, "8", NULL);
    (void)tell(lnt_zone_user_find(z, LNT_STR("ann")));
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 8, "to a direct message");
    lnt_zone_read(z, &c, &e);
    (void)tell(4711);
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 9, "or to one to nobody knows whom");
    lnt_zone_read(z, &c, &e);

    publish(z, other, 0, "11", NULL);
    z->map->arrivals++;
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 10, "another master may not have told");
    lnt_zone_read(z, &c, &e);
    z->map->maintained = 0;
    lnt_zone_jump(z, 2, &c, &ahead);
    publish(z, other, 0, "12", NULL);
    z->map->maintained = LNT_ZONE_F_WAKERS;
    lnt_zone_jump(z, 2, &c, &ahead);
    is_int(c.seq, seq + 11, "nor did anybody while it was not maintained");
    free(c.scratch);
    stop("jump");
}

/* The pad at the end of the ring lies before the record that is noted. */
static void
test_jump_round(void)
{
    struct lnt_ahead ahead = {.known = false};
    struct lnt_room_info info;
    struct lnt_cursor c;
    struct lnt_event e;
    static char text[5000];
    unsigned wrong = 0, n = 0;

    start();
    uint32_t room = make_room("r"), other = make_room("other");
    (void)join(z, "r", add_user(z, "ann", 2, 0x102), &info);
    lnt_zone_cursor_init(z, &c);
    lnt_zone_jump(z, 2, &c, &ahead);
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 3000; i++) {
        text[i % 4999] = '\0';
        publish(z, other, 0, text, NULL);
        text[i % 4999] = 'x';
        if (i % 3)
            continue;
        publish(z, room, 0, "this", NULL);
        lnt_zone_jump(z, 2, &c, &ahead);
        wrong += lnt_zone_read(z, &c, &e) != LNT_READ_ONE ||
                 !lnt_str_eq(e.data, LNT_STR("this"));
        n++;
    }
    ok(wrong == 0 && n == 1000, "each of %u is found (%u not)", n, wrong);
    ok(c.position > 2 * z->map->ring_size, "while the log went round");
    free(c.scratch);
    stop("jump round");
}

int
main(void)
{
    lnt_log_level(LNT_ERROR);
    test_members();
    test_holds();
    test_move();
    test_on_the_way();
    test_direct();
    test_repair();
    test_release();
    test_readers();
    test_rebuild();
    test_same_pid();
    test_two_rebuild();
    test_unfinished_rebuild();
    test_late_release();
    test_lap();
    test_pass();
    test_jump();
    test_jump_with_others();
    test_jump_round();
    return done_testing();
}
