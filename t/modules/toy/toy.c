/*
 * The application: does what an event's name says.
 *
 *   echo      answers with the arguments and attachments
 *   twice     answers, and once more; then emits "twice" [whether that went]
 *   later     [MS] puts the answer off, and keeps the token
 *   flush     answers all that were put off, with ["late",N]; then emits
 *             "flushed" [how many of these answers went]
 *   nothing   does not answer
 *   bad       emits something that is no array
 *   ask       [MS] asks "question" ["?"]; emits "answered" or "unanswered"
 *   say       publishes the event "said" with these arguments and attachments
 *   whisper   the same for this session alone
 *   who       answers with what "auth" said, and this process
 *
 * "auth" with {"refuse":true} is refused.
 */
#include "t/modules/toy/toy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "hub/hub.h"

enum { SAID = LNT_EVENT_APP, ANNOUNCE_MAX = 100, KEPT = 300, WHO = 64 };

struct toy {
    char who[WHO];
    struct lnt_sub *sub;
    uint32_t user, nkept;
    bool entered;
    struct lnt_reply kept[KEPT];
};

static struct lnt_named
named(const char *name, const char *args)
{
    return (struct lnt_named){.name = lnt_str_c(name), .args = lnt_str_c(args)};
}

static void
emit(struct lnt_session *s, const char *name, const char *args)
{
    struct lnt_named e = named(name, args);

    lnt_session_emit(s, &e);
}

static bool
reply(struct lnt_session *s, const struct lnt_reply *r, const char *args)
{
    struct lnt_named e = named("", args);

    return lnt_session_reply(s, r, &e);
}

/* ---- the session ---- */

static enum lnt_admit
toy_admit(struct lnt_session *s, const struct lnt_credentials *c,
          struct lnt_strbuf *why)
{
    struct toy *toy = lnt_session_app_state(s);

    snprintf(toy->who, sizeof(toy->who), "%.*s",
             (int)(c->json.n < WHO ? c->json.n : WHO),
             c->json.p ? c->json.p : "");
    if (!strstr(toy->who, "refuse"))
        return LNT_ADMIT;
    lnt_strbuf_adds(why, "you \"refuse\" yourself");
    return LNT_REFUSE;
}

static void
on_joined(const struct lnt_result *r)
{
    if (r->session && r->error)
        lnt_session_close(r->session, LNT_CLOSE_LATER, "no room");
    else if (r->session)
        ((struct toy *)lnt_session_app_state(r->session))->sub = r->sub;
}

static void
on_entered(const struct lnt_result *r)
{
    struct toy *toy;

    if (!r->session)
        return;
    if (r->error) {
        lnt_session_close(r->session, LNT_CLOSE_LATER, "no nick");
        return;
    }
    toy = lnt_session_app_state(r->session);
    toy->user = r->user;
    toy->entered = true;
    lnt_hub_join(r->m->hub, r->session, r->user, LNT_STR("square"), 0,
                 ANNOUNCE_MAX, (struct lnt_completion){on_joined, {0}});
}

static lnt_verdict
toy_open(struct lnt_session *s)
{
    char nick[LNT_NICK_MAX];
    int n = snprintf(nick, sizeof(nick), "toy-%llu",
                     (unsigned long long)lnt_session_id(s));

    lnt_hub_enter(lnt_session_app(s)->hub, s, lnt_str(nick, (size_t)n),
                  (struct lnt_completion){on_entered, {0}});
    return LNT_GO_ON;
}

static void
toy_close(struct lnt_session *s)
{
    struct toy *toy = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;

    if (toy->sub && lnt_session_moved(s))
        lnt_hub_forget(hub, toy->sub);
    else if (toy->sub)
        lnt_hub_leave(hub, toy->sub, ANNOUNCE_MAX);
    if (toy->entered && !lnt_session_moved(s))
        lnt_hub_exit(hub, s, toy->user, ANNOUNCE_MAX);
}

/* ---- events from clients ---- */

/* The first argument. */
static uint64_t
first_number(const struct lnt_named *e)
{
    struct lnt_str rest = e->args, value;
    char text[24];

    if (!lnt_json_element(&rest, &value))
        return 0;
    snprintf(text, sizeof(text), "%.*s", LNT_STR_ARG(value));
    return strtoull(text, NULL, 10);
}

static void
put_off(struct lnt_session *s, const struct lnt_call *call)
{
    struct toy *toy = lnt_session_app_state(s);

    if (toy->nkept < KEPT)
        toy->kept[toy->nkept++] = call->reply;
    lnt_session_reply_later(s, &call->reply, first_number(&call->event));
}

static void
flush(struct lnt_session *s)
{
    struct toy *toy = lnt_session_app_state(s);
    unsigned sent = 0;
    char args[64];

    for (uint32_t i = 0; i < toy->nkept; i++) {
        snprintf(args, sizeof(args), "[\"late\",%u]", i);
        sent += reply(s, &toy->kept[i], args);
    }
    toy->nkept = 0;
    snprintf(args, sizeof(args), "[%u]", sent);
    emit(s, "flushed", args);
}

static void
publish(struct lnt_session *s, const struct lnt_named *e, bool direct)
{
    struct toy *toy = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_named said = *e;
    struct lnt_strbuf data = LNT_STRBUF_INIT;

    said.name = LNT_STR("said");
    lnt_named_add(&data, &said);
    if (direct)
        lnt_hub_direct(hub, s, lnt_session_id(s), SAID, lnt_strbuf_str(&data),
                       LNT_NO_COMPLETION);
    else if (toy->sub)
        lnt_hub_publish(hub, s, toy->sub, SAID, 0, lnt_strbuf_str(&data),
                        LNT_NO_COMPLETION);
    lnt_strbuf_release(&data);
}

static void
tell_who(struct lnt_session *s, const struct lnt_reply *r)
{
    const struct toy *toy = lnt_session_app_state(s);
    char args[WHO + 32];

    snprintf(args, sizeof(args), "[%s,%ld]", toy->who[0] ? toy->who : "null",
             (long)getpid());
    reply(s, r, args);
}

static bool
is(const struct lnt_call *call, const char *name)
{
    return lnt_str_eq(call->event.name, lnt_str_c(name));
}

static lnt_verdict
toy_call(struct lnt_session *s, const struct lnt_call *call)
{
    struct lnt_named question = named("question", "[\"?\"]");

    if (is(call, "echo")) {
        lnt_session_reply(s, &call->reply, &call->event);
    } else if (is(call, "twice")) {
        reply(s, &call->reply, "[1]");
        emit(s, "twice", reply(s, &call->reply, "[2]") ? "[true]" : "[false]");
    } else if (is(call, "later")) {
        put_off(s, call);
    } else if (is(call, "flush")) {
        flush(s);
    } else if (is(call, "bad")) {
        emit(s, "bad", "no array");
    } else if (is(call, "ask")) {
        uint64_t ms = first_number(&call->event);

        if (ms == 0 || !lnt_session_ask(s, &question, ms))
            emit(s, "unasked", "[]");
    } else if (is(call, "say") || is(call, "whisper")) {
        publish(s, &call->event, is(call, "whisper"));
    } else if (is(call, "who")) {
        tell_who(s, &call->reply);
    }
    return LNT_GO_ON;
}

static lnt_verdict
toy_answer(struct lnt_session *s, uint32_t number,
           const struct lnt_named *answer)
{
    struct lnt_named e = named("unanswered", "[]");

    (void)number;
    if (answer)
        e = *answer;
    e.name = lnt_str_c(answer ? "answered" : "unanswered");
    lnt_session_emit(s, &e);
    return LNT_GO_ON;
}

/* ---- events from the log ---- */

static bool
toy_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
          struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    if (e->kind != SAID)
        return false;
    lnt_strbuf_add_str(out, e->data);
    return true;
}

static bool
toy_direct(struct lnt_session *s, const struct lnt_event *e,
           struct lnt_strbuf *out)
{
    return toy_event(lnt_session_app(s), e, 0, out);
}

/* ---- moving ---- */

static int
toy_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct toy *toy = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_hub_point at;

    if (!lnt_hub_point(hub, s, toy->sub, &at))
        return -1;
    lnt_pack_version(out, 1, 1);
    lnt_pack_u64(out, lnt_session_id(s));
    lnt_pack_u64(out, at.position);
    lnt_pack_u64(out, at.seq);
    lnt_pack_u32(out, toy->user);
    lnt_pack_str(out, lnt_str_c(toy->who));
    lnt_pack_u32(out, toy->nkept);
    for (uint32_t i = 0; i < toy->nkept; i++) {
        lnt_pack_u64(out, toy->kept[i].session);
        lnt_pack_u32(out, toy->kept[i].number);
    }
    lnt_sub_freeze(hub, toy->sub, out);
    return 0;
}

static int
toy_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct toy *toy = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_pack_version v;
    struct lnt_hub_point at;
    struct lnt_str who;
    uint64_t old;

    if (!lnt_unpack_version(&state, 1, &v) || !lnt_unpack_u64(&state, &old) ||
        !lnt_unpack_u64(&state, &at.position) ||
        !lnt_unpack_u64(&state, &at.seq) ||
        !lnt_unpack_u32(&state, &toy->user) || !lnt_unpack_str(&state, &who) ||
        who.n >= WHO || !lnt_unpack_u32(&state, &toy->nkept) ||
        toy->nkept > KEPT)
        return -1;
    memcpy(toy->who, who.p, who.n);
    for (uint32_t i = 0; i < toy->nkept; i++) {
        if (!lnt_unpack_u64(&state, &toy->kept[i].session) ||
            !lnt_unpack_u32(&state, &toy->kept[i].number))
            return -1;
    }
    if (lnt_hub_adopt_user(hub, s, toy->user, old) < 0)
        return -1;
    toy->entered = true;
    toy->sub = lnt_hub_adopt(hub, s, &state);
    return toy->sub ? lnt_hub_replay(hub, s, toy->sub, old, &at) : -1;
}

static const struct lnt_app toy_app = {
    .state_size = sizeof(struct toy),
    .open = toy_open,
    .admit = toy_admit,
    .call = toy_call,
    .answer = toy_answer,
    .event_named = toy_event,
    .direct_named = toy_direct,
    .freeze = toy_freeze,
    .thaw = toy_thaw,
    .close = toy_close,
};

const struct lnt_module lnt_module_toy = {
    LNT_MODULE_HEAD,
    .name = "toy",
    .help = "named events, for tests",
    .protocol = &toy_protocol,
    .app = &toy_app,
};
