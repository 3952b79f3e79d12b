/*
 * An application over lines for t/spread.t: listens to rooms and publishes to
 * several at once.  It moves.
 *
 *     id                           the session's number, and its process
 *     in ROOM                      listens to it
 *     out ROOM                     no longer
 *     say +ROOM -ROOM !ID TEXT     to these rooms, without those and without the
 *                                  sessions, as many as there are; answers "ok",
 *                                  or why not
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/pack.h"
#include "core/strbuf.h"
#include "hub/hub.h"
#include "net/module.h"

enum { SAID = LNT_EVENT_APP, NAMES = 16 };

struct listener {
    struct lnt_sub *subs; /* the last is "home" */
};

static struct listener *
state_of(const struct lnt_session *s)
{
    return lnt_session_app_state(s);
}

static struct lnt_hub *
hub_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->hub;
}

static void
answer(struct lnt_session *s, const char *text)
{
    lnt_session_send(s, LNT_TEXT, text, strlen(text));
}

static void
on_listening(const struct lnt_result *r)
{
    if (!r->session)
        return;
    if (r->error == 0)
        lnt_sub_link(r->sub, &state_of(r->session)->subs);
    answer(r->session, r->error ? strerror(r->error) : "ok");
}

static void
listen_to(struct lnt_session *s, struct lnt_str room)
{
    lnt_hub_listen(hub_of(s), s, room, 0,
                   (struct lnt_completion){on_listening, {0}});
}

static void
leave(struct lnt_session *s, struct lnt_str room)
{
    struct lnt_sub *sub = state_of(s)->subs;

    while (sub && !lnt_str_eq(lnt_str_c(lnt_sub_room_name(sub)), room))
        sub = lnt_sub_next(sub);
    if (sub) {
        lnt_sub_unlink(sub, &state_of(s)->subs);
        lnt_hub_leave(hub_of(s), sub, 0);
    }
    answer(s, "ok");
}

static struct lnt_str
take_word(struct lnt_str *rest)
{
    struct lnt_str word = {rest->p, 0};

    while (word.n < rest->n && rest->p[word.n] != ' ')
        word.n++;
    *rest = lnt_str_trim(lnt_str(rest->p + word.n, rest->n - word.n));
    return word;
}

static void
on_said(const struct lnt_result *r)
{
    if (r->session)
        answer(r->session, r->error ? strerror(r->error) : "ok");
}

static void
say(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_str rooms[NAMES], not_rooms[NAMES];
    struct lnt_audience to = {.rooms = rooms, .except_rooms = not_rooms};
    struct lnt_sub *home = state_of(s)->subs;
    uint64_t not_ids[NAMES];

    to.except = not_ids;
    while (rest.n > 0 && strchr("+-!", rest.p[0])) {
        char kind = rest.p[0];
        struct lnt_str word = take_word(&rest);

        word = lnt_str(word.p + 1, word.n - 1);
        if (kind == '+' && to.nrooms < NAMES)
            rooms[to.nrooms++] = word;
        else if (kind == '-' && to.nexcept_rooms < NAMES)
            not_rooms[to.nexcept_rooms++] = word;
        else if (kind == '!' && to.nexcept < NAMES)
            not_ids[to.nexcept++] = strtoull(word.p, NULL, 10);
    }
    while (home && lnt_sub_next(home))
        home = lnt_sub_next(home);
    if (home)
        lnt_hub_spread(hub_of(s), s, home, &to, SAID, 0, rest,
                       (struct lnt_completion){on_said, {0}});
}

/* ---- the application ---- */

static lnt_verdict
on_open(struct lnt_session *s)
{
    listen_to(s, LNT_STR("home"));
    return LNT_GO_ON;
}

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *m)
{
    struct lnt_str rest = m->data, word = take_word(&rest);
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    if (lnt_str_eq(word, LNT_STR("id"))) {
        lnt_strbuf_addf(&out, "%llu %ld", (unsigned long long)lnt_session_id(s),
                        (long)getpid());
        lnt_session_send(s, LNT_TEXT, out.p, out.n);
        lnt_strbuf_release(&out);
    } else if (lnt_str_eq(word, LNT_STR("in"))) {
        listen_to(s, rest);
    } else if (lnt_str_eq(word, LNT_STR("out"))) {
        leave(s, rest);
    } else if (lnt_str_eq(word, LNT_STR("say"))) {
        say(s, rest);
    }
    return LNT_GO_ON;
}

static bool
on_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
         struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    lnt_strbuf_addf(out, "* %.*s", LNT_STR_ARG(e->data));
    return e->kind == SAID && lnt_str_eq(e->room_name, LNT_STR("home"));
}

/* ---- moving ---- */

static void
freeze_subs(struct lnt_hub *h, const struct lnt_sub *sub,
            struct lnt_strbuf *out)
{
    if (!sub)
        return;
    freeze_subs(h, lnt_sub_next(sub), out);
    lnt_sub_freeze(h, sub, out);
}

static int
on_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct lnt_hub_point p;

    if (!lnt_hub_point(hub_of(s), s, state_of(s)->subs, &p))
        return -1;
    lnt_pack_u64(out, lnt_session_id(s));
    lnt_pack_u64(out, p.position);
    lnt_pack_u64(out, p.seq);
    freeze_subs(hub_of(s), state_of(s)->subs, out);
    return 0;
}

static int
on_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct lnt_hub_point p;
    struct lnt_sub *sub;
    uint64_t id;

    errno = EPROTO;
    if (!lnt_unpack_u64(&state, &id) || !lnt_unpack_u64(&state, &p.position) ||
        !lnt_unpack_u64(&state, &p.seq))
        return -1;
    while (state.n > 0) {
        sub = lnt_hub_adopt(hub_of(s), s, &state);
        if (!sub)
            return -1;
        lnt_sub_link(sub, &state_of(s)->subs);
    }
    return lnt_hub_replay(hub_of(s), s, state_of(s)->subs, id, &p);
}

static void
on_close(struct lnt_session *s)
{
    struct lnt_sub *sub;

    while ((sub = state_of(s)->subs)) {
        lnt_sub_unlink(sub, &state_of(s)->subs);
        if (lnt_session_moved(s))
            lnt_hub_forget(hub_of(s), sub);
        else
            lnt_hub_leave(hub_of(s), sub, 0);
    }
}

static const struct lnt_app app = {
    .state_size = sizeof(struct listener),
    .open = on_open,
    .message = on_message,
    .event = on_event,
    .freeze = on_freeze,
    .thaw = on_thaw,
    .close = on_close,
};

const struct lnt_module lnt_module_rooms = {
    LNT_MODULE_HEAD,
    .name = "rooms",
    .help = "for tests: publishes to several rooms at once",
    .app = &app,
};
