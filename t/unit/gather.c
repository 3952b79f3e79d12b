/*
 * One request to many processes: every answer or problem once, and the end once,
 * in whatever order they come and whoever ends meanwhile.
 */
#include "ipc/gather.h"

#include <stdlib.h>

#include "core/log.h"
#include "event/loop.h"
#include "ipc/requests.h"
#include "os/socket.h"
#include "t/unit/tap.h"

enum { PEERS = 4, LONG = 60000 };

static struct lnt_loop *loop;
static struct lnt_requests *requests;
static struct lnt_channel ours[PEERS], theirs[PEERS];
static uint32_t ids[PEERS];
static size_t asked, calls, until_asked, until_calls;
static char answers[256], problems[256];

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    if (c >= ours && c < ours + PEERS) {
        lnt_requests_take(requests, c, f->request, f->payload);
    } else {
        ids[c - theirs] = f->request;
        asked++;
    }
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    (void)broken;
    (void)why;
    lnt_channel_close(c);
    lnt_requests_drop(requests, c, "it has ended");
}

static const struct lnt_channel_handler handler = {on_frame, on_closed};

static void
on_gathered(void *arg, const struct lnt_strbuf *a, const struct lnt_strbuf *p)
{
    (void)arg;
    calls++;
    snprintf(answers, sizeof(answers), "%s", a->n ? a->p : "");
    snprintf(problems, sizeof(problems), "%s", p->n ? p->p : "");
}

static bool
enough(void *arg)
{
    (void)arg;
    if (asked >= until_asked && calls >= until_calls)
        lnt_loop_stop(loop);
    return false;
}

static void
until(size_t n_asked, size_t n_calls)
{
    until_asked = n_asked;
    until_calls = n_calls;
    if (asked < n_asked || calls < n_calls)
        (void)lnt_loop_run(loop);
}

static void
begin(void)
{
    int fds[2];
    loop = lnt_loop_new();
    lnt_loop_set_hook(loop, &(struct lnt_loop_hook){.turn = enough});
    requests = lnt_requests_new(loop);
    for (int i = 0; i < PEERS; i++)
        if (lnt_socket_pair(fds) < 0 ||
            lnt_channel_open(&ours[i], loop, fds[0], 7, &handler) < 0 ||
            lnt_channel_open(&theirs[i], loop, fds[1], 7, &handler) < 0)
            exit(1);
    asked = calls = 0;
}

static void
end(void)
{
    lnt_requests_free(requests);
    for (int i = 0; i < PEERS; i++) {
        lnt_channel_close(&ours[i]);
        lnt_channel_close(&theirs[i]);
    }
    lnt_loop_destroy(loop);
}

static struct lnt_gather *
ask_all(bool forgive, uint64_t time)
{
    struct lnt_gather *g =
        lnt_gather_new(requests, "; ", forgive, on_gathered, NULL);
    struct lnt_frame f = {.type = LNT_FRAME_REQUEST, .payload = LNT_STR("?")};
    char name[] = "worker 0";
    for (int i = 0; i < PEERS; i++) {
        name[sizeof(name) - 2] = (char)('0' + i);
        lnt_gather_ask(g, &ours[i], name, &f, time);
    }
    return g;
}

static void
answer(int i, bool good, const char *text)
{
    (void)lnt_requests_answer(&theirs[i], ids[i], good, lnt_str_c(text));
}

static void
test_answers(void)
{
    begin();
    lnt_gather_wait(ask_all(false, LONG));
    until(PEERS, 0);
    answer(2, true, "c");
    answer(0, true, "a");
    answer(3, false, "no");
    is_int(calls, 0, "not before the last one");
    answer(1, false, "never");
    until(0, 1);
    ok(strchr(answers, 'a') && strchr(answers, 'c') && strlen(answers) == 2,
       "answers: %s", answers);
    ok(strstr(problems, "worker 3: no") && strstr(problems, "worker 1: never"),
       "problems: %s", problems);
    is_int(calls, 1, "once");
    end();
}

static void
test_gone(bool forgive)
{
    begin();
    (void)lnt_channel_send(&ours[1], LNT_FRAME_QUIT, 0, LNT_STR(""), NULL, 0);
    until(1, 0); /* that one */
    asked = 0;
    lnt_gather_wait(ask_all(forgive, LONG));
    until(PEERS, 0);
    lnt_channel_close(&theirs[0]); /* crashes */
    lnt_channel_close(&theirs[1]); /* was told to */
    answer(2, true, "c");
    answer(3, true, "d");
    until(0, 1);
    is_str(problems, forgive ? "" : "worker 0: it has ended",
           "who was told to end is not complained of");
    end();
}

static void
test_nobody(void)
{
    begin();
    for (int i = 0; i < PEERS; i++)
        lnt_channel_close(&ours[i]);
    lnt_gather_wait(ask_all(false, LONG));
    is_int(calls, 1, "at once, when nobody can be asked");
    ok(strstr(problems, "worker 0: ") && strstr(problems, "worker 3: "),
       "all are told of");
    lnt_gather_wait(lnt_gather_new(requests, "; ", false, on_gathered, NULL));
    is_int(calls, 2, "and when there is nobody");
    is_str(problems, "", "without a problem");
    end();
}

static void
test_time(void)
{
    begin();
    lnt_gather_wait(ask_all(false, 20));
    until(PEERS, 0);
    for (int i = 1; i < PEERS; i++)
        answer(i, true, "x");
    until(0, 1);
    is_str(answers, "xxx", "the others' answers");
    is_str(problems, "worker 0: no answer in time", "and who is silent");
    lnt_gather_wait(ask_all(false, LONG));
    lnt_requests_free(requests); /* the process ends */
    requests = lnt_requests_new(loop);
    is_int(calls, 2, "nobody is left waiting");
    end();
}

int
main(void)
{
    lnt_log_open("off", false);
    test_answers();
    test_gone(false);
    test_gone(true);
    test_nobody();
    test_time();
    return done_testing();
}
