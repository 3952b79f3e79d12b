/*
 * Moving a session: frozen in one worker and thawed in another at any moment,
 * it goes on as if nothing had happened.
 */
#include <errno.h>

#include "core/pack.h"
#include "t/unit/tap.h"
#include "t/unit/ws_zip.h"

enum { FIN = 0x80, CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9 };

static uint32_t seed = 4711;

static uint32_t
any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* The same session in another worker; what the core carries goes along.  NULL:
   it stays where it is. */
static struct lnt_session *
move(struct lnt_session *s)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    if (lnt_ws_freeze(s, &bytes) < 0) {
        lnt_strbuf_release(&bytes);
        return NULL;
    }
    struct lnt_session *to = ws_new(s->app, s->limits.message_size);
    to->module.data = lnt_ws_streams_new(&to->stats);
    to->queued = s->queued;
    to->now = s->now;
    to->end = s->end;
    to->code = s->code;
    to->nmessages = s->nmessages;
    to->fault = s->fault;
    lnt_strbuf_add_str(&to->out, lnt_strbuf_str(&s->out));
    lnt_strbuf_add_str(&to->messages, lnt_strbuf_str(&s->messages));
    lnt_strbuf_add_str(&to->rest, lnt_strbuf_str(&s->rest));
    if (lnt_ws_thaw(to, lnt_strbuf_str(&bytes)) < 0)
        to->fault = "what was frozen does not thaw";
    lnt_strbuf_release(&bytes);
    ws_free(s);
    return to;
}

/* ---- a bit of everything ---- */

struct script {
    struct lnt_strbuf in, out;
};

/* What a client might send, and the answers.  Answers are never compressed, so
   they are the same however often the session has moved. */
static void
write_script(struct script *c, struct zip_client *z)
{
    static const char umlauts[] = "gr\xc3\xbc\xc3\x9f"
                                  "e \xe2\x82\xac \xf0\x9f\x98\x80";
    char text[400];
    for (unsigned i = 0; i < 12; i++) {
        size_t n = zip_json(text, sizeof(text), i);
        ws_put(&c->in, FIN | TEXT, text, n);
        ws_want(&c->out, FIN | TEXT, text, n);
        ws_puts(&c->in, FIN | TEXT, umlauts);
        ws_wants(&c->out, FIN | TEXT, umlauts);
        ws_put(&c->in, TEXT, umlauts, 5);
        ws_puts(&c->in, FIN | PING, "between");
        ws_wants(&c->out, 0x8a, "between");
        ws_puts(&c->in, FIN | CONT, umlauts + 5);
        ws_wants(&c->out, FIN | TEXT, umlauts);
        ws_put(&c->in, BINARY, text, 0);
        ws_put(&c->in, CONT, text, n);
        ws_put(&c->in, FIN | CONT, text, 0);
        ws_want(&c->out, FIN | BINARY, text, n);
        if (!z)
            continue;
        zip_put(z, &c->in, FIN | TEXT, text, n);
        ws_want(&c->out, FIN | TEXT, text, n);
        struct lnt_str p = zip_pack(z, text, n);
        ws_put(&c->in, ZIP | TEXT, p.p, p.n / 2);
        ws_puts(&c->in, FIN | PING, "?");
        ws_wants(&c->out, 0x8a, "?");
        ws_put(&c->in, CONT, "", 0);
        ws_put(&c->in, FIN | CONT, p.p + p.n / 2, p.n - p.n / 2);
        ws_want(&c->out, FIN | TEXT, text, n);
        zip_put(z, &c->in, FIN | TEXT, umlauts, strlen(umlauts));
        ws_wants(&c->out, FIN | TEXT, umlauts);
    }
}

static bool
play(const struct script *c, struct lnt_session *s, uint32_t most,
     size_t *moves)
{
    for (size_t at = 0; at < c->in.n;) {
        size_t n = 1 + any(most);
        n = n < c->in.n - at ? n : c->in.n - at;
        ws_feed(s, c->in.p + at, n);
        at += n;
        struct lnt_session *to = move(s);
        *moves += to != NULL;
        s = to ? to : s;
    }
    bool same = !s->fault && s->end == WS_OPEN && !s->ws.more &&
                lnt_str_eq(lnt_strbuf_str(&s->out), lnt_strbuf_str(&c->out));
    if (!same)
        diag("%s; end %d, %zu bytes sent of %zu",
             s->fault ? s->fault : "no fault", (int)s->end, s->out.n, c->out.n);
    ws_free(s);
    return same;
}

static void
test_anywhere(void)
{
    static const struct {
        const char *name;
        bool zip;
        uint64_t budget;
        struct lnt_ws_terms terms;
    } rows[] = {
        {"without compression", false, 0, {15, 15, true, true}},
        {"shared", true, 0, {15, 15, true, true}},
        {"4k", true, 4 << 10, {11, 10, false, false}},
        {"16k, in one direction", true, 16 << 10, {11, 15, false, true}},
        {"16k, in the other", true, 16 << 10, {15, 9, true, false}},
        {"256k", true, 256 << 10, {15, 15, false, false}},
        {"8 bits", true, 256 << 10, {9, 8, false, false}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct script c = {.in = LNT_STRBUF_INIT, .out = LNT_STRBUF_INIT};
        struct zip_client *z =
            rows[i].zip ? zip_client_new(rows[i].terms, 6) : NULL;
        size_t moves = 0, tries = 0;
        bool good = true;
        write_script(&c, z);
        for (uint32_t most = 1; most <= 1000; most *= 10, tries++) {
            struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
            if (z)
                ws_agree(s, rows[i].budget, rows[i].terms, UINT32_MAX);
            good = play(&c, s, most, &moves) && good;
        }
        ok(good, "%s: moved at %zu moments", rows[i].name, moves);
        ok(moves > c.in.n, "... always when asked");
        if (z)
            zip_client_free(z);
        lnt_strbuf_release(&c.in);
        lnt_strbuf_release(&c.out);
    }
}

/* Both sides compressed, moved every few messages: nothing is lost, and hardly
   anything of the ratio. */
static void
test_windows(void)
{
    static const uint64_t budgets[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10};
    for (size_t b = 0; b < 4; b++) {
        size_t bytes[2] = {0, 0}, wrong = 0;
        for (unsigned moving = 0; moving < 2; moving++) {
            struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
            s->module.data = lnt_ws_streams_new(&s->stats);
            struct lnt_ws_terms terms =
                lnt_ws_plan_wish(lnt_ws_plan_for(s->module.data, budgets[b]));
            ws_agree(s, budgets[b], terms, 1);
            struct zip_client *z = zip_client_new(terms, 6);
            struct lnt_strbuf in = LNT_STRBUF_INIT;
            for (unsigned i = 0; i < 1000; i++) {
                char text[400];
                unsigned first;
                size_t n = zip_json(text, sizeof(text), i);
                lnt_strbuf_clear(&in);
                zip_put(z, &in, FIN | TEXT, text, n);
                ws_feed(s, in.p, in.n);
                struct lnt_str out = lnt_strbuf_str(&s->out);
                bytes[moving] += out.n;
                wrong += !zip_message(z, &out, &first) || out.n ||
                         first != (FIN | ZIP | TEXT) ||
                         !lnt_str_eq(lnt_strbuf_str(&z->payload),
                                     lnt_str(text, n)) ||
                         s->fault;
                lnt_strbuf_clear(&s->out);
                if (moving && i % 7 == 0)
                    s = move(s);
            }
            if (s->ws.deflate->bytes > budgets[b])
                wrong++;
            lnt_strbuf_release(&in);
            zip_client_free(z);
            ws_free(s);
        }
        is_int(wrong, 0, "%zuk: 1,000 messages, moved 143 times",
               (size_t)budgets[b] >> 10);
        ok(bytes[1] < bytes[0] + bytes[0] / 20, "... %zu bytes, %zu unmoved",
           bytes[1], bytes[0]);
    }
}

/* ---- states ---- */

static void
test_states(void)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;

    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    s->queued = 100;
    ws_puts(&in, FIN | PING, "late");
    ws_feed(s, in.p, in.n);
    s = move(s);
    is_int(s->deadline, s->now + 1000, "a pong that waits");
    s->queued = 0;
    s->now += 1000;
    lnt_ws_timeout(s, LNT_TIMEOUT_OWN);
    is_mem(s->out.p, s->out.n, "\x8a\x04late", 6, "... is sent by the next");
    s = move(s);
    is_int(s->deadline, 0, "... once");
    ws_free(s);

    s = ws_new(APP_ECHO, 1 << 20);
    ws_close(s, 1001, "bye");
    s = move(s);
    lnt_strbuf_clear(&s->out);
    lnt_ws_send(s, LNT_TEXT, "late", 4);
    lnt_ws_ping(s);
    is_int(s->out.n, 0, "nothing is sent behind a close sent before");
    lnt_strbuf_clear(&in);
    ws_puts(&in, FIN | TEXT, "x");
    ws_put(&in, FIN | CLOSE, "\x03\xe9", 2);
    ws_feed(s, in.p, in.n);
    ok(s->end == WS_ENDED && s->nmessages == 0, "... and theirs ends it");
    ws_free(s);

    /* A large frame on its way, and text that turns out bad. */
    static char big[200000];
    memset(big, 'x', sizeof(big));
    memcpy(big + 150000, "\xe2\x82", 2);
    s = ws_new(APP_ECHO, 1 << 20);
    lnt_strbuf_clear(&in);
    ws_put(&in, FIN | TEXT, big, sizeof(big));
    ws_feed(s, in.p, 150002 + 14);
    is_int(s->end, WS_OPEN, "150,002 bytes of a frame");
    s = move(s);
    ok(s && !s->fault, "... are moved");
    ws_feed(s, in.p + 150002 + 14, 1);
    is_int(s->code, 1007, "... with the character that is not finished");
    ws_free(s);
    lnt_strbuf_release(&in);
}

static void
test_not_now(void)
{
    const struct lnt_ws_terms fresh = {15, 15, true, true};
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    struct lnt_session *s = ws_new(APP_SWALLOW, 1 << 20);
    struct zip_client *z = zip_client_new(fresh, 0);
    size_t n = 100000;
    char *noise = malloc(n);
    if (!noise)
        abort();
    for (size_t i = 0; i < n; i++)
        noise[i] = (char)any(256);
    ws_agree(s, 0, fresh, 1);
    zip_put(z, &in, FIN | ZIP | BINARY, noise, n);
    ws_feed(s, in.p, 60000);
    s = move(s);
    ok(s && !s->fault, "in a compressed message of 60,000 bytes so far");
    ws_feed(s, in.p + 60000, 6000);
    ok(!move(s), "... but not of 66,000");
    ws_feed(s, in.p + 66000, in.n - 66000);
    ok(s->nmessages == 1 && !s->fault && s->end == WS_OPEN,
       "... which goes on");
    s = move(s);
    ok(s && !s->fault, "... and moves behind it");
    ws_free(s);
    zip_client_free(z);
    lnt_strbuf_release(&in);
    free(noise);
}

/* ---- bytes that are not what was frozen ---- */

static int
thaw(const char *p, size_t n, uint64_t max)
{
    struct lnt_session *s = ws_new(APP_ECHO, max);
    char *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    memcpy(copy, p, n);
    s->module.data = lnt_ws_streams_new(NULL);
    int rc = lnt_ws_thaw(s, lnt_str(copy, n));
    /* Whatever came of it: it can be used, and ended. */
    if (rc == 0)
        ws_feed(s, "\x81\x83\1\1\1\1abc\x88\x80\1\1\1\1", 15);
    int error = errno;
    free(copy);
    ws_free(s);
    errno = error;
    return rc;
}

/* The first four bytes: the version, and the oldest that understands it. */
static void
test_versions(struct lnt_strbuf *bytes)
{
    struct lnt_str whole = lnt_strbuf_str(bytes);
    struct lnt_pack_version v;
    bool known = lnt_unpack_version(&whole, UINT16_MAX, &v);
    struct {
        uint32_t is, needs;
        int rc, error;
        const char *name;
    } rows[] = {
        {v.is + 1, v.needs, 0, 0, "a later version that can be read"},
        {UINT16_MAX, 0, 0, 0, "one that needs nobody"},
        {v.is + 1, v.is + 1, -1, ENOTSUP, "one that needs a newer reader"},
        {v.is, v.is + 1, -1, EPROTO, "one that needs a newer one than it is"},
        {0, 0, -1, EPROTO, "none"},
    };
    for (size_t i = 0; known && i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lnt_strbuf b = LNT_STRBUF_INIT;
        lnt_pack_version(&b, rows[i].is, rows[i].needs);
        lnt_strbuf_add_str(&b, whole);
        errno = 0;
        is_int(thaw(b.p, b.n, 1 << 20), rows[i].rc, "... %s", rows[i].name);
        ok(rows[i].rc == 0 || errno == rows[i].error, "... with that error");
        lnt_strbuf_release(&b);
    }
    ok(known, "a version that can be read");
}

/* Of a later release: flags and pieces that nobody here knows. */
static void
test_later_bits(void)
{
    enum { FLAGS = 4, HAS = 20 };
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
    if (lnt_ws_freeze(s, &bytes) < 0)
        abort();
    memset(bytes.p + FLAGS + 2, 0xff, 2);
    is_int(thaw(bytes.p, bytes.n, 1 << 20), 0, "flags of a later release");
    memset(bytes.p + HAS + 2, 0xff, 2);
    lnt_pack_str(&bytes, LNT_STR("what they stand for"));
    is_int(thaw(bytes.p, bytes.n, 1 << 20), 0, "... and pieces");
    lnt_strbuf_release(&bytes);
    ws_free(s);
}

static void
test_bad_bytes(void)
{
    struct lnt_ws_terms terms = {11, 10, false, false};
    struct lnt_strbuf in = LNT_STRBUF_INIT, bytes = LNT_STRBUF_INIT;
    for (unsigned zip = 0; zip < 2; zip++) {
        struct lnt_session *s = ws_new(APP_ECHO, 1 << 20);
        struct zip_client *z = zip_client_new(terms, 6);
        char text[400];
        size_t n = zip_json(text, sizeof(text), 1);
        ws_agree(s, 4096, terms, 1);
        lnt_strbuf_clear(&in);
        zip_put(z, &in, FIN | ZIP | TEXT, text, n);
        if (zip) {
            struct lnt_str p = zip_pack(z, text, n);
            ws_put(&in, ZIP | TEXT, p.p, p.n);
        } else {
            ws_put(&in, TEXT, text, n);
        }
        ws_feed(s, in.p, in.n);
        lnt_strbuf_clear(&bytes);
        is_int(lnt_ws_freeze(s, &bytes), 0, "frozen: %zu bytes", bytes.n);
        is_int(thaw(bytes.p, bytes.n, 1 << 20), 0, "... as they are");
        size_t taken = 0;
        for (size_t i = 0; i < bytes.n; i++)
            taken += thaw(bytes.p, i, 1 << 20) == 0;
        is_int(taken, 0, "... cut anywhere: refused");
        lnt_strbuf_addc(&bytes, 'x');
        is_int(thaw(bytes.p, bytes.n, 1 << 20), 0,
               "... what a later release has behind it is left");
        bytes.n--;
        is_int(thaw(bytes.p, bytes.n, 50), -1, "... over the limits of here");
        for (size_t i = 0; i < bytes.n; i++) {
            char was = bytes.p[i];
            bytes.p[i] = (char)any(256);
            (void)thaw(bytes.p, bytes.n, 1 << 20);
            bytes.p[i] = (char)(was ^ (1 << any(8)));
            (void)thaw(bytes.p, bytes.n, 1 << 20);
            bytes.p[i] = was;
        }
        test_versions(&bytes);
        zip_client_free(z);
        ws_free(s);
    }
    is_int(thaw("", 0, 100), -1, "nothing at all");
    lnt_strbuf_release(&in);
    lnt_strbuf_release(&bytes);
}

int
main(void)
{
    test_anywhere();
    test_windows();
    test_states();
    test_not_now();
    test_bad_bytes();
    test_later_bits();
    return done_testing();
}
