/*
 * As little as an application can do with rooms, for t/cost.t: what is left is
 * what linnet itself costs.
 *
 *   where             this worker's pid
 *   listen ROOM       what is posted there comes as a line
 *   post ROOM TEXT    posts it, without being there
 *   say ROOM TEXT     the same, and answers "ok"
 *   busy MS           keeps this worker from its loop for so long, between two
 *                     lines in the log
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "hub/hub.h"
#include "net/module.h"
#include "os/clock.h"
#include "t/lib/hub_now.h"

struct member {
    struct lnt_sub *sub; /* of the one room it listens to */
};

static void
say(struct lnt_session *s, const char *text)
{
    lnt_session_send(s, LNT_TEXT, text, strlen(text));
}

static void
join(struct lnt_session *s, struct lnt_str room)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    struct member *member = lnt_session_app_state(s);
    struct lnt_room_info info;
    if (!member->sub)
        member->sub = now_listen(m->hub, s, room, 0, &info);
    say(s, member->sub ? "listening" : strerror(errno));
}

static bool
post(struct lnt_session *s, struct lnt_str room, struct lnt_str text)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    if (now_post(m->hub, m, room, NULL, LNT_EVENT_APP, 0, text, NULL, NULL) ==
        0)
        return true;
    say(s, strerror(errno));
    return false;
}

static void
spin(uint64_t ms)
{
    uint64_t end = lnt_clock_ms() + ms;
    lnt_log_notice("cost is busy");
    while (lnt_clock_ms() < end)
        ;
    lnt_log_notice("cost is idle");
}

/* Cuts the next word off. */
static struct lnt_str
next_word(struct lnt_str *rest)
{
    const char *blank = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
    size_t n = blank ? (size_t)(blank - rest->p) : rest->n;
    struct lnt_str word = {rest->p, n};
    n += blank != NULL;
    *rest = lnt_str(rest->p + n, rest->n - n);
    return word;
}

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *m)
{
    struct lnt_str rest = m->data, verb = next_word(&rest);
    struct lnt_str room = next_word(&rest);
    char text[32];
    if (lnt_str_eq(verb, LNT_STR("post"))) {
        (void)post(s, room, rest);
    } else if (lnt_str_eq(verb, LNT_STR("say"))) {
        if (post(s, room, rest))
            say(s, "ok");
    } else if (lnt_str_eq(verb, LNT_STR("listen"))) {
        join(s, room);
    } else if (lnt_str_eq(verb, LNT_STR("busy"))) {
        snprintf(text, sizeof(text), "%.*s", LNT_STR_ARG(room));
        spin(strtoull(text, NULL, 10));
    } else {
        snprintf(text, sizeof(text), "%ld", (long)getpid());
        say(s, text);
    }
    return LNT_GO_ON;
}

static bool
on_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
         struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    if (e->kind != LNT_EVENT_APP)
        return false;
    lnt_strbuf_add_str(out, e->data);
    return true;
}

static void
on_close(struct lnt_session *s)
{
    struct member *member = lnt_session_app_state(s);
    if (member->sub)
        lnt_hub_leave(lnt_session_app(s)->hub, member->sub, 0);
}

static const struct lnt_app cost_app = {
    .state_size = sizeof(struct member),
    .message = on_message,
    .event = on_event,
    .close = on_close,
};

const struct lnt_module lnt_module_cost = {
    LNT_MODULE_HEAD,
    .name = "cost",
    .help = "rooms and nothing else, for tests",
    .app = &cost_app,
};
