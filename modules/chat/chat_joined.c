/*
 * What whoever enters a room is told of it, as programs read it: who is there,
 * and what was said before, or since they left.
 */
#include "modules/chat/chat.h"

#include <string.h>

#include "hub/hub.h"
#include "net/module.h"

void
chat_add_members(struct lnt_session *s, const struct lnt_sub *sub,
                 unsigned guess, bool always)
{
    struct lnt_strbuf *out = &chat_of(s)->out;
    const struct lnt_strbuf *names = &chat_of(s)->names;
    unsigned count = chat_members(s, sub, guess);
    const char *p = names->p, *end = names->p + names->n;

    lnt_strbuf_adds(out, ",\"members\":[");
    for (const char *first = p; p < end; p += strlen(p) + 1) {
        if (p != first)
            lnt_strbuf_addc(out, ',');
        lnt_strbuf_add_json(out, lnt_str_c(p));
    }
    lnt_strbuf_addc(out, ']');
    if (always || (count > 0 && names->n == 0))
        chat_add_number(out, "count", count);
}

/* "recovered" and "history": what was missed, or the last messages. */
static bool
add_past(struct lnt_session *s, const struct chat_wish *wish,
         const struct lnt_sub *sub, uint64_t before)
{
    struct lnt_strbuf *out = &chat_of(s)->out;
    uint64_t most = (uint64_t)chat_conf_of(s)->history;
    struct chat_past past = {
        .sub = sub,
        .format = CHAT_FORMAT_JSON,
        .before = before,
        .limit = (unsigned)(wish->limit < most ? wish->limit : most),
        .others = wish->others,
        .told = wish->told,
    };
    size_t start = out->n;
    bool recovered;

    lnt_strbuf_adds(out, ",\"recovered\":true,\"history\":[");
    recovered = wish->epoch == lnt_hub_epoch(lnt_session_app(s)->hub) &&
                chat_past_since(s, &past, wish->since, out);
    if (!recovered) {
        out->n = start;
        lnt_strbuf_adds(out, ",\"recovered\":false,\"history\":[");
        chat_past_add(s, &past, out);
    }
    lnt_strbuf_addc(out, ']');
    return recovered;
}

bool
chat_begin_joined(struct lnt_session *s, const struct chat_wish *wish,
                  const struct lnt_sub *sub, const struct lnt_room_info *info)
{
    const struct lnt_module_ctx *m = lnt_session_app(s);
    uint64_t slow = chat_slow_mode(m, info->name);
    struct lnt_str motd = chat_motd(s);
    struct lnt_strbuf *out = &chat_of(s)->out;

    lnt_strbuf_clear(out);
    chat_begin(out, "joined");
    chat_add_text(out, "room", lnt_str_c(info->name));
    if (chat_session(s)->entered)
        chat_add_text(out, "nick", chat_nick(s));
    chat_add_number(out, "epoch", lnt_hub_epoch(m->hub));
    chat_add_number(out, "seq", info->seq);
    chat_add_text(out, "topic", lnt_str_c(chat_topic(m->conf, info->name)));
    if (slow > 0) {
        lnt_strbuf_adds(out, ",\"slow_mode\":");
        chat_add_seconds(out, slow);
    }
    if (motd.p)
        chat_add_text(out, "motd", motd);
    chat_add_members(s, sub, info->members, false);
    return add_past(s, wish, sub, info->next);
}
