/*
 * Those who only listen (protocol sse): they get what members get, without a
 * nick, and nobody sees them.
 *
 * A client that comes back names one place in the log for all its rooms.  So
 * what it is told of each at the beginning ends at the same place, and it is
 * subscribed to what comes behind.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <string.h>

#include "hub/hub.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/stats.h"

bool
chat_may_listen(struct lnt_module_ctx *m, const struct lnt_interest *l,
                struct lnt_strbuf *why)
{
    const struct chat_conf *conf = m->conf;
    const struct chat *c = m->data;

    if ((int64_t)l->nrooms > conf->rooms_per_session) {
        lnt_strbuf_addf(why, "nobody may be in more than %lld rooms",
                        (long long)conf->rooms_per_session);
        return false;
    }
    for (size_t i = 0; i < l->nrooms; i++) {
        if (chat_check_room(m, l->rooms[i]) != CHAT_OK) {
            lnt_strbuf_add_str(why, lnt_strbuf_str(&c->why));
            return false;
        }
    }
    return true;
}

/* What was asked for, carried from room to room. */
struct listening {
    struct chat_wish wish;
    bool resumes;
    size_t left; /* rooms behind this one */
    void (*telling)(struct lnt_session *s, bool begins);
};

static void
refuse(struct lnt_session *s)
{
    enum chat_code code = chat_refuse_room(s);
    struct lnt_strbuf *out = &chat_of(s)->out;

    lnt_strbuf_clear(out);
    chat_begin(out, "error");
    chat_add_text(out, "code", lnt_str_c(chat_code_names[code]));
    chat_add_text(out, "message", lnt_strbuf_str(&chat_of(s)->why));
    lnt_strbuf_addc(out, '}');
    lnt_session_send(s, LNT_TEXT, out->p, out->n);
    lnt_session_close(s, LNT_CLOSE_LATER, NULL);
}

/* Whether the session has created so many rooms with this one that it may not
   have it. */
static bool
is_one_too_many(struct lnt_session *s, const struct lnt_room_info *info)
{
    int64_t most = lnt_session_limits(s)->rooms_created_per_session;
    struct chat_session *chat = chat_session(s);

    if (!info->created || chat->current == CHAT_PLACE)
        return false;
    chat->current++;
    return most > 0 && chat->current > most;
}

/* Returns the size of the last message, which sse keeps back for a while. */
static size_t
tell(struct lnt_session *s, const struct listening *l,
     const struct lnt_sub *sub, const struct lnt_room_info *info)
{
    struct chat *c = chat_of(s);
    bool recovered = chat_begin_joined(s, &l->wish, sub, info);

    lnt_strbuf_addc(&c->out, '}');
    if (l->resumes && !recovered) {
        lnt_strbuf_clear(&c->data);
        chat_render_gap(&c->data, info->name, info->seq);
        lnt_session_send(s, LNT_TEXT, c->data.p, c->data.n);
    }
    lnt_session_send(s, LNT_TEXT, c->out.p, c->out.n);
    return c->out.n;
}

/* All of them are there: each is told up to the same place, the first that was
   asked for first, and goes on there. */
static void
tell_all(struct lnt_session *s, const struct listening *asked, uint64_t start)
{
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct listening l = *asked;
    struct lnt_sub *subs[LNT_INTEREST_MAX], *sub = chat_session(s)->subs;
    size_t n = 0;

    for (; sub && n < LNT_INTEREST_MAX; sub = lnt_sub_next(sub))
        subs[n++] = sub;
    if (l.telling)
        l.telling(s, true);
    while (n-- > 0) {
        struct lnt_str name = lnt_str_c(lnt_sub_room_name(subs[n]));
        struct lnt_room_info info = {
            .members = UINT32_MAX, .seq = start - 1, .next = start};

        memcpy(info.name, name.p, name.n);
        lnt_hub_skip(hub, subs[n], start);
        l.wish.others = (unsigned)n;
        l.wish.told = tell(s, &l, subs[n], &info);
    }
    if (l.telling)
        l.telling(s, false);
}

static void
on_listening(const struct lnt_result *r)
{
    const struct listening *l = (const void *)r->arg.p;
    struct lnt_session *s = r->session;
    struct chat_session *chat;

    if (!s)
        return;
    errno = r->error;
    if (r->error == 0 && is_one_too_many(s, r->info)) {
        lnt_hub_leave(lnt_session_app(s)->hub, r->sub, 0);
        lnt_count(lnt_session_stats(s), LNT_C_ROOMS_REFUSED);
        errno = EDQUOT;
    }
    if (errno != 0) {
        refuse(s);
        return;
    }
    chat = chat_session(s);
    chat_keep_history(s, r->sub);
    lnt_sub_link(r->sub, &chat->subs);
    chat->rooms++;
    if (l->left == 0)
        tell_all(s, l, r->info->next);
    else if (r->later) /* what comes before the others are there is told */
        lnt_hub_skip(lnt_session_app(s)->hub, r->sub, UINT64_MAX);
}

lnt_verdict
chat_listen(struct lnt_session *s, const struct lnt_interest *l)
{
    struct listening asked = {
        .wish = {.epoch = l->resumes ? l->epoch : 0,
                 .since = l->resumes ? l->seq : 0,
                 .limit = l->limit},
        .resumes = l->resumes,
        .telling = l->telling,
    };

    for (size_t i = 0; i < l->nrooms && !lnt_session_closing(s); i++) {
        asked.left = l->nrooms - 1 - i;
        lnt_hub_listen(
            lnt_session_app(s)->hub, s, l->rooms[i], CHAT_FORMAT_JSON,
            (struct lnt_completion){on_listening, lnt_str((const char *)&asked,
                                                          sizeof(asked))});
    }
    return LNT_GO_ON;
}
