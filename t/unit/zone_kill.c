/*
 * Dying in the zone: for every operation a child is killed at each of its
 * steps in turn, and then, for each of these, the one that repairs is killed
 * at each step of the repair, too.  Afterwards everything must fit together,
 * and what others were told by events must be what the tables say.  All of it
 * twice: with the undo log, and with children that keep none, after which the
 * tables are made again.
 */
#include "t/lib/zone_check.h"
#include "t/unit/zone_ops.h"

#include <signal.h>

#include "core/log.h"

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

static void
op_repair(struct lnt_zone *z) /* only locks */
{
    struct lnt_zone_usage u;

    lnt_zone_usage(z, &u);
}

struct victim {
    void (*fn)(struct lnt_zone *z);
    unsigned step;
};

/* How it is done. */
struct mode {
    bool in_repair;
    unsigned stride; /* of the steps at which repairs die */
    const char *name;
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
kill_at(const struct op *op, unsigned step, const struct mode *m, bool *through,
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
    good = in_child(die, zone, &v, &sig) == 0 || sig == SIGKILL;
    *through = sig == 0;
    while (good && m->in_repair && sig == SIGKILL) {
        good = in_child(die, zone, &w, &sig) == 0 || sig == SIGKILL;
        *repairs += sig == SIGKILL;
        w.step += m->stride; /* some of the many steps there are */
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
    return good;
}

static void
kill_everywhere(const struct op *op, const struct mode *m)
{
    unsigned deaths = 0, repairs = 0;
    bool good = true, through = false;
    char *image;

    fill();
    image = take_image();
    while (good && !through) {
        back_to(image);
        good = kill_at(op, deaths + 1, m, &through, &repairs);
        deaths += !through;
    }
    lnt_zone_close(zone);
    free(image);
    ok(good, "%s%s: %u deaths, %u in repairs", op->name, m->name, deaths,
       repairs);
}

static void
kill_all(bool in_repair, unsigned stride, const char *name)
{
    const struct mode m = {in_repair, stride, name};

    for (size_t i = 0; i < OPS; i++)
        kill_everywhere(&ops[i], &m);
}

int
main(void)
{
    lnt_log_level(LNT_ERROR);
    kill_all(false, 0, "");
    kill_all(true, 11, "");
    /* Read when a zone is made, and when a process attaches. */
    setenv("LINNET_TEST_ZONE_NO_UNDO", "1", 1);
    kill_all(false, 0, ", made again");
    kill_all(true, 7, ", made again");
    return done_testing();
}

#else

int
main(void)
{
    const struct lnt_cursor start = {.position = 1u << 19};

    for (size_t i = 0; i < OPS; i++) {
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
