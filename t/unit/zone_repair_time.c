/*
 * How long everybody waits when a process died in the zone: in one with a
 * million members no longer than what the process was doing takes.
 */
#include "t/unit/zone_help.h"

#include <signal.h>

#include "core/log.h"
#include "os/clock.h"
#include "zone/map.h"

enum {
    MEMBERS_WANTED = 1000000,
    ROOMS_EACH = 2, /* of a user */
    ROOM_COUNT = 4000,
    MESSAGES = 20, /* in each room's history */
    TRIES = 5,
    LIMIT_US = 10000,
};
#define ZONE_SIZE ((size_t)1 << 30)

static struct lnt_zone *
crowd(void)
{
    struct lnt_zone *z = new_zone(ZONE_SIZE);
    struct lnt_room_info info = {0};
    uint32_t member;
    char name[32], text[100];

    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 0; i < MEMBERS_WANTED / ROOMS_EACH; i++) {
        uint32_t user;

        snprintf(name, sizeof(name), "user-%u", i);
        user = add_user(z, name, 0, i + 1);
        for (unsigned k = 0; k < ROOMS_EACH; k++) {
            snprintf(name, sizeof(name), "room-%u",
                     (i * ROOMS_EACH + k) % ROOM_COUNT);
            if (server_join(z, 1, lnt_str_c(name), user, 1, 0, &member, &info) <
                0)
                fail("join %s: %s", name, strerror(errno));
        }
    }
    for (unsigned i = 0; i < ROOM_COUNT; i++) {
        snprintf(name, sizeof(name), "room-%u", i);
        lnt_zone_room_find(z, 1, lnt_str_c(name), &info);
        lnt_zone_keep(z, info.room, &(struct lnt_keep){MESSAGES, 0, 4000});
        for (unsigned k = 0; k < MESSAGES; k++)
            publish(z, info.room, LNT_EVENT_HISTORY, text, NULL);
    }
    return z;
}

struct change {
    const char *name;
    int (*fn)(struct lnt_zone *z, void *arg);
};

static int
join_one(struct lnt_zone *z, void *arg)
{
    struct lnt_room_info info;
    uint32_t member;

    (void)arg;
    return server_join(z, 1, LNT_STR("room-7"), 1, 1, UINT32_MAX, &member,
                       &info) < 0;
}

static int
publish_one(struct lnt_zone *z, void *arg)
{
    struct lnt_room_info info;

    (void)arg;
    return lnt_zone_room_find(z, 1, LNT_STR("room-7"), &info) < 0 ||
           publish(z, info.room, LNT_EVENT_HISTORY, "one more", NULL) != 0;
}

/* Where steps are counted; elsewhere it takes the lock and goes. */
static int
die(struct lnt_zone *z, void *arg)
{
#ifdef LNT_DEBUG_BUILD
    const struct change *c = arg;

    z->die_at = z->steps + 12;
    return c->fn(z, NULL);
#else
    (void)arg;
    lnt_zone_lock(z);
    return 0;
#endif
}

/* us until the lock can be had, the best of some. */
static uint64_t
time_repair(struct lnt_zone *z, const struct change *c)
{
    uint64_t best = UINT64_MAX;
    int sig;

    for (int i = 0; i < TRIES; i++) {
        uint64_t start, us;

        in_child(die, z, (void *)(uintptr_t)c, &sig);
#ifdef LNT_DEBUG_BUILD
        if (sig != SIGKILL)
            fail("%s: it did not die", c->name);
#endif
        start = lnt_clock_wall_us();
        lnt_zone_probe(z);
        us = lnt_clock_wall_us() - start;
        best = us < best ? us : best;
    }
    return best;
}

int
main(void)
{
    static const struct change changes[] = {
        {"join", join_one},
        {"publish", publish_one},
    };
    struct lnt_zone *z;
    struct lnt_zone_usage u;

    lnt_log_level(LNT_ERROR);
    z = crowd();
    lnt_zone_usage(z, &u);
    diag("%llu users, %llu members, %llu rooms, %llu messages",
         (unsigned long long)u.users, (unsigned long long)u.members,
         (unsigned long long)u.rooms, (unsigned long long)u.kept);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        uint64_t us = time_repair(z, &changes[i]);

        diag("%s: repaired in %llu us", changes[i].name,
             (unsigned long long)us);
        ok(us < LIMIT_US, "%s: nobody waits long", changes[i].name);
    }
    is_sound(z, "at the end");
    lnt_zone_close(z);
    return done_testing();
}
