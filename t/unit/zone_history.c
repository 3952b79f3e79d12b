/*
 * What rooms keep: by count, by age, by quota; reading it backwards and from
 * where somebody was; and that a quiet room's history outlives any noise.
 */
#include "t/unit/zone_help.h"

#include "os/clock.h"

static struct lnt_strbuf out;

/* The texts that were appended to out, "a b c"; all good only if seqs rise. */
static const char *
texts(void)
{
    static struct lnt_strbuf list;
    struct lnt_str rest = lnt_strbuf_str(&out);
    struct lnt_event e;
    uint64_t seq = 0;

    lnt_strbuf_clear(&list);
    lnt_strbuf_reserve(&list, 1);
    list.p[0] = '\0';
    while (lnt_zone_kept_next(&rest, &e)) {
        if (list.n)
            lnt_strbuf_addc(&list, ' ');
        lnt_strbuf_add_str(&list, e.data);
        if (e.seq <= seq)
            lnt_strbuf_adds(&list, "!order");
        seq = e.seq;
    }
    if (rest.n)
        lnt_strbuf_adds(&list, "!rest");
    return list.p;
}

static const char *
history(struct lnt_zone *z, uint32_t room, uint64_t before, unsigned limit)
{
    unsigned n;

    lnt_strbuf_clear(&out);
    n = lnt_zone_history(z, room, before, limit, &out);
    (void)n;
    return texts();
}

static const char *
since(struct lnt_zone *z, uint32_t room, uint64_t seq, unsigned limit)
{
    unsigned n;

    lnt_strbuf_clear(&out);
    if (!lnt_zone_since(z, room, seq, UINT64_MAX, limit, &out, &n))
        return out.n ? "gone, but something was told" : "gone";
    return texts();
}

static uint32_t
open_room(struct lnt_zone *z, const char *name, uint32_t count, uint64_t bytes)
{
    struct lnt_room_info info = {.room = LNT_ROOM_NONE};
    uint32_t hold;

    if (lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info) < 0)
        fail("room %s: %s", name, strerror(errno));
    if (lnt_zone_keep(z, info.room, &(struct lnt_keep){count, 0, bytes}) < 0)
        fail("keep %s: %s", name, strerror(errno));
    return info.room;
}

/* Publishes first, first + 1, ... last as numbers; the seq of the last. */
static uint64_t
say(struct lnt_zone *z, uint32_t room, unsigned first, unsigned last)
{
    char text[16];
    uint64_t seq = 0;

    for (unsigned i = first; i <= last; i++) {
        snprintf(text, sizeof(text), "%u", i);
        if (publish(z, room, LNT_EVENT_HISTORY, text, &seq) != 0)
            fail("publish");
    }
    return seq;
}

/* Fills the whole log with something else. */
static void
flush_log(struct lnt_zone *z)
{
    static char text[1000];

    memset(text, 'f', sizeof(text) - 1);
    for (unsigned i = 0; i < 600; i++)
        publish(z, LNT_ROOM_NONE, 0, text, NULL);
}

static void
test_count(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    uint32_t room = open_room(z, "r", 5, 4000);
    uint64_t seq;

    is_str(history(z, room, UINT64_MAX, 10), "", "nothing yet");
    seq = say(z, room, 1, 8);
    is_str(history(z, room, UINT64_MAX, 10), "4 5 6 7 8", "the last five");
    is_str(history(z, room, UINT64_MAX, 2), "7 8", "the last two");
    is_str(history(z, room, seq, 3), "5 6 7", "before the last");
    is_str(history(z, room, seq - 3, 3), "4", "before what is left");
    is_str(history(z, room, seq - 4, 3), "", "before all");
    is_str(history(z, room, UINT64_MAX, 0), "", "none asked");
    publish(z, room, 0, "not kept", NULL);
    is_str(history(z, room, UINT64_MAX, 1), "8", "what is not for history");
    lnt_zone_keep(z, room, &(struct lnt_keep){2, 0, 4000});
    is_str(history(z, room, UINT64_MAX, 10), "7 8", "fewer from now on");
    lnt_zone_keep(z, room, &(struct lnt_keep){0});
    is_str(history(z, room, UINT64_MAX, 10), "", "none from now on");
    say(z, room, 9, 9);
    is_str(history(z, room, UINT64_MAX, 10), "", "and none is kept");
    is_int(lnt_zone_keep(z, 999999, &(struct lnt_keep){1, 0, 1}), -1,
           "no such room");
    is_int(errno, ENOENT, "says so");
    is_sound(z, "count");
    lnt_zone_close(z);
}

/* Sizes around those of blocks, and reading all of it from every place. */
static void
test_sizes(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    uint32_t room = open_room(z, "r", 1000, 150000);
    static char text[3100];
    bool good = true;
    unsigned n;

    for (unsigned i = 0; i < 3100 && good; i += 7) {
        struct lnt_str rest;
        struct lnt_event e;

        memset(text, (int)('a' + i % 26), i);
        text[i] = '\0';
        good = publish(z, room, LNT_EVENT_HISTORY, text, NULL) == 0;
        lnt_strbuf_clear(&out);
        lnt_strbuf_addc(&out, 'x'); /* so that nothing is aligned */
        n = lnt_zone_history(z, room, UINT64_MAX, 2, &out);
        rest = lnt_str(out.p + 1, out.n - 1);
        for (; n > 0; n--)
            good = good && lnt_zone_kept_next(&rest, &e);
        good = good && lnt_str_eq(e.data, lnt_str_c(text)) && e.kind == KIND &&
               e.flags == LNT_EVENT_HISTORY && e.seq == lnt_zone_head(z);
    }
    ok(good, "messages of all sizes");
    is_sound(z, "sizes");
    lnt_strbuf_clear(&out);
    n = lnt_zone_history(z, room, UINT64_MAX, 1000, &out);
    for (unsigned i = 1; i <= n && good; i++) {
        struct lnt_str rest;
        struct lnt_event e;
        unsigned got;

        lnt_strbuf_clear(&out);
        got = lnt_zone_history(z, room, UINT64_MAX, i, &out);
        rest = lnt_strbuf_str(&out);
        good = got == i && lnt_zone_kept_next(&rest, &e) &&
               e.seq == lnt_zone_head(z) - i + 1;
    }
    ok(good && n > 50, "the last 1 to %u of them", n);
    lnt_zone_close(z);
}

static void
test_since(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    uint32_t room = open_room(z, "r", 5, 4000), other;
    uint64_t born = lnt_zone_head(z), first;
    unsigned n;

    is_str(since(z, room, born, 10), "", "nothing was missed");
    first = say(z, room, 1, 1);
    say(z, room, 2, 3);
    publish(z, room, 0, "typing", NULL);
    is_str(since(z, room, born, 10), "1 2 3", "all of it");
    is_str(since(z, room, first, 10), "2 3", "from the first on");
    is_str(since(z, room, lnt_zone_head(z), 10), "", "up to date");
    is_str(since(z, room, lnt_zone_head(z) + 1, 10), "gone", "from the future");
    is_str(since(z, room, first, 2), "2 3", "as many as asked");
    is_str(since(z, room, first, 1), "gone", "more than asked");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_since(z, room, born, first + 2, 10, &out, &n) && n == 2,
       "up to a seq");
    is_str(texts(), "1 2", "two");
    say(z, room, 4, 100);
    is_str(history(z, room, UINT64_MAX, 100), "96 97 98 99 100",
           "history has five");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_since(z, room, first, UINT64_MAX, 1000, &out, &n) && n == 99,
       "but the log has all that was missed");
    ok(strncmp(texts(), "2 3 4 5 ", 8) == 0, "in order");
    is_str(since(z, room, first, 50), "gone", "more than asked");
    flush_log(z);
    is_str(since(z, room, first, 1000), "gone", "until it is overwritten");
    is_str(since(z, room, first + 98 - 2 + 1, 10), "98 99 100",
           "then the history is what there is");
    is_str(history(z, room, UINT64_MAX, 100), "96 97 98 99 100",
           "the noise has not touched it");

    other = open_room(z, "later", 5, 4000);
    say(z, other, 1, 1);
    is_str(since(z, other, first, 10), "gone", "before the room was there");
    is_str(since(z, 12345678, first, 10), "gone", "no room at all");

    /* Without history the log alone tells. */
    room = open_room(z, "none", 0, 0);
    first = lnt_zone_head(z);
    say(z, room, 1, 4);
    is_str(since(z, room, first, 10), "1 2 3 4", "from the log alone");
    flush_log(z);
    is_str(since(z, room, first, 10), "gone", "until it is overwritten");
    is_sound(z, "since");
    lnt_zone_close(z);
}

static void
test_age(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    uint32_t room = open_room(z, "r", 100, 4000);
    struct lnt_room_info info;
    uint32_t gone, hold;
    struct lnt_zone_usage u;
    uint64_t start = lnt_clock_ms();

    lnt_zone_keep(z, room, &(struct lnt_keep){100, 1, 4000});
    lnt_zone_hold(z, 1, LNT_STR("gone"), 0, &hold, &info);
    gone = info.room;
    lnt_zone_keep(z, gone, &(struct lnt_keep){100, 1, 4000});
    say(z, room, 1, 3);
    say(z, gone, 1, 3);
    is_str(history(z, room, UINT64_MAX, 10), "1 2 3", "young");
    lnt_zone_unhold(z, hold);
    is_int(lnt_zone_room_find(z, 1, LNT_STR("gone"), &info), 0,
           "a room lives by its history");
    /* Time has to pass: that is what is tested. */
    while (lnt_clock_ms() < start + 1100)
        usleep(20000);
    is_str(history(z, room, UINT64_MAX, 10), "", "old");
    say(z, room, 4, 4);
    is_str(history(z, room, UINT64_MAX, 10), "4", "a young one");
    lnt_zone_sweep(z);
    is_int(lnt_zone_room_find(z, 1, LNT_STR("gone"), &info), -1,
           "and dies with it");
    lnt_zone_usage(z, &u);
    is_int(u.kept, 1, "one is kept");
    is_sound(z, "age");
    lnt_zone_close(z);
}

static void
test_quota(void)
{
    enum { QUIETS = 10 };
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    uint32_t quiet[QUIETS], noisy, hungry;
    struct lnt_zone_usage u;
    char name[16], want[64];
    static char text[5000];
    bool good = true;

    noisy = open_room(z, "noisy", 100000, 4000);
    say(z, noisy, 1, 20000);
    lnt_zone_usage(z, &u);
    ok(u.kept > 3000 && u.history_used > u.history_bytes - 2000,
       "whoever speaks alone may use it all: %llu messages",
       (unsigned long long)u.kept);
    for (unsigned i = 0; i < QUIETS; i++) {
        snprintf(name, sizeof(name), "quiet-%u", i);
        quiet[i] = open_room(z, name, 50, 8000);
        say(z, quiet[i], 100 * i, 100 * i + 99);
    }
    say(z, noisy, 1, 20000);
    hungry = open_room(z, "hungry", 100000, 0);
    say(z, hungry, 1, 20000);
    flush_log(z);
    for (unsigned i = 0; i < QUIETS && good; i++) {
        lnt_strbuf_clear(&out);
        good = lnt_zone_history(z, quiet[i], UINT64_MAX, 1000, &out) == 50;
        snprintf(want, sizeof(want), "%u ", 100 * i + 50);
        good = good && strncmp(texts(), want, strlen(want)) == 0;
    }
    ok(good, "rooms that were quiet have all they were promised");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_history(z, noisy, UINT64_MAX, 100000, &out) >= 50,
       "the noisy one, too");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_history(z, hungry, UINT64_MAX, 100000, &out) > 0,
       "one without promise has something of the rest");
    is_sound(z, "quota");

    /* Larger than the promise. */
    memset(text, 'L', sizeof(text) - 1);
    good = publish(z, quiet[0], LNT_EVENT_HISTORY, text, NULL) == 0;
    is_sound(z, "a message as large as most of the quota");
    memset(text, 'M', sizeof(text) - 1);
    for (unsigned i = 0; i < 50 && good; i++)
        good =
            publish(z, quiet[i % QUIETS], LNT_EVENT_HISTORY, text, NULL) == 0;
    ok(good, "large messages");
    is_sound(z, "large messages");

    lnt_zone_usage(z, &u);
    ok(u.history_promised <= u.history_bytes, "no more promised than there is");
    is_int(lnt_zone_keep(z, hungry, &(struct lnt_keep){10, 0, u.history_bytes}),
           -1, "no promise that cannot be kept");
    is_int(errno, ENOSPC, "says so");
    is_sound(z, "refused");
    lnt_zone_close(z);
}

/* Empty rooms make space for new ones, the longest empty first. */
static void
test_evict(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_zone_usage u;
    struct lnt_room_info info;
    uint32_t hold, kept;
    char name[16];
    unsigned n, fit = 0;

    lnt_zone_usage(z, &u);
    n = (unsigned)(u.history_bytes / 20000);
    kept = open_room(z, "kept", 10, 19000);
    say(z, kept, 1, 3);
    for (unsigned i = 0; i < 3 * n; i++) {
        snprintf(name, sizeof(name), "r%u", i);
        lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
        fit +=
            lnt_zone_keep(z, info.room, &(struct lnt_keep){10, 0, 19000}) == 0;
        say(z, info.room, 1, 3);
        lnt_zone_unhold(z, hold);
    }
    is_int(fit, 3 * n, "every new room got its promise");
    is_int(lnt_zone_room_find(z, 1, LNT_STR("r0"), &info), -1,
           "the first ones are gone");
    snprintf(name, sizeof(name), "r%u", 3 * n - 2);
    is_int(lnt_zone_room_find(z, 1, lnt_str_c(name), &info), 0,
           "the last ones are not");
    is_str(history(z, kept, UINT64_MAX, 10), "1 2 3",
           "nor are those that are held");
    is_sound(z, "evicted");

    /* The same when rooms themselves run out. */
    for (unsigned i = 0; i < u.rooms_max + 10; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        if (lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info) < 0)
            fail("room %u: %s", i, strerror(errno));
        lnt_zone_keep(z, info.room, &(struct lnt_keep){10, 0, 0});
        say(z, info.room, 1, 1);
        lnt_zone_unhold(z, hold);
    }
    is_str(history(z, kept, UINT64_MAX, 10), "1 2 3", "still kept");
    is_sound(z, "more rooms than fit");
    lnt_zone_close(z);
}

/* A room in which nobody is, with three messages. */
static void
leave_room(struct lnt_zone *z, const char *name, uint64_t bytes)
{
    struct lnt_room_info info = {.room = LNT_ROOM_NONE};
    uint32_t hold;

    lnt_zone_hold(z, 1, lnt_str_c(name), 0, &hold, &info);
    lnt_zone_keep(z, info.room, &(struct lnt_keep){10, 0, bytes});
    say(z, info.room, 1, 3);
    lnt_zone_unhold(z, hold);
}

/* Nobody has to go for what cannot be promised all the same, nor who has
   nothing to give. */
static void
test_evict_in_vain(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_room_info info;
    struct lnt_zone_usage u;
    uint32_t wants;

    lnt_zone_usage(z, &u);
    open_room(z, "large", 10, u.history_bytes - 30000);
    leave_room(z, "without", 0);
    leave_room(z, "with", 9000);
    leave_room(z, "later", 9000);
    wants = open_room(z, "wants", 10, 0);
    is_int(lnt_zone_keep(z, wants, &(struct lnt_keep){10, 0, 40000}), -1,
           "too much, whoever goes");
    lnt_zone_usage(z, &u);
    is_int(u.kept, 9, "so nobody does");
    is_int(lnt_zone_keep(z, wants, &(struct lnt_keep){10, 0, 15000}), 0,
           "not too much");
    is_int(lnt_zone_room_find(z, 1, LNT_STR("with"), &info), -1,
           "the first that has something to give has gone");
    is_int(lnt_zone_room_find(z, 1, LNT_STR("without"), &info), 0,
           "not one that has nothing");
    is_int(lnt_zone_room_find(z, 1, LNT_STR("later"), &info), 0,
           "and no more than needed");
    is_sound(z, "evicted when it helps");
    lnt_zone_close(z);
}

/* Answers of more than one locked section. */
static void
test_long(void)
{
    struct lnt_zone *z = new_zone(16u << 20);
    uint32_t room = open_room(z, "r", 100000, 2000000);
    static char text[20000];
    uint64_t born = lnt_zone_head(z);
    unsigned n;

    say(z, room, 1, 5000);
    lnt_strbuf_clear(&out);
    is_int(lnt_zone_history(z, room, UINT64_MAX, 4000, &out), 4000,
           "4000 messages");
    ok(strncmp(texts(), "1001 1002 ", 10) == 0, "the right ones");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_since(z, room, born, UINT64_MAX, 5000, &out, &n) && n == 5000,
       "5000 since the start");
    memset(text, 'l', sizeof(text) - 1);
    for (unsigned i = 0; i < 20; i++)
        publish(z, room, LNT_EVENT_HISTORY, text, NULL);
    lnt_strbuf_clear(&out);
    is_int(lnt_zone_history(z, room, UINT64_MAX, 25, &out), 25, "large ones");
    ok(strncmp(texts(), "4996 4997 4998 4999 5000 lll", 28) == 0,
       "the right ones");
    lnt_strbuf_clear(&out);
    ok(lnt_zone_since(z, room, born, UINT64_MAX, 6000, &out, &n) && n == 5020,
       "all of them");
    for (unsigned i = 0; i < 50; i++)
        publish(z, room, LNT_EVENT_HISTORY, text, NULL);
    lnt_strbuf_clear(&out);
    ok(!lnt_zone_since(z, room, born, UINT64_MAX, 6000, &out, &n),
       "unless they are more than LNT_SINCE_MAX");
    memset(text, '\0', sizeof(text));
    is_sound(z, "long");
    lnt_zone_close(z);
}

/* Messages that are larger than what is copied in one locked section. */
static void
test_huge(void)
{
    struct lnt_zone *z = new_zone(16u << 20);
    uint32_t room = open_room(z, "r", 100, 2000000);
    static char text[50000];

    for (char c = 'a'; c <= 'e'; c++) {
        memset(text, c, sizeof(text) - 1);
        publish(z, room, LNT_EVENT_HISTORY, text, NULL);
    }
    lnt_strbuf_clear(&out);
    is_int(lnt_zone_history(z, room, UINT64_MAX, 2, &out), 2, "two of five");
    ok(strncmp(texts(), "ddd", 3) == 0, "the last ones");
    is_sound(z, "huge");
    lnt_zone_close(z);
}

static int
restore(struct lnt_zone *z, struct lnt_str name, const struct lnt_keep *keep,
        const struct lnt_event *e)
{
    const struct lnt_former f = {0};

    return lnt_zone_restore_by(z, 1, name, keep, &f, e);
}

/* Over a restart: a zone goes on where another one ended. */
static void
test_restart(bool whole)
{
    const struct lnt_keep keep = {5, 0, 4000};
    struct lnt_zone *old = new_zone(LNT_ZONE_MIN_SIZE), *z;
    struct lnt_room_info info;
    struct lnt_str rest;
    struct lnt_event e;
    uint32_t room = open_room(old, "r", 5, 4000), hold;
    uint64_t last = say(old, room, 1, 9), seq = 0;

    is_int(lnt_zone_room_info(old, room, &info), 0, "by number");
    is_str(info.name, "r", "its name");
    history(old, room, UINT64_MAX, 100);
    z = new_zone(LNT_ZONE_MIN_SIZE);
    lnt_zone_continue(z, lnt_zone_epoch(old), last, whole);
    ok(lnt_zone_epoch(z) == lnt_zone_epoch(old), "the same epoch");
    for (rest = lnt_strbuf_str(&out); lnt_zone_kept_next(&rest, &e);)
        if (restore(z, LNT_STR("r"), &keep, &e) < 0)
            fail("restore");
    is_sound(z, "restored");
    if (!is_int(lnt_zone_hold(z, 1, LNT_STR("r"), 0, &hold, &info), 0, "r"))
        exit(1);
    is_str(history(z, info.room, UINT64_MAX, 100), "5 6 7 8 9", "its history");
    is_int(publish(z, info.room, LNT_EVENT_HISTORY, "10", &seq), 0, "goes on");
    ok(whole ? seq == last + 1 : seq > last + 1000, "with a seq of its own");
    is_str(history(z, info.room, UINT64_MAX, 100), "6 7 8 9 10", "behind it");
    is_str(since(z, info.room, last - 2, 100), whole ? "8 9 10" : "gone",
           "what was missed over the restart");
    is_str(since(z, info.room, last - 6, 100), "gone", "longer ago");
    is_str(since(z, info.room, seq, 100), "", "after it");
    is_int(restore(z, LNT_STR(""), &keep, &e), -1, "no name");
    e.seq = seq + 1;
    is_int(restore(z, LNT_STR("r"), &keep, &e), -1, "not yet");
    is_sound(z, "restarted");
    lnt_zone_close(old);
    lnt_zone_close(z);
}

int
main(void)
{
    test_count();
    test_sizes();
    test_since();
    test_age();
    test_quota();
    test_evict();
    test_evict_in_vain();
    test_long();
    test_huge();
    test_restart(true);
    test_restart(false);
    lnt_strbuf_release(&out);
    return done_testing();
}
