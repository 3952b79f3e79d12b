/*
 * What a session of the chat can say, whichever way it was asked.  Checks, has
 * the hub do it, and leaves the answer to whoever asked; what others see of it
 * comes from the log.  How it gets its nick and its rooms is in chat_enter.c.
 */
#include "modules/chat/chat.h"

#include <errno.h>

#include "core/utf8.h"
#include "hub/hub.h"
#include "net/module.h"

static struct lnt_hub *
hub_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->hub;
}

/* What a publish that failed means. */
static enum chat_code
refuse_publish(struct chat *c)
{
    enum chat_code code = chat_refuse_late(c);

    if (code != CHAT_OK)
        return code;
    if (errno == EMSGSIZE)
        return chat_refuse(c, CHAT_TOO_LONG,
                           "the text is longer than the log of this server "
                           "can take; zone_size is small");
    return chat_refuse(c, CHAT_NOT_JOINED, "the room is gone");
}

/* ---- words ---- */

static void
on_said(const struct lnt_result *r)
{
    const struct chat_ask *ask = chat_asked(r);
    enum chat_code code = CHAT_OK;

    if (!r->session)
        return;
    errno = r->error;
    if (r->error)
        code = refuse_publish(chat_of(r->session));
    ask->answer(r->session, ask, code, r);
}

void
chat_say(struct lnt_session *s, struct lnt_sub *sub, struct lnt_str text,
         const struct chat_ask *ask)
{
    struct chat *c = chat_of(s);
    enum chat_code code = chat_check_text(lnt_session_app(s), text);

    if (code == CHAT_OK)
        code = chat_slow_pass(s, sub);
    if (code != CHAT_OK) {
        ask->answer(s, ask, code, NULL);
        return;
    }
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), NULL, text);
    lnt_hub_publish(hub_of(s), s, sub, CHAT_MESSAGE, LNT_EVENT_HISTORY,
                    lnt_strbuf_str(&c->data), chat_completion(on_said, ask));
}

void
chat_typing(struct lnt_session *s, struct lnt_sub *sub,
            const struct chat_ask *ask)
{
    struct chat *c = chat_of(s);

    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), NULL, LNT_STR(""));
    lnt_hub_publish(hub_of(s), s, sub, CHAT_TYPING, LNT_EVENT_NOT_ORIGIN,
                    lnt_strbuf_str(&c->data), chat_completion(on_said, ask));
}

static enum chat_code
check_direct(struct lnt_session *s, struct lnt_str to, struct lnt_str text,
             uint64_t *target)
{
    struct chat *c = chat_of(s);
    enum chat_code code = chat_check_text(lnt_session_app(s), text);

    if (code != CHAT_OK)
        return code;
    if (!chat_session(s)->entered)
        return chat_refuse(c, CHAT_NOT_JOINED,
                           "who speaks needs a nick: join a room or take one "
                           "first");
    *target = 0;
    if (to.n > 0 && to.n <= LNT_NICK_MAX)
        *target = lnt_hub_find(hub_of(s), to);
    if (*target == 0)
        return chat_refuse(c, CHAT_NO_SUCH_NICK, "nobody has that nick");
    return CHAT_OK;
}

/* In a cluster it may have left before the message had its place in the log. */
static void
on_told(const struct lnt_result *r)
{
    struct lnt_str to, text;
    struct chat *c;
    enum chat_code code;

    if (!r->session || r->error == 0 || r->error == EMSGSIZE) {
        on_said(r);
        return;
    }
    c = chat_of(r->session);
    errno = r->error;
    code = chat_refuse_late(c);
    if (code == CHAT_OK && chat_unpack_direct(r->what, &to, &text))
        code = chat_refuse(c, CHAT_NO_SUCH_NICK, "%.*s has just left",
                           LNT_STR_ARG(to));
    chat_asked(r)->answer(r->session, chat_asked(r), code, r);
}

void
chat_direct(struct lnt_session *s, struct lnt_str to, struct lnt_str text,
            const struct chat_ask *ask)
{
    struct chat *c = chat_of(s);
    uint64_t target;
    enum chat_code code = check_direct(s, to, text, &target);

    if (code != CHAT_OK) {
        ask->answer(s, ask, code, NULL);
        return;
    }
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), &to, text);
    lnt_hub_direct(hub_of(s), s, target, CHAT_DIRECT, lnt_strbuf_str(&c->data),
                   chat_completion(on_told, ask));
}

/* ---- words of operators ---- */

static void
answer_operator(struct lnt_module_ctx *m, const struct lnt_requester *to,
                enum chat_code code, uint64_t seq)
{
    struct chat *c = m->data;

    lnt_strbuf_clear(&c->out);
    if (code == CHAT_OK) {
        lnt_strbuf_adds(&c->out, "seq ");
        lnt_strbuf_addu(&c->out, seq);
    } else {
        lnt_strbuf_addf(&c->out, "%s: %s", chat_code_names[code], c->why.p);
    }
    lnt_answer(to, code == CHAT_OK, lnt_strbuf_str(&c->out));
}

static void
on_posted(const struct lnt_result *r)
{
    const struct lnt_requester *to = (const void *)r->arg.p;
    struct chat *c = r->m->data;
    enum chat_code code = CHAT_OK;

    errno = r->error;
    if (r->error == ENOSPC)
        code = chat_refuse_full(c, "room");
    else if (r->error)
        code = refuse_publish(c);
    answer_operator(r->m, to, code, r->seq);
}

void
chat_publish(struct lnt_module_ctx *m, struct lnt_str room, struct lnt_str from,
             struct lnt_str text, const struct lnt_requester *to)
{
    const struct chat_conf *conf = m->conf;
    struct chat *c = m->data;
    enum chat_code code = chat_check_room(m, room);

    if (code == CHAT_OK)
        code = chat_check_nick(m, from);
    if (code == CHAT_OK)
        code = chat_check_text(m, text);
    if (code == CHAT_OK && !lnt_utf8_valid(text.p, text.n))
        code = chat_refuse(c, CHAT_BAD_REQUEST, "text must be UTF-8");
    if (code != CHAT_OK) {
        answer_operator(m, to, code, 0);
        return;
    }
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, from, NULL, text);
    lnt_hub_post(m->hub, m, room, &conf->keep, CHAT_MESSAGE, LNT_EVENT_HISTORY,
                 lnt_strbuf_str(&c->data),
                 (struct lnt_completion){on_posted, lnt_str((const char *)to,
                                                            sizeof(*to))});
}
