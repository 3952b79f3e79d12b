/*
 * The undo log, byte by byte.  A process that changes the zone copies the whole
 * of it wherever it commits, and is killed at each of its steps in turn.  What
 * the one that repairs then finds must be the last copy, in every table.  That
 * process is killed at its steps, too.
 */
#include "t/lib/zone_check.h"
#include "t/unit/zone_random.h"

#include <signal.h>
#include <sys/mman.h>

#include "core/log.h"
#include "os/clock.h"
#include "zone/blocks.h"
#include "zone/map.h"
#include "zone/undo.h"

#ifdef LNT_DEBUG_BUILD

enum {
    SMALL = 200, /* bytes of a log */
    SEEDS = 60,
};

/* ---- more to die at ---- */

static uint32_t
held(struct lnt_zone *z, const char *name, unsigned count, uint64_t bytes)
{
    struct lnt_room_info info;
    uint32_t hold;

    lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
    lnt_zone_keep(z, info.room, &(struct lnt_keep){count, 0, bytes});
    return info.room;
}

static void
speak(struct lnt_zone *z, uint32_t room, size_t len, unsigned times)
{
    char text[1000];

    memset(text, 's', len);
    text[len] = '\0';
    for (unsigned i = 0; i < times; i++)
        publish(z, room, LNT_EVENT_HISTORY, text, NULL);
}

/* Two rooms have all blocks, most of them on top of their quota. */
static void
fill_blocks(struct lnt_zone *z)
{
    speak(z, held(z, "small hog", 1000, 2000), 300, 30);
    speak(z, held(z, "hog", 1000, 1000), 700, 250);
}

static void
op_rob(struct lnt_zone *z)
{
    for (unsigned i = 0; i < 3; i++) {
        speak(z, room_of(z, "archive"), 900, 1);
        speak(z, room_of(z, "small hog"), 900, 1);
    }
}

static void
op_clear(struct lnt_zone *z)
{
    lnt_zone_keep(z, room_of(z, "hog"), &(struct lnt_keep){0});
}

/* So many rooms that there can be no more; all but a few are idle. */
static void
fill_rooms(struct lnt_zone *z)
{
    struct lnt_creator by = {.family = LNT_CREATOR_V4, .user = WORKER};
    struct lnt_zone_usage u;
    struct lnt_room_info info;
    uint32_t hold;
    char name[16];

    lnt_zone_usage(z, &u);
    for (uint64_t i = u.rooms; i < u.rooms_max; i++) {
        by.prefix = i % 7;
        snprintf(name, sizeof(name), "idle-%u", (unsigned)i);
        lnt_zone_hold_by(z, 1, lnt_str_c(name), &by, 0, &hold, &info);
        lnt_zone_keep(z, info.room, &(struct lnt_keep){2, 0, 0});
        speak(z, info.room, 10, 1);
        lnt_zone_unhold(z, hold);
    }
}

static int
restore(struct lnt_zone *z, const char *name, uint64_t bytes, bool parked,
        uint64_t time_us)
{
    static uint64_t seq;
    const struct lnt_event e = {
        .seq = seq = seq % 200 + 1,
        .time_us = time_us,
        .kind = KIND,
        .flags = LNT_EVENT_HISTORY,
        .data = LNT_STR("restored"),
    };

    return lnt_zone_restore_by(z, 1, lnt_str_c(name),
                               &(struct lnt_keep){9, 1000, bytes},
                               &(struct lnt_former){.parked = parked}, &e);
}

static void
op_restore(struct lnt_zone *z)
{
    restore(z, "restored", 1000, false, 1);
    restore(z, "large", 181000, false, 1); /* "idle" has to go */
    restore(z, "parked", 1000, true, 1);
    restore(z, "too large", 400000, true, 1);
}

/* Messages of which most are too old. */
static void
fill_aged(struct lnt_zone *z)
{
    uint64_t now = lnt_clock_wall_us();

    for (unsigned i = 0; i < 4; i++)
        restore(z, "aged", 1000, false, now - 1000500000);
    restore(z, "aged", 1000, false, now - 1000000);
    restore(z, "old", 1000, false, 1);
}

/* In the middle of all lists. */
static void
op_remove_middle(struct lnt_zone *z)
{
    lnt_zone_user_remove(z, 4, 0);
    lnt_zone_user_remove(z, 2, ANNOUNCE_MAX);
}

static void
op_configured(struct lnt_zone *z)
{
    struct lnt_room_info info;
    uint32_t holds[3];

    for (unsigned i = 0; i < 3; i++)
        lnt_zone_hold(z, 1, LNT_STR("lobby"), CELL, &holds[i], &info);
    lnt_zone_configured(z, info.room);
    lnt_zone_unhold(z, holds[1]);
    lnt_zone_unhold(z, holds[2]);
    lnt_zone_unhold(z, holds[0]);
}

static const struct op more[] = {
    {"rob", op_rob, false, fill_blocks},
    {"clear", op_clear, false, fill_blocks},
    {"full", op_join_new, false, fill_rooms},
    {"restore", op_restore, false, NULL},
    {"sweep_aged", op_sweep, false, fill_aged},
    {"remove_middle", op_remove_middle, false, NULL},
    {"configured", op_configured, false, NULL},
};
enum { MORE = sizeof(more) / sizeof(*more) };

static const struct op *
op_at(size_t i)
{
    return i < OPS ? &ops[i] : &more[i - OPS];
}

/* ---- copies ---- */

/* The zone as it was last committed, without the ring; shared with the
   children. */
static struct copy {
    uint64_t commits;
    char bytes[] __attribute__((aligned(64)));
} * last;

static void
copy_zone(struct lnt_zone *z)
{
    const struct lnt_zone_parts *p = &z->map->parts;

    memcpy(last->bytes, z->map, p->undo);
    memcpy(last->bytes + p->blocks.base, lnt_zone_at(z, p->blocks.base),
           z->map->size - p->blocks.base);
    last->commits++;
}

static struct lnt_zone_map *
copied_map(void)
{
    return (struct lnt_zone_map *)(void *)last->bytes;
}

static void *
memory(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                   -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

/* The zone as an operation finds it.  It is the same one for all deaths. */
static char *
begin(const struct op *op)
{
    fill();
    if (op->prepare)
        op->prepare(zone);
    if (!last)
        last = memory(sizeof(*last) + zone->map->size);
    return take_image();
}

static void
begin_again(const char *image)
{
    back_to(image);
    copy_zone(zone);
    last->commits = 0;
}

static void
end(char *image)
{
    lnt_zone_close(zone);
    free(image);
}

/* An event that is out is committed, also before the process came to say so. */
static void
look_for_event(struct lnt_zone *z)
{
    if (z->map->head != copied_map()->head)
        copy_zone(z);
}

static bool
same(struct lnt_zone *z, const char *what, uint64_t from, uint64_t to)
{
    const char *is = lnt_zone_at(z, from), *was = last->bytes + from;

    for (uint64_t i = 0; i < to - from; i++) {
        if (is[i] != was[i]) {
            diag("%s: byte %llu of %llu is %02x, was %02x", what,
                 (unsigned long long)i, (unsigned long long)(to - from),
                 is[i] & 0xff, was[i] & 0xff);
            return false;
        }
    }
    return true;
}

static bool
same_pool(struct lnt_zone *z, const char *what, const struct lnt_zone_pool *p)
{
    char name[64];

    for (uint32_t i = 0; i <= p->max; i++) {
        uint64_t at = p->base + (uint64_t)i * p->stride;

        snprintf(name, sizeof(name), "%s %u", what, i);
        if (!same(z, name, at, at + p->stride))
            return false;
    }
    return true;
}

/* The heads of blocks, and of their data what is history. */
static bool
same_blocks(struct lnt_zone *z)
{
    const struct lnt_zone_pool *p = &z->map->parts.blocks;
    char name[64];

    for (uint32_t i = 1; i <= p->max; i++) {
        const struct lnt_zone_block *b = lnt_block_at(z, i);
        uint64_t at = p->base + (uint64_t)i * p->stride;
        uint64_t data = at + offsetof(struct lnt_zone_block, data);
        uint64_t start, from, to;
        const struct lnt_zone_room *r;

        snprintf(name, sizeof(name), "block %u", i);
        if (!same(z, name, at, data))
            return false;
        if (!b->room)
            continue;
        r = lnt_room_at(z, b->room);
        start = b->order * LNT_BLOCK_DATA;
        from = r->begin > start ? r->begin - start : 0;
        to = r->end > start ? r->end - start : 0;
        if (to > LNT_BLOCK_DATA)
            to = LNT_BLOCK_DATA;
        snprintf(name, sizeof(name), "data of block %u", i);
        if (from < to && !same(z, name, data + from, data + to))
            return false;
    }
    return true;
}

static bool
same_slots(struct lnt_zone *z, const char *what, const struct lnt_zone_slots *s)
{
    return same(z, what, s->base, s->base + s->max * sizeof(uint32_t));
}

static bool
is_copy(struct lnt_zone *z)
{
    const struct lnt_zone_parts *p = &z->map->parts;

    return same(z, "parts of the map", offsetof(struct lnt_zone_map, parts),
                offsetof(struct lnt_zone_map, order)) &&
           same(z, "sums of the map", offsetof(struct lnt_zone_map, order),
                offsetof(struct lnt_zone_map, masters)) &&
           same_slots(z, "nicks", &p->nicks) &&
           same_slots(z, "names", &p->names) &&
           same_slots(z, "addresses", &p->addresses) &&
           same_slots(z, "origins", &p->origins) &&
           same_pool(z, "user", &p->users) && same_pool(z, "room", &p->rooms) &&
           same_pool(z, "member", &p->members) &&
           same_pool(z, "peer", &p->peers) &&
           same_pool(z, "visit", &p->visits) &&
           same_pool(z, "creator", &p->creators) &&
           same(z, "ranking", p->ranking,
                p->ranking + (p->rooms.max + 1) * sizeof(uint32_t)) &&
           same_blocks(z);
}

/* ---- dying ---- */

struct victim {
    const struct op *op;
    unsigned step;
    size_t undo_size; /* of the log, 0: all of it */
};

static int
die(struct lnt_zone *z, void *arg)
{
    const struct victim *v = arg;

    z->on_commit = copy_zone;
    if (v->undo_size)
        z->undo_size = v->undo_size;
    z->die_at = z->steps + v->step;
    v->op->fn(z);
    return 0;
}

static bool compared;

/* At its first commit a repair is through with the tables. */
static void
compare(struct lnt_zone *z)
{
    compared = is_copy(z);
    z->on_commit = copy_zone;
    copy_zone(z);
}

static int
die_in_repair(struct lnt_zone *z, void *arg)
{
    const unsigned *step = arg;

    look_for_event(z);
    z->on_commit = compare;
    compared = true;
    z->die_at = z->steps + *step;
    lnt_zone_probe(z);
    return compared ? 0 : 3;
}

/* Whether all repairs found what they should. */
static bool
repair_at_steps(void)
{
    int status, sig;
    unsigned step = 1;

    do {
        status = in_child(die_in_repair, zone, &step, &sig);
        step += 1 + step / 4;
    } while (sig == SIGKILL);
    return status == 0;
}

static bool
repair(void)
{
    look_for_event(zone);
    compared = true;
    zone->on_commit = compare;
    lnt_zone_probe(zone);
    zone->on_commit = NULL;
    return compared;
}

static bool
is_whole(const char *name)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool good = lnt_zone_check(zone, &why);

    if (!good)
        diag("%s: %s", name, why.p);
    lnt_strbuf_release(&why);
    return good;
}

struct tally {
    unsigned deaths, commits, rebuilds;
};

/* true in *through when the operation had not so many steps. */
static bool
die_at(const struct victim *v, bool in_repair, struct tally *t, bool *through)
{
    char name[64];
    uint64_t rebuilds = zone->map->rebuilds;
    int sig;
    bool good;

    snprintf(name, sizeof(name), "%s, step %u", v->op->name, v->step);
    good =
        in_child(die, zone, (void *)(uintptr_t)v, &sig) == 0 || sig == SIGKILL;
    t->commits = (unsigned)last->commits;
    *through = sig == 0;
    if (v->undo_size)
        lnt_zone_probe(zone);
    else
        good = good && (!in_repair || repair_at_steps()) && repair();
    rebuilds = zone->map->rebuilds - rebuilds;
    t->rebuilds += rebuilds != 0;
    good = is_whole(name) && good;
    /* Between turns++ and the log's new turn everything is made again. */
    if (!v->undo_size && rebuilds > 0) {
        diag("%s: everything was made again", name);
        good = false;
    }
    if (!good)
        diag("%s, after %u commits", name, t->commits);
    return good;
}

static void
die_everywhere(const struct op *op, bool in_repair, size_t undo_size)
{
    struct victim v = {op, 1, undo_size};
    struct tally t = {0};
    char *image = begin(op);
    bool good = true, through = false;

    /* A long one not at every step. */
    for (; good && !through; v.step += 1 + v.step / 400 + (in_repair ? 4 : 0)) {
        begin_again(image);
        good = die_at(&v, in_repair, &t, &through);
        t.deaths += !through;
    }
    end(image);
    ok(good, "%s%s: %u deaths, %u commits, %u times made again", op->name,
       in_repair ? ", dying in repairs" : "", t.deaths, t.commits, t.rebuilds);
    if (undo_size)
        ok(t.rebuilds > 0, "... the log did not hold all");
}

static void
die_at_random(void)
{
    char name[32];
    const struct op op = {name, random_changes, false, random_zone};

    for (random_seed = 0; random_seed < SEEDS; random_seed++) {
        snprintf(name, sizeof(name), "random %u", random_seed);
        die_everywhere(&op, random_seed % 6 == 5, 0);
    }
}

int
main(void)
{
    lnt_log_level(LNT_ERROR);
    for (size_t i = 0; i < OPS + MORE; i++)
        die_everywhere(op_at(i), false, 0);
    for (size_t i = 0; i < OPS + MORE; i++)
        die_everywhere(op_at(i), true, 0);
    die_at_random();
    /* A log that does not hold all. */
    die_everywhere(&more[0], false, SMALL);
    die_everywhere(&more[1], false, SMALL);
    die_everywhere(&ops[5], false, SMALL);
    return done_testing();
}

#else

int
main(void)
{
    skip(1, "deaths: needs configure --with-debug");
    return done_testing();
}

#endif
