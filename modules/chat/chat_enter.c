/*
 * How a session of the chat gets its nick and its rooms, and how it leaves them.
 * Who needs a nick to enter a room takes it first; both are the hub's to
 * complete.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hub/hub.h"
#include "net/limits.h"
#include "net/module.h"

enum {
    GUESTS_SEEN = 1000,    /* guest numbers that are passed over, should others
                              have taken the nicks that look like them */
    GUEST_TRIES = 8,       /* and that somebody else took in the same moment */
    WARN_INTERVAL = 60000, /* ms */
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

static void join_room(struct lnt_session *s, const struct chat_ask *ask);

/* ---- nicks ---- */

static enum chat_code
refuse_nick(struct chat *c, struct lnt_str nick)
{
    enum chat_code code = chat_refuse_late(c);

    if (code != CHAT_OK)
        return code;
    if (errno == EEXIST)
        return chat_refuse(c, CHAT_NICK_TAKEN, "%.*s is taken by another",
                           LNT_STR_ARG(nick));
    if (errno == ENOSPC)
        return chat_refuse_full(c, "nick");
    return chat_refuse(c, CHAT_BAD_NICK, "nicks have at most %d bytes",
                       LNT_NICK_MAX);
}

/* The same for one that a session takes: operators speak as "server", and
   nobody else is to seem to. */
static enum chat_code
check_own_nick(const struct lnt_module_ctx *m, struct lnt_str nick)
{
    enum chat_code code = chat_check_nick(m, nick);

    if (code == CHAT_OK && lnt_str_ieq(nick, LNT_STR("server")))
        return chat_refuse(m->data, CHAT_NICK_TAKEN, "%.*s is taken by another",
                           LNT_STR_ARG(nick));
    return code;
}

struct lnt_str
chat_nick(const struct lnt_session *s)
{
    const struct chat_session *chat = chat_session(s);

    if (!chat->entered)
        return LNT_STR("");
    return lnt_hub_nick(hub_of(s), chat->user);
}

static void begin_guest(struct lnt_session *s, const struct chat_ask *ask);

static void
on_entered(const struct lnt_result *r)
{
    const struct chat_ask *ask = chat_asked(r);
    struct lnt_session *s = r->session;
    struct chat_session *chat;

    if (!s)
        return;
    if (r->error == EEXIST && ask->tries > 0 && ask->tries < GUEST_TRIES) {
        begin_guest(s, ask);
        return;
    }
    errno = r->error;
    if (r->error) {
        ask->answer(s, ask, refuse_nick(chat_of(s), r->what), NULL);
        return;
    }
    chat = chat_session(s);
    chat->user = r->user;
    chat->entered = true;
    if (ask->room_n > 0)
        join_room(s, ask);
    else
        ask->answer(s, ask, CHAT_OK, r);
}

static void
enter_as(struct lnt_session *s, struct lnt_str nick, const struct chat_ask *ask)
{
    enum chat_code code = check_own_nick(lnt_session_app(s), nick);

    if (code == CHAT_OK)
        lnt_hub_enter(hub_of(s), s, nick, chat_completion(on_entered, ask));
    else
        ask->answer(s, ask, code, NULL);
}

/* The next number of which nobody is known to have the nick. */
static void
begin_guest(struct lnt_session *s, const struct chat_ask *before)
{
    struct lnt_strbuf *name = &chat_of(s)->data;
    struct chat_ask ask;

    memcpy(&ask, before, offsetof(struct chat_ask, id) + before->id_n);
    ask.tries++;
    for (int i = 0; i < GUESTS_SEEN; i++) {
        lnt_strbuf_clear(name);
        lnt_strbuf_adds(name, "guest-");
        lnt_strbuf_addu(name, lnt_hub_guest(hub_of(s)));
        if (lnt_hub_find(hub_of(s), lnt_strbuf_str(name)) == 0)
            break;
    }
    lnt_hub_enter(hub_of(s), s, lnt_strbuf_str(name),
                  chat_completion(on_entered, &ask));
}

static void
enter_as_guest(struct lnt_session *s, const struct chat_ask *ask)
{
    if (chat_conf_of(s)->guests)
        begin_guest(s, ask);
    else
        ask->answer(s, ask,
                    chat_refuse(chat_of(s), CHAT_BAD_REQUEST,
                                "nick is missing: there are no guests here"),
                    NULL);
}

static void
on_renamed(const struct lnt_result *r)
{
    const struct chat_ask *ask = chat_asked(r);
    enum chat_code code = CHAT_OK;

    if (!r->session)
        return;
    errno = r->error;
    if (r->error)
        code = refuse_nick(chat_of(r->session), r->what);
    ask->answer(r->session, ask, code, r);
}

void
chat_rename(struct lnt_session *s, struct lnt_str nick, struct chat_ask *ask)
{
    struct chat_session *chat = chat_session(s);
    enum chat_code code;

    if (!chat->entered) {
        enter_as(s, nick, ask);
        return;
    }
    code = check_own_nick(lnt_session_app(s), nick);
    if (code != CHAT_OK || lnt_str_eq(chat_nick(s), nick))
        ask->answer(s, ask, code, NULL);
    else
        lnt_hub_rename(hub_of(s), s, chat->user, nick, announce_max_of(s),
                       chat_completion(on_renamed, ask));
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
    enum chat_code code = chat_refuse_late(chat_of(s));

    if (code != CHAT_OK)
        return code;
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
    return chat_refuse_full(chat_of(s), "room or member");
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

/* A refused newcomer does not keep the nick from others. */
static void
refuse_joiner(struct lnt_session *s, const struct chat_ask *ask,
              const struct lnt_result *r)
{
    struct chat_session *chat = chat_session(s);
    enum chat_code code;

    errno = r->error;
    code = refuse_join(s, r->what);
    if (ask->newcomer) {
        lnt_hub_exit(hub_of(s), s, chat->user, announce_max_of(s));
        chat->entered = false;
    }
    ask->answer(s, ask, code, NULL);
}

static void
on_joined(const struct lnt_result *r)
{
    const struct chat_ask *ask = chat_asked(r);
    struct lnt_session *s = r->session;
    struct chat_session *chat;

    if (!s)
        return;
    if (r->error) {
        refuse_joiner(s, ask, r);
        return;
    }
    chat = chat_session(s);
    chat_keep_history(s, r->sub);
    lnt_sub_link(r->sub, &chat->subs);
    chat->rooms++;
    chat->current = 0;
    ask->answer(s, ask, CHAT_OK, r);
}

static void
join_room(struct lnt_session *s, const struct chat_ask *ask)
{
    const struct chat_session *chat = chat_session(s);
    unsigned format = CHAT_FORMAT_JSON;

    if (chat->human)
        format = chat_bare(chat) ? CHAT_FORMAT_ROOM_LINE : CHAT_FORMAT_LINE;
    lnt_hub_join(hub_of(s), s, chat->user, lnt_str(ask->room, ask->room_n),
                 format, announce_max_of(s), chat_completion(on_joined, ask));
}

void
chat_join(struct lnt_session *s, struct lnt_str room, struct lnt_str nick,
          struct chat_ask *ask)
{
    enum chat_code code = check_join(s, room);

    if (code != CHAT_OK) {
        ask->answer(s, ask, code, NULL);
        return;
    }
    ask->newcomer = !chat_session(s)->entered;
    ask->room_n = (uint8_t)room.n;
    memcpy(ask->room, room.p, room.n);
    if (!ask->newcomer)
        join_room(s, ask);
    else if (nick.p)
        enter_as(s, nick, ask);
    else
        enter_as_guest(s, ask);
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
        lnt_hub_exit(hub_of(s), s, chat->user, announce_max_of(s));
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
