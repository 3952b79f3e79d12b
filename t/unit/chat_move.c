/*
 * A chat session frozen in one worker and thawed in another: its rooms, its
 * nick, the events between the two workers' places in the log, answers that
 * were not sent yet, and slow mode.
 */
#include "t/lib/zone_check.h"
#include "t/unit/move_world.h"

static struct worker *const here = &workers[0], *const there = &workers[1];

/* One client, and where its session is. */
struct peer {
    int fd;
    struct worker *at;
    struct lnt_session *s;
    struct lnt_strbuf got; /* as text: NULs are "0" */
};

static struct lnt_session *
newest(struct worker *w, const struct lnt_session *other)
{
    size_t at = 0;
    struct lnt_session *s;
    while ((s = lnt_net_next(w->net, &at)) && s == other)
        ;
    return s;
}

/* What has come, without letting anything happen. */
static const char *
got(struct peer *p)
{
    char room[65536];
    ssize_t n;
    lnt_strbuf_clear(&p->got);
    while ((n = read(p->fd, room, sizeof(room))) > 0)
        for (ssize_t i = 0; i < n; i++)
            lnt_strbuf_addc(&p->got, room[i] ? room[i] : '0');
    lnt_strbuf_reserve(&p->got, 1);
    p->got.p[p->got.n] = '\0';
    return p->got.p;
}

static void
put_json(struct peer *p, const char *text)
{
    uint8_t frame[512] = {0x81};
    size_t n = strlen(text), head = n < 126 ? 2 : 4;
    frame[1] = (uint8_t)(0x80 | (n < 126 ? n : 126));
    frame[2] = (uint8_t)(n >> 8);
    frame[3] = (uint8_t)n;
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, n);
    if (write(p->fd, frame, head + 4 + n) != (ssize_t)(head + 4 + n))
        exit(1);
}

static void
put_line(struct peer *p, const char *text)
{
    if (write(p->fd, text, strlen(text)) != (ssize_t)strlen(text))
        exit(1);
}

static struct peer
come(struct worker *w, bool human, const struct lnt_session *other)
{
    struct peer p = {.at = w, .got = LNT_STRBUF_INIT};
    p.fd = dial(w, human ? "listen lines" : "listen web");
    p.s = newest(w, other);
    if (!human)
        shake_hands(p.fd, "/chat", "x-none");
    settle();
    (void)got(&p);
    return p;
}

static void
go(struct peer *p)
{
    close(p->fd);
    settle();
    lnt_strbuf_release(&p->got);
}

/* As a worker gives it to another; nothing else happens meanwhile. */
static bool
move(struct peer *p, struct worker *to)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    const char *why = "it cannot be frozen";
    int fd = lnt_move_freeze(p->s, &bytes);
    p->s = fd < 0 ? NULL
                  : lnt_move_thaw(to->net, fd, lnt_strbuf_str(&bytes), find,
                                  NULL, &why);
    lnt_strbuf_release(&bytes);
    p->at = to;
    if (!p->s)
        diag("%s", why);
    return p->s && !lnt_session_closing(p->s);
}

static unsigned
count(const char *text, const char *part)
{
    unsigned n = 0;
    while ((text = strstr(text, part))) {
        n++;
        text += strlen(part);
    }
    return n;
}

/* ---- the tests ---- */

static void
test_rooms_and_nick(void)
{
    struct peer ann = come(here, false, NULL);
    put_json(&ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    put_json(&ann, "{\"type\":\"join\",\"room\":\"den\"}");
    settle();
    struct peer bob = come(here, true, ann.s);
    put_line(&bob, "/nick bob\n/join hall\n/join lobby\n");
    settle();
    (void)got(&ann);
    (void)got(&bob);

    ok(move(&ann, there) && move(&bob, there), "both move");
    is_int(lnt_net_count(here->net), 0, "... and are not left here");
    settle();
    is_str(got(&ann), "", "ann is told nothing");
    is_str(got(&bob), "", "nor is bob");

    put_json(&ann, "{\"type\":\"who\",\"room\":\"lobby\",\"id\":1}");
    settle();
    ok(strstr(got(&ann), "\"members\":[\"ann\",\"bob\"]") != NULL,
       "both are members, once") ||
        (diag("%s", ann.got.p), 0);
    put_json(&ann, "{\"type\":\"message\",\"room\":\"den\",\"text\":\"x\","
                   "\"id\":2}");
    settle();
    ok(strstr(got(&ann), "\"room\":\"den\"") != NULL, "ann is in both rooms");
    put_line(&bob, "hello\n");
    settle();
    const char *text = got(&ann);
    ok(strstr(text, "\"room\":\"lobby\"") && strstr(text, "\"from\":\"bob\""),
       "bob speaks where he was") ||
        (diag("%s", text), 0);
    ok(strstr(got(&bob), "lobby") != NULL,
       "... and reads the name of a room that is not his first");
    put_line(&bob, "/msg ann psst\n");
    settle();
    is_int(count(got(&ann), "psst"), 1, "a private word finds her");

    ok(move(&ann, here), "ann moves back, alone");
    settle();
    put_line(&bob, "/msg ann psst\n");
    put_line(&bob, "hello\n");
    settle();
    settle();
    text = got(&ann);
    is_int(count(text, "psst"), 1, "... and is found");
    is_int(count(text, "\"hello\""), 1, "... and hears bob");
    put_json(&ann, "{\"type\":\"leave\",\"room\":\"lobby\",\"id\":3}");
    settle();
    settle();
    is_int(count(got(&bob), "* ann left"), 1, "... and leaves as ann");
    go(&ann);
    go(&bob);
}

/* The one worker has read more of the log than the other. */
static void
test_place(void)
{
    struct peer ann = come(here, false, NULL);
    struct peer bob = come(there, false, NULL);
    put_json(&ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    put_json(&bob, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"bob\"}");
    settle();
    settle();
    (void)got(&ann);
    /* The taker is ahead. */
    put_json(&bob,
             "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"one\"}");
    world_run(there);
    is_int(count(got(&ann), "\"one\""), 0, "not read here");
    ok(move(&ann, there), "moved to where it was read");
    world_run(there);
    is_int(count(got(&ann), "\"one\""), 1, "... it comes");
    world_run(here);
    world_run(there);
    is_int(count(got(&ann), "\"one\""), 0, "... once");
    /* The giver is. */
    put_json(&bob,
             "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"two\"}");
    world_run(there);
    is_int(count(got(&ann), "\"two\""), 1, "read there");
    ok(move(&ann, here), "moved to where it was not read");
    world_run(here);
    world_run(here);
    is_int(count(got(&ann), "\"two\""), 0, "... it does not come again");
    put_json(&bob,
             "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"three\"}");
    settle();
    settle();
    is_int(count(got(&ann), "\"three\""), 1, "the next one does");
    go(&ann);
    go(&bob);
}

/* Answers that the peer has not taken, some of them sent by half. */
static void
test_answers(void)
{
    enum { MOST = 4000 };
    struct peer ann = come(here, false, NULL);
    char text[128];
    int n = 0, small = 4096;
    setsockopt(ann.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    put_json(&ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    settle();
    (void)got(&ann);
    for (int more = 50; n < MOST && more > 0; n++) {
        snprintf(text, sizeof(text),
                 "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"m%d.\","
                 "\"id\":%d}",
                 n, n);
        put_json(&ann, text);
        world_run(here);
        more -= lnt_session_queued(ann.s) > 0;
    }
    ok(lnt_session_queued(ann.s) > 0, "after %d messages %zu bytes wait", n,
       lnt_session_queued(ann.s));
    ok(move(&ann, there) && (world_run(there), move(&ann, here)),
       "moved there and back");
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    for (int i = 0; i < 200; i++) {
        settle();
        lnt_strbuf_adds(&all, got(&ann));
    }
    int wrong = 0, last_ack = -1, last_message = -1;
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "\"text\":\"m%d.\"", i);
        wrong += count(all.p, text) != 1;
        snprintf(text, sizeof(text), "{\"type\":\"ack\",\"id\":%d,", i);
        wrong += count(all.p, text) != 1;
    }
    is_int(wrong, 0, "each is answered and heard once");
    wrong = 0;
    for (const char *p = all.p; (p = strstr(p, "{\"type\":\"")); p++) {
        int seen;
        if (sscanf(p, "{\"type\":\"ack\",\"id\":%d", &seen) == 1) {
            wrong += seen != last_ack + 1;
            last_ack = seen;
        } else if (strncmp(p, "{\"type\":\"message\"", 17) == 0) {
            const char *m = strstr(p, "\"text\":\"m");
            seen = m ? atoi(m + 9) : -1;
            wrong += seen != last_message + 1;
            last_message = seen;
        }
    }
    is_int(wrong, 0, "... and in order");
    lnt_strbuf_release(&all);
    go(&ann);
}

static void
test_slow_mode(void)
{
    const char *say_it = "{\"type\":\"message\",\"room\":\"slow\",\"text\":"
                         "\"x\",\"id\":1}";
    struct peer ann = come(here, false, NULL);
    put_json(&ann, "{\"type\":\"join\",\"room\":\"slow\",\"nick\":\"ann\"}");
    put_json(&ann, say_it);
    settle();
    is_int(count(got(&ann), "\"ack\""), 1, "one message an hour");
    ok(move(&ann, there), "moved");
    put_json(&ann, say_it);
    settle();
    is_int(count(got(&ann), "rate_limited"), 1, "... that is remembered");
    go(&ann);
}

static void
test_nobody_yet(void)
{
    struct peer p = come(here, false, NULL);
    ok(move(&p, there), "one without a nick moves");
    put_json(&p, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"dan\"}");
    settle();
    is_int(count(got(&p), "\"nick\":\"dan\""), 1, "... and takes one there");
    go(&p);
    p = come(here, true, NULL);
    put_line(&p, "/ni");
    settle();
    ok(move(&p, there), "... also in the middle of taking it");
    put_line(&p, "ck eve\n/join lobby\nhello\n");
    settle();
    ok(strstr(got(&p), "<eve> hello") != NULL, "... who then has it") ||
        (diag("%s", p.got.p), 0);
    go(&p);
}

int
main(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_log_level(LNT_ALERT);
    world_begin(2);
    test_rooms_and_nick();
    test_place();
    test_answers();
    test_slow_mode();
    test_nobody_yet();
    is_int(lnt_net_count(here->net) + lnt_net_count(there->net), 0,
           "nobody is left");
    ok(lnt_zone_check(zone, &why), "the zone is sound");
    if (why.n)
        diag("%s", why.p);
    lnt_strbuf_release(&why);
    world_end();
    return done_testing();
}
