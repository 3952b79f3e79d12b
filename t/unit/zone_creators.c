/*
 * Who created which room: how many a session and a network may have, and whose
 * rooms are evicted first.
 */
#include "t/unit/zone_help.h"

#include <time.h>

#include "core/log.h"

enum { CELL = 0, OTHER_CELL = 1 };

/* So large that the zone has history for ROOMS rooms. */
enum { ROOMS = 10 };
static struct lnt_keep part;

static struct lnt_zone *
zone_for_ten(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_zone_usage u;

    (void)lnt_zone_cell_take(z, 0, 1);
    (void)lnt_zone_cell_take(z, 1, 1);
    lnt_zone_usage(z, &u);
    part = (struct lnt_keep){5, 0, u.history_bytes / ROOMS - 992};
    return z;
}

static struct lnt_creator
network(uint64_t prefix, uint32_t user)
{
    return (struct lnt_creator){
        .prefix = prefix, .family = LNT_CREATOR_V4, .user = user};
}

/* A room with history in which nobody is; 0 or errno. */
static int
visit(struct lnt_zone *z, const char *name, const struct lnt_creator *by)
{
    struct lnt_room_info info;
    uint32_t hold;

    if (lnt_zone_hold_by(z, 1, lnt_str_c(name), by, CELL, &hold, &info) < 0)
        return errno;
    if (lnt_zone_keep(z, info.room, &part) < 0)
        fail("keep %s: %s", name, strerror(errno));
    publish(z, info.room, LNT_EVENT_HISTORY, name, NULL);
    lnt_zone_unhold(z, hold);
    return 0;
}

/* The same for rooms NAME1 ... NAMEn. */
static void
visit_all(struct lnt_zone *z, const char *name, unsigned n, uint64_t prefix,
          uint32_t user)
{
    const struct lnt_creator by = network(prefix, user);
    char text[32];

    for (unsigned i = 1; i <= n; i++) {
        snprintf(text, sizeof(text), "%s%u", name, i);
        visit(z, text, &by);
    }
}

static void
add_name(void *arg, const struct lnt_room_info *info)
{
    struct lnt_strbuf *out = arg;

    if (out->n)
        lnt_strbuf_addc(out, ' ');
    lnt_strbuf_adds(out, info->name);
}

/* All rooms, in the order of their nodes. */
static const char *
rooms(struct lnt_zone *z)
{
    static struct lnt_strbuf out;

    lnt_strbuf_clear(&out);
    lnt_zone_rooms(z, 0, add_name, &out);
    return out.n ? out.p : "";
}

static bool
has(struct lnt_zone *z, const char *name)
{
    struct lnt_room_info info;

    return lnt_zone_room_find(z, 1, lnt_str_c(name), &info) == 0;
}

/* ---- limits ---- */

static void
test_session(void)
{
    struct lnt_zone *z = zone_for_ten();
    uint32_t user = add_user(z, "ann", CELL, 1), member, first;
    struct lnt_creator by = network(1, user);
    struct lnt_room_info info;

    by.max_session = 2;
    is_int(lnt_zone_join_by(z, 1, LNT_STR("a"), NULL, user, 1, ANNOUNCE_MAX,
                            &member, &info) < 0 &&
               errno == ENOENT,
           1, "nobody creates a room");
    is_int(lnt_zone_join_by(z, 1, LNT_STR("a"), &by, user, 1, ANNOUNCE_MAX,
                            &first, &info),
           0, "one");
    is_int(visit(z, "b", &by), 0, "two");
    is_int(visit(z, "c", &by), EDQUOT, "three are too many");
    is_int(visit(z, "a", &by), 0, "one that is there is no new one");
    is_sound(z, "at the limit");
    is_int(lnt_zone_user_move(z, user, 1, OTHER_CELL, 2), 0, "moved");
    is_int(visit(z, "c", &by), EDQUOT, "the limit goes along");
    /* Something was said in it: it stays, and counts. */
    lnt_zone_leave(z, first, 1, ANNOUNCE_MAX);
    is_int(visit(z, "c", &by), EDQUOT, "an empty room with history counts");
    lnt_zone_hold(z, 1, LNT_STR("a"), CELL, &member, &info);
    lnt_zone_keep(z, info.room, &(struct lnt_keep){0});
    lnt_zone_unhold(z, member);
    is_int(visit(z, "c", &by), 0, "one that is gone does not");
    /* Another session has the same node. */
    lnt_zone_user_remove(z, user, ANNOUNCE_MAX);
    is_int(add_user(z, "bob", CELL, 3), user, "another session");
    is_int(visit(z, "d", &by), 0, "and may");
    is_sound(z, "another session");
    lnt_zone_close(z);
}

static void
test_network(void)
{
    struct lnt_zone *z = zone_for_ten();
    struct lnt_creator a = network(1, 0), b = network(1, 0), local = {0};
    struct lnt_room_info info;
    uint32_t hold, held[2];

    a.max_network = b.max_network = 2;
    b.family = LNT_CREATOR_V6;
    is_int(visit(z, "a1", &a), 0, "one");
    is_int(visit(z, "a2", &a), 0, "two");
    is_int(visit(z, "a3", &a), 0, "three are too many");
    is_str(rooms(z), "a3 a2", "... so the first one makes room");
    lnt_zone_hold(z, 1, LNT_STR("a2"), CELL, &held[0], &info);
    lnt_zone_hold(z, 1, LNT_STR("a3"), CELL, &held[1], &info);
    is_int(visit(z, "a4", &a), EUSERS, "none of them is idle");
    lnt_zone_unhold(z, held[0]);
    lnt_zone_unhold(z, held[1]);
    is_int(visit(z, "a1", &a), 0, "one is idle again");
    is_str(rooms(z), "a3 a1", "... and makes room");
    is_int(visit(z, "b1", &b), 0, "another network");
    local.family = LNT_CREATOR_LOCAL;
    local.max_network = 1;
    is_int(visit(z, "l1", &local), 0, "what is no network");
    is_int(visit(z, "l2", &local), 0, "has no limit");
    lnt_zone_hold(z, 1, LNT_STR("a1"), CELL, &hold, &info);
    lnt_zone_keep(z, info.room, &(struct lnt_keep){0});
    lnt_zone_unhold(z, hold);
    is_int(visit(z, "a5", &a), 0, "one that is gone does not count");
    ok(has(z, "a3"), "... so nothing is evicted");
    is_sound(z, "networks");
    lnt_zone_close(z);
}

/* ---- eviction ---- */

static void
test_order(void)
{
    struct lnt_zone *z = zone_for_ten();
    struct lnt_room_info info;
    struct lnt_zone_usage u;
    uint32_t hold;

    visit_all(z, "a", 3, 1, 0);
    visit_all(z, "b", 5, 2, 0);
    visit_all(z, "c", 2, 3, 0);
    is_str(rooms(z), "a1 a2 a3 b1 b2 b3 b4 b5 c1 c2", "all fit");
    visit_all(z, "d", 1, 4, 0);
    ok(!has(z, "b1") && has(z, "a1"), "the oldest of whoever has most goes");
    visit_all(z, "b", 5, 2, 0);
    ok(has(z, "b5") && has(z, "a1"), "who comes back takes its own");
    /* Who is there cannot be evicted. */
    lnt_zone_hold(z, 1, LNT_STR("b2"), CELL, &hold, &info);
    visit_all(z, "e", 1, 5, 0);
    ok(has(z, "b2"), "one in which somebody is stays");
    is_sound(z, "some were evicted");
    lnt_zone_unhold(z, hold);
    /* A flood takes nothing of those who have few. */
    visit_all(z, "f", 200, 6, 0);
    ok(has(z, "c2") && has(z, "d1") && has(z, "e1"), "a flood evicts its own");
    ok(!has(z, "f190") && has(z, "f200"), "as soon as it has as many");
    lnt_zone_usage(z, &u);
    ok(u.evicted > 180, "evictions are counted");
    is_sound(z, "flooded");
    lnt_zone_close(z);
}

/* All of them have one. */
static void
test_ties(void)
{
    struct lnt_zone *z = zone_for_ten();
    char name[16];

    for (unsigned i = 1; i <= ROOMS; i++) {
        snprintf(name, sizeof(name), "r%u-", i);
        visit_all(z, name, 1, i, 0);
    }
    visit_all(z, "r1-", 1, 1, 0);
    visit_all(z, "new", 1, 99, 0);
    ok(has(z, "r1-1") && !has(z, "r2-1"),
       "between equals, the one not used for the longest time");
    is_sound(z, "equals");
    lnt_zone_close(z);
}

/* Sessions of one address: behind a proxy all are. */
static void
test_ranks(void)
{
    struct lnt_zone *z = zone_for_ten();
    char nick[16];
    uint32_t ann = add_user(z, "ann", CELL, 1);

    visit_all(z, "ann", 1, 1, ann);
    for (unsigned i = 0; i < 20; i++) {
        uint32_t user;

        snprintf(nick, sizeof(nick), "flood%u-", i);
        user = add_user(z, nick, CELL, 2 + i);
        visit_all(z, nick, 20, 1, user);
        lnt_zone_user_remove(z, user, ANNOUNCE_MAX);
    }
    is_sound(z, "many sessions");
    /* Of each flooder's rooms the first is equal to hers, and ten fit. */
    visit_all(z, "bob", 1, 1, add_user(z, "bob", CELL, 100));
    ok(has(z, "bob1"), "a new one has a room");
    ok(!has(z, "flood19-20"), "the last of a flooding session is gone");
    lnt_zone_close(z);
    z = zone_for_ten();
    ann = add_user(z, "ann", CELL, 1);
    visit_all(z, "ann", 1, 1, ann);
    for (unsigned i = 0; i < 8; i++) {
        uint32_t user;

        snprintf(nick, sizeof(nick), "flood%u-", i);
        user = add_user(z, nick, CELL, 2 + i);
        visit_all(z, nick, 20, 1, user);
    }
    ok(has(z, "ann1"), "as long as there are fewer sessions than rooms");
    lnt_zone_close(z);
}

/* ---- cost ---- */

static double
now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double
evict_many(size_t size, unsigned creators)
{
    enum { ROUNDS = 4000 };
    struct lnt_zone *z = new_zone(size);
    const struct lnt_zone_usage none = {0};
    struct lnt_zone_usage u = none;
    double start;
    char name[32];
    unsigned n = 0;

    (void)lnt_zone_cell_take(z, 0, 1);
    part = (struct lnt_keep){1, 0, 900};
    while (u.evicted == 0) {
        for (unsigned i = 0; i < 1000; i++, n++) {
            const struct lnt_creator by = network(n % creators, 0);

            snprintf(name, sizeof(name), "r%u", n);
            visit(z, name, &by);
        }
        lnt_zone_usage(z, &u);
    }
    start = now_ns();
    for (unsigned i = 0; i < ROUNDS; i++, n++) {
        const struct lnt_creator by = network(n % creators, 0);

        snprintf(name, sizeof(name), "r%u", n);
        visit(z, name, &by);
    }
    double ns = (now_ns() - start) / ROUNDS;
    diag("%zu MiB, %llu rooms, %u creators: %.0f ns a room", size >> 20,
         (unsigned long long)u.rooms, creators, ns);
    lnt_zone_close(z);
    return ns;
}

/* However many there are: the work is the same, memory is slower. */
static void
test_cost(void)
{
    double small = evict_many(2u << 20, 1);

    ok(evict_many(256u << 20, 1) < small * 50 + 20000, "one creator");
    ok(evict_many(256u << 20, 1000000) < small * 50 + 20000, "many creators");
}

int
main(void)
{
    lnt_log_level(LNT_ERROR);
    test_session();
    test_network();
    test_order();
    test_ties();
    test_ranks();
    test_cost();
    return done_testing();
}
