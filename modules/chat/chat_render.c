/*
 * Events of the log as subscribers read them: one JSON object, or lines for
 * people.  Called once for each event and format by the hub, which sends the
 * result to everybody who is to have it.
 */
#include "modules/chat/chat.h"

#include <stdio.h>
#include <string.h>

#include "hub/hub.h"
#include "net/module.h"

/* ---- payloads ---- */

static void
pack_nick(struct lnt_strbuf *out, struct lnt_str nick)
{
    lnt_strbuf_addc(out, (char)(unsigned char)nick.n);
    lnt_strbuf_add_str(out, nick);
}

void
chat_pack(struct lnt_strbuf *out, struct lnt_str from, const struct lnt_str *to,
          struct lnt_str text)
{
    pack_nick(out, from);
    if (to)
        pack_nick(out, *to);
    lnt_strbuf_add_str(out, text);
}

/* Without the fields of a later release in front; false when they are cut
   short. */
static bool
skip_more(struct lnt_str *data)
{
    const unsigned char *p = (const unsigned char *)data->p;
    size_t n;

    if (data->n == 0 || p[0] != CHAT_MORE)
        return true;
    if (data->n < 3)
        return false;
    n = 3 + ((size_t)p[1] << 8 | p[2]);
    if (n > data->n)
        return false;
    *data = lnt_str(data->p + n, data->n - n);
    return true;
}

/* The nick that is all of data, but for fields of a later release behind. */
static struct lnt_str
only_nick(struct lnt_str data)
{
    return lnt_str(data.p, data.n ? strnlen(data.p, data.n) : 0);
}

/* Cuts a nick off the front of data; false when it is cut short. */
static bool
unpack_nick(struct lnt_str *data, struct lnt_str *nick)
{
    size_t n;

    if (data->n < 1)
        return false;
    n = (unsigned char)data->p[0];
    if (n > data->n - 1)
        return false;
    *nick = lnt_str(data->p + 1, n);
    *data = lnt_str(data->p + 1 + n, data->n - 1 - n);
    return true;
}

bool
chat_unpack_direct(struct lnt_str data, struct lnt_str *to,
                   struct lnt_str *text)
{
    struct lnt_str from;

    if (!unpack_nick(&data, &from) || !unpack_nick(&data, to))
        return false;
    *text = data;
    return true;
}

/* ---- JSON ---- */

/* Seconds since the epoch with three digits behind the point. */
static void
add_time(struct lnt_strbuf *out, uint64_t us)
{
    uint64_t ms = us / 1000 % 1000;
    char digits[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                     (char)('0' + ms % 10)};

    lnt_strbuf_adds(out, ",\"time\":");
    lnt_strbuf_addu(out, us / 1000000);
    lnt_strbuf_add(out, digits, sizeof(digits));
}

static void
presence_json(struct lnt_strbuf *out, const struct lnt_event *e,
              const char *what, struct lnt_str nick, struct lnt_str old)
{
    chat_begin(out, "presence");
    chat_add_text(out, "room", e->room_name);
    chat_add_text(out, "event", lnt_str_c(what));
    chat_add_text(out, "nick", nick);
    if (old.p)
        chat_add_text(out, "from", old);
    chat_add_number(out, "seq", e->seq);
    lnt_strbuf_addc(out, '}');
}

static void
message_json(struct lnt_strbuf *out, const struct lnt_event *e,
             struct lnt_str from, struct lnt_str text)
{
    /* What nearly all events are: in as few pieces as there can be. */
    lnt_strbuf_adds(out, "{\"type\":\"message\",\"room\":");
    lnt_strbuf_add_json(out, e->room_name);
    lnt_strbuf_adds(out, ",\"seq\":");
    lnt_strbuf_addu(out, e->seq);
    lnt_strbuf_adds(out, ",\"from\":");
    lnt_strbuf_add_json(out, from);
    lnt_strbuf_adds(out, ",\"text\":");
    lnt_strbuf_add_json(out, text);
    add_time(out, e->time_us);
    lnt_strbuf_addc(out, '}');
}

/* ---- events ---- */

/* Old and new nick of an LNT_EVENT_NICK. */
static bool
split_nicks(struct lnt_str data, struct lnt_str *old, struct lnt_str *now)
{
    const char *nul = data.n ? memchr(data.p, '\0', data.n) : NULL;

    if (!nul)
        return false;
    *old = lnt_str(data.p, (size_t)(nul - data.p));
    *now = only_nick(lnt_str(nul + 1, data.n - old->n - 1));
    return true;
}

static bool
event_json(const struct lnt_event *e, struct lnt_strbuf *out)
{
    struct lnt_str data = e->data, nick, old, none = {0};

    if (e->kind >= LNT_EVENT_APP && !skip_more(&data))
        return false;
    switch (e->kind) {
    case LNT_EVENT_JOIN:
        presence_json(out, e, "join", only_nick(data), none);
        return true;
    case LNT_EVENT_LEAVE:
        presence_json(out, e, "leave", only_nick(data), none);
        return true;
    case LNT_EVENT_NICK:
        if (!split_nicks(data, &old, &nick))
            return false;
        presence_json(out, e, "nick", nick, old);
        return true;
    case CHAT_MESSAGE:
        if (!unpack_nick(&data, &nick))
            return false;
        message_json(out, e, nick, data);
        return true;
    case CHAT_TYPING:
        if (!unpack_nick(&data, &nick))
            return false;
        chat_begin(out, "typing");
        chat_add_text(out, "room", e->room_name);
        chat_add_text(out, "nick", nick);
        lnt_strbuf_addc(out, '}');
        return true;
    default:
        return false;
    }
}

/* where: what stands before every line, "" or "[room] ". */
static bool
event_line(const struct lnt_event *e, struct lnt_str where,
           struct lnt_strbuf *out)
{
    struct lnt_str data = e->data, nick, old;
    char prefix[LNT_ROOM_NAME_MAX + UINT8_MAX + 8];

    if (e->kind >= LNT_EVENT_APP && !skip_more(&data))
        return false;
    switch (e->kind) {
    case LNT_EVENT_JOIN:
        nick = only_nick(data);
        lnt_strbuf_addf(out, "%.*s* %.*s joined", LNT_STR_ARG(where),
                        LNT_STR_ARG(nick));
        return true;
    case LNT_EVENT_LEAVE:
        nick = only_nick(data);
        lnt_strbuf_addf(out, "%.*s* %.*s left", LNT_STR_ARG(where),
                        LNT_STR_ARG(nick));
        return true;
    case LNT_EVENT_NICK:
        if (!split_nicks(data, &old, &nick))
            return false;
        lnt_strbuf_addf(out, "%.*s* %.*s is now %.*s", LNT_STR_ARG(where),
                        LNT_STR_ARG(old), LNT_STR_ARG(nick));
        return true;
    case CHAT_MESSAGE:
        if (!unpack_nick(&data, &nick))
            return false;
        snprintf(prefix, sizeof(prefix), "%.*s<%.*s> ", LNT_STR_ARG(where),
                 LNT_STR_ARG(nick));
        chat_add_plain(out, lnt_str_c(prefix), data);
        return true;
    default:
        return false; /* typing is nothing to a terminal */
    }
}

bool
chat_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
           struct lnt_strbuf *out)
{
    char where[LNT_ROOM_NAME_MAX + 4] = "";

    (void)m;
    if (format == CHAT_FORMAT_JSON)
        return event_json(e, out);
    if (format == CHAT_FORMAT_ROOM_LINE)
        snprintf(where, sizeof(where), "[%.*s] ", LNT_STR_ARG(e->room_name));
    return event_line(e, lnt_str_c(where), out);
}

bool
chat_event_direct(struct lnt_session *s, const struct lnt_event *e,
                  struct lnt_strbuf *out)
{
    struct lnt_str data = e->data, from, to;
    char prefix[UINT8_MAX + 4];

    if (e->kind != CHAT_DIRECT || !skip_more(&data) ||
        !unpack_nick(&data, &from) || !unpack_nick(&data, &to))
        return false;
    if (chat_session(s)->human) {
        snprintf(prefix, sizeof(prefix), "*%.*s* ", LNT_STR_ARG(from));
        chat_add_plain(out, lnt_str_c(prefix), data);
        return true;
    }
    chat_begin(out, "direct");
    chat_add_text(out, "from", from);
    chat_add_text(out, "to", to);
    chat_add_text(out, "text", data);
    add_time(out, e->time_us);
    lnt_strbuf_addc(out, '}');
    return true;
}

/* ---- what does not come from the log ---- */

void
chat_render_notice(struct lnt_strbuf *out, bool human, struct lnt_str text)
{
    if (human) {
        chat_add_plain(out, LNT_STR("* "), text);
        return;
    }
    chat_begin(out, "notice");
    chat_add_text(out, "text", text);
    lnt_strbuf_addc(out, '}');
}

void
chat_render_gap(struct lnt_strbuf *out, const char *room, uint64_t seq)
{
    chat_begin(out, "gap");
    chat_add_text(out, "room", lnt_str_c(room));
    chat_add_number(out, "seq", seq);
    lnt_strbuf_addc(out, '}');
}
