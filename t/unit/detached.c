/* LINK: all */
/*
 * Sessions without a connection: their bounds, their queue, their transports,
 * their end, and their way to another worker.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[limits]\n"                                                               \
    "handshake_timeout = 0\n"                                                  \
    "[listen raw]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "app = echo\n"                                                             \
    "[listen box]\n"                                                           \
    "address = 127.0.0.1:10\n"                                                 \
    "protocol = box\n"                                                         \
    "app = box\n"                                                              \
    "detached = 600\n"                                                         \
    "detached_timeout = 150ms\n"                                               \
    "send_queue = 4k\n"                                                        \
    "[listen sieve]\n"                                                         \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = box\n"                                                         \
    "app = box\n"                                                              \
    "send_queue = 4k\n"                                                        \
    "send_queue_policy = drop\n"
#define WORLD_MODULES all_modules

#include "net/detached.h"
#include "core/pack.h"
#include "net/app.h"
#include "net/handover.h"
#include "net/module.h"
#include "os/clock.h"
#include "os/socket.h"
#include "worker/mover.h"

static const struct lnt_module *all_modules[64];

#include "t/unit/move_world.h"

/* ---- a protocol and an application that count ---- */

static unsigned opened, closed, moved, queued, stays;
static bool takes; /* queued pours */
static lnt_verdict verdict;

static void
box_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

static lnt_verdict
box_data(struct lnt_session *s, struct lnt_input *in)
{
    (void)s;
    in->used = in->n;
    return LNT_GO_ON;
}

static lnt_verdict
box_open(struct lnt_session *s)
{
    return lnt_session_is_detached(s) ? lnt_session_ready(s) : LNT_GO_ON;
}

static void
box_queued(struct lnt_session *s)
{
    queued++;
    if (takes)
        (void)lnt_detached_pour(s);
}

static void
box_stays(struct lnt_session *s, const char *why)
{
    (void)s;
    (void)why;
    stays++;
}

static lnt_verdict
app_open(struct lnt_session *s)
{
    (void)s;
    opened++;
    return verdict;
}

static lnt_verdict
app_message(struct lnt_session *s, const struct lnt_message *m)
{
    lnt_session_send(s, m->type, m->data.p, m->data.n);
    return LNT_GO_ON;
}

static void
app_close(struct lnt_session *s)
{
    closed++;
    moved += lnt_session_moved(s);
}

static const struct lnt_protocol box_protocol = {
    .open = box_open,
    .data = box_data,
    .send = box_send,
    .queued = box_queued,
    .stays = box_stays,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
};

static const struct lnt_app box_app = {
    .open = app_open,
    .message = app_message,
    .close = app_close,
};

static const struct lnt_module lnt_module_box = {
    LNT_MODULE_HEAD,           .name = "box",   .help = "for tests",
    .protocol = &box_protocol, .app = &box_app,
};

/* ---- helpers ---- */

static struct lnt_session *asker; /* of a connection at the first worker */
static int asker_fd;

static void
begin(void)
{
    asker_fd = dial(&workers[0], "listen box");
    asker = only(&workers[0]);
    opened = closed = moved = queued = stays = 0;
    takes = false;
    verdict = LNT_GO_ON;
}

static void
end(void)
{
    close(asker_fd);
    for (unsigned i = 0; i < nworkers; i++)
        lnt_net_abort(workers[i].net);
    settle();
    is_int(closed - moved, opened, "each that began has ended");
    is_int(workers[0].net->detached + workers[1].net->detached, 0,
           "none is left");
}

static struct lnt_session *
open_at(const char *endpoint, const char *name)
{
    return lnt_detached_open(asker, find(NULL, lnt_str_c(endpoint)),
                             lnt_str_c(name));
}

static struct lnt_session *
find_at(const struct worker *w, const char *name)
{
    return lnt_detached_find(w->net, lnt_str_c(name));
}

static void
tell(struct lnt_session *s, const char *text)
{
    lnt_session_send(s, LNT_TEXT, text, strlen(text));
}

static void
wait_ms(uint64_t ms)
{
    uint64_t until = lnt_clock_ms() + ms;
    while (lnt_clock_ms() < until)
        settle();
}

static uint64_t
counter(enum lnt_counter c)
{
    return lnt_net_stats(workers[0].net)->counters[c];
}

/* ---- tests ---- */

static void
test_begin(void)
{
    enum { MOST = 600 };
    char name[80];
    unsigned found = 0;
    begin();
    struct lnt_session *s = open_at("listen box", "ann");
    ok(s && find_at(&workers[0], "ann") == s, "it is found by its name");
    ok(!find_at(&workers[0], "an") && !find_at(&workers[0], "annn"),
       "... and no other");
    ok(lnt_session_is_detached(s) && !lnt_session_is_detached(asker),
       "it has no connection");
    is_int(opened, 1, "its application has it");
    is_int(lnt_net_stats(workers[0].net)->connections, 1,
           "it is not among connections");
    is_int(lnt_net_stats(workers[0].net)->detached, 1, "but counted");
    ok(!open_at("listen box", "ann") && errno == EEXIST, "no name twice");
    ok(!open_at("listen box", "") && errno == EINVAL, "no empty name");
    memset(name, 'x', sizeof(name));
    name[65] = '\0';
    ok(!open_at("listen box", name) && errno == EINVAL, "none that is long");
    name[64] = '\0';
    ok(open_at("listen box", name) != NULL, "... that long");
    verdict = LNT_CLOSE_POLICY;
    ok(!open_at("listen box", "bob") && errno == ECANCELED,
       "none that its application does not want");
    ok(!find_at(&workers[0], "bob"), "... which is gone");
    verdict = LNT_GO_ON;
    for (int i = 2; i < MOST; i++) {
        snprintf(name, sizeof(name), "number %d", i);
        found += open_at("listen box", name) != NULL;
    }
    is_int(found, MOST - 2, "many");
    ok(!open_at("listen box", "carol") && errno == EAGAIN, "up to the limit");
    found = 0;
    for (int i = 2; i < MOST; i++) {
        snprintf(name, sizeof(name), "number %d", i);
        s = find_at(&workers[0], name);
        found += s && lnt_str_eq(lnt_detached_name(s), lnt_str_c(name));
        if (s && i % 2)
            lnt_session_close(s, LNT_CLOSE_NORMAL, NULL);
    }
    is_int(found, MOST - 2, "each is found");
    settle();
    found = 0;
    for (int i = 2; i < MOST; i++) {
        snprintf(name, sizeof(name), "number %d", i);
        found += find_at(&workers[0], name) != NULL;
    }
    is_int(found, MOST / 2 - 1, "half of them have ended");
    wait_ms(400);
    is_int(workers[0].net->detached, 0, "the others expire");
    end();
}

static void
test_queue(void)
{
    char large[3000];
    memset(large, 'l', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    begin();
    struct lnt_session *s = open_at("listen box", "ann");
    is_int(lnt_detached_front(s).n, 0, "nothing is queued");
    tell(s, "one");
    tell(s, "two");
    is_int(lnt_session_queued(s), 6, "messages are queued");
    settle();
    is_int(queued, 0, "nobody takes them");
    ok(lnt_str_eq(lnt_detached_front(s), LNT_STR("onetwo")), "in order");
    lnt_detached_take(s, 3);
    ok(lnt_str_eq(lnt_detached_front(s), LNT_STR("two")), "one is taken out");
    tell(s, large);
    lnt_detached_take(s, 3);
    is_int(lnt_detached_front(s).n, sizeof(large) - 1, "the next is in front");
    is_int(workers[0].net->stats->send_queue, sizeof(large) - 1, "counted");
    uint64_t slow = counter(LNT_C_SLOW_CLOSED);
    tell(s, large);
    settle();
    ok(!find_at(&workers[0], "ann"), "with too much queued it ends");
    is_int(counter(LNT_C_SLOW_CLOSED), slow + 1, "counted");
    is_int(workers[0].net->stats->send_queue, 0, "nothing is queued any more");

    s = open_at("listen sieve", "bob");
    tell(s, large);
    tell(s, large);
    tell(s, "small");
    settle();
    is_int(lnt_session_queued(s), sizeof(large) - 1 + 5,
           "or what is too much is dropped");
    is_int(counter(LNT_C_SLOW_DROPPED), 1, "counted");
    ok(find_at(&workers[0], "bob") == s, "and the session goes on");
    end();
}

static void
test_transports(void)
{
    begin();
    struct lnt_session *s = open_at("listen box", "ann");
    tell(s, "one");
    lnt_detached_attach(s, asker);
    settle();
    is_int(queued, 1, "a transport is asked to take what is queued");
    ok(lnt_detached_transport(s) == asker, "it is known");
    takes = true;
    tell(s, "two");
    settle();
    is_int(queued, 2, "and again when there is more");
    is_str(heard(asker_fd), "onetwo", "which gets to the client");
    settle();
    is_int(queued, 2, "when nothing is queued it is left alone");
    lnt_detached_leave(s);
    tell(s, "three");
    settle();
    is_int(queued, 2, "without a transport nobody is asked");
    int other = dial(&workers[0], "listen raw");
    size_t at = 0;
    struct lnt_session *t, *raw = NULL;
    while ((t = lnt_net_next(workers[0].net, &at)))
        if (t != s && t != asker)
            raw = t;
    lnt_detached_attach(s, raw);
    is_str(heard(other), "three", "another transport gets it");
    wait_ms(300);
    ok(find_at(&workers[0], "ann") == s, "with a transport it stays");
    close(other);
    settle();
    ok(!lnt_detached_transport(s), "one that has gone is none");
    tell(s, "four");
    settle();
    is_int(lnt_session_queued(s), 4, "... and loses nothing");
    wait_ms(500);
    ok(!find_at(&workers[0], "ann"), "it ends when no other comes");
    is_int(closed, 1, "which its application hears once");
    end();
}

/* What a client sends comes by whatever connection. */
static void
test_messages(void)
{
    char text[] = "hello";
    begin();
    struct lnt_session *s = open_at("listen box", "ann");
    is_int(lnt_session_message(s, LNT_TEXT, text, 5), 0, "a message comes in");
    ok(lnt_str_eq(lnt_detached_front(s), LNT_STR("hello")), "and one goes out");
    lnt_session_close(s, LNT_CLOSE_NORMAL, NULL);
    is_int(lnt_session_message(s, LNT_TEXT, text, 5), 0, "none while it ends");
    is_int(lnt_session_queued(s), 5, "... is heard");
    settle();
    is_int(closed, 1, "it ends");
    s = open_at("listen box", "bob");
    lnt_session_cut(s);
    settle();
    ok(!find_at(&workers[0], "bob"), "it is cut");
    s = open_at("listen box", "carol");
    lnt_detached_attach(s, asker);
    lnt_net_drain(workers[0].net, 100, NULL, NULL);
    wait_ms(200);
    ok(!find_at(&workers[0], "carol"), "it is drained");
    workers[0].net->draining = false;
    end();
}

static struct lnt_session *
move(struct lnt_session *s, struct worker *to, struct lnt_strbuf *bytes)
{
    const char *why = NULL;
    lnt_strbuf_clear(bytes);
    int fd = lnt_move_freeze(s, bytes);
    if (fd < 0)
        return NULL;
    settle();
    s = lnt_move_thaw(to->net, fd, lnt_strbuf_str(bytes), find, NULL, &why);
    if (!s)
        diag("%s", why);
    return s;
}

static void
test_moves(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_pack_version v;
    uint32_t magic;
    const char *why;
    begin();
    struct lnt_session *s = open_at("listen box", "ann");
    lnt_detached_attach(s, asker);
    tell(s, "one");
    tell(s, "two");
    s = move(s, &workers[1], &b);
    ok(s && find_at(&workers[1], "ann") == s, "it moves, and its name");
    ok(!find_at(&workers[0], "ann"), "... from here");
    is_int(moved, 1, "which its application hears");
    ok(lnt_str_eq(lnt_detached_front(s), LNT_STR("onetwo")),
       "what was queued moves along");
    ok(!lnt_detached_transport(s), "its transport does not");
    struct lnt_str rest = lnt_strbuf_str(&b);
    ok(lnt_unpack_u32(&rest, &magic) && !lnt_unpack_version(&rest, 3, &v) &&
           errno == ENOTSUP,
       "an older release does not take it");
    unsigned wrong = 0;
    for (size_t n = 0; n < b.n; n++) {
        char *part = malloc(n + 1);
        memcpy(part, b.p, n);
        struct lnt_session *half = lnt_move_thaw(
            workers[0].net, dup(asker_fd), lnt_str(part, n), find, NULL, &why);
        if (half)
            wrong++;
        free(part);
    }
    is_int(wrong, 0, "nor anybody half of it");
    ok(!lnt_move_thaw(workers[1].net, dup(asker_fd), lnt_strbuf_str(&b), find,
                      NULL, &why),
       "nor anybody a second one of that name");
    wait_ms(400);
    ok(!find_at(&workers[1], "ann"), "it expires there");
    lnt_strbuf_release(&b);
    end();
}

static void
on_given(void *arg)
{
    (void)arg;
}

/* With all others, over a link. */
static void
test_mover(void)
{
    int fds[2];
    char name[16];
    unsigned there = 0;
    begin();
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        struct lnt_session *s = open_at("listen sieve", name);
        tell(s, name);
    }
    struct lnt_mover *m[2];
    for (int i = 0; i < 2; i++)
        m[i] = lnt_mover_new(&(struct lnt_mover_params){
            .loop = workers[i].loop,
            .net = workers[i].net,
            .endpoints = config->endpoints,
            .patience = 1000,
            .done = on_given,
        });
    if (lnt_socket_pair(fds) < 0)
        exit(1);
    lnt_mover_link(m[0], fds[0], true);
    lnt_mover_link(m[1], fds[1], false);
    lnt_mover_give_all(m[0]);
    wait_ms(100);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        struct lnt_session *s = find_at(&workers[1], name);
        there += s && lnt_str_eq(lnt_detached_front(s), lnt_str_c(name));
    }
    is_int(there, 200, "all move over a link, with what is queued");
    is_int(workers[0].net->count, 0, "with the connection there is");
    lnt_mover_free(m[0]);
    lnt_mover_free(m[1]);
    end();
}

int
main(void)
{
    size_t n = 0;
    for (; lnt_static_modules[n]; n++)
        all_modules[n] = lnt_static_modules[n];
    all_modules[n] = &lnt_module_box;
    world_begin(2);
    test_begin();
    test_queue();
    test_transports();
    test_messages();
    test_moves();
    test_mover();
    world_end();
    return done_testing();
}
