/*
 * The zone in one process: users, rooms, members, the log, and what happens
 * when a table is full or a name is too long.
 */
#include "t/unit/zone_help.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "os/socket.h"

static const char *
kind_name(uint16_t kind)
{
    static const char *const names[] = {
        [LNT_EVENT_JOIN] = "join",
        [LNT_EVENT_LEAVE] = "leave",
        [LNT_EVENT_NICK] = "nick",
        [KIND] = "app",
    };

    return names[kind];
}

/* Everything there is to read: "1 join ann, 2 app hello". */
static const char *
read_all(struct lnt_zone *z, struct lnt_cursor *c)
{
    static struct lnt_strbuf out;
    struct lnt_event e;

    lnt_strbuf_clear(&out);
    lnt_strbuf_reserve(&out, 1);
    while (lnt_zone_read(z, c, &e) == LNT_READ_ONE) {
        lnt_strbuf_addf(&out, "%s%llu %s ", out.n ? ", " : "",
                        (unsigned long long)e.seq, kind_name(e.kind));
        for (size_t i = 0; i < e.data.n; i++)
            lnt_strbuf_addc(&out, e.data.p[i] ? e.data.p[i] : '>');
    }
    out.p[out.n] = '\0';
    return out.p;
}

static void
test_life(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE), *same;
    struct lnt_zone_usage u, plan;
    int fd;

    ok(lnt_zone_epoch(z) > 0 && lnt_zone_epoch(z) < UINT64_C(1) << 53,
       "the epoch is a number that JavaScript can hold");
    is_int(lnt_zone_head(z), 0, "nothing was published");
    is_sound(z, "a new zone");
    same = lnt_zone_attach(dup(lnt_zone_fd(z)), &why);
    ok(same && lnt_zone_epoch(same) == lnt_zone_epoch(z),
       "the same zone from its descriptor");
    add_user(z, "ann", 0, 5);
    is_int(lnt_zone_user_find(same, LNT_STR("ann")), 5, "shared");
    lnt_zone_close(same);
    lnt_zone_usage(z, &u);
    lnt_zone_plan(LNT_ZONE_MIN_SIZE, &plan);
    ok(u.users_max == plan.users_max && u.rooms_max == plan.rooms_max &&
           u.history_bytes == plan.history_bytes &&
           u.log_bytes == plan.log_bytes,
       "as planned");
    diag("1 MiB: log %llu, %llu users, %llu rooms, %llu members, history %llu",
         (unsigned long long)u.log_bytes, (unsigned long long)u.users_max,
         (unsigned long long)u.rooms_max, (unsigned long long)u.members_max,
         (unsigned long long)u.history_bytes);
    lnt_zone_close(z);

    errno = 0;
    ok(!lnt_zone_create(4096, &why) && errno == EINVAL, "too small");
    ok(strstr(why.p, "1m"), "says what is needed: %s", why.p);
    lnt_strbuf_clear(&why);
    fd = open("/dev/zero", O_RDWR);
    ok(!lnt_zone_attach(fd, &why) && why.n > 0, "not a zone: %s", why.p);
    lnt_strbuf_clear(&why);
    fd = memfd_create("other", MFD_CLOEXEC);
    if (ftruncate(fd, LNT_ZONE_MIN_SIZE) < 0)
        exit(1);
    ok(!lnt_zone_attach(fd, &why) && errno == EPROTO, "not one: %s", why.p);
    lnt_strbuf_release(&why);
}

static void
test_users(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    char longest[LNT_NICK_MAX + 2];
    uint32_t ann = add_user(z, "ann", 3, 0x103), bob, other;

    ok(lnt_zone_user_add(z, LNT_STR("ann"), 4, 9, &other) < 0 &&
           errno == EEXIST,
       "a nick is taken once");
    is_int(lnt_zone_user_find(z, LNT_STR("ann")), 0x103, "found");
    is_int(lnt_zone_user_find(z, LNT_STR("an")), 0, "nobody of that nick");
    is_int(lnt_zone_user_find(z, LNT_STR("")), 0, "nobody without nick");
    bob = add_user(z, "bob", 3, 0x203);
    ok(lnt_zone_user_rename(z, bob, LNT_STR("ann"), ANNOUNCE_MAX) < 0 &&
           errno == EEXIST,
       "no renaming to a taken nick");
    is_int(lnt_zone_user_rename(z, bob, LNT_STR("bob"), ANNOUNCE_MAX), 0,
           "renaming to the own nick");
    is_int(lnt_zone_user_rename(z, bob, LNT_STR("rob"), ANNOUNCE_MAX), 0,
           "renamed");
    is_int(lnt_zone_user_find(z, LNT_STR("bob")), 0, "the old nick is free");
    is_int(lnt_zone_user_find(z, LNT_STR("rob")), 0x203, "the new one is not");
    ok(lnt_str_eq(lnt_zone_user_nick(z, bob), LNT_STR("rob")), "its nick");
    lnt_zone_user_remove(z, ann, ANNOUNCE_MAX);
    is_int(lnt_zone_user_find(z, LNT_STR("ann")), 0, "removed");

    memset(longest, 'x', sizeof(longest));
    longest[LNT_NICK_MAX + 1] = '\0';
    ok(lnt_zone_user_add(z, lnt_str_c(longest), 0, 1, &other) < 0 &&
           errno == EINVAL,
       "too long a nick");
    ok(lnt_zone_user_add(z, LNT_STR(""), 0, 1, &other) < 0 && errno == EINVAL,
       "an empty nick");
    longest[LNT_NICK_MAX] = '\0';
    add_user(z, longest, 0, 77);
    is_int(lnt_zone_user_find(z, lnt_str_c(longest)), 77, "the longest nick");
    ok(lnt_zone_guest(z) != lnt_zone_guest(z), "no guest number twice");
    is_sound(z, "users");
    lnt_zone_close(z);
}

static void
test_rooms(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_room_info info, other;
    struct lnt_cursor c;
    uint32_t ann = add_user(z, "ann", 0, 1), bob = add_user(z, "bob", 0, 2);
    uint32_t cy = add_user(z, "cy", 0, 3), m[4], spare;
    char name[LNT_ROOM_NAME_MAX + 2];

    lnt_zone_cursor_init(z, &c);
    m[0] = join(z, "lobby", ann, &info);
    ok(info.members == 1 && info.seq == 1 && info.next == 2, "a new room");
    is_str(info.name, "lobby", "its name");
    m[1] = join(z, "lobby", bob, &info);
    is_int(info.members, 2, "two");
    m[2] = join(z, "attic", bob, &other);
    ok(other.room != info.room, "another room");
    m[3] = join(z, "lobby", cy, &info);
    is_str(who(z, info.room), "ann bob cy", "in order of joining");
    ok(server_join(z, 1, LNT_STR("lobby"), ann, 0, ANNOUNCE_MAX, &spare,
                   &other) < 0 &&
           errno == EEXIST,
       "once is enough");
    is_int(publish(z, info.room, 0, "hi", NULL), 0, "published");
    lnt_zone_user_rename(z, bob, LNT_STR("rob"), ANNOUNCE_MAX);
    lnt_zone_leave(z, m[0], 1, ANNOUNCE_MAX);
    is_str(who(z, info.room), "rob cy", "one has left");
    lnt_zone_user_remove(z, bob, ANNOUNCE_MAX);
    is_str(read_all(z, &c),
           "1 join ann, 2 join bob, 3 join bob, 4 join cy, 5 app hi, "
           "6 nick bob>rob, 7 nick bob>rob, 8 leave ann, 9 leave rob, "
           "10 leave rob",
           "the log has it all");
    ok(lnt_zone_room_find(z, 1, LNT_STR("attic"), &other) < 0 &&
           errno == ENOENT,
       "an empty room goes");
    ok(lnt_zone_room_find(z, 2, LNT_STR("lobby"), &other) < 0,
       "rooms belong to applications");
    is_int(lnt_zone_room_find(z, 1, LNT_STR("lobby"), &other), 0, "found");
    ok(other.room == info.room && other.seq == 10 && other.members == 1,
       "its number, last seq and members");
    is_sound(z, "rooms");

    /* A room of the same name is another room. */
    lnt_zone_leave(z, m[3], 3, ANNOUNCE_MAX);
    m[3] = join(z, "lobby", cy, &other);
    ok(other.room != info.room, "made again, it has another number");
    is_int(publish(z, info.room, 0, "late", NULL), ENOENT,
           "the old number is of no use");
    is_int(lnt_zone_room_nicks(z, info.room, 10, NULL), 0, "nor for asking");

    memset(name, 'r', sizeof(name));
    name[LNT_ROOM_NAME_MAX + 1] = '\0';
    ok(server_join(z, 1, lnt_str_c(name), cy, 0, ANNOUNCE_MAX, &spare, &other) <
               0 &&
           errno == EINVAL,
       "too long a name");
    name[LNT_ROOM_NAME_MAX] = '\0';
    join(z, name, cy, &other);
    is_str(other.name, name, "the longest name");
    is_sound(z, "rooms again");
    free(c.scratch);
    lnt_zone_close(z);
}

/* Large rooms have no events of coming and going. */
static void
test_quiet(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_room_info info;
    struct lnt_cursor c;
    uint32_t user[5], member[5];
    char nick[8];

    lnt_zone_cursor_init(z, &c);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(nick, sizeof(nick), "u%u", i);
        user[i] = add_user(z, nick, 0, i + 1);
        server_join(z, 1, LNT_STR("r"), user[i], 0, 3, &member[i], &info);
        is_int(info.seq, i < 3 ? i + 1 : 3, "seq of join %u", i);
        is_int(info.next, i < 3 ? i + 2 : 4, "and what comes next");
    }
    lnt_zone_user_rename(z, user[0], LNT_STR("v0"), 3);
    lnt_zone_leave(z, member[4], 0, 3);
    lnt_zone_leave(z, member[3], 0, 3);
    lnt_zone_leave(z, member[2], 0, 3);
    is_str(read_all(z, &c), "1 join u0, 2 join u1, 3 join u2, 4 leave u2",
           "above the limit nobody is told");
    is_str(who(z, info.room), "v0 u1", "but the table knows");
    is_sound(z, "quiet");
    free(c.scratch);
    lnt_zone_close(z);
}

static void
test_cells(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_room_info info;
    struct lnt_cursor c;
    int a = lnt_zone_cell_take(z, 0, 1), b = lnt_zone_cell_take(z, 1, 1);
    uint32_t first = lnt_zone_cell(z, (unsigned)a)->incarnation;
    uint32_t second = lnt_zone_cell(z, (unsigned)b)->incarnation, hold;
    uint32_t ann = add_user(z, "ann", (unsigned)a, 1);
    uint32_t bob = add_user(z, "bob", (unsigned)b, 2);
    uint8_t rung[LNT_CELLS];
    int n = 2;

    ok(a >= 0 && b >= 0 && a != b && first && first != second,
       "two cells, two incarnations");
    join(z, "lobby", ann, &info);
    join(z, "attic", ann, &info);
    lnt_zone_hold(z, 1, LNT_STR("cellar"), (unsigned)a, &hold, &info);
    join(z, "lobby", bob, &info);
    lnt_zone_cursor_init(z, &c);

    lnt_zone_cell(z, (unsigned)b)->asleep = 1;
    is_int(lnt_zone_sleepers(z, a, rung), 1, "one sleeps");
    is_int(rung[0], b, "that one");
    lnt_zone_cell(z, (unsigned)b)->asleep = 1;
    is_int(lnt_zone_sleepers(z, a, rung), 0,
           "nothing new: nobody is looked at");
    lnt_count_add(&lnt_zone_cell(z, (unsigned)a)->stats, LNT_C_ACCEPTED, 5);
    lnt_zone_cell_release(z, (unsigned)a, first);
    is_int(lnt_zone_past(z)->counters[LNT_C_ACCEPTED], 5, "what it counted");
    is_int(lnt_zone_sleepers(z, -1, rung), 1, "a release wakes");
    is_str(read_all(z, &c), "4 leave ann, 5 leave ann", "its users leave");
    is_str(who(z, info.room), "bob", "the other one's stay");
    ok(lnt_zone_room_find(z, 1, LNT_STR("cellar"), &info) < 0,
       "what it held is gone");
    is_int(lnt_zone_user_find(z, LNT_STR("ann")), 0, "the nick is free");
    is_int(lnt_cell_state(lnt_zone_cell(z, (unsigned)a)), LNT_CELL_FREE,
           "the cell, too");
    a = lnt_zone_cell_take(z, 0, 2);
    add_user(z, "ann", (unsigned)a, 3);
    lnt_zone_cell_release(z, (unsigned)a, first);
    is_int(lnt_zone_user_find(z, LNT_STR("ann")), 3,
           "released again: the successor's stay");
    while (lnt_zone_cell_take(z, 9, 9) >= 0)
        n++;
    is_int(n, (int)lnt_zone_cells(z), "as many as there are");
    is_sound(z, "cells");
    free(c.scratch);
    lnt_zone_close(z);
}

static void
test_full(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_zone_usage u;
    struct lnt_room_info info;
    uint32_t user = 0, first = 0, member, kept = 0;
    unsigned users = 0, rooms = 0;
    char name[32];

    for (;; users++) {
        snprintf(name, sizeof(name), "user-%u", users);
        if (lnt_zone_user_add(z, lnt_str_c(name), 0, users + 1, &user) < 0)
            break;
        if (users == 0)
            first = user;
    }
    is_int(errno, ENOSPC, "no more users");
    lnt_zone_usage(z, &u);
    is_int(users, u.users_max, "as many as there is space for");
    is_sound(z, "full of users");
    for (;; rooms++) {
        snprintf(name, sizeof(name), "room-%u", rooms);
        if (server_join(z, 1, lnt_str_c(name), first, 0, ANNOUNCE_MAX, &member,
                        &info) < 0)
            break;
        kept = member;
    }
    is_int(errno, ENOSPC, "no more rooms");
    is_int(rooms, u.rooms_max, "as many as there is space for");
    is_sound(z, "full of rooms");
    /* Everybody into everything, until there are no more members. */
    for (user = 1; user <= users; user++) {
        unsigned room;

        for (room = 0; room < rooms; room++) {
            snprintf(name, sizeof(name), "room-%u", room);
            if (server_join(z, 1, lnt_str_c(name), user, 0, 0, &member, &info) <
                    0 &&
                errno == ENOSPC)
                break;
        }
        if (room < rooms)
            break;
    }
    lnt_zone_usage(z, &u);
    is_int(u.members, u.members_max, "no more members");
    is_sound(z, "full of members");
    lnt_zone_leave(z, kept, 0, 0);
    is_int(server_join(z, 1, LNT_STR("room-0"), users, 0, 0, &member, &info), 0,
           "one left, one can come");
    for (user = 1; user <= users; user++)
        lnt_zone_user_remove(z, user, 0);
    lnt_zone_usage(z, &u);
    is_int(u.users + u.rooms + u.members, 0, "all gone");
    is_sound(z, "empty again");
    lnt_zone_close(z);
}

static void
test_many(void)
{
    enum { N = 10000 };
    struct lnt_zone *z = new_zone(10u << 20);
    struct lnt_room_info info;
    struct lnt_strbuf nicks = LNT_STRBUF_INIT;
    static uint32_t user[N];
    char nick[32];
    bool found = true;

    for (uint32_t i = 0; i < N; i++) {
        snprintf(nick, sizeof(nick), "user-%u", i);
        user[i] = add_user(z, nick, i % 4, i + 1);
        join(z, "hall", user[i], &info);
    }
    is_int(info.members, N, "10000 members");
    for (uint32_t i = 0; i < N && found; i++) {
        snprintf(nick, sizeof(nick), "user-%u", i);
        found = lnt_zone_user_find(z, lnt_str_c(nick)) == i + 1;
    }
    ok(found, "all of them are found");
    is_int(lnt_zone_room_nicks(z, info.room, 3, &nicks), N, "counted");
    is_mem(nicks.p, nicks.n, "user-0\0user-1\0user-2\0", 21, "three asked");
    lnt_strbuf_clear(&nicks);
    lnt_zone_room_nicks(z, info.room, N, &nicks);
    is_int(nicks.n, 10 * 7 + 90 * 8 + 900 * 9 + 9000 * 10, "all asked");
    is_str(nicks.p + nicks.n - 10, "user-9999", "the last one last");
    is_sound(z, "10000 users");
    for (uint32_t i = 0; i < N; i += 2)
        lnt_zone_user_remove(z, user[i], ANNOUNCE_MAX);
    for (uint32_t i = 0; i < N; i += 4)
        user[i] = add_user(z, "x", 0, i + 1),
        lnt_zone_user_remove(z, user[i], 0);
    lnt_zone_room_find(z, 1, LNT_STR("hall"), &info);
    is_int(info.members, N / 2, "half of them");
    is_sound(z, "half of 10000");
    lnt_strbuf_release(&nicks);
    lnt_zone_close(z);
}

static void
count_room(void *arg, const struct lnt_room_info *info)
{
    unsigned *n = arg;

    *n += info->members;
}

static void
test_lists(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_room_info info;
    char name[32];
    unsigned n = 0;

    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        uint32_t user = add_user(z, name, 0, i + 1), m;
        server_join(z, 1 + i % 2, lnt_str_c(name), user, 0, 1, &m, &info);
    }
    lnt_zone_rooms(z, 0, count_room, &n);
    is_int(n, 100, "all rooms");
    n = 0;
    lnt_zone_rooms(z, 2, count_room, &n);
    is_int(n, 50, "rooms of one application");
    lnt_zone_close(z);
}

static void
test_log(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    size_t max = lnt_zone_record_max(z);
    char *big = malloc(max + 1);
    struct lnt_event e = {
        .app = 1,
        .room = LNT_ROOM_NONE,
        .kind = KIND,
        .flags = LNT_EVENT_DIRECT,
        .origin = 11,
        .target = 22,
        .data = {big, max},
    };
    struct lnt_event got;
    struct lnt_cursor c, slow;
    struct lnt_zone_usage u;
    uint64_t sum = 0;
    bool good = true;

    memset(big, 'b', max + 1);
    lnt_zone_cursor_init(z, &c);
    lnt_zone_cursor_init(z, &slow);
    ok(!lnt_zone_pending(z, &c), "nothing to read");
    is_int(lnt_zone_read(z, &c, &got), LNT_READ_NONE, "nothing is read");
    is_int(lnt_zone_publish(z, &e), 0, "the biggest record");
    ok(lnt_zone_pending(z, &c), "something to read");
    is_int(lnt_zone_read(z, &c, &got), LNT_READ_ONE, "read");
    ok(got.seq == 1 && got.seq == e.seq && got.time_us == e.time_us &&
           got.origin == 11 && got.target == 22 && got.app == 1 &&
           got.room == LNT_ROOM_NONE && got.kind == KIND &&
           got.flags == LNT_EVENT_DIRECT,
       "all its fields");
    is_mem(got.data.p, got.data.n, big, max, "and its bytes");
    e.data.n = max + 1;
    ok(lnt_zone_publish(z, &e) < 0 && errno == EMSGSIZE, "too big");

    /* Round and round, every length. */
    for (unsigned i = 0; i < 30000 && good; i++) {
        e.data.n = i % 997;
        memset(big, (int)(i & 0xff), e.data.n);
        good = lnt_zone_publish(z, &e) == 0 &&
               lnt_zone_read(z, &c, &got) == LNT_READ_ONE && got.seq == i + 2 &&
               got.data.n == e.data.n &&
               (e.data.n == 0 || memcmp(got.data.p, big, e.data.n) == 0);
        sum += e.data.n;
    }
    ok(good, "30000 records, %llu bytes", (unsigned long long)sum);
    is_sound(z, "round and round");
    is_int(lnt_zone_read(z, &slow, &got), LNT_READ_LAPPED, "one was too slow");
    is_int(lnt_zone_read(z, &slow, &got), LNT_READ_NONE, "and is at the end");
    e.data = LNT_STR("on");
    lnt_zone_publish(z, &e);
    is_int(lnt_zone_read(z, &slow, &got), LNT_READ_ONE, "and goes on");
    is_int(got.seq, e.seq, "with what is new");
    lnt_zone_usage(z, &u);
    ok(u.published == e.seq && u.records > 500 && u.log_used <= u.log_bytes &&
           u.log_used > u.log_bytes / 2,
       "%llu of %llu records are in the log", (unsigned long long)u.records,
       (unsigned long long)u.published);
    free(c.scratch);
    free(slow.scratch);
    free(big);
    lnt_zone_close(z);
}

/* As it was in the ring. */
static void
test_lapped_middle(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_cursor c;
    struct lnt_event got;
    unsigned lapped = 0, read = 0;
    uint64_t last = 0;
    bool order = true;

    lnt_zone_cursor_init(z, &c);
    for (unsigned i = 0; i < 200000; i++) {
        publish(z, LNT_ROOM_NONE, 0, "0123456789abcdef0123456789", NULL);
        if (i % 16 > 1) /* reads one of eight */
            continue;
        switch (lnt_zone_read(z, &c, &got)) {
        case LNT_READ_ONE:
            order = order && got.seq > last;
            last = got.seq;
            read++;
            break;
        case LNT_READ_LAPPED:
            lapped++;
            break;
        case LNT_READ_NONE:
            break;
        }
    }
    ok(order && lapped > 3 && read > 20000,
       "lapped %u times, %u records read, in order", lapped, read);
    free(c.scratch);
    lnt_zone_close(z);
}

/* Where processes of a newer release count what is not known here. */
static uint64_t *
unknown_counter(struct lnt_stats *s)
{
    char *counters = (char *)s + offsetof(struct lnt_stats, counters);

    return (uint64_t *)(void *)counters + LNT_COUNTERS + 20;
}

static void
test_counters_of_newer(void)
{
    struct lnt_zone *z = new_zone(1 << 20);
    int cell = lnt_zone_cell_take(z, 0, 1), next;
    struct lnt_cell *c = lnt_zone_cell(z, (unsigned)cell);

    *unknown_counter(&c->stats) = 7;
    lnt_zone_cell_release(z, (unsigned)cell, c->incarnation);
    is_int((long long)*unknown_counter(
               &lnt_zone_cell(z, lnt_zone_cells(z))->stats),
           7, "what is not known here is added to what is past");
    next = lnt_zone_cell_take(z, 0, 2);
    is_int(next, cell, "the cell is used again");
    is_int((long long)*unknown_counter(&c->stats), 0,
           "... and nobody has counted in it");
    lnt_zone_close(z);
}

/* An upgrade to a binary with another layout: who moves there is not mistaken
   for somebody who came anew. */
static void
test_visits_of_another_zone(void)
{
    struct lnt_zone *old = new_zone(1 << 20), *z = new_zone(1 << 20);
    const struct lnt_network net = {.prefix = 1, .family = 4};
    unsigned from = (unsigned)lnt_zone_cell_take(old, 0, 1);
    unsigned cell = (unsigned)lnt_zone_cell_take(z, 0, 2);
    uint32_t visit, other;

    is_int(lnt_zone_peer_enter(old, &net, from, 0, &visit), 0, "one comes");
    is_int(lnt_zone_peer_enter(z, &net, cell, 0, &other), 0,
           "... another one to another zone");
    is_int(lnt_zone_peer_move(z, lnt_zone_peer_name(z, other), cell), 0,
           "... which moves there");
    errno = 0;
    is_int(lnt_zone_peer_move(z, lnt_zone_peer_name(old, visit), cell), -1,
           "the first one is not known there");
    is_int(errno, ENOENT, "... ENOENT");
    lnt_zone_close(old);
    lnt_zone_close(z);
}

int
main(void)
{
    test_life();
    test_users();
    test_rooms();
    test_quiet();
    test_cells();
    test_counters_of_newer();
    test_full();
    test_many();
    test_lists();
    test_log();
    test_lapped_middle();
    test_visits_of_another_zone();
    return done_testing();
}
