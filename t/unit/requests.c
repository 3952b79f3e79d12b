/*
 * Requests under way: each is called back exactly once, whatever the other
 * side does; answers of any size; and what a request looks like in a frame.
 */
#include "ipc/requests.h"

#include <errno.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "event/loop.h"
#include "net/server_info.h"
#include "os/clock.h"
#include "os/socket.h"
#include "t/unit/tap.h"

enum { IDS = 2048, LONG = 60000 };

static struct lnt_loop *loop;
static struct lnt_channel asker, answerer, other[2];
static struct lnt_requests *requests;
static uint32_t ids[IDS]; /* as they came to the answerer */
static size_t nids;

/* What a callback was told. */
struct told {
    int calls;
    bool ok;
    struct lnt_strbuf text;
};
static size_t calls; /* altogether */

static void
on_reply(void *arg, bool ok, struct lnt_str data)
{
    struct told *t = arg;
    t->calls++;
    t->ok = ok;
    lnt_strbuf_clear(&t->text);
    lnt_strbuf_add_str(&t->text, data);
    calls++;
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    if (c == &asker || c == &other[0])
        lnt_requests_take(requests, c, f->request, f->payload);
    else if (nids < IDS)
        ids[nids++] = f->request;
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    (void)broken;
    (void)why;
    lnt_channel_close(c);
    lnt_requests_drop(requests, c, "the other side has ended");
}

static const struct lnt_channel_handler handler = {on_frame, on_closed};

static void
open_pair(struct lnt_channel *a, struct lnt_channel *b)
{
    int fds[2];
    if (lnt_socket_pair(fds) < 0 ||
        lnt_channel_open(a, loop, fds[0], 7, &handler) < 0 ||
        lnt_channel_open(b, loop, fds[1], 7, &handler) < 0)
        exit(1);
}

/* The loop is run until enough has happened; the tests know of what. */
static size_t until_ids, until_calls;

static bool
enough(void *arg)
{
    (void)arg;
    if (nids >= until_ids && calls >= until_calls)
        lnt_loop_stop(loop);
    return false;
}

/* A stopped loop does not run again: each run has its own. */
static void
begin(void)
{
    struct lnt_loop_hook hook = {.turn = enough};
    loop = lnt_loop_new();
    lnt_loop_set_hook(loop, &hook);
    requests = lnt_requests_new(loop);
    open_pair(&asker, &answerer);
    nids = calls = 0;
}

static void
end(void)
{
    lnt_requests_free(requests);
    lnt_channel_close(&asker);
    lnt_channel_close(&answerer);
    lnt_loop_destroy(loop);
}

static void
until(size_t n_ids, size_t n_calls)
{
    until_ids = n_ids;
    until_calls = n_calls;
    lnt_loop_run(loop);
}

static int
ask(struct told *t, uint64_t timeout_ms)
{
    *t = (struct told){0};
    return lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST,
                             LNT_STR("question"), timeout_ms, on_reply, t);
}

static void
was_told(struct told *t, bool ok, const char *text, const char *name)
{
    ok(t->calls == 1 && t->ok == ok && t->text.n == strlen(text) &&
           memcmp(t->text.p ? t->text.p : "", text, t->text.n) == 0,
       "%s", name);
    if (t->calls != 1 || t->ok != ok)
        diag("%d calls, %s, \"%.60s\"", t->calls, t->ok ? "ok" : "refused",
             t->text.p ? t->text.p : "");
    lnt_strbuf_release(&t->text);
}

/* ---- answers ---- */

static void
test_answers(void)
{
    struct told t[4];
    begin();
    for (int i = 0; i < 4; i++)
        is_int(ask(&t[i], LONG), 0, "question %d is sent", i);
    is_int(calls, 0, "nobody is called back from there");
    lnt_channel_poll(&answerer);
    is_int(nids, 4, "they have arrived");
    ok(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[3] && ids[0],
       "each with an id of its own");
    lnt_requests_answer(&answerer, ids[2], true, LNT_STR("third"));
    lnt_requests_answer(&answerer, ids[0], false, LNT_STR("no"));
    lnt_requests_answer(&answerer, ids[3], true, LNT_STR(""));
    lnt_requests_answer(&answerer, ids[3], true, LNT_STR("once more"));
    lnt_requests_answer(&answerer, ids[1], false, LNT_STR(""));
    until(4, 4);
    was_told(&t[0], false, "no", "a refusal");
    was_told(&t[1], false, "", "one without a text");
    was_told(&t[2], true, "third", "an answer before others");
    was_told(&t[3], true, "", "an empty one; what comes after it is not heard");
    end();
}

static void
is_pattern(struct told *t, size_t n, unsigned seed, const char *name)
{
    size_t wrong = 0;
    for (size_t i = 0; i < t->text.n; i++)
        wrong += (unsigned char)t->text.p[i] != (unsigned char)(i * 31 + seed);
    ok(t->calls == 1 && t->ok && t->text.n == n && wrong == 0, "%s (%zu bytes)",
       name, t->text.n);
    lnt_strbuf_release(&t->text);
}

static char *
pattern(size_t n, unsigned seed)
{
    char *p = lnt_malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + seed);
    return p;
}

static void
test_size(size_t n, const char *name)
{
    struct told t;
    char *p = pattern(n, 5);
    begin();
    ask(&t, LONG);
    lnt_channel_poll(&answerer);
    is_int(lnt_requests_answer(&answerer, ids[0], true, lnt_str(p, n)), 0,
           "an answer of %zu bytes is sent", n);
    until(0, 1);
    is_pattern(&t, n, 5, name);
    end();
    free(p);
}

static void
test_large(void)
{
    enum { PIECE = LNT_FRAME_PAYLOAD_MAX - 1 };
    test_size(PIECE, "as large as a frame");
    test_size(PIECE + 1, "one byte more");
    test_size(2 * PIECE, "two whole frames");
    test_size(300000, "several");
    test_size(LNT_ANSWER_MAX, "the largest");

    struct told t[2];
    char *p = pattern(LNT_ANSWER_MAX + 1, 1);
    begin();
    ask(&t[0], LONG);
    ask(&t[1], LONG);
    lnt_channel_poll(&answerer);
    /* Frame by frame, one behind the other. */
    for (size_t i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 2; k++) {
            struct lnt_strbuf b = LNT_STRBUF_INIT;
            lnt_strbuf_addc(&b, i < 2 ? '>' : '+');
            lnt_strbuf_add(&b, p + i * 1000, 1000);
            lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[k],
                             lnt_strbuf_str(&b), NULL, 0);
            lnt_strbuf_release(&b);
        }
    }
    until(0, 2);
    is_pattern(&t[0], 3000, 1, "two answers at the same time: one");
    is_pattern(&t[1], 3000, 1, "and the other");
    end();

    begin();
    ask(&t[0], LONG);
    lnt_channel_poll(&answerer);
    is_int(lnt_requests_answer(&answerer, ids[0], true,
                               lnt_str(p, LNT_ANSWER_MAX + 1)),
           0, "too large an answer");
    until(0, 1);
    was_told(&t[0], false, "the answer is too large", "becomes a refusal");
    end();
    free(p);
}

/* More than the channel takes while nobody reads. */
static void
test_full(void)
{
    enum { N = 4 };
    struct told t[N];
    char *p = pattern(LNT_ANSWER_MAX, 3);
    int good = 0, refused = 0;
    begin();
    for (int i = 0; i < N; i++)
        ask(&t[i], LONG);
    lnt_channel_poll(&answerer);
    for (int i = 0; i < N; i++)
        is_int(lnt_requests_answer(&answerer, ids[i], true,
                                   lnt_str(p, LNT_ANSWER_MAX)),
               0, "large answer %d is taken or refused", i);
    ok(answerer.queued <= LNT_CHANNEL_ANSWERS_MAX, "%zu bytes wait",
       answerer.queued);
    is_int(lnt_channel_send(&answerer, LNT_FRAME_BROADCAST, 0, LNT_STR("x"),
                            NULL, 0),
           -1, "a broadcast does not fit any more");
    is_int(lnt_channel_send(&answerer, LNT_FRAME_VALUE, 0, LNT_STR("x"), NULL,
                            0),
           0, "but a shared value does");
    until(0, N);
    for (int i = 0; i < N; i++) {
        good += t[i].ok && t[i].text.n == LNT_ANSWER_MAX;
        refused += !t[i].ok && strstr(t[i].text.p, "too many answers") != NULL;
        is_int(t[i].calls, 1, "asker %d is told once", i);
        lnt_strbuf_release(&t[i].text);
    }
    ok(good >= 1 && good + refused == N, "%d have it whole, %d are refused",
       good, refused);
    end();
    free(p);
}

/* An endless answer does not fill the memory. */
static void
test_endless(void)
{
    static char piece[LNT_FRAME_PAYLOAD_MAX];
    struct told t;
    memset(piece, '>', sizeof(piece));
    begin();
    ask(&t, LONG);
    lnt_channel_poll(&answerer);
    for (int i = 0; i < 1000 && t.calls == 0; i++) {
        lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[0],
                         lnt_str(piece, sizeof(piece)), NULL, 0);
        lnt_channel_poll(&asker);
    }
    was_told(&t, false, "the answer is too large", "an endless answer is cut");
    end();
}

static void
test_malformed(void)
{
    struct told t;
    begin();
    ask(&t, LONG);
    lnt_channel_poll(&answerer);
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[0], LNT_STR(""), NULL, 0);
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[0] + 1, LNT_STR("+no"),
                     NULL, 0);
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, 0, LNT_STR("-no"), NULL, 0);
    lnt_channel_poll(&asker);
    is_int(t.calls, 0, "empty replies, and those to nobody, are nothing");
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[0], LNT_STR(">half, "),
                     NULL, 0);
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[0], LNT_STR("-sorry"),
                     NULL, 0);
    until(0, 1);
    was_told(&t, false, "sorry", "a refusal after half an answer");
    end();
}

/* ---- no answer ---- */

static void
test_timeout(void)
{
    struct told t[3];
    begin();
    uint64_t before = lnt_clock_ms();
    ask(&t[0], LONG);
    ask(&t[1], 30);
    ask(&t[2], 60);
    lnt_channel_poll(&answerer);
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[1], LNT_STR(">half"), NULL,
                     0);
    until(3, 2);
    uint64_t took = lnt_clock_ms() - before;
    ok(took >= 59 && took < 5000, "after %llu ms", (unsigned long long)took);
    is_int(t[0].calls, 0, "who has more time goes on waiting");
    was_told(&t[1], false, "no answer in time", "no answer in time");
    was_told(&t[2], false, "no answer in time", "nor here");
    lnt_requests_answer(&answerer, ids[1], true, LNT_STR("late"));
    lnt_requests_answer(&answerer, ids[0], true, LNT_STR("good"));
    while (t[0].calls == 0)
        lnt_channel_poll(&asker);
    is_int(calls, 3, "an answer that comes late is not heard");
    was_told(&t[0], true, "good", "others are");
    end();
}

/* Callbacks that ask again, as the impatient do. */
static int again;

static void
ask_again(void *arg, bool ok, struct lnt_str data)
{
    (void)ok;
    (void)data;
    calls++;
    if (again-- > 0 &&
        lnt_requests_send(requests, arg, LNT_FRAME_REQUEST, LNT_STR("again"), 0,
                          ask_again, arg) < 0)
        again = -2;
}

static void
test_again(void)
{
    begin();
    again = 5;
    lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST, LNT_STR("x"), 0,
                      ask_again, &asker);
    until(0, 6);
    is_int(calls, 6, "asked again from the callback of a timeout, five times");
    end();

    begin();
    again = 5;
    lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST, LNT_STR("x"), LONG,
                      ask_again, &asker);
    lnt_channel_close(&answerer);
    until(0, 1);
    is_int(calls, 1, "the other side ends: called back");
    is_int(again, -2, "asking again is refused there");
    end();
}

static void
test_end_of_other_side(void)
{
    struct told t[3], far;
    begin();
    open_pair(&other[0], &other[1]);
    for (int i = 0; i < 3; i++)
        ask(&t[i], LONG);
    far = (struct told){0};
    lnt_requests_send(requests, &other[0], LNT_FRAME_REQUEST, LNT_STR("far"),
                      LONG, on_reply, &far);
    lnt_channel_poll(&answerer);
    lnt_requests_answer(&answerer, ids[0], true, LNT_STR("last words"));
    lnt_channel_send(&answerer, LNT_FRAME_REPLY, ids[1], LNT_STR(">half"), NULL,
                     0);
    lnt_channel_close(&answerer);
    until(0, 3);
    was_told(&t[0], true, "last words", "its last answer is heard");
    was_told(&t[1], false, "the other side has ended",
             "half an answer is a refusal");
    was_told(&t[2], false, "the other side has ended", "so is none");
    is_int(far.calls, 0, "who asked somebody else waits on");
    lnt_requests_free(requests);
    was_told(&far, false, "the process ends", "until we end");
    requests = NULL;
    lnt_channel_close(&other[0]);
    lnt_channel_close(&other[1]);
    end();
}

static void
test_bound(void)
{
    static struct told t, far;
    size_t n = 0;
    begin();
    while (n < IDS && lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST,
                                        LNT_STR("x"), LONG, on_reply, &t) == 0)
        n++;
    is_int(n, 1024, "as many as may be under way");
    is_int(errno, EAGAIN, "one more: try again");
    open_pair(&other[0], &other[1]);
    is_int(lnt_requests_send(requests, &other[0], LNT_FRAME_REQUEST,
                             LNT_STR("x"), LONG, on_reply, &far),
           0, "somebody else is asked all the same");
    lnt_channel_poll(&answerer);
    lnt_requests_answer(&answerer, ids[nids - 1], true, LNT_STR(""));
    lnt_channel_poll(&asker);
    is_int(t.calls, 1, "one is answered");
    is_int(lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST, LNT_STR("x"),
                             LONG, on_reply, &t),
           0, "which makes room for one");
    char large[LNT_FRAME_PAYLOAD_MAX + 1] = {0};
    lnt_requests_answer(&answerer, ids[0], true, LNT_STR(""));
    lnt_channel_poll(&asker);
    is_int(lnt_requests_send(requests, &asker, LNT_FRAME_REQUEST,
                             lnt_str(large, sizeof(large)), LONG, on_reply, &t),
           -1, "a question larger than a frame");
    is_int(errno, EMSGSIZE, "is too large");
    lnt_requests_free(requests);
    requests = NULL;
    is_int(t.calls, 1025, "at the end all are called back");
    is_int(far.calls, 1, "each");
    lnt_strbuf_release(&t.text);
    lnt_strbuf_release(&far.text);
    lnt_channel_close(&other[0]);
    lnt_channel_close(&other[1]);
    end();
}

/* ---- the payload ---- */

static void
test_payload(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_request q = {
        .cell = 258,
        .module = LNT_STR("chat"),
        .name = LNT_STR("publish"),
        .data = LNT_STR("a\0b\0"),
    };
    struct lnt_request got;
    lnt_request_encode(&b, &q);
    int rc = lnt_request_decode(lnt_strbuf_str(&b), &got);
    ok(rc == 0 && got.cell == 258 && lnt_str_eq(got.module, q.module) &&
           lnt_str_eq(got.name, q.name) && lnt_str_eq(got.data, q.data),
       "a request, there and back");
    size_t least = b.n - q.data.n, refused = 0;
    for (size_t n = 0; n < least; n++)
        refused += lnt_request_decode(lnt_str(b.p, n), &got) < 0;
    is_int(refused, least, "cut short: none");
    lnt_strbuf_clear(&b);
    q = (struct lnt_request){.cell = LNT_MASTER,
                             .module = LNT_STR(""),
                             .name = LNT_STR(""),
                             .data = LNT_STR("")};
    lnt_request_encode(&b, &q);
    rc = lnt_request_decode(lnt_strbuf_str(&b), &got);
    ok(rc == 0 && got.cell == LNT_MASTER && got.module.n == 0 &&
           got.name.n == 0 && got.data.n == 0,
       "an empty one");
    lnt_strbuf_release(&b);
}

int
main(void)
{
    test_answers();
    test_large();
    test_full();
    test_endless();
    test_malformed();
    test_timeout();
    test_again();
    test_end_of_other_side();
    test_bound();
    test_payload();
    return done_testing();
}
