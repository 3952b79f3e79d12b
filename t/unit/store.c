/*
 * The store: what the rooms of a zone keep is in it, whatever happens in
 * between, and comes back into the next zone; files that are no good are
 * refused with the reason.
 */
#include "t/lib/zone_check.h"
#include "t/unit/zone_help.h"

#include "auto_config.h"

#include <fcntl.h>
#ifdef LNT_HAVE_SQLITE
#include <sqlite3.h>
#endif
#include <sys/stat.h>

#include "core/log.h"
#include "os/clock.h"
#include "store/mirror.h"
#include "store/store.h"
#include "t/unit/tmp.h"

static struct lnt_strbuf out, why;

/* ---- zones ---- */

static const struct lnt_keep five = {5, 0, 8000};

/* A room that is held. */
static uint32_t
open_room(struct lnt_zone *z, uint32_t app, const char *name,
          const struct lnt_keep *keep)
{
    struct lnt_room_info info;
    uint32_t hold;

    if (lnt_zone_hold(z, app, lnt_str_c(name), 0, &hold, &info) < 0)
        fail("hold %s: %s", name, strerror(errno));
    if (keep && lnt_zone_keep(z, info.room, keep) < 0)
        fail("keep %s: %s", name, strerror(errno));
    return info.room;
}

static uint64_t
say(struct lnt_zone *z, uint32_t room, unsigned from, unsigned to)
{
    char text[16];
    uint64_t seq = 0;

    for (unsigned i = from; i <= to; i++) {
        snprintf(text, sizeof(text), "%u", i);
        if (publish(z, room, LNT_EVENT_HISTORY, text, &seq) != 0)
            fail("publish");
    }
    return seq;
}

/* Overwrites the whole log. */
static void
flush_log(struct lnt_zone *z)
{
    struct lnt_zone_usage u;
    static char text[4096];
    struct lnt_event e = {
        .app = 1,
        .room = LNT_ROOM_NONE,
        .kind = KIND,
        .data = {text, sizeof(text)},
    };

    lnt_zone_usage(z, &u);
    for (uint64_t n = 0; n < u.log_bytes + 65536; n += sizeof(text))
        if (lnt_zone_publish(z, &e) < 0)
            fail("publish");
}

static void
add_text(struct lnt_strbuf *to, struct lnt_str text)
{
    if (to->n > 0 && to->p[to->n - 1] != ':')
        lnt_strbuf_addc(to, ' ');
    if (text.n > 20)
        lnt_strbuf_addf(to, "%zu*%c", text.n, text.p[0]);
    else if (text.n == 0)
        lnt_strbuf_addc(to, '-');
    for (size_t i = 0; i < text.n && text.n <= 20; i++)
        lnt_strbuf_addc(to, text.p[i] ? text.p[i] : '.');
}

/* What a room of the zone keeps, "1 2 3". */
static const char *
kept(struct lnt_zone *z, const char *name)
{
    static struct lnt_strbuf list;
    struct lnt_room_info info;
    struct lnt_str rest;
    struct lnt_event e;

    lnt_strbuf_clear(&list);
    if (lnt_zone_room_find(z, 1, lnt_str_c(name), &info) < 0)
        return "no room";
    lnt_strbuf_clear(&out);
    lnt_zone_history(z, info.room, UINT64_MAX, UINT32_MAX, &out);
    for (rest = lnt_strbuf_str(&out); lnt_zone_kept_next(&rest, &e);)
        add_text(&list, e.data);
    return list.n ? list.p : "";
}

/* ---- stores ---- */

static int
add_message(void *arg, const struct lnt_event *e, struct lnt_strbuf *unused)
{
    (void)unused;
    add_text(arg, e->data);
    return 0;
}

struct dump {
    struct lnt_store *store;
    struct lnt_strbuf text;
};

static int
dump_room(void *arg, const struct lnt_store_room *r, struct lnt_strbuf *unused)
{
    struct dump *d = arg;

    if (d->text.n)
        lnt_strbuf_addc(&d->text, ' ');
    if (r->app != 1)
        lnt_strbuf_addf(&d->text, "%u/", r->app);
    lnt_strbuf_add_str(&d->text, r->name);
    lnt_strbuf_addc(&d->text, ':');
    return lnt_store_messages(d->store, r->id, add_message, &d->text, unused);
}

/* All of a store, "room:1 2 3 other:4". */
static const char *
stored(const char *path)
{
    static struct dump d;

    lnt_strbuf_clear(&d.text);
    lnt_strbuf_clear(&why);
    d.store = lnt_store_open(path, &why);
    if (!d.store || lnt_store_check(d.store, &why) < 0 ||
        lnt_store_rooms(d.store, dump_room, &d, &why) < 0)
        lnt_strbuf_add_str(&d.text, lnt_strbuf_str(&why));
    lnt_store_close(d.store);
    return d.text.n ? d.text.p : "";
}

/* The name of a store that does not exist. */
static const char *
new_path(void)
{
    static unsigned n;
    char name[32];

    snprintf(name, sizeof(name), "%u.db", ++n);
    return tmp_path(name);
}

static void
worked(int result, const char *what)
{
    if (!ok(result == 0, "%s", what))
        diag("%s", why.p ? why.p : "?");
    lnt_strbuf_clear(&why);
}

/* A mirror of a zone in which a server has just started. */
static struct lnt_mirror *
start(struct lnt_zone *z, const char *path)
{
    struct lnt_mirror *m = lnt_mirror_new(z, path);

    worked(lnt_mirror_load(m, &why), "loaded");
    worked(lnt_mirror_open(m, &why), "opened");
    return m;
}

static void
synced(struct lnt_mirror *m)
{
    worked(lnt_mirror_sync(m, false, &why), "synced");
}

/* In order, or as if the process had been killed. */
static void
end(struct lnt_zone *z, struct lnt_mirror *m, bool in_order)
{
    if (in_order)
        worked(lnt_mirror_finish(m, true, &why), "finished");
    lnt_mirror_free(m);
    lnt_zone_close(z);
}

/* ---- what a store is ---- */

static void
refused(const char *path, const char *reason)
{
    struct lnt_store *s;

    lnt_strbuf_clear(&why);
    s = lnt_store_open(path, &why);
    if (s && lnt_store_check(s, &why) == 0)
        fail("%s is taken", path);
    if (!ok(why.p && strstr(why.p, reason) && strstr(why.p, path), "%s",
            reason))
        diag("%s", why.p);
    lnt_store_close(s);
}

static void
change(const char *path, long at, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);

    if (fd < 0 || pwrite(fd, bytes, n, at) != (ssize_t)n)
        fail("%s: %s", path, strerror(errno));
    close(fd);
}

static void
test_kinds(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const struct lnt_keep keep = {1000, 0, 160000};
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    char page[4096];

    say(z, open_room(z, 1, "r", &keep), 1, 1000);
    end(z, m, true);
    ok(strstr(stored(path), " 999 1000"), "it can be read");
    memset(page, 'x', sizeof(page));
    refused(tmp_write("text", page, sizeof(page)), "that is no database");
    refused(tmp_dir(), "cannot open it");
    refused(tmp_path("none/a.db"), "cannot open it");
    change(path, 60, "\0\0\0\2", 4);
    refused(path, "it has format 2, this linnet knows 1");
    change(path, 60, "\0\0\0\1", 4);
    change(path, 68, "abcd", 4);
    refused(path, "a database of another program");
    change(path, 68, "lnet", 4);
    change(path, 5 * 4096, page, sizeof(page));
    refused(path, "it is damaged");
    if (geteuid() != 0) {
        chmod(path, 0444);
        refused(path, "it may not be written");
    }
}

/* ---- over a restart ---- */

static void
test_restart(bool in_order)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    uint64_t epoch = lnt_zone_epoch(z), seq, last;
    struct lnt_room_info info;
    uint32_t room = open_room(z, 1, "r", &five), other;
    struct lnt_event e;
    unsigned n;

    say(z, room, 1, 7);
    synced(m);
    is_str(stored(path), "r:3 4 5 6 7", "what the room keeps is there");
    other = open_room(z, 1, "other", &five);
    say(z, other, 10, 11);
    e = (struct lnt_event){.app = 2,
                           .room = open_room(z, 2, "r", &five),
                           .kind = KIND + 1,
                           .flags = LNT_EVENT_HISTORY,
                           .data = LNT_STR("a\0b")};
    lnt_zone_publish(z, &e);
    seq = say(z, room, 8, 8);
    publish(z, room, 0, "typing", NULL);
    last = lnt_zone_head(z);
    synced(m);
    end(z, m, in_order);

    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    is_sound(z, "loaded");
    ok((lnt_zone_epoch(z) == epoch) == in_order,
       in_order ? "the same epoch" : "another epoch");
    ok(in_order ? lnt_zone_head(z) == last : lnt_zone_head(z) >= seq,
       "seqs go on");
    is_str(kept(z, "r"), "4 5 6 7 8", "a room");
    is_str(kept(z, "other"), "10 11", "another one");
    if (is_int(lnt_zone_room_find(z, 2, LNT_STR("r"), &info), 0, "its twin")) {
        struct lnt_str rest;

        lnt_strbuf_clear(&out);
        lnt_zone_history(z, info.room, UINT64_MAX, 10, &out);
        rest = lnt_strbuf_str(&out);
        ok(lnt_zone_kept_next(&rest, &e) && e.kind == KIND + 1 &&
               e.flags == LNT_EVENT_HISTORY && e.seq == seq - 1 &&
               lnt_str_eq(e.data, LNT_STR("a\0b")) &&
               lnt_clock_wall_us() - e.time_us < 60000000,
           "with bytes, kind, flags, seq and time");
    }
    room = open_room(z, 1, "r", NULL);
    say(z, room, 9, 9);
    lnt_strbuf_clear(&out);
    ok(lnt_zone_since(z, room, seq, UINT64_MAX, 10, &out, &n) && n == 1,
       "what was missed over the restart is known");
    synced(m);
    is_str(stored(path), "other:10 11 2/r:a.b r:5 6 7 8 9",
           "and the store goes on");
    end(z, m, false);
}

/* What did not fit is lost after the restart, too. */
static void
test_lost(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    uint32_t room = open_room(z, 1, "r", &five), hog;
    struct lnt_zone_usage u;
    uint64_t seq = say(z, room, 1, 2);
    static char text[200000];
    unsigned n;

    lnt_zone_usage(z, &u);
    hog = open_room(z, 1, "hog",
                    &(struct lnt_keep){10000, 0, u.history_bytes - 9000});
    memset(text, 'x', 900);
    for (uint64_t b = 0; b < u.history_bytes; b += 900)
        publish(z, hog, LNT_EVENT_HISTORY, text, NULL);
    memset(text, 'x', u.log_bytes / 4 - 200);
    is_int(publish(z, room, LNT_EVENT_HISTORY, text, NULL), 0,
           "more than can be kept");
    lnt_strbuf_clear(&out);
    ok(!lnt_zone_since(z, room, seq, UINT64_MAX, 10, &out, &n) || n == 1,
       "is gone, or still in the log");
    end(z, m, true);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    lnt_strbuf_clear(&out);
    is_str(kept(z, "r"), "1 2", "what did fit is there");
    ok(!lnt_zone_since(z, open_room(z, 1, "r", NULL), seq, UINT64_MAX, 10, &out,
                       &n),
       "and known to be gone after the restart");
    end(z, m, true);
}

/* ---- going on ---- */

static void
test_again(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    uint32_t room = open_room(z, 1, "r", &five);
    uint32_t quiet = open_room(z, 1, "quiet", &five);

    say(z, room, 1, 2);
    synced(m);
    say(z, room, 3, 4);
    lnt_mirror_free(m); /* killed */
    say(z, quiet, 1, 1);
    m = lnt_mirror_new(z, path);
    worked(lnt_mirror_open(m, &why), "another process goes on");
    synced(m);
    is_str(stored(path), "r:1 2 3 4 quiet:1", "from the log");
    say(z, quiet, 2, 3);
    lnt_mirror_free(m);
    say(z, room, 5, 6);
    flush_log(z);
    m = lnt_mirror_new(z, path);
    worked(lnt_mirror_open(m, &why), "another one");
    synced(m);
    is_str(stored(path), "quiet:1 2 3 r:2 3 4 5 6", "from the histories");
    say(z, quiet, 4, 4);
    flush_log(z);
    say(z, room, 7, 7);
    synced(m);
    is_str(stored(path), "quiet:1 2 3 4 r:3 4 5 6 7",
           "the same when it was too slow");
    say(z, room, 8, 2000);
    synced(m);
    is_str(stored(path), "quiet:1 2 3 4 r:1996 1997 1998 1999 2000",
           "no more than is kept");
    lnt_zone_keep(z, quiet, &(struct lnt_keep){0});
    lnt_zone_keep(z, room, &(struct lnt_keep){2, 0, 8000});
    worked(lnt_mirror_sync(m, true, &why), "all rooms");
    is_str(stored(path), "r:1999 2000", "and no longer");
    end(z, m, false);
}

/* Rooms that go, and others of that name. */
static void
test_rooms(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    struct lnt_room_info info;
    char name[16];
    uint32_t hold;

    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "room-%u", i);
        lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
        lnt_zone_keep(z, info.room, &five);
        say(z, info.room, i, i + 6);
        lnt_zone_unhold(z, hold);
    }
    worked(lnt_mirror_sync(m, true, &why), "many rooms");
    is_int(lnt_zone_store(z)->rooms, lnt_zone_store(z)->messages / 5,
           "are counted");
    lnt_zone_hold(z, 1, LNT_STR("large"), 0, &hold, &info);
    lnt_zone_keep(z, info.room, &(struct lnt_keep){1000000, 0, 150000});
    say(z, info.room, 1, 12000);
    worked(lnt_mirror_sync(m, true, &why), "a large one");
    uint64_t rooms = lnt_zone_store(z)->rooms;
    lnt_mirror_free(m);
    struct lnt_zone *other = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(other, path);
    is_sound(other, "loaded");
    for (unsigned i = 0; i < 301; i++) {
        snprintf(name, sizeof(name), i < 300 ? "room-%u" : "large", i);
        lnt_strbuf_clear(&why);
        lnt_strbuf_adds(&why, kept(other, name));
        if (strcmp(why.p, kept(z, name)) != 0)
            fail("%s: %.100s", name, why.p);
    }
    lnt_zone_close(z);
    /* Larger than what there was room for before. */
    for (unsigned i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "next-%u", i);
        open_room(other, 1, name, &(struct lnt_keep){5, 0, 10000});
    }
    worked(lnt_mirror_sync(m, true, &why), "rooms were evicted");
    ok(lnt_zone_store(other)->parked > 0, "some of the store are parked");
    is_int(lnt_zone_store(other)->rooms, rooms, "but all are in it");
    end(other, m, false);
}

/* ---- what goes wrong ---- */

static void
test_files(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE), *next;
    const char *path = new_path(), *path2 = new_path();
    struct lnt_mirror *m = start(z, path), *m2;
    uint32_t room = open_room(z, 1, "r", &five);

    say(z, room, 1, 2);
    synced(m);
    unlink(path);
    is_int(lnt_mirror_sync(m, false, &why), -1, "a file that was removed");
    ok(strstr(why.p, "removed or replaced"), "is noticed");
    lnt_strbuf_clear(&why);
    synced(m);
    is_str(stored(path), "r:1 2", "and written anew");

    flush_log(z);
    m2 = lnt_mirror_new(z, path2);
    worked(lnt_mirror_open(m2, &why), "another file");
    lnt_mirror_free(m2); /* killed, before it has written anything */
    m2 = lnt_mirror_new(z, path2);
    worked(lnt_mirror_open(m2, &why), "once more");
    synced(m2);
    is_str(stored(path2), "r:1 2", "has all of it");
    lnt_mirror_free(m2);
    end(z, m, true);

    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = lnt_mirror_new(z, path);
    is_int(lnt_mirror_open(m, &why), -1, "the store of another server");
    ok(strstr(why.p, "only a start can take over"), "is not touched");
    lnt_strbuf_clear(&why);
    is_str(stored(path), "r:1 2", "really not");
    lnt_mirror_free(m);

    /* Read while its owner still writes, and taken from it later. */
    m = lnt_mirror_new(z, path2);
    next = new_zone(LNT_ZONE_MIN_SIZE);
    m2 = lnt_mirror_new(next, path2);
    worked(lnt_mirror_load(m, &why), "its owner");
    worked(lnt_mirror_open(m, &why), "writes");
    worked(lnt_mirror_load(m2, &why), "another one reads");
    lnt_mirror_let_go(m2);
    say(z, open_room(z, 1, "r", NULL), 3, 3);
    synced(m);
    end(z, m, false);
    say(next, open_room(next, 1, "r", NULL), 4, 5);
    worked(lnt_mirror_open(m2, &why), "and takes it over");
    synced(m2);
    is_str(stored(path2), "r:1 2 4 5", "for its own zone");
    end(next, m2, true);
}

static void
test_full(void)
{
#ifdef LNT_DEBUG_BUILD
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    const struct lnt_keep many = {1000, 0, 160000};
    struct lnt_mirror *m;
    uint32_t room = open_room(z, 1, "r", &many);

    setenv("LINNET_TEST_STORE_PAGES", tmp_write("pages", "6", 1), 1);
    m = start(z, path);
    say(z, room, 1, 10);
    synced(m);
    say(z, room, 11, 900);
    is_int(lnt_mirror_sync(m, false, &why), -1, "a full disk");
    ok(strstr(why.p, "the disk is full"), "is told");
    lnt_strbuf_clear(&why);
    flush_log(z);
    is_int(lnt_mirror_sync(m, false, &why), -1, "as long as it is");
    is_str(stored(path), "r:1 2 3 4 5 6 7 8 9 10", "what there was is kept");
    tmp_write("pages", "0", 1);
    say(z, room, 901, 902);
    synced(m);
    lnt_strbuf_clear(&why);
    lnt_strbuf_addf(&why, "r:%s", kept(z, "r"));
    ok(strstr(why.p, " 900 901 902") != NULL, "there is space again");
    char *want = lnt_strbuf_detach(&why);
    is_str(stored(path), want, "and all of it is written");
    free(want);
    unsetenv("LINNET_TEST_STORE_PAGES");
    end(z, m, true);
#else
    skip(1, "only in debug builds");
#endif
}

static void
test_sizes(void)
{
    struct lnt_zone *z = new_zone(16u << 20);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    uint32_t room = open_room(z, 1, "r", &(struct lnt_keep){100, 0, 4000000});
    static char text[300000];
    static const unsigned sizes[] = {0,    1,     8,     991,   992,
                                     4000, 65536, 99999, 299999};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(text, (int)('a' + i), sizes[i]);
        text[sizes[i]] = '\0';
        is_int(publish(z, room, LNT_EVENT_HISTORY, text, NULL), 0, "%u bytes",
               sizes[i]);
    }
    end(z, m, true);
    z = new_zone(16u << 20);
    m = start(z, path);
    is_str(kept(z, "r"),
           "- b cccccccc 991*d 992*e 4000*f 65536*g 99999*h 299999*i",
           "come back");
    end(z, m, true);
}

/* Rooms that a smaller zone has no place for wait in the store for a larger. */
static void
test_smaller(void)
{
    struct lnt_zone *z = new_zone(16u << 20);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    struct lnt_room_info info;
    char name[16];
    uint32_t hold;

    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "room-%u", i);
        lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
        lnt_zone_keep(z, info.room, &five);
        say(z, info.room, 1, 2);
        lnt_zone_unhold(z, hold);
    }
    end(z, m, true);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    is_str(kept(z, "room-99"), "1 2", "the latest is there");
    is_str(kept(z, "room-0"), "no room", "the first is not");
    worked(lnt_mirror_sync(m, true, &why), "all rooms");
    ok(strstr(stored(path), "room-0:1 2"), "but in the store");
    open_room(z, 1, "room-0", &five);
    worked(lnt_mirror_sync(m, true, &why), "somebody comes");
    ok(strstr(stored(path), "room-0:1 2"), "it waits on");
    say(z, open_room(z, 1, "room-1", &five), 3, 4);
    worked(lnt_mirror_sync(m, true, &why), "somebody speaks");
    ok(strstr(stored(path), "room-1:1 2 3 4"), "behind what was said before");
    end(z, m, true);
    z = new_zone(16u << 20);
    m = start(z, path);
    is_str(kept(z, "room-0"), "1 2", "a larger zone has it again");
    is_str(kept(z, "room-1"), "1 2 3 4", "and the merged one");
    end(z, m, true);
}

/* ---- rooms that are evicted ---- */

static void
open_and_say(struct lnt_zone *z, const char *name, const struct lnt_keep *keep,
             const struct lnt_creator *by, unsigned from, unsigned to)
{
    struct lnt_room_info info;
    uint32_t hold;

    if (lnt_zone_hold_by(z, 1, lnt_str_c(name), by, 0, &hold, &info) < 0)
        fail("hold %s: %s", name, strerror(errno));
    lnt_zone_keep(z, info.room, keep);
    if (to >= from)
        say(z, info.room, from, to);
    lnt_zone_unhold(z, hold);
}

static const struct lnt_creator attacker = {.prefix = 666,
                                            .family = LNT_CREATOR_V4};

/* All the history there is, of a room that stays. */
static uint32_t
take_all(struct lnt_zone *z, const char *name)
{
    struct lnt_zone_usage u;

    lnt_zone_usage(z, &u);
    return open_room(z, 1, name,
                     &(struct lnt_keep){100000, 0, u.history_bytes});
}

/* Rooms of one creator, more than there is history for. */
static void
flood(struct lnt_zone *z, const struct lnt_creator *by, unsigned from,
      unsigned n)
{
    char name[16];

    for (unsigned i = from; i < from + n; i++) {
        snprintf(name, sizeof(name), "flood-%u", i);
        open_and_say(z, name, &five, by, i, i);
    }
}

/* What was evicted is in the store, what comes later goes behind it, and that
   is what the next zone has. */
static void
test_evicted(void)
{
    const struct lnt_creator victim = {.prefix = 1, .family = LNT_CREATOR_V4};
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    struct lnt_room_info info;
    uint32_t hold;

    open_and_say(z, "own", &five, &victim, 1, 3);
    open_and_say(z, "lot", &five, &attacker, 1, 4);
    synced(m);
    flood(z, &attacker, 0, 300);
    is_str(kept(z, "own"), "1 2 3", "a flood evicts nothing of others");
    is_str(kept(z, "lot"), "no room", "but the oldest of its own");
    worked(lnt_mirror_sync(m, true, &why), "a look at all");
    ok(strstr(stored(path), "lot:1 2 3 4"), "which is in the store");
    lnt_zone_hold(z, 1, LNT_STR("lot"), 0, &hold, &info);
    worked(lnt_mirror_sync(m, true, &why), "it is there again, keeps nothing");
    ok(strstr(stored(path), "lot:1 2 3 4"), "still in the store");
    lnt_zone_keep(z, info.room, &five);
    worked(lnt_mirror_sync(m, true, &why), "it keeps something");
    ok(strstr(stored(path), "lot:1 2 3 4"), "still in the store");
    say(z, info.room, 5, 6);
    synced(m);
    ok(strstr(stored(path), "lot:2 3 4 5 6"), "merged, the last five");
    is_str(kept(z, "lot"), "5 6", "the zone has the new ones");
    end(z, m, true);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    is_str(kept(z, "lot"), "2 3 4 5 6", "after a restart it has all");
    is_str(kept(z, "own"), "1 2 3", "and the victim's");
    /* And the flood goes on, from elsewhere. */
    flood(z, &(struct lnt_creator){.prefix = 5, .family = LNT_CREATOR_V4}, 300,
          300);
    is_str(kept(z, "own"), "1 2 3", "as after the next flood");
    end(z, m, true);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    is_str(kept(z, "own"), "1 2 3", "and the next restart");
    is_str(kept(z, "lot"), "2 3 4 5 6", "of both");
    /* No history is wanted any more. */
    open_room(z, 1, "own", &(struct lnt_keep){0});
    worked(lnt_mirror_sync(m, true, &why), "a room that is to keep nothing");
    ok(!strstr(stored(path), "own:"), "goes from the store");
    end(z, m, false);
}

/* What nobody evicted does not get shorter in the store, either. */
static void
test_robbed(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    uint32_t room = open_room(z, 1, "r", &(struct lnt_keep){100, 0, 0});
    uint32_t big;

    say(z, room, 1, 50);
    synced(m);
    big = take_all(z, "big");
    say(z, big, 1, 20000);
    ok(strlen(kept(z, "r")) < 100, "others needed the space");
    worked(lnt_mirror_sync(m, true, &why), "a look at all");
    ok(strstr(stored(path), "r:1 2 3 4 "), "the store has kept it");
    lnt_zone_keep(z, big, &(struct lnt_keep){1, 0, 1000});
    for (unsigned i = 0; i < 200; i++)
        lnt_zone_sweep(z); /* drops some at a time */
    say(z, room, 51, 130);
    synced(m);
    ok(strstr(stored(path), "r:31 32 "), "a hundred of it");
    end(z, m, false);
}

/* Rooms that are not in the zone are bounded; a flood pushes out its own. */
static void
test_limit(void)
{
    const struct lnt_creator other = {.prefix = 2, .family = LNT_CREATOR_V4};
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    char name[16];

    lnt_mirror_limit(m, 64);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "own-%u", i);
        open_and_say(z, name, &five, &other, i, i);
    }
    synced(m);
    (void)take_all(z, "held");
    is_str(kept(z, "own-0"), "no room", "rooms are evicted");
    worked(lnt_mirror_sync(m, true, &why), "and parked");
    is_int(lnt_zone_store(z)->parked, 10, "all of them");
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "flood-%u", round * 10 + i);
            open_and_say(z, name, &(struct lnt_keep){5, 0, 0}, &attacker, i, i);
        }
        synced(m);
        /* They go one by one as if for others. */
        struct lnt_room_info info;
        for (unsigned i = 0; i < 10; i++) {
            snprintf(name, sizeof(name), "flood-%u", round * 10 + i);
            if (lnt_zone_room_find(z, 1, lnt_str_c(name), &info) == 0)
                lnt_zone_keep(z, info.room, &(struct lnt_keep){0});
        }
        worked(lnt_mirror_sync(m, true, &why), "a round");
    }
    ok(lnt_zone_store(z)->parked <= 64, "no more than allowed are parked");
    ok(lnt_zone_store(z)->parked > 50, "and not many fewer");
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "own-%u:%u", i, i);
        ok(strstr(stored(path), name), "%s of another is there", name);
    }
    ok(!strstr(stored(path), "flood-199:"), "the latest of the flood is not");
    end(z, m, false);
}

/* Rooms of the configuration are held by workers, which end before the store
   does. */
static void
test_configured(void)
{
#ifdef LNT_HAVE_SQLITE
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    struct lnt_room_info info;
    sqlite3_stmt *q = NULL;
    sqlite3 *db = NULL;
    uint32_t hold;

    lnt_zone_hold(z, 1, LNT_STR("lobby"), 0, &hold, &info);
    lnt_zone_configured(z, info.room);
    lnt_zone_keep(z, info.room, &five);
    publish(z, info.room, LNT_EVENT_HISTORY, "welcome", NULL);
    synced(m);
    lnt_zone_unhold(z, hold);
    end(z, m, true);
    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT configured FROM room", -1, &q, NULL) ==
            SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        is_int(sqlite3_column_int(q, 0), 1,
               "a room of the configuration is marked after the end");
    else
        fail("store: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(q);
    (void)sqlite3_close(db);
#endif
}

/* A store of 0.1.0, which knows nothing of creators, is taken as it is. */
static void
test_old_store(void)
{
#ifdef LNT_HAVE_SQLITE
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    sqlite3 *db;

    if (sqlite3_libversion_number() < 3035000) {
        skip(1, "this SQLite cannot drop columns");
        end(z, m, false);
        return;
    }
    open_and_say(z, "old", &five, &attacker, 1, 3);
    end(z, m, true);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db,
                     "ALTER TABLE room DROP COLUMN creator;"
                     "ALTER TABLE room DROP COLUMN configured",
                     NULL, NULL, NULL) != SQLITE_OK)
        fail("old store: %s", sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    m = start(z, path);
    is_str(kept(z, "old"), "1 2 3", "an old store is read");
    open_and_say(z, "old", &five, &attacker, 4, 4);
    synced(m);
    is_str(stored(path), "old:1 2 3 4", "and written");
    end(z, m, true);
#endif
}

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && strcmp(text + n - k, end) == 0;
}

/* Whatever is done in whatever order: the store has what the zone has, maybe
   behind more that the zone has evicted. */
static void
test_random(unsigned seed)
{
    enum { ROOMS = 6, STEPS = 400 };
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE), *next;
    const char *path = new_path();
    struct lnt_mirror *m = start(z, path);
    char name[2] = "a";
    unsigned text = 0;
    bool good = true;

    srandom(seed);
    for (unsigned i = 0; i < STEPS && good; i++) {
        struct lnt_room_info info;
        uint32_t hold;
        unsigned what = (unsigned)random() % 20, n;

        name[0] = (char)('a' + random() % ROOMS);
        n = (unsigned)random() % 30;
        if (what < 12) {
            lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
            lnt_zone_keep(
                z, info.room,
                &(struct lnt_keep){(unsigned)random() % 20, 0,
                                   (uint64_t)(random() % 3 ? 4000 : 150000)});
            say(z, info.room, text, text + n);
            text += n + 1;
            lnt_zone_unhold(z, hold);
        } else if (what < 17) {
            good = lnt_mirror_sync(m, what == 12, &why) == 0;
        } else if (what == 17) {
            lnt_mirror_free(m);
            m = lnt_mirror_new(z, path);
            good = lnt_mirror_open(m, &why) == 0;
        } else if (what == 18 && random() % 4 == 0) {
            flush_log(z);
        } else if (what == 19) {
            bool in_order = random() % 2;

            if (in_order)
                good = lnt_mirror_finish(m, true, &why) == 0;
            else
                good = lnt_mirror_sync(m, true, &why) == 0;
            lnt_mirror_free(m);
            next = new_zone(LNT_ZONE_MIN_SIZE);
            m = lnt_mirror_new(next, path);
            good = good && lnt_mirror_load(m, &why) == 0 &&
                   lnt_mirror_open(m, &why) == 0;
            for (name[0] = 'a'; name[0] < 'a' + ROOMS && good; name[0]++) {
                char *before = strdup(kept(z, name));
                const char *after = kept(next, name);

                good = !*before || strcmp(before, "no room") == 0 ||
                       ends_with(after, before);
                if (!good)
                    lnt_strbuf_addf(&why, "%s: %s, not %s", name, after,
                                    before);
                free(before);
            }
            good = good && lnt_zone_check(next, &why);
            lnt_zone_close(z);
            z = next;
        }
    }
    ok(good, "random steps, seed %u", seed);
    if (!good)
        diag("%s", why.p);
    lnt_strbuf_clear(&why);
    end(z, m, false);
}

int
main(void)
{
    bool built = true;
    lnt_log_open("off", false);
#ifndef LNT_HAVE_SQLITE
    built = false;
#endif
    if (!built) {
        ok(!lnt_store_open(tmp_path("a.db"), &why), "no stores");
        ok(strstr(why.p, "built without SQLite"), "says so");
        return done_testing();
    }
    test_kinds();
    test_restart(true);
    test_restart(false);
    test_lost();
    test_again();
    test_rooms();
    test_files();
    test_full();
    test_sizes();
    test_smaller();
    test_evicted();
    test_robbed();
    test_limit();
    test_configured();
    test_old_store();
    for (unsigned seed = 1; seed <= 8; seed++)
        test_random(seed);
    lnt_strbuf_release(&out);
    lnt_strbuf_release(&why);
    return done_testing();
}
