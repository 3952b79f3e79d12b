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
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "hub/hub.h"
#include "net/module.h"

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
    const struct lnt_hub *hub = lnt_session_app(s)->hub;
    struct lnt_sub *sub;

    if (chat->human) {
        lnt_strbuf_clear(out);
        chat_render_notice(out, true, LNT_STR("some messages were lost here"));
        lnt_session_send(s, LNT_TEXT, out->p, out->n);
        return;
    }
    for (sub = chat->subs; sub; sub = lnt_sub_next(sub)) {
        lnt_strbuf_clear(out);
        chat_render_gap(out, lnt_sub_room_name(sub),
                        lnt_hub_next(hub, sub) - 1);
        lnt_session_send(s, LNT_TEXT, out->p, out->n);
    }
}

/* The rooms in the order in which they were joined. */
static void
add_rooms(const struct lnt_sub *sub, struct lnt_strbuf *out)
{
    const struct lnt_sub *next = lnt_sub_next(sub);

    if (next) {
        add_rooms(next, out);
        lnt_strbuf_adds(out, ", ");
    }
    lnt_strbuf_adds(out, lnt_sub_room_name(sub));
}

static void
chat_describe(const struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct chat_session *chat = chat_session(s);

    lnt_strbuf_add_str(out, chat_nick(s));
    if (chat->subs) {
        lnt_strbuf_adds(out, chat->entered ? " in " : "listens to ");
        add_rooms(chat->subs, out);
    }
}

/* ---- a worker ---- */

/* Rooms of the configuration are there, with all they keep, before anybody
   joins. */
static void
pin_rooms(struct lnt_module_ctx *m)
{
    const struct chat_conf *conf = m->conf;

    for (size_t i = 0; i < conf->nrooms; i++) {
        const char *name = conf->rooms[i].name;

        if (lnt_hub_pin(m->hub, m, lnt_str_c(name), &conf->keep) < 0)
            lnt_log_warn("chat: the zone is too full for all that room %s is "
                         "promised; a larger zone_size would help",
                         name);
    }
}

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    /* Out of memory ends the worker, here as everywhere. */
    json_set_alloc_funcs(lnt_malloc, free);
    json_object_seed(0);
    m->data = lnt_calloc(1, sizeof(struct chat));
    pin_rooms(m);
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
    lnt_strbuf_release(&c->kept);
    lnt_strbuf_release(&c->past);
    lnt_strbuf_release(&c->pieces);
    free(c);
    m->data = NULL;
}

/* Cuts off what stands before the next NUL. */
static bool
take_field(struct lnt_str *rest, struct lnt_str *field)
{
    const char *nul = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;

    if (!nul)
        return false;
    *field = lnt_str(rest->p, (size_t)(nul - rest->p));
    *rest = lnt_str(nul + 1, rest->n - field->n - 1);
    return true;
}

/* "linnet ctl publish ROOM TEXT" and programs of the operator's: room, NUL,
   from, NUL, text.  The answer is "seq N", or "code: why not". */
static void
on_request(struct lnt_module_ctx *m, struct lnt_str name, struct lnt_str data,
           const struct lnt_requester *to)
{
    struct lnt_str room, from;
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    if (!lnt_str_eq(name, LNT_STR("publish"))) {
        lnt_strbuf_addf(&why, "unknown_type: chat knows no request %.*s",
                        LNT_STR_ARG(name));
        lnt_answer(to, false, lnt_strbuf_str(&why));
        lnt_strbuf_release(&why);
    } else if (!take_field(&data, &room) || !take_field(&data, &from)) {
        lnt_answer(to, false,
                   LNT_STR("bad_request: publish takes a room, NUL, a nick, "
                           "NUL and a text"));
    } else {
        chat_publish(m, room, from, data, to);
    }
}

static void
chat_close(struct lnt_session *s)
{
    if (lnt_session_moved(s))
        chat_forget(s);
    else
        chat_exit(s);
    chat_slow_forget(s);
}

static const struct lnt_app chat_app = {
    .state_size = sizeof(struct chat_session),
    .formats = CHAT_FORMATS,
    .open = chat_open,
    .message = chat_message,
    .event = chat_event,
    .direct = chat_event_direct,
    .may_listen = chat_may_listen,
    .listen = chat_listen,
    .gap = chat_gap,
    .describe = chat_describe,
    .freeze = chat_freeze,
    .thaw = chat_thaw,
    .close = chat_close,
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
    .on_broadcast = chat_on_broadcast,
    .on_value = chat_on_value,
    .on_request = on_request,
};
