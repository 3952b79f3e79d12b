/*
 * Connections that come from another release: the bytes of real sessions are
 * taken apart and written again as a later release would write them (with
 * fields that nobody here knows, at every place where fields may be appended),
 * as release 0.1.0 did, as one that we cannot understand, and cut short in
 * every part of them.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen raw]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "app = echo\n"                                                             \
    "[listen lines]\n"                                                         \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = line\n"                                                        \
    "app = chat\n"                                                             \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = http\n"                                                        \
    "[route chat]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /chat\n"                                                           \
    "protocol = websocket\n"                                                   \
    "app = chat\n"                                                             \
    "[route echo]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /echo\n"                                                           \
    "protocol = websocket\n"                                                   \
    "compression = 16k\n"                                                      \
    "compression_min = 1\n"                                                    \
    "app = echo\n"                                                             \
    "[route events]\n"                                                         \
    "listen = web\n"                                                           \
    "path = /events\n"                                                         \
    "protocol = sse\n"                                                         \
    "app = chat\n"                                                             \
    "[listen still]\n"                                                         \
    "address = 127.0.0.1:12\n"                                                 \
    "app = still\n"                                                            \
    "[room slow]\n"                                                            \
    "slow_mode = 1h\n"                                                         \
    "[room slower]\n"                                                          \
    "slow_mode = 2h\n"

/* Something is logged, so that what the log is to say moves, too. */
#define WORLD_ACCESS_FD log_fd
#define WORLD_MODULES all_modules

#include <fcntl.h>
#include <sys/stat.h>

#include "core/pack.h"
#include "net/module.h"

static int log_fd;
static const struct lnt_module *all_modules[64];

#include "t/lib/hub_now.h"
#include "t/lib/zone_check.h"
#include "t/unit/move_world.h"

enum { MOVE_MAGIC = 0x6c6e746d, PARTS_MAX = 80 };
enum { HEAD_MORE = 8 }; /* bytes at the end of the head since version 4 */

/* Those of move_world.h, and more of chat. */
enum { SLOW = KINDS, EVENTS, CASES };
static const char *const case_names[] = {"chat in slow mode", "chat as events"};

static const char *
name_of(unsigned kind)
{
    return kind < KINDS ? names[kind] : case_names[kind - KINDS];
}

static int
begin(unsigned kind, struct lnt_session **s)
{
    static const char slow[] = "{\"type\":\"message\",\"room\":\"slow\","
                               "\"text\":\"x\"}";
    int fd;

    if (kind < KINDS)
        return client(&workers[0], (enum kind)kind, s);
    fd = dial(&workers[0], "listen web");
    *s = only(&workers[0]);
    if (kind == EVENTS) {
        const char *get = "GET /events?room=lobby&room=den HTTP/1.1\r\n"
                          "Host: x\r\n\r\n";
        say(fd, get, strlen(get));
    } else {
        shake_hands(fd, "/chat", "x-none");
        say_frame(fd, 0x81,
                  "{\"type\":\"join\",\"room\":\"slow\",\"nick\":\"ann\"}");
        say_frame(fd, 0x81, "{\"type\":\"join\",\"room\":\"slower\"}");
        say_frame(fd, 0x81, slow);
        say_frame(fd, 0x81,
                  "{\"type\":\"message\",\"room\":\"slower\","
                  "\"text\":\"x\"}");
    }
    (void)heard(fd);
    return fd;
}

/* Whether nothing of it was lost. */
static bool
is_whole(unsigned kind, int fd)
{
    if (kind < KINDS)
        return goes_on((enum kind)kind, fd);
    if (kind == SLOW) {
        say_frame(fd, 0x81,
                  "{\"type\":\"message\",\"room\":\"slow\","
                  "\"text\":\"x\"}");
        bool first = strstr(heard(fd), "rate_limited") != NULL;
        say_frame(fd, 0x81,
                  "{\"type\":\"message\",\"room\":\"slower\","
                  "\"text\":\"x\"}");
        return first && strstr(heard(fd), "rate_limited") != NULL;
    }
    /* Somebody says something where it listens. */
    struct lnt_module_ctx *chat = lnt_net_find(workers[0].net, "chat");
    const struct lnt_keep keep = {.count = 10, .bytes = 1024};
    bool heard_it = true;
    static const char *const rooms[] = {"lobby", "den"};

    for (size_t i = 0; i < 2; i++)
        heard_it = now_post(workers[0].hub, chat, lnt_str_c(rooms[i]), &keep,
                            LNT_EVENT_APP, LNT_EVENT_HISTORY,
                            LNT_STR("\3eveit"), NULL, NULL) == 0 &&
                   strstr(heard(fd), "\"text\":\"it\"") && heard_it;
    return heard_it;
}

/* ---- as another release would write it ---- */

enum who { NOBODY, ENVELOPE, PROTOCOL, APP };

struct how {
    bool old;         /* as release 0.1.0 */
    const char *more; /* stands at the end of every part */
    uint32_t said;    /* so many entries of slow mode, if there are any */
    uint32_t later;   /* how many versions later */
    enum who needs;   /* that needs a later reader */
    int cut;          /* the part that is cut short, -1 none, ... */
    size_t keep;      /* ... to so many bytes */
    const char *by;   /* who has written it; NULL: as it is */
    /* Out: parts, and how long each is. */
    int nparts;
    int log; /* the part that may be empty: the access log has no line of it */
    size_t sizes[PARTS_MAX];
};

static void
must(bool cond)
{
    if (cond)
        return;
    diag("the bytes are not what this test expects");
    abort();
}

static uint32_t
take_u32(struct lnt_str *in)
{
    uint32_t v = 0;
    must(lnt_unpack_u32(in, &v));
    return v;
}

static struct lnt_str
take_str(struct lnt_str *in)
{
    struct lnt_str s = {0};
    must(lnt_unpack_str(in, &s));
    return s;
}

static void
copy(struct lnt_str *in, size_t n, struct lnt_strbuf *out)
{
    must(in->n >= n);
    lnt_strbuf_add(out, in->p, n);
    *in = lnt_str(in->p + n, in->n - n);
}

/* One that can grow; bare: without its count, where 0.1.0 had none. */
static void
put_part(struct how *how, struct lnt_str part, bool bare,
         struct lnt_strbuf *out)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    int number = how->nparts++;

    must(number < PARTS_MAX);
    lnt_strbuf_add_str(&b, part);
    if (how->more && !how->old)
        lnt_strbuf_adds(&b, how->more);
    how->sizes[number] = b.n;
    if (number == how->cut)
        b.n = how->keep;
    if (how->old && bare)
        lnt_strbuf_add_str(out, lnt_strbuf_str(&b));
    else
        lnt_pack_str(out, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
}

static void
copy_part(struct how *how, struct lnt_str *in, struct lnt_strbuf *out)
{
    put_part(how, take_str(in), true, out);
}

static void
put_version(const struct how *how, struct lnt_str *in, enum who who,
            uint32_t old, struct lnt_strbuf *out)
{
    struct lnt_pack_version v;

    must(lnt_unpack_version(in, UINT16_MAX, &v));
    if (how->old)
        lnt_pack_u32(out, old);
    else if (how->needs == who)
        lnt_pack_version(out, v.is + 7, v.is + 5);
    else
        lnt_pack_version(out, v.is + how->later, v.needs);
}

static void
write_chat(struct how *how, struct lnt_str in, struct lnt_strbuf *out)
{
    put_version(how, &in, APP, 1, out);
    copy_part(how, &in, out);
    for (int list = 0; list < 2; list++) { /* rooms, and slow mode */
        uint32_t n = take_u32(&in);
        uint32_t more = list == 1 && how->said > n && n > 0 ? how->said - n : 0;
        lnt_pack_u32(out, n + more);
        while (n-- > 0) {
            struct lnt_str part = take_str(&in);
            put_part(how, part, true, out);
            for (; n == 0 && more > 0; more--)
                put_part(how, part, true, out);
        }
    }
    must(in.n == 0);
}

static void
write_websocket(struct how *how, struct lnt_str in, struct lnt_strbuf *out)
{
    enum { DEFLATE = 1, MORE = 2, LOG = 128 };
    uint32_t has;

    put_version(how, &in, PROTOCOL, 1, out);
    copy(&in, 4 * 4, out);
    has = take_u32(&in);
    lnt_pack_u32(out, has);
    if (has & DEFLATE)
        copy_part(how, &in, out);
    if (has & MORE)
        copy_part(how, &in, out);
    how->log = how->nparts;
    if (has & LOG)
        put_part(how, take_str(&in), false, out);
    must(in.n == 0);
}

static void
write_http(struct how *how, struct lnt_str in, struct lnt_strbuf *out)
{
    struct lnt_strbuf version = LNT_STRBUF_INIT;
    uint32_t head;

    put_version(how, &in, PROTOCOL, 0, &version);
    if (!how->old)
        lnt_strbuf_add_str(out, lnt_strbuf_str(&version));
    lnt_strbuf_release(&version);
    lnt_pack_u32(out, take_u32(&in));
    head = take_u32(&in);
    must(in.n == 0);
    if (!how->old)
        lnt_pack_u32(out, head);
    else if (head)
        lnt_pack_u32(out, head - 1);
    if (how->more && !how->old)
        lnt_pack_str(out, LNT_STR("")); /* nothing is put off */
}

static void
write_state(struct how *how, struct lnt_str name, struct lnt_str in,
            struct lnt_strbuf *out)
{
    if (lnt_str_eq(name, LNT_STR("chat"))) {
        write_chat(how, in, out);
    } else if (lnt_str_eq(name, LNT_STR("websocket"))) {
        write_websocket(how, in, out);
    } else if (lnt_str_eq(name, LNT_STR("http"))) {
        write_http(how, in, out);
    } else if (lnt_str_eq(name, LNT_STR("sse"))) {
        put_version(how, &in, PROTOCOL, 1, out);
        how->log = how->nparts;
        copy_part(how, &in, out);
        must(in.n == 0);
    } else {
        /* raw, line, echo: have nothing, but a later release may. */
        must(in.n == 0);
        enum who who = lnt_str_eq(name, LNT_STR("echo")) ? APP : PROTOCOL;
        if (how->needs == who)
            lnt_pack_version(out, 7, 5);
        else if (how->more && !how->old)
            lnt_pack_version(out, 7, 0);
    }
}

static void
write_again(struct how *how, struct lnt_str in, struct lnt_strbuf *out)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_str writer, head, app, protocol;

    how->nparts = 0;
    how->log = -1;
    lnt_strbuf_clear(out);
    copy(&in, 4, out);
    put_version(how, &in, ENVELOPE, 2, out);
    writer = take_str(&in);
    if (!how->old)
        lnt_pack_str(out, how->by ? lnt_str_c(how->by) : writer);
    head = take_str(&in);
    must(head.n > HEAD_MORE);
    if (how->old)
        put_part(how, lnt_str(head.p, head.n - HEAD_MORE), true, out);
    else
        put_part(how, head, true, out);
    (void)take_str(&head);
    protocol = take_str(&head);
    app = take_str(&head);
    write_state(how, protocol, take_str(&in), &b);
    put_part(how, lnt_strbuf_str(&b), false, out);
    lnt_strbuf_clear(&b);
    write_state(how, app, take_str(&in), &b);
    put_part(how, lnt_strbuf_str(&b), false, out);
    lnt_strbuf_release(&b);
    lnt_strbuf_add_str(out, in); /* input and output */
    if (how->more && !how->old) {
        lnt_pack_str(out, LNT_STR("")); /* no filter */
        lnt_pack_str(out, LNT_STR("")); /* no open calls */
        lnt_strbuf_adds(out, how->more);
    }
}

/* ---- moves ---- */

enum fate {
    LIVES,
    GOODBYE, /* it is told to come again */
    REFUSED,
};

/* One of this kind arrives as how says; what becomes of it, and why in the
   net's refusal.  It is gone afterwards; *whole: it had lost nothing. */
static enum fate
arrive(unsigned kind, struct how *how, bool *whole, size_t *size)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, other = LNT_STRBUF_INIT;
    struct worker *w = &workers[0];
    struct lnt_session *s;
    const char *why = NULL;
    enum fate fate = REFUSED;
    int peer = begin(kind, &s), fd = s ? lnt_move_freeze(s, &bytes) : -1;
    int again = dup(fd);

    must(fd >= 0 && again >= 0);
    settle();
    write_again(how, lnt_strbuf_str(&bytes), &other);
    if (size)
        *size = other.n;
    /* In memory of just its size, so that reading beyond it is seen. */
    char *exactly = malloc(other.n);
    must(exactly != NULL);
    memcpy(exactly, other.p, other.n);
    lnt_strbuf_clear(&w->net->refusal);
    s = lnt_move_thaw(w->net, fd, lnt_str(exactly, other.n), find, NULL, &why);
    free(exactly);
    must(s || why);
    if (s)
        fate = lnt_session_closing(s) ? GOODBYE : LIVES;
    settle();
    if (whole)
        *whole = fate == LIVES && is_whole(kind, peer);
    lnt_net_abort(w->net);
    settle();
    /* If its nick was not adopted: as at the death of its worker. */
    struct lnt_str refusal = lnt_strbuf_str(&w->net->refusal);
    char kept[256];
    snprintf(kept, sizeof(kept), "%.*s", LNT_STR_ARG(refusal));
    if (fate != LIVES &&
        lnt_move_thaw(w->net, again, lnt_strbuf_str(&bytes), find, NULL, &why))
        lnt_net_abort(w->net);
    else if (fate == LIVES)
        close(again);
    settle();
    lnt_strbuf_clear(&w->net->refusal);
    lnt_strbuf_adds(&w->net->refusal, kept);
    close(peer);
    settle();
    is_int(lnt_net_count(w->net), 0, "%s: nothing stays", name_of(kind));
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&other);
    return fate;
}

/* Those that were requests once. */
static bool
is_logged(unsigned kind)
{
    return kind == CHAT || kind == ECHO || kind >= KINDS;
}

static off_t
log_size(void)
{
    struct stat st;
    must(fstat(log_fd, &st) == 0);
    return st.st_size;
}

static const char *
refusal(void)
{
    return workers[0].net->refusal.p ? workers[0].net->refusal.p : "";
}

static void
test_lives(unsigned kind, const char *what, struct how how)
{
    bool whole = false;
    size_t size;
    off_t logged = log_size();
    enum fate fate = arrive(kind, &how, &whole, &size);

    is_int(fate, LIVES, "%s, %s: %zu bytes", name_of(kind), what, size) ||
        (diag("%s", refusal()), 0);
    ok(whole, "... nothing is lost");
    ok(!is_logged(kind) || log_size() > logged, "... also for the access log");
}

/* ---- the tests ---- */

static void
test_releases(unsigned kind)
{
    /* Neither a field nor a count of anything. */
    static const char more[] = "\xff\xff\xff\xff\xff";

    test_lives(kind, "of this release", (struct how){.cut = -1});
    test_lives(kind, "of a later one", (struct how){.cut = -1, .later = 1});
    test_lives(kind, "of a later one with more in it",
               (struct how){.cut = -1, .later = 3, .more = more});
    test_lives(kind, "... that is whole fields",
               (struct how){.cut = -1, .later = 3, .more = "eight888"});
    test_lives(kind, "of one that remembers more of slow mode",
               (struct how){.cut = -1, .said = 50});
    test_lives(kind, "of release 0.1.0", (struct how){.cut = -1, .old = true});
}

static void
test_needs(unsigned kind)
{
    static const struct {
        enum who who;
        const char *what;
    } rows[] = {
        {ENVELOPE, "a moved connection"},
        {PROTOCOL, "the state of its protocol "},
        {APP, "the state of its application "},
    };

    for (size_t i = 0; i < 3; i++) {
        struct how how = {.cut = -1, .needs = rows[i].who, .by = "9.8.7\n-x"};
        const char *text = "written by linnet 9.8.7?-x, is of version ";
        const char *end = "; that of this process, linnet ";

        if (kind == IDLE || kind == HALF)
            if (rows[i].who == APP)
                continue; /* it has none */
        is_int(arrive(kind, &how, NULL, NULL),
               rows[i].who == APP ? GOODBYE : REFUSED,
               "%s, which needs a newer reader: not taken", rows[i].what);
        ok(strncmp(refusal(), rows[i].what, strlen(rows[i].what)) == 0 &&
               strstr(refusal(), text) &&
               strstr(refusal(), " and needs a reader of version ") &&
               strstr(refusal(), end),
           "... with the reason: %s", refusal());
    }
}

/* Those of the first version are all there or it is refused; http's of 0.1.0
   was as long as a part of today's, and the head of version 3 as a part of that
   of version 4. */
static bool
may_end(unsigned kind, int part, size_t at, size_t size, int log)
{
    if (part == 0 && (at == size - HEAD_MORE || at == size - 4))
        return true;
    if (part == log && at == 0)
        return true;
    return (kind == IDLE || kind == HALF) && part == 1 && at <= 8 &&
           at % 4 == 0;
}

static void
test_cut(unsigned kind)
{
    struct how how = {.cut = -1};
    unsigned cuts = 0, wrong = 0, unnamed = 0;

    must(arrive(kind, &how, NULL, NULL) == LIVES);
    int nparts = how.nparts;
    for (int part = 0; part < nparts; part++) {
        size_t size = how.sizes[part];

        for (size_t at = 0; at < size; at++) {
            struct how cut = {.cut = part, .keep = at, .by = "9.8.7"};
            enum fate fate = arrive(kind, &cut, NULL, NULL);

            cuts++;
            if ((fate == LIVES) == may_end(kind, part, at, size, how.log))
                unnamed +=
                    fate != LIVES && (!strstr(refusal(), "linnet 9.8.7") ||
                                      strstr(refusal(), "needs a reader"));
            else if (wrong++ < 5)
                diag("part %d of %zu bytes, cut to %zu: %d", part, size, at,
                     (int)fate);
        }
    }
    is_int(wrong, 0, "%s: cut anywhere in %d parts, %u times: not taken",
           name_of(kind), nparts, cuts);
    is_int(unnamed, 0,
           "... and it says whose bytes those were, and no other reason");
}

/* ---- what was written up to release 0.1.0, byte for byte ---- */

static const struct lnt_str old_raw =
    LNT_STR("mtnl\002\000\000\000\n\000\000\000listen raw\003\000\000\000raw"
            "\004\000\000\000echo\001\000\000\000\000\000\000\000\000\000\000"
            "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
            "\000\000\000\000\000");
static const struct lnt_str old_head =
    LNT_STR("mtnl\002\000\000\000\n\000\000\000listen web\004\000\000\000http"
            "\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000"
            "\000\000\000\000\000\000\000\000\000\000\000\000\031\000\000\000GE"
            "T /nothing HTTP/1.1\015\nHo\000\000\000\000");

static void
test_old_bytes(void)
{
    for (unsigned i = 0; i < 2; i++) {
        enum kind kind = i ? HALF : RAW;
        struct lnt_str old = i ? old_head : old_raw;
        struct lnt_strbuf bytes = LNT_STRBUF_INIT;
        struct lnt_session *s;
        const char *why = "";
        int peer = begin(kind, &s), fd = lnt_move_freeze(s, &bytes);

        must(fd >= 0);
        settle();
        s = lnt_move_thaw(workers[0].net, fd, old, find, NULL, &why);
        ok(s && is_whole(kind, peer), "%s, as was written up to release 0.1.0",
           name_of(kind));
        lnt_net_abort(workers[0].net);
        settle();
        close(peer);
        lnt_strbuf_release(&bytes);
    }
}

/* ---- an application whose sessions do not move, in this release ---- */

static unsigned closes;

static void
still_close(struct lnt_session *s)
{
    (void)s;
    closes++;
}

static const struct lnt_app still_app = {
    .state_size = sizeof(uint64_t),
    .close = still_close,
};

static const struct lnt_module still_module = {
    LNT_MODULE_HEAD,
    .name = "still",
    .help = "stays where it is",
    .app = &still_app,
};

static void
test_still(void)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, other = LNT_STRBUF_INIT;
    struct lnt_session *s;
    const char *why = NULL;
    int peer = begin(RAW, &s), fd = lnt_move_freeze(s, &bytes);
    struct lnt_str in = lnt_strbuf_str(&bytes), head;
    size_t part;

    must(fd >= 0);
    settle();
    copy(&in, 4 + 4, &other);
    lnt_pack_str(&other, take_str(&in));
    head = take_str(&in);
    for (int i = 0; i < 3; i++)
        (void)take_str(&head);
    part = lnt_pack_begin(&other);
    lnt_pack_str(&other, LNT_STR("listen still"));
    lnt_pack_str(&other, LNT_STR("raw"));
    lnt_pack_str(&other, LNT_STR("still"));
    lnt_strbuf_add_str(&other, head);
    lnt_pack_end(&other, part);
    lnt_strbuf_add_str(&other, in);
    s = lnt_move_thaw(workers[0].net, fd, lnt_strbuf_str(&other), find, NULL,
                      &why);
    ok(s && lnt_session_closing(s),
       "one of an application that does not move here ends");
    settle();
    is_int(closes, 0, "... which does not hear of what it never had");
    lnt_net_abort(workers[0].net);
    settle();
    close(peer);
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&other);
}

int
main(void)
{
    size_t n = 0;

    struct lnt_strbuf why = LNT_STRBUF_INIT;

    lnt_log_level(LNT_ALERT);
    log_fd = open(tmp_path("access.log"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(log_fd >= 0);
    for (; lnt_static_modules[n]; n++)
        all_modules[n] = lnt_static_modules[n];
    all_modules[n] = &still_module;
    world_begin(1);
    test_still();
    test_old_bytes();
    for (unsigned kind = 0; kind < CASES; kind++) {
        test_releases(kind);
        test_needs(kind);
        test_cut(kind);
    }
    ok(lnt_zone_check(zone, &why), "the zone is sound");
    if (why.n)
        diag("%s", why.p);
    lnt_strbuf_release(&why);
    world_end();
    close(log_fd);
    return done_testing();
}
