/*
 * What operators set while the server runs ("linnet ctl set"): chat:motd, the
 * message of the day, and chat:slow_mode:ROOM, the seconds between two messages
 * of one session in that room.  Read from the worker's replica at the moment of
 * use; and a few words from operators to everybody.
 */
#include "modules/chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/units.h"
#include "core/utf8.h"
#include "hub/hub.h"
#include "net/app.h"
#include "net/module.h"
#include "net/net.h"
#include "net/server_info.h"

#define MOTD "chat:motd"
#define SLOW_MODE "chat:slow_mode:"

enum {
    SLOW_MODE_MAX = 86400000, /* ms */
    SAID_MAX = 32,            /* rooms with slow mode that are remembered */
};

static bool
value_of(const struct lnt_module_ctx *m, struct lnt_str key,
         struct lnt_str *value)
{
    return m->server && lnt_server_get(m->server, key, value);
}

/* ---- words to everybody ---- */

/* greeted: only to those who know an earlier message of the day. */
static void
tell_all(struct lnt_module_ctx *m, struct lnt_str text, bool greeted)
{
    struct chat *c = m->data;
    struct lnt_session *s;
    size_t at;

    for (int human = 0; human < 2; human++) {
        lnt_strbuf_clear(&c->out);
        chat_render_notice(&c->out, human, text);
        at = 0;
        while ((s = lnt_net_next(m->net, &at))) {
            const struct chat_session *chat;

            if (lnt_session_app(s) != m || !lnt_app_is_open(s))
                continue;
            chat = chat_session(s);
            if (chat->human == human && (chat->greeted || !greeted))
                lnt_session_send(s, LNT_TEXT, c->out.p, c->out.n);
        }
    }
}

/* "linnet ctl broadcast TEXT" */
void
chat_on_broadcast(struct lnt_module_ctx *m, struct lnt_str text)
{
    if (lnt_utf8_valid(text.p, text.n))
        tell_all(m, text, false);
    else
        lnt_log_warn("chat: a broadcast that is not UTF-8 is left out");
}

/* ---- the message of the day ---- */

struct lnt_str
chat_motd(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);
    struct lnt_str text = {0};

    if (chat->greeted)
        return text;
    chat->greeted = true;
    if (!value_of(lnt_session_app(s), LNT_STR(MOTD), &text) || text.n == 0 ||
        !lnt_utf8_valid(text.p, text.n))
        text.p = NULL;
    return text;
}

/* ---- slow mode ---- */

/* When a session last said something in a room; the latest first. */
struct chat_said {
    struct chat_said *next;
    uint64_t at; /* ms */
    uint32_t room;
};

/* "5" and "0.5" are seconds, "1m" is a duration; -1 when it is neither. */
static int
parse_seconds(struct lnt_str text, uint64_t *ms)
{
    const char *point = memchr(text.p, '.', text.n), *why;
    uint64_t scale = 1000;
    int64_t whole;

    if (point) {
        struct lnt_str rest = {point + 1,
                               text.n - (size_t)(point - text.p) - 1};

        if (lnt_parse_int(lnt_str(text.p, (size_t)(point - text.p)), &whole,
                          &why) < 0 ||
            whole < 0 || whole > SLOW_MODE_MAX || rest.n == 0)
            return -1;
        *ms = (uint64_t)whole * 1000;
        for (size_t i = 0; i < rest.n; i++) {
            if (rest.p[i] < '0' || rest.p[i] > '9')
                return -1;
            scale /= 10;
            *ms += scale * (uint64_t)(rest.p[i] - '0');
        }
    } else if (lnt_parse_int(text, &whole, &why) == 0) {
        if (whole < 0 || whole > SLOW_MODE_MAX)
            return -1;
        *ms = (uint64_t)whole * 1000;
    } else if (lnt_parse_duration(text, ms, &why) < 0) {
        return -1;
    }
    return *ms <= SLOW_MODE_MAX ? 0 : -1;
}

uint64_t
chat_slow_mode(const struct lnt_module_ctx *m, const char *room)
{
    char key[sizeof(SLOW_MODE) + LNT_ROOM_NAME_MAX] = SLOW_MODE;
    size_t n = sizeof(SLOW_MODE) - 1, len = strlen(room);
    const struct chat_room *conf;
    struct lnt_str value;
    uint64_t ms;

    lnt_assert(len <= LNT_ROOM_NAME_MAX);
    memcpy(key + n, room, len);
    if (value_of(m, lnt_str(key, n + len), &value) &&
        parse_seconds(value, &ms) == 0)
        return ms;
    conf = chat_room_conf(m->conf, room);
    return conf ? conf->slow_mode : 0;
}

/* Takes the entry of a room out of the list, NULL when there is none; at most
   SAID_MAX stay. */
static struct chat_said *
take_said(struct chat_session *chat, uint32_t room)
{
    struct chat_said **at = &chat->said, *found;
    int n = 0;

    while (*at && (*at)->room != room && ++n < SAID_MAX)
        at = &(*at)->next;
    found = *at;
    if (found)
        *at = found->next;
    return found;
}

enum chat_code
chat_slow_pass(struct lnt_session *s, const struct lnt_sub *sub)
{
    uint64_t slow = chat_slow_mode(lnt_session_app(s), lnt_sub_room_name(sub));
    struct chat_session *chat = chat_session(s);
    uint64_t now = lnt_session_now(s), wait = 0;
    struct chat_said *said;

    if (slow == 0)
        return CHAT_OK;
    said = take_said(chat, lnt_sub_room(sub));
    if (!said)
        said = lnt_malloc(sizeof(*said));
    else if (said->room == lnt_sub_room(sub) && said->at + slow > now)
        wait = said->at + slow - now;
    said->next = chat->said;
    chat->said = said;
    if (wait > 0) {
        struct chat *c = chat_of(s);
        struct lnt_strbuf *text = &c->data;

        lnt_strbuf_clear(text);
        lnt_strbuf_adds(text, "slow mode: one message every ");
        chat_add_seconds(text, slow);
        lnt_strbuf_adds(text, " s in this room; wait ");
        chat_add_seconds(text, wait);
        lnt_strbuf_adds(text, " s");
        chat_refuse(c, CHAT_RATE_LIMITED, "%s", text->p);
        c->retry_ms = wait;
        return CHAT_RATE_LIMITED;
    }
    said->room = lnt_sub_room(sub);
    said->at = now;
    return CHAT_OK;
}

void
chat_slow_forget(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);

    while (chat->said) {
        struct chat_said *said = chat->said;

        chat->said = said->next;
        free(said);
    }
}

void
chat_slow_freeze(const struct lnt_session *s, struct lnt_strbuf *out)
{
    uint32_t n = 0;

    for (const struct chat_said *d = chat_session(s)->said; d; d = d->next)
        n++;
    lnt_pack_u32(out, n);
    for (const struct chat_said *d = chat_session(s)->said; d; d = d->next) {
        size_t piece = lnt_pack_begin(out);

        lnt_pack_u32(out, d->room);
        lnt_pack_u64(out, d->at);
        lnt_pack_end(out, piece);
    }
}

int
chat_slow_thaw(struct lnt_session *s, bool counted, struct lnt_str *rest)
{
    struct chat_said **at = &chat_session(s)->said;
    struct lnt_str piece, *in = counted ? &piece : rest;
    uint32_t n;

    if (!lnt_unpack_u32(rest, &n))
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        struct chat_said d = {0};

        if ((counted && !lnt_unpack_part(rest, &piece)) ||
            !lnt_unpack_u32(in, &d.room) || !lnt_unpack_u64(in, &d.at))
            return -1;
        if (i >= SAID_MAX)
            continue; /* another release remembers more */
        *at = lnt_malloc(sizeof(d));
        **at = d;
        at = &(*at)->next;
    }
    return 0;
}

/* ---- changes ---- */

void
chat_on_value(struct lnt_module_ctx *m, struct lnt_str key,
              struct lnt_str value)
{
    struct lnt_str slow = LNT_STR(SLOW_MODE);
    uint64_t ms;

    if (!value.p)
        return;
    if (lnt_str_eq(key, LNT_STR(MOTD))) {
        if (!lnt_utf8_valid(value.p, value.n))
            lnt_log_warn("chat: %.*s is not UTF-8 and is not told",
                         LNT_STR_ARG(key));
        else if (value.n > 0)
            tell_all(m, value, true);
    } else if (key.n > slow.n && memcmp(key.p, slow.p, slow.n) == 0 &&
               parse_seconds(value, &ms) < 0) {
        lnt_log_warn("chat: %.*s has no effect: it takes seconds, as in 5 or "
                     "0.5, or a duration, as in 1m; at most a day",
                     LNT_STR_ARG(key));
    }
}
