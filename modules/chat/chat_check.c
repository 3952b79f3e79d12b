/*
 * What the chat does not take, and how it says so: names, nicks and texts, and
 * operations that could not be done.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <string.h>

#include "core/regex.h"
#include "net/module.h"

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
    [CHAT_TIMED_OUT] = "timed_out",
};

enum chat_code
chat_refuse_full(struct chat *c, const char *what)
{
    return chat_refuse(c, CHAT_SERVER_FULL,
                       "the server has no room for another %s; "
                       "a larger zone_size would make some",
                       what);
}

enum chat_code
chat_refuse_late(struct chat *c)
{
    switch (errno) {
    case EAGAIN:
        return chat_refuse(c, CHAT_RATE_LIMITED,
                           "too many requests are under way; wait for some "
                           "of their answers");
    case ETIMEDOUT:
        return chat_refuse(c, CHAT_TIMED_OUT,
                           "there was no answer in time; it may have been "
                           "done all the same");
    case ECANCELED:
        return chat_refuse(c, CHAT_TIMED_OUT, "the server is going away");
    default:
        return CHAT_OK;
    }
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

enum chat_code
chat_check_nick(const struct lnt_module_ctx *m, struct lnt_str nick)
{
    const struct chat_conf *conf = m->conf;

    if (nick.n > 0 && nick.n <= LNT_NICK_MAX && chat_is_plain(nick) &&
        lnt_regex_match(conf->nick_name, nick, NULL, NULL))
        return CHAT_OK;
    return chat_refuse(m->data, CHAT_BAD_NICK,
                       "nicks match %s, have at most %d bytes and no blanks",
                       lnt_regex_pattern(conf->nick_name), LNT_NICK_MAX);
}

enum chat_code
chat_check_text(const struct lnt_module_ctx *m, struct lnt_str text)
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
