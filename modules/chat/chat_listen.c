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

/* The oldest first, as they were asked for.  NULL with errno.  *created: how
   many of them were not there before. */
static struct lnt_sub *
subscribe(struct lnt_session *s, struct lnt_str room,
          struct lnt_room_info *info, int64_t *created)
{
    int64_t most = lnt_session_limits(s)->rooms_created_per_session;
    struct chat_session *chat = chat_session(s);
    struct lnt_sub *sub = lnt_hub_listen(lnt_session_app(s)->hub, s, room,
                                         CHAT_FORMAT_JSON, info);

    if (!sub)
        return NULL;
    if (info->created && ++*created > most && most > 0) {
        lnt_hub_leave(lnt_session_app(s)->hub, sub, 0);
        lnt_count(lnt_session_stats(s), LNT_C_ROOMS_REFUSED);
        errno = EDQUOT;
        return NULL;
    }
    chat_keep_history(s, sub);
    lnt_sub_link(sub, &chat->subs);
    chat->rooms++;
    return sub;
}

static lnt_verdict
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
    return LNT_CLOSE_LATER;
}

/* Returns the size of the last message, which sse keeps back for a while. */
static size_t
tell(struct lnt_session *s, const struct chat_wish *wish, bool resumes,
     const struct lnt_sub *sub, const struct lnt_room_info *info)
{
    struct chat *c = chat_of(s);
    bool recovered = chat_begin_joined(s, wish, sub, info);

    lnt_strbuf_addc(&c->out, '}');
    if (resumes && !recovered) {
        lnt_strbuf_clear(&c->data);
        chat_render_gap(&c->data, info->name, info->seq);
        lnt_session_send(s, LNT_TEXT, c->data.p, c->data.n);
    }
    lnt_session_send(s, LNT_TEXT, c->out.p, c->out.n);
    return c->out.n;
}

lnt_verdict
chat_listen(struct lnt_session *s, const struct lnt_interest *l)
{
    struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_room_info infos[LNT_INTEREST_MAX];
    struct lnt_sub *subs[LNT_INTEREST_MAX];
    struct chat_wish wish = {
        .epoch = l->resumes ? l->epoch : 0,
        .since = l->resumes ? l->seq : 0,
        .limit = l->limit,
    };
    int64_t created = 0;
    uint64_t start;

    for (size_t i = 0; i < l->nrooms; i++) {
        subs[i] = subscribe(s, l->rooms[i], &infos[i], &created);
        if (!subs[i])
            return refuse(s);
    }
    start = infos[l->nrooms - 1].next;
    for (size_t i = 0; i < l->nrooms; i++) {
        lnt_hub_skip(hub, subs[i], start);
        infos[i].next = start;
        infos[i].seq = start - 1;
        wish.others = (unsigned)(l->nrooms - 1 - i);
        wish.told = tell(s, &wish, l->resumes, subs[i], &infos[i]);
    }
    return LNT_GO_ON;
}
