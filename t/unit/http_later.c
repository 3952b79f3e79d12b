/*
 * A request whose answer is put off, in all states that it can be in; each ends
 * in exactly one of three ways.
 */
#include "core/pack.h"
#include "modules/http/http.h"

static lnt_verdict late_handle(struct lnt_module_ctx *m,
                               struct lnt_http_request *r);
static void late_due(struct lnt_module_ctx *m, struct lnt_http_later *l,
                     enum lnt_http_due why);
static void late_gone(struct lnt_module_ctx *m, struct lnt_http_later *l);
static int late_freeze(struct lnt_module_ctx *m, struct lnt_http_later *l,
                       struct lnt_strbuf *out);
static int late_thaw(struct lnt_module_ctx *m, struct lnt_http_later *l,
                     struct lnt_str state);

/* The second cannot move. */
#define HTTP_LATER                                                             \
    {.handle = late_handle,                                                    \
     .allow = "GET, HEAD, POST",                                               \
     .body_max = 100,                                                          \
     .due = late_due,                                                          \
     .gone = late_gone,                                                        \
     .freeze = late_freeze,                                                    \
     .thaw = late_thaw},                                                       \
    {                                                                          \
        .handle = late_handle, .allow = "GET, HEAD", .due = late_due,          \
        .gone = late_gone                                                      \
    }

#include "t/unit/http_harness.h"
#include "t/unit/tap.h"

#define H "Host: a\r\n"
#define LATER "GET /later HTTP/1.1\r\n" H "\r\n"
#define NEXT "GET /box/next HTTP/1.1\r\n" H "\r\n"

static struct lnt_http_later *parked;
static unsigned dues, gones;
static enum lnt_http_due last_due;
static uint64_t late_ms = 20000;
static bool silent, vain, upgrades, moves = true;

static lnt_verdict
late_handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    parked = lnt_http_park(r, late_ms, &dues);
    return LNT_GO_ON;
}

/* Says what is known of the request. */
static void
answer(struct lnt_http_later *l, const char *text)
{
    struct lnt_http_request *r = lnt_http_resume(l);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    parked = NULL;
    lnt_strbuf_addf(&b, "%s %.*s %.*s%s", text, LNT_STR_ARG(r->method_text),
                    LNT_STR_ARG(r->path), r->body.n ? " body" : "");
    if (upgrades)
        (void)lnt_http_upgrade(r, LNT_STR("HTTP/1.1 101 Up\r\n\r\n"));
    else
        (void)lnt_http_respond(r, 200, "text/plain", NULL, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
}

static void
late_due(struct lnt_module_ctx *m, struct lnt_http_later *l,
         enum lnt_http_due why)
{
    (void)m;
    dues++;
    last_due = why;
    if (vain)
        (void)lnt_http_resume(l);
    if (!silent)
        answer(l, "due");
}

static void
late_gone(struct lnt_module_ctx *m, struct lnt_http_later *l)
{
    (void)m;
    if (l != parked || lnt_http_later_data(l) != &dues)
        exit(1);
    gones++;
    parked = NULL;
}

static int
late_freeze(struct lnt_module_ctx *m, struct lnt_http_later *l,
            struct lnt_strbuf *out)
{
    (void)m;
    (void)l;
    lnt_pack_u32(out, 42);
    return moves ? 0 : -1;
}

static int
late_thaw(struct lnt_module_ctx *m, struct lnt_http_later *l,
          struct lnt_str state)
{
    uint32_t v;
    (void)m;
    if (!lnt_unpack_u32(&state, &v) || v != 42)
        return -1;
    lnt_http_later_keep(l, &dues);
    parked = l;
    return 0;
}

static struct lnt_session *
begin(const char *text)
{
    struct lnt_session *s = http_open();
    dues = gones = 0;
    (void)http_feed(s, text, strlen(text), SIZE_MAX, true);
    return s;
}

static bool
said(const struct lnt_session *s, const char *text)
{
    return s->out.n && strstr(s->out.p, text);
}

static bool
waits(const struct lnt_session *s)
{
    return parked && s->parked && !s->held && s->out.n == 0;
}

static void
end(struct lnt_session *s)
{
    if (s->fault)
        fail("a promise is broken: %s", s->fault);
    http_free(s);
}

/* ---- the tests ---- */

static void
test_answers(void)
{
    static const struct {
        const char *request, *status, *body;
        bool last;
    } cases[] = {
        {LATER, "200 OK", "\r\n\r\nok GET /later", false},
        {"HEAD /later/x HTTP/1.1\r\n" H "\r\n", "Length: 16", "\r\n\r\n",
         false},
        {"GET /later HTTP/1.0\r\n\r\n", "Connection: close", "ok GET /later",
         true},
        {"GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "Connection: keep-alive", "ok GET /later", false},
        {"POST /later HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", "200 OK",
         "ok POST /later", false},
        {"POST /later HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\n\r\n",
         "200 OK", "ok POST /later", false},
        {"GET /later HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
         "Connection: close", "ok GET /later", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step < 100; step += 49) {
            struct lnt_session *s = http_open();
            dues = gones = 0;
            (void)http_feed(s, cases[i].request, strlen(cases[i].request), step,
                            true);
            ok(waits(s), "case %zu, by %zu: put off", i, step);
            (void)http_feed(s, NEXT, strlen(NEXT), SIZE_MAX, true);
            ok(s->out.n == 0 && s->rest.n == strlen(NEXT),
               "... what is behind it waits");
            answer(parked, "ok");
            (void)http_drain(s);
            ok(said(s, cases[i].status) && said(s, cases[i].body),
               "... answered") ||
                (diag("%s", s->out.p), 0);
            is_int(said(s, "GET /box/next"), !cases[i].last,
                   "... the next one is, too, if there may be one");
            is_int(s->finished, cases[i].last, "... the end");
            ok(!dues && !gones && s->deadline == 0, "... nothing else is told");
            end(s);
        }
    }
}

static void
test_deadline(void)
{
    struct lnt_session *s = begin(LATER);
    is_int(s->deadline, s->now + 20000, "the handler's deadline");
    s->deadline = 0; /* as the core does */
    is_int(lnt_http_protocol.timeout(s, LNT_TIMEOUT_OWN), LNT_GO_ON,
           "it passes");
    ok(dues == 1 && last_due == LNT_HTTP_DUE_DEADLINE && !gones,
       "... the handler is told");
    ok(said(s, "due GET /later"), "... and has answered");
    (void)http_feed(s, NEXT, strlen(NEXT), SIZE_MAX, true);
    (void)http_drain(s);
    ok(said(s, "GET /box/next"), "... it goes on");
    end(s);

    late_ms = UINT64_MAX;
    s = begin(LATER);
    is_int(s->deadline, s->now + http_conf.later_max, "there is a maximum");
    silent = true;
    s->deadline = 0;
    (void)lnt_http_protocol.timeout(s, LNT_TIMEOUT_OWN);
    ok(said(s, " 503 "), "a handler that does not answer is helped out");
    ok(dues == 1 && !gones, "... once");
    end(s);
    silent = false;
    late_ms = 20000;

    s = begin(LATER);
    (void)lnt_http_resume(parked);
    is_int(s->deadline, s->now + 20000, "one that is resumed in vain");
    s->deadline = 0;
    (void)lnt_http_protocol.timeout(s, LNT_TIMEOUT_OWN);
    ok(s->cut && !gones && !dues, "... is cut");
    end(s);

    s = begin(LATER);
    silent = vain = true;
    s->deadline = 0;
    (void)lnt_http_protocol.timeout(s, LNT_TIMEOUT_OWN);
    ok(s->cut && !gones && dues == 1, "the same when it is due: at once");
    silent = vain = false;
    end(s);
}

static void
test_gone(void)
{
    struct lnt_session *s = begin(LATER NEXT);
    s->eof = true;
    s->parked = false; /* as the core does */
    (void)http_data(s);
    ok(gones == 1 && !dues, "the client shuts its side: it is gone");
    ok(s->finished && s->out.n == 0, "... nothing is answered");
    end(s);
    is_int(gones, 1, "... it is told once");

    s = http_open();
    gones = 0;
    s->eof = true;
    (void)http_feed(s, LATER, strlen(LATER), SIZE_MAX, true);
    ok(gones == 1 && s->finished, "with its request already");
    end(s);

    s = begin(LATER);
    end(s);
    ok(gones == 1 && !dues, "a connection that breaks");
}

static void
test_drain(void)
{
    struct lnt_session *s = begin(LATER);
    (void)lnt_http_protocol.drain(s);
    ok(dues == 1 && last_due == LNT_HTTP_DUE_END, "... it is due");
    ok(said(s, "Connection: close") && s->finished,
       "... answered, and the end");
    end(s);
    is_int(gones, 0, "... not gone");

    s = begin("GET /later HTTP/1.1\r\n");
    (void)lnt_http_protocol.drain(s);
    ok(!dues && !s->finished, "a drain in the midst of a head");
    (void)http_feed(s, H "\r\n", sizeof(H) + 1, SIZE_MAX, true);
    ok(dues == 1 && last_due == LNT_HTTP_DUE_END, "... it is due at once");
    ok(said(s, "Connection: close") && s->finished,
       "... answered, and the end");
    end(s);

    s = begin(LATER);
    (void)lnt_http_protocol.goodbye(s, 1008, "kicked");
    ok(dues == 1 && said(s, "Connection: close") && s->finished,
       "the same when the session is closed");
    end(s);
}

static void
test_upgrade(void)
{
    struct lnt_session *s = begin(LATER "bytes behind");
    ok(waits(s), "put off");
    upgrades = true;
    answer(parked, "");
    ok(!s->conn && said(s, "101 Up"), "it becomes another protocol");
    ok(s->held && !s->parked, "... which gets what is behind when that is out");
    is_mem(s->rest.p, s->rest.n, "bytes behind", 12, "... and is all there");
    ok(!dues && !gones, "... nothing else is told");
    end(s);

    s = begin(LATER);
    (void)lnt_http_protocol.drain(s);
    ok(!s->conn && said(s, "101 Up"), "also when it is due");
    end(s);

    s = begin(LATER);
    (void)lnt_http_protocol.goodbye(s, 4500, "kicked");
    ok(!s->conn && s->closing == 4500, "one that is kicked does not stay so");
    end(s);
    upgrades = false;
}

/* One that could not be handed over to another worker is put off like any
   other. */
static void
test_stays(void)
{
    struct lnt_session *s = http_open();
    dues = gones = 0;
    lnt_http_protocol.stays(s, "a test");
    (void)http_feed(s, LATER, strlen(LATER), SIZE_MAX, true);
    ok(waits(s) && !dues, "put off where it stays");
    answer(parked, "ok");
    ok(said(s, "\r\n\r\nok"), "... and is answered");
    end(s);
}

/* Another connection's request is in hand. */
static lnt_verdict
answer_other(struct lnt_session *one)
{
    struct lnt_session *two = http_open();
    struct lnt_http_later *first = parked;
    (void)http_feed(two, "POST /later/two HTTP/1.1\r\n" H "Accept: a\r\n\r\n",
                    49, SIZE_MAX, true);
    struct lnt_http_later *second = parked;
    struct lnt_http_request *r1 = lnt_http_resume(first);
    struct lnt_http_request *r2 = lnt_http_resume(second);
    parked = NULL;
    bool apart = lnt_str_eq(r1->path, LNT_STR("/later/one")) &&
                 lnt_str_eq(r2->path, LNT_STR("/later/two"));
    (void)lnt_http_respond(r2, 200, NULL, NULL, LNT_STR("two"));
    (void)lnt_http_respond(r1, 200, NULL, NULL, LNT_STR("one"));
    ok(apart && said(one, "\r\n\r\none") && said(two, "\r\n\r\ntwo"),
       "two are answered at a time");
    end(two);
    return LNT_GO_ON;
}

static void
test_nested(void)
{
    struct lnt_session *s = begin("GET /later/one HTTP/1.1\r\n" H "\r\n");
    (void)answer_other(s);
    end(s);
}

static void
test_moves(void)
{
    struct lnt_strbuf state = LNT_STRBUF_INIT;
    struct lnt_session *s = begin("GET /later/far HTTP/1.1\r\n" H "\r\n");
    struct lnt_pack_version v;
    s->now += 5000;
    is_int(lnt_http_protocol.freeze(s, &state), 0, "it is frozen");
    struct lnt_str rest = lnt_strbuf_str(&state);
    ok(!lnt_unpack_version(&rest, 1, &v), "... not for who would miss it");
    s->moved = true;
    struct lnt_session *to = http_open();
    struct lnt_http_later *old = parked;
    parked = NULL;
    to->now = s->now;
    is_int(lnt_http_protocol.thaw(to, lnt_strbuf_str(&state)), 0, "thawed");
    ok(waits(to) && to->deadline == to->now + 15000, "... it waits on");
    struct lnt_http_later *fresh = parked;
    parked = old;
    end(s);
    is_int(gones, 1, "here it is gone");
    parked = fresh;
    answer(parked, "moved");
    ok(said(to, "moved GET /later/far"), "... and answered there");
    end(to);

    unsigned refused = 0;
    for (size_t n = 5; n < state.n; n++) {
        s = http_open();
        parked = NULL;
        bool thawed =
            lnt_http_protocol.thaw(s, lnt_str(state.p, n)) == 0 && parked;
        refused += !thawed;
        gones = 0;
        end(s);
        if (!thawed && gones)
            fail("gone is told of what never was");
    }
    is_int(refused, state.n - 5, "cut short it is refused");

    moves = false;
    s = begin(LATER);
    lnt_strbuf_clear(&state);
    is_int(lnt_http_protocol.freeze(s, &state), -1, "the handler says not now");
    ok(waits(s) && !dues && !gones, "... it waits on");
    moves = true;
    end(s);

    s = begin("GET /stays HTTP/1.1\r\n" H "\r\n");
    is_int(lnt_http_protocol.freeze(s, &state), -1, "one that cannot move");
    ok(dues == 1 && last_due == LNT_HTTP_DUE_MOVE, "... is due");
    ok(said(s, "due GET /stays") && !s->finished,
       "... answered, and not ended");
    (void)http_drain(s);
    lnt_strbuf_clear(&state);
    is_int(lnt_http_protocol.freeze(s, &state), 0, "... then it can");
    end(s);
    lnt_strbuf_release(&state);
}

int
main(void)
{
    test_answers();
    test_deadline();
    test_gone();
    test_drain();
    test_upgrade();
    test_stays();
    test_nested();
    test_moves();
    return done_testing();
}
