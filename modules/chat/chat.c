/*
 * chat: rooms, members and messages, over any protocol and over all workers.
 * Programs speak JSON, one object a message (docs/chat.md); people on a
 * protocol that is for people (line) type text and /commands.
 *
 * This file has the module and the life of a session.  Who is where and what
 * was said is kept in the zone; a session keeps its number there and the list
 * of its rooms, and nothing else.
 */
#include "modules/chat/chat.h"

#include <jansson.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "hub/hub.h"
#include "net/module.h"
#include "net/net.h"

/* The page, from configure: see "config". */
extern const struct lnt_asset lnt_assets_chat[];

/* ---- a session ---- */

static lnt_verdict
chat_open(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);

    chat->human = lnt_session_is_human(s);
    if (chat->human)
        chat_human_greet(s);
    return LNT_GO_ON;
}

static lnt_verdict
chat_message(struct lnt_session *s, const struct lnt_message *m)
{
    if (chat_session(s)->human)
        return chat_human_line(s, m->data);
    chat_json_request(s, m->data);
    return LNT_GO_ON;
}

/* The log went faster than this worker could read: the client is told where
   it may go on, so that it can ask who is there. */
static void
chat_gap(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);
    struct lnt_strbuf *out = &chat_of(s)->out;
    uint64_t head = lnt_zone_head(lnt_hub_zone(lnt_session_app(s)->hub));
    struct lnt_sub *sub;

    if (chat->human) {
        lnt_strbuf_clear(out);
        chat_render_notice(out, true, LNT_STR("some messages were lost here"));
        lnt_session_send(s, LNT_TEXT, out->p, out->n);
        return;
    }
    for (sub = chat->subs; sub; sub = lnt_sub_next(sub)) {
        lnt_strbuf_clear(out);
        chat_render_gap(out, lnt_sub_room_name(sub), head);
        lnt_session_send(s, LNT_TEXT, out->p, out->n);
    }
}

/* ---- a worker ---- */

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    /* Out of memory ends the worker, here as everywhere. */
    json_set_alloc_funcs(lnt_malloc, free);
    json_object_seed(0);
    m->data = lnt_calloc(1, sizeof(struct chat));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct chat *c = m->data;

    if (!c)
        return;
    lnt_strbuf_release(&c->out);
    lnt_strbuf_release(&c->data);
    lnt_strbuf_release(&c->names);
    lnt_strbuf_release(&c->why);
    free(c);
    m->data = NULL;
}

/* "linnet ctl broadcast TEXT": a word to everybody here. */
static void
on_broadcast(struct lnt_module_ctx *m, struct lnt_str text)
{
    struct chat *c = m->data;
    struct lnt_session *s;
    size_t at;

    if (!lnt_utf8_valid(text.p, text.n)) {
        lnt_log_warn("chat: a broadcast that is not UTF-8 is left out");
        return;
    }
    for (int human = 0; human < 2; human++) {
        lnt_strbuf_clear(&c->out);
        chat_render_notice(&c->out, human, text);
        at = 0;
        while ((s = lnt_net_next(m->net, &at))) {
            const struct chat_session *chat = chat_session(s);
            if (chat && lnt_session_app(s) == m && chat->human == human &&
                !lnt_session_closing(s))
                lnt_session_send(s, LNT_TEXT, c->out.p, c->out.n);
        }
    }
}

static const struct lnt_app chat_app = {
    .state_size = sizeof(struct chat_session),
    .formats = CHAT_FORMATS,
    .open = chat_open,
    .message = chat_message,
    .event = chat_event,
    .direct = chat_event_direct,
    .gap = chat_gap,
    .close = chat_exit,
};

const struct lnt_module lnt_module_chat = {
    LNT_MODULE_HEAD,
    .name = "chat",
    .help = "rooms, members and messages, for programs and for people",
    .sections = chat_sections,
    .app = &chat_app,
    .assets = lnt_assets_chat,
    .configure = chat_configure,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .on_broadcast = on_broadcast,
};
