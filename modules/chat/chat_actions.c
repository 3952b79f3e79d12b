/*
 * What a session of the chat can do, whichever way it was asked.  Checks, does
 * it in the zone, and leaves the answer to whoever asked; what others see of
 * it comes from the log.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "core/log.h"
#include "core/regex.h"
#include "core/utf8.h"
#include "hub/hub.h"
#include "net/limits.h"
#include "net/module.h"

enum {
    GUEST_TRIES = 1000,    /* guest numbers tried, should others have taken the
                           nicks that look like them */
    WARN_INTERVAL = 60000, /* ms */
};

const char *const chat_code_names[] = {
    [CHAT_OK] = "ok",
    [CHAT_BAD_JSON] = "bad_json",
    [CHAT_BAD_REQUEST] = "bad_request",
    [CHAT_UNKNOWN_TYPE] = "unknown_type",
    [CHAT_BAD_ROOM] = "bad_room",
    [CHAT_BAD_NICK] = "bad_nick",
    [CHAT_NICK_TAKEN] = "nick_taken",
    [CHAT_NOT_JOINED] = "not_joined",
    [CHAT_ALREADY_JOINED] = "already_joined",
    [CHAT_TOO_LONG] = "too_long",
    [CHAT_TOO_MANY_ROOMS] = "too_many_rooms",
    [CHAT_SERVER_FULL] = "server_full",
    [CHAT_NO_SUCH_NICK] = "no_such_nick",
    [CHAT_RATE_LIMITED] = "rate_limited",
};

static struct lnt_hub *
hub_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->hub;
}

static unsigned
announce_max_of(const struct lnt_session *s)
{
    return (unsigned)chat_conf_of(s)->presence_limit;
}

static enum chat_code
refuse_full(struct chat *c, const char *what)
{
    return chat_refuse(c, CHAT_SERVER_FULL,
                       "the server has no room for another %s; "
                       "a larger zone_size would make some",
                       what);
}

enum chat_code
chat_check_room(const struct lnt_module_ctx *m, struct lnt_str room)
{
    const struct chat_conf *conf = m->conf;

    /* "$" in a pattern lets a last newline pass, and patterns are the
       administrator's: what must never pass is checked apart. */
    if (room.n > 0 && room.n <= LNT_ROOM_NAME_MAX && chat_is_plain(room) &&
        lnt_regex_match(conf->room_name, room, NULL, NULL))
        return CHAT_OK;
    return chat_refuse(m->data, CHAT_BAD_ROOM,
                       "names of rooms match %s, have at most %d bytes and no "
                       "blanks",
                       lnt_regex_pattern(conf->room_name), LNT_ROOM_NAME_MAX);
}

static enum chat_code
check_nick(const struct lnt_module_ctx *m, struct lnt_str nick)
{
    const struct chat_conf *conf = m->conf;

    if (nick.n > 0 && nick.n <= LNT_NICK_MAX && chat_is_plain(nick) &&
        lnt_regex_match(conf->nick_name, nick, NULL, NULL))
        return CHAT_OK;
    return chat_refuse(m->data, CHAT_BAD_NICK,
                       "nicks match %s, have at most %d bytes and no blanks",
                       lnt_regex_pattern(conf->nick_name), LNT_NICK_MAX);
}

/* The same for one that a session takes: operators speak as "server", and
   nobody else is to seem to. */
static enum chat_code
check_own_nick(const struct lnt_module_ctx *m, struct lnt_str nick)
{
    enum chat_code code = check_nick(m, nick);

    if (code == CHAT_OK && lnt_str_ieq(nick, LNT_STR("server")))
        return chat_refuse(m->data, CHAT_NICK_TAKEN, "%.*s is taken by another",
                           LNT_STR_ARG(nick));
    return code;
}

static enum chat_code
check_text(const struct lnt_module_ctx *m, struct lnt_str text)
{
    const struct chat_conf *conf = m->conf;
    uint64_t most = conf->text_size;

    if (text.n == 0)
        return chat_refuse(m->data, CHAT_BAD_REQUEST, "text must not be empty");
    if (text.n > most)
        return chat_refuse(m->data, CHAT_TOO_LONG,
                           "a text has at most %llu bytes, this one has %zu",
                           (unsigned long long)most, text.n);
    /* JSON never has one here; what other protocols let pass is unknown. */
    if (memchr(text.p, '\0', text.n))
        return chat_refuse(m->data, CHAT_BAD_REQUEST,
                           "text must not have NULs");
    return CHAT_OK;
}

/* What a publish that failed means. */
static enum chat_code
refuse_publish(struct chat *c)
{
    if (errno == EMSGSIZE)
        return chat_refuse(c, CHAT_TOO_LONG,
                           "the text is longer than the log of this server "
                           "can take; zone_size is small");
    return chat_refuse(c, CHAT_NOT_JOINED, "the room is gone");
}

/* ---- nicks ---- */

static enum chat_code
refuse_nick(struct chat *c, struct lnt_str nick)
{
    if (errno == EEXIST)
        return chat_refuse(c, CHAT_NICK_TAKEN, "%.*s is taken by another",
                           LNT_STR_ARG(nick));
    if (errno == ENOSPC)
        return refuse_full(c, "nick");
    return chat_refuse(c, CHAT_BAD_NICK, "nicks have at most %d bytes",
                       LNT_NICK_MAX);
}

static enum chat_code
enter_as(struct lnt_session *s, struct lnt_str nick)
{
    struct chat_session *chat = chat_session(s);
    enum chat_code code = check_own_nick(lnt_session_app(s), nick);

    if (code != CHAT_OK)
        return code;
    if (lnt_hub_enter(hub_of(s), s, nick, &chat->user) < 0)
        return refuse_nick(chat_of(s), nick);
    chat->entered = true;
    return CHAT_OK;
}

static enum chat_code
enter_as_guest(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);
    struct lnt_strbuf *name = &chat_of(s)->data;

    if (!chat_conf_of(s)->guests)
        return chat_refuse(chat_of(s), CHAT_BAD_REQUEST,
                           "nick is missing: there are no guests here");
    for (int i = 0; i < GUEST_TRIES; i++) {
        lnt_strbuf_clear(name);
        lnt_strbuf_adds(name, "guest-");
        lnt_strbuf_addu(name, lnt_hub_guest(hub_of(s)));
        if (lnt_hub_enter(hub_of(s), s, lnt_strbuf_str(name), &chat->user) ==
            0) {
            chat->entered = true;
            return CHAT_OK;
        }
        if (errno != EEXIST)
            break;
    }
    return refuse_nick(chat_of(s), lnt_strbuf_str(name));
}

struct lnt_str
chat_nick(const struct lnt_session *s)
{
    const struct chat_session *chat = chat_session(s);

    if (!chat->entered)
        return LNT_STR("");
    return lnt_hub_nick(hub_of(s), chat->user);
}

enum chat_code
chat_rename(struct lnt_session *s, struct lnt_str nick)
{
    struct chat_session *chat = chat_session(s);
    enum chat_code code;

    if (!chat->entered)
        return enter_as(s, nick);
    code = check_own_nick(lnt_session_app(s), nick);
    if (code != CHAT_OK)
        return code;
    if (lnt_str_eq(chat_nick(s), nick))
        return CHAT_OK;
    if (lnt_hub_rename(hub_of(s), chat->user, nick, announce_max_of(s)) < 0)
        return refuse_nick(chat_of(s), nick);
    return CHAT_OK;
}

/* ---- rooms ---- */

struct lnt_sub *
chat_sub_at(const struct chat_session *chat, uint32_t place)
{
    struct lnt_sub *sub = chat->subs;

    while (sub && place-- > 0)
        sub = lnt_sub_next(sub);
    return sub;
}

uint32_t
chat_place_of(const struct chat_session *chat, const struct lnt_sub *sub)
{
    uint32_t place = 0;

    for (const struct lnt_sub *s = chat->subs; s && s != sub;
         s = lnt_sub_next(s))
        place++;
    return place;
}

const struct lnt_sub *
chat_bare(const struct chat_session *chat)
{
    const struct lnt_sub *sub = chat->subs;

    while (sub && lnt_sub_format(sub) != CHAT_FORMAT_LINE)
        sub = lnt_sub_next(sub);
    return sub;
}

static struct lnt_sub *
sub_named(const struct chat_session *chat, struct lnt_str room)
{
    struct lnt_sub *sub = chat->subs;

    while (sub && !lnt_str_eq(lnt_str_c(lnt_sub_room_name(sub)), room))
        sub = lnt_sub_next(sub);
    return sub;
}

enum chat_code
chat_find(struct lnt_session *s, struct lnt_str room, struct lnt_sub **sub)
{
    enum chat_code code;

    *sub = sub_named(chat_session(s), room);
    if (*sub)
        return CHAT_OK;
    code = chat_check_room(lnt_session_app(s), room);
    if (code != CHAT_OK)
        return code;
    return chat_refuse(chat_of(s), CHAT_NOT_JOINED, "join %.*s first",
                       LNT_STR_ARG(room));
}

enum chat_code
chat_refuse_room(const struct lnt_session *s)
{
    const struct lnt_limits *limits = lnt_session_limits(s);

    if (errno == EDQUOT)
        return chat_refuse(chat_of(s), CHAT_TOO_MANY_ROOMS,
                           "there is no such room, and you have created %lld "
                           "rooms that still exist: no more may be created by "
                           "one client",
                           (long long)limits->rooms_created_per_session);
    if (errno == EUSERS)
        return chat_refuse(chat_of(s), CHAT_TOO_MANY_ROOMS,
                           "there is no such room, and %lld rooms that were "
                           "created from your address still exist: no more "
                           "may be created from there",
                           (long long)limits->rooms_created_per_ip);
    return refuse_full(chat_of(s), "room or member");
}

static enum chat_code
refuse_join(const struct lnt_session *s, struct lnt_str room)
{
    struct chat *c = chat_of(s);

    if (errno == EEXIST)
        return chat_refuse(c, CHAT_ALREADY_JOINED, "already in %.*s",
                           LNT_STR_ARG(room));
    if (errno != EINVAL)
        return chat_refuse_room(s);
    return chat_refuse(c, CHAT_BAD_ROOM, "%.*s is no name for a room",
                       LNT_STR_ARG(room));
}

static enum chat_code
check_join(struct lnt_session *s, struct lnt_str room)
{
    const struct chat_session *chat = chat_session(s);
    int64_t most = chat_conf_of(s)->rooms_per_session;
    enum chat_code code = chat_check_room(lnt_session_app(s), room);

    if (code != CHAT_OK)
        return code;
    if (sub_named(chat, room))
        return chat_refuse(chat_of(s), CHAT_ALREADY_JOINED, "already in %.*s",
                           LNT_STR_ARG(room));
    if (chat->rooms >= most)
        return chat_refuse(chat_of(s), CHAT_TOO_MANY_ROOMS,
                           "nobody may be in more than %lld rooms; "
                           "leave one first",
                           (long long)most);
    return CHAT_OK;
}

void
chat_keep_history(struct lnt_session *s, const struct lnt_sub *sub)
{
    struct chat *c = chat_of(s);
    uint64_t now = lnt_session_now(s);

    if (lnt_hub_keep(hub_of(s), sub, &chat_conf_of(s)->keep) == 0 ||
        now < c->warn_again)
        return;
    c->warn_again = now + WARN_INTERVAL;
    lnt_log_warn("chat: the zone has not enough left for all the history that "
                 "%s is promised; a larger zone_size or a smaller "
                 "history_size would help",
                 lnt_sub_room_name(sub));
}

enum chat_code
chat_join(struct lnt_session *s, struct lnt_str room, struct lnt_str nick,
          struct lnt_sub **sub, struct lnt_room_info *info)
{
    struct chat_session *chat = chat_session(s);
    bool newcomer = !chat->entered;
    unsigned format = CHAT_FORMAT_JSON;
    enum chat_code code = check_join(s, room);

    if (code == CHAT_OK && newcomer)
        code = nick.p ? enter_as(s, nick) : enter_as_guest(s);
    if (code != CHAT_OK)
        return code;
    if (chat->human)
        format = chat_bare(chat) ? CHAT_FORMAT_ROOM_LINE : CHAT_FORMAT_LINE;
    *sub = lnt_hub_join(hub_of(s), s, chat->user, room, format,
                        announce_max_of(s), info);
    if (!*sub) {
        code = refuse_join(s, room);
        /* A refused newcomer does not keep the nick from others. */
        if (newcomer) {
            lnt_hub_exit(hub_of(s), chat->user, announce_max_of(s));
            chat->entered = false;
        }
        return code;
    }
    chat_keep_history(s, *sub);
    lnt_sub_link(*sub, &chat->subs);
    chat->rooms++;
    chat->current = 0;
    return CHAT_OK;
}

void
chat_leave(struct lnt_session *s, struct lnt_sub *sub)
{
    struct chat_session *chat = chat_session(s);
    uint32_t place = chat_place_of(chat, sub);

    lnt_sub_unlink(sub, &chat->subs);
    chat->rooms--;
    if (chat->current == place)
        chat->current = 0;
    else if (chat->current > place)
        chat->current--;
    lnt_hub_leave(hub_of(s), sub, announce_max_of(s));
}

void
chat_exit(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);

    while (chat->subs)
        chat_leave(s, chat->subs);
    if (chat->entered)
        lnt_hub_exit(hub_of(s), chat->user, announce_max_of(s));
    chat->entered = false;
}

unsigned
chat_members(const struct lnt_session *s, const struct lnt_sub *sub,
             unsigned guess)
{
    struct lnt_strbuf *names = &chat_of(s)->names;
    unsigned limit = announce_max_of(s), count = guess;

    lnt_strbuf_clear(names);
    /* Nicks that would not be told are not collected under the zone's lock. */
    if (guess > limit)
        count = lnt_hub_who(hub_of(s), sub, 0, names);
    if (count <= limit)
        count = lnt_hub_who(hub_of(s), sub, limit, names);
    if (count > limit)
        lnt_strbuf_clear(names);
    return count;
}

/* ---- words ---- */

enum chat_code
chat_say(struct lnt_session *s, struct lnt_sub *sub, struct lnt_str text,
         uint64_t *seq)
{
    struct chat *c = chat_of(s);
    enum chat_code code = check_text(lnt_session_app(s), text);

    if (code == CHAT_OK)
        code = chat_slow_pass(s, sub);
    if (code != CHAT_OK)
        return code;
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), NULL, text);
    if (lnt_hub_publish(hub_of(s), s, sub, CHAT_MESSAGE, LNT_EVENT_HISTORY,
                        lnt_strbuf_str(&c->data), seq, NULL) < 0)
        return refuse_publish(c);
    return CHAT_OK;
}

enum chat_code
chat_publish(struct lnt_module_ctx *m, struct lnt_str room, struct lnt_str from,
             struct lnt_str text, uint64_t *seq)
{
    const struct chat_conf *conf = m->conf;
    struct chat *c = m->data;
    enum chat_code code = chat_check_room(m, room);

    if (code == CHAT_OK)
        code = check_nick(m, from);
    if (code == CHAT_OK)
        code = check_text(m, text);
    if (code == CHAT_OK && !lnt_utf8_valid(text.p, text.n))
        code = chat_refuse(c, CHAT_BAD_REQUEST, "text must be UTF-8");
    if (code != CHAT_OK)
        return code;
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, from, NULL, text);
    if (lnt_hub_post(m->hub, m, room, &conf->keep, CHAT_MESSAGE,
                     LNT_EVENT_HISTORY, lnt_strbuf_str(&c->data), seq,
                     NULL) == 0)
        return CHAT_OK;
    return errno == ENOSPC ? refuse_full(c, "room") : refuse_publish(c);
}

enum chat_code
chat_typing(struct lnt_session *s, struct lnt_sub *sub, uint64_t *seq)
{
    struct chat *c = chat_of(s);

    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), NULL, LNT_STR(""));
    if (lnt_hub_publish(hub_of(s), s, sub, CHAT_TYPING, LNT_EVENT_NOT_ORIGIN,
                        lnt_strbuf_str(&c->data), seq, NULL) < 0)
        return refuse_publish(c);
    return CHAT_OK;
}

enum chat_code
chat_direct(struct lnt_session *s, struct lnt_str to, struct lnt_str text,
            uint64_t *seq)
{
    struct chat *c = chat_of(s);
    enum chat_code code = check_text(lnt_session_app(s), text);
    uint64_t target = 0;

    if (code != CHAT_OK)
        return code;
    if (!chat_session(s)->entered)
        return chat_refuse(c, CHAT_NOT_JOINED,
                           "who speaks needs a nick: join a room or take one "
                           "first");
    if (to.n > 0 && to.n <= LNT_NICK_MAX)
        target = lnt_hub_find(hub_of(s), to);
    if (target == 0)
        return chat_refuse(c, CHAT_NO_SUCH_NICK, "nobody has that nick");
    lnt_strbuf_clear(&c->data);
    chat_pack(&c->data, chat_nick(s), &to, text);
    if (lnt_hub_direct(hub_of(s), s, target, CHAT_DIRECT,
                       lnt_strbuf_str(&c->data), seq, NULL) == 0)
        return CHAT_OK;
    if (errno == EMSGSIZE)
        return refuse_publish(c);
    return chat_refuse(c, CHAT_NO_SUCH_NICK, "%.*s has just left",
                       LNT_STR_ARG(to));
}
