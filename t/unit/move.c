/*
 * A connection as bytes: real sessions over socket pairs are frozen and thawed
 * again; then bytes that were cut short or changed are thawed, which must come
 * to a living session or to an end, and never harm the others.
 */
#include "t/lib/zone_check.h"
#include "t/unit/move_world.h"

static uint32_t seed = 20260101;

static uint32_t
any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static bool
freeze(struct lnt_session *s, struct lnt_strbuf *bytes, int *fd)
{
    lnt_strbuf_clear(bytes);
    *fd = lnt_move_freeze(s, bytes);
    return *fd >= 0;
}

/* ---- the tests ---- */

static void
test_there_and_back(enum kind kind)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_session *s;
    const char *why = NULL;
    int fd, peer = client(&workers[0], kind, &s);
    for (int i = 0; i < 3 && s; i++) {
        const char *said = heard(peer);
        if (said[0])
            diag("after the move: %s", said);
        ok(freeze(s, &bytes, &fd), "%s: frozen, %zu bytes", names[kind],
           bytes.n);
        settle();
        is_int(lnt_net_count(workers[0].net), 0, "... nothing is left here");
        ok(lnt_move_thaw(workers[0].net, fd, lnt_strbuf_str(&bytes), find, NULL,
                         &why) != NULL,
           "... and thawed");
        s = only(&workers[0]);
        is_int(lnt_net_count(workers[0].net), 1, "... it is there");
    }
    ok(goes_on(kind, peer), "... and goes on where it was");
    close(peer);
    settle();
    is_int(lnt_net_count(workers[0].net), 0, "... until its client goes");
    lnt_strbuf_release(&bytes);
}

/* Of what its rooms said meanwhile, more than its queue holds, it is sent
   nothing before its giver can know that it has moved: if the taker dies first,
   the giver tells it all. */
static void
test_silent(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_session *s;
    const char *why = NULL;
    char text[2001], c;
    int fd, peer = client(&workers[0], LINES, &s);
    if (!freeze(s, &bytes, &fd))
        exit(1);
    int other = dial(&workers[0], "listen lines");
    say(other, "/nick eve\n/join lobby\n", 22);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\n';
    size_t said = 0;
    for (; said < 2 * 1024 * 1024; said += sizeof(text)) {
        say(other, text, sizeof(text));
        (void)heard(other);
    }
    ok(lnt_move_thaw(workers[0].net, fd, lnt_strbuf_str(&bytes), find, NULL,
                     &why) != NULL,
       "taken over with %zu bytes to be told", said);
    ok(read(peer, &c, 1) < 0 && errno == EAGAIN, "... and told nothing yet");
    close(peer);
    close(other);
    settle();
    is_int(lnt_net_count(workers[0].net), 0, "... until they go");
    lnt_strbuf_release(&bytes);
}

/* Thaws these bytes instead; what was frozen is gone then, its nick and rooms
   with its worker, which we play here. */
static bool
try_thaw(struct lnt_str bytes, int fd, int peer)
{
    const char *why = NULL;
    /* Reads beyond the end are seen with a buffer of just that size. */
    char *copy = malloc(bytes.n + (bytes.n == 0));
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    bool lives = lnt_move_thaw(workers[0].net, fd, lnt_str(copy, bytes.n), find,
                               NULL, &why) != NULL;
    free(copy);
    settle();
    if (lives) {
        say(peer, "x\n", 2);
        (void)heard(peer);
    }
    return lives || why;
}

/* How one that was frozen and is given up leaves the zone: as at the death of
   its worker. */
static void
forget(struct lnt_str bytes, int fd)
{
    const char *why;
    if (lnt_move_thaw(workers[0].net, fd, bytes, find, NULL, &why))
        lnt_net_abort(workers[0].net);
    settle();
}

static void
test_broken(enum kind kind)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, changed = LNT_STRBUF_INIT;
    struct lnt_session *s;
    bool told = true;
    unsigned living = 0;
    int fd, peer = client(&workers[0], kind, &s);
    if (!freeze(s, &bytes, &fd))
        exit(1);
    /* Refused in full length only: nobody misses what was cut off. */
    unsigned refused = 0;
    for (size_t n = 0; n < bytes.n; n++) {
        int pair = dup(fd);
        const char *why = NULL;
        refused += !lnt_move_thaw(workers[0].net, pair, lnt_str(bytes.p, n),
                                  find, NULL, &why) &&
                   why;
        settle();
    }
    is_int(refused, (long long)bytes.n, "%s: cut anywhere it is refused",
           names[kind]);
    is_int(lnt_net_count(workers[0].net), 0, "... and nothing stays");
    forget(lnt_strbuf_str(&bytes), fd);
    close(peer);
    for (int i = 0; i < 1000; i++) {
        peer = client(&workers[0], kind, &s);
        if (!s || !freeze(s, &bytes, &fd)) {
            fail("%s: cannot be frozen", names[kind]);
            return;
        }
        lnt_strbuf_clear(&changed);
        lnt_strbuf_add_str(&changed, lnt_strbuf_str(&bytes));
        for (uint32_t n = 1 + any(3); n > 0; n--) {
            uint32_t at = any((uint32_t)changed.n);
            changed.p[at] =
                (char)(any(3) ? changed.p[at] ^ (1 << any(8)) : (int)any(256));
        }
        int again = dup(fd);
        told &= try_thaw(lnt_strbuf_str(&changed), fd, peer);
        living += lnt_net_count(workers[0].net);
        lnt_net_abort(workers[0].net);
        settle();
        /* If the nick was not adopted, it is still to be had. */
        forget(lnt_strbuf_str(&bytes), again);
        close(peer);
        settle();
    }
    ok(told,
       "... changed 1,000 times it lives or it is told why not "
       "(%u lived)",
       living);
    is_int(lnt_net_count(workers[0].net), 0, "... and nothing stays");
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    ok(lnt_zone_check(zone, &why), "... the zone is sound");
    if (why.n)
        diag("%s", why.p);
    lnt_strbuf_release(&why);
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&changed);
}

/* For t/fuzz/corpus/move: what each kind is frozen to. */
static void
write_corpus(const char *folder)
{
    for (enum kind k = RAW; k < KINDS; k++) {
        struct lnt_strbuf bytes = LNT_STRBUF_INIT;
        struct lnt_session *s;
        char path[PATH_MAX];
        int fd, peer = client(&workers[0], k, &s);
        lnt_strbuf_addc(&bytes, '\0'); /* as they are */
        fd = lnt_move_freeze(s, &bytes);
        snprintf(path, sizeof(path), "%s/%s", folder, names[k]);
        FILE *f = fopen(path, "w");
        ok(f && fwrite(bytes.p, 1, bytes.n, f) == bytes.n && !fclose(f),
           "written: %s", path);
        forget(lnt_str(bytes.p + 1, bytes.n - 1), fd);
        lnt_strbuf_release(&bytes);
        close(peer);
    }
}

int
main(int argc, char **argv)
{
    lnt_log_level(LNT_ALERT);
    world_begin(1);
    if (argc == 2) {
        write_corpus(argv[1]);
        world_end();
        return done_testing();
    }
    for (enum kind k = RAW; k < KINDS; k++)
        test_there_and_back(k);
    test_silent();
    for (enum kind k = RAW; k < KINDS; k++)
        test_broken(k);
    world_end();
    done_testing();
}
