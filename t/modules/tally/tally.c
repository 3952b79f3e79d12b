/*
 * The example of docs/modules.md, "Events with names"; t/docs.t sees to that.
 */
#include <stdio.h>
#include <string.h>

#include "hub/hub.h"
#include "net/module.h"

enum { VOTED = LNT_EVENT_APP, ANNOUNCE_MAX = 100 };

struct tally {
    struct lnt_sub *sub;
    uint32_t user;
    bool entered;
};

static enum lnt_admit
on_admit(struct lnt_session *s, const struct lnt_credentials *credentials,
         struct lnt_strbuf *why)
{
    (void)s;
    if (credentials->json.n > 0)
        return LNT_ADMIT;
    lnt_strbuf_adds(why, "say who you are");
    return LNT_REFUSE;
}

static void
on_joined(const struct lnt_result *r)
{
    if (r->session && r->error)
        lnt_session_close(r->session, LNT_CLOSE_LATER, "no room");
    else if (r->session)
        ((struct tally *)lnt_session_app_state(r->session))->sub = r->sub;
}

static void
on_entered(const struct lnt_result *r)
{
    struct tally *tally;

    if (!r->session)
        return;
    if (r->error) {
        lnt_session_close(r->session, LNT_CLOSE_LATER, "no nick");
        return;
    }
    tally = lnt_session_app_state(r->session);
    tally->user = r->user;
    tally->entered = true;
    lnt_hub_join(r->m->hub, r->session, r->user, LNT_STR("booth"), 0,
                 ANNOUNCE_MAX, (struct lnt_completion){on_joined, {0}});
}

static lnt_verdict
on_open(struct lnt_session *s)
{
    char nick[LNT_NICK_MAX];
    int n = snprintf(nick, sizeof(nick), "tally-%llu",
                     (unsigned long long)lnt_session_id(s));

    lnt_hub_enter(lnt_session_app(s)->hub, s, lnt_str(nick, (size_t)n),
                  (struct lnt_completion){on_entered, {0}});
    return LNT_GO_ON;
}

/* The vote is in the log, or is not; arg is the token of the call. */
static void
on_counted(const struct lnt_result *r)
{
    struct lnt_named answer = {.args = LNT_STR("[\"thank you\"]")};
    struct lnt_reply reply;

    if (!r->session)
        return;
    if (r->error)
        answer.args = LNT_STR("[\"that was not counted\"]");
    memcpy(&reply, r->arg.p, sizeof(reply));
    if (reply.number != 0)
        lnt_session_reply(r->session, &reply, &answer);
}

/* "vote" with any arguments: all are told, and the voter is thanked. */
static lnt_verdict
on_call(struct lnt_session *s, const struct lnt_call *call)
{
    struct tally *tally = lnt_session_app_state(s);
    struct lnt_named voted = call->event;
    struct lnt_strbuf data = LNT_STRBUF_INIT;
    struct lnt_str token = lnt_str(&call->reply, sizeof(call->reply));

    if (!tally->sub || !lnt_str_eq(call->event.name, LNT_STR("vote")))
        return LNT_GO_ON; /* not ours: no answer */
    voted.name = LNT_STR("voted");
    lnt_named_add(&data, &voted);
    lnt_hub_publish(lnt_session_app(s)->hub, s, tally->sub, VOTED, 0,
                    lnt_strbuf_str(&data),
                    (struct lnt_completion){on_counted, token});
    lnt_strbuf_release(&data);
    /* Unless it has been answered by now. */
    lnt_session_reply_later(s, &call->reply, 0);
    return LNT_GO_ON;
}

static bool
on_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
         struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    if (e->kind != VOTED)
        return false;
    lnt_strbuf_add_str(out, e->data); /* as lnt_named_add wrote it */
    return true;
}

static void
on_close(struct lnt_session *s)
{
    struct tally *tally = lnt_session_app_state(s);
    struct lnt_hub *hub = lnt_session_app(s)->hub;

    if (tally->sub)
        lnt_hub_leave(hub, tally->sub, ANNOUNCE_MAX);
    if (tally->entered)
        lnt_hub_exit(hub, s, tally->user, ANNOUNCE_MAX);
}

static const struct lnt_app tally_app = {
    .state_size = sizeof(struct tally),
    .admit = on_admit,
    .open = on_open,
    .call = on_call,
    .event_named = on_event,
    .close = on_close,
};

const struct lnt_module lnt_module_tally = {
    LNT_MODULE_HEAD,
    .name = "tally",
    .help = "votes, and everybody sees them",
    .app = &tally_app,
};
