/*
 * A connection that waits for another worker while its input is held: what it has
 * kept does not come to its protocol before it has moved, or stays.
 */
#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen box]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "protocol = box\n"                                                         \
    "app = echo\n"
#define WORLD_MODULES all_modules

#include "net/handover.h"
#include "net/module.h"

static const struct lnt_module *all_modules[64];

#include "t/unit/move_world.h"

static unsigned calls, drained;

static lnt_verdict
box_data(struct lnt_session *s, struct lnt_input *in)
{
    (void)in;
    /* Answers what came before, holds, and finds that the rest is another
       worker's. */
    if (calls++ == 0) {
        lnt_session_write(s, "answer", 6);
        lnt_session_hold(s);
        if (lnt_session_hand_over(s, lnt_net_worker(workers[1].net),
                                  lnt_str("", 0)) < 0)
            exit(1);
        return LNT_GO_ON;
    }
    in->used = in->n;
    return LNT_GO_ON;
}

static void
box_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

static void
box_drained(struct lnt_session *s)
{
    (void)s;
    drained++;
}

static const struct lnt_protocol box_protocol = {
    .data = box_data,
    .send = box_send,
    .drained = box_drained,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
};

static const struct lnt_module lnt_module_box = {
    LNT_MODULE_HEAD,
    .name = "box",
    .help = "for tests",
    .protocol = &box_protocol,
};

int
main(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_session *s;
    size_t n = 0;
    for (; lnt_static_modules[n]; n++)
        all_modules[n] = lnt_static_modules[n];
    all_modules[n] = &lnt_module_box;
    world_begin(2);
    int fd = dial(&workers[0], "listen box");
    say(fd, "request", 7);
    is_str(heard(fd), "answer", "what came before is answered");
    settle();
    is_int(calls, 1, "what is another worker's does not come again");
    is_int(drained > 0, 1, "its protocol hears that its output is out");
    s = only(&workers[0]);
    int moved = lnt_move_freeze(s, &b);
    ok(moved >= 0, "it can move");
    if (moved >= 0) {
        const char *why;
        settle();
        s = lnt_move_thaw(workers[1].net, moved, lnt_strbuf_str(&b), find, NULL,
                          &why);
        settle();
        is_int(calls, 2, "... and comes there");
    }
    close(fd);
    lnt_strbuf_release(&b);
    world_end();
    return done_testing();
}
