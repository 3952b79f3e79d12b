/*
 * Lines of people: plain text goes to the current room, /commands do the rest.
 * Answers are lines again: "*" begins what the server says, "!" what it could
 * not do.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/units.h"
#include "hub/hub.h"
#include "net/module.h"

enum {
    LINES_AT_JOIN = 10, /* messages of the past, told without being asked */
    LINES_ASKED = 20,   /* by a /history that does not say how many */
};

struct command {
    const char *name, *usage, *help;
    lnt_verdict (*fn)(struct lnt_session *s, struct lnt_str rest);
};

/* ---- answers ---- */

static struct lnt_strbuf *
answer(struct lnt_session *s)
{
    struct lnt_strbuf *out = &chat_of(s)->out;

    lnt_strbuf_clear(out);
    return out;
}

static lnt_verdict
finish(struct lnt_session *s)
{
    const struct lnt_strbuf *out = &chat_of(s)->out;

    lnt_session_send(s, LNT_TEXT, out->p, out->n);
    return LNT_GO_ON;
}

/* Says why the last action was refused. */
static lnt_verdict
refuse(struct lnt_session *s)
{
    chat_add_plain(answer(s), LNT_STR("! "), lnt_strbuf_str(&chat_of(s)->why));
    return finish(s);
}

static lnt_verdict
refuse_text(struct lnt_session *s, const char *text)
{
    lnt_strbuf_addf(answer(s), "! %s", text);
    return finish(s);
}

/* "* here: ann, bob (2)", or how many they are. */
static void
add_members(struct lnt_session *s, const struct lnt_sub *sub, unsigned guess)
{
    struct lnt_strbuf *out = &chat_of(s)->out;
    const struct lnt_strbuf *names = &chat_of(s)->names;
    unsigned count = chat_members(s, sub, guess);
    const char *p = names->p, *end = names->p + names->n;

    if (names->n == 0) {
        lnt_strbuf_addf(out, "* here: %u members", count);
        return;
    }
    lnt_strbuf_adds(out, "* here: ");
    for (const char *first = p; p < end; p += strlen(p) + 1) {
        if (p != first)
            lnt_strbuf_adds(out, ", ");
        lnt_strbuf_adds(out, p);
    }
    lnt_strbuf_addf(out, " (%u)", count);
}

/* "* the last 2 messages:" and these; nothing when there are none. */
static unsigned
add_past(struct lnt_session *s, const struct lnt_sub *sub, uint64_t before,
         unsigned limit)
{
    struct lnt_strbuf *out = &chat_of(s)->out, text = LNT_STRBUF_INIT;
    struct chat_past past = {
        .sub = sub,
        .format = chat_bare(chat_session(s)) == sub ? CHAT_FORMAT_LINE
                                                    : CHAT_FORMAT_ROOM_LINE,
        .before = before,
        .limit = limit,
    };

    chat_past_add(s, &past, &text);
    if (past.count > 0) {
        if (out->n > 0)
            lnt_strbuf_addc(out, '\n');
        if (past.count == 1)
            lnt_strbuf_adds(out, "* the last message:\n");
        else
            lnt_strbuf_addf(out, "* the last %u messages:\n", past.count);
        lnt_strbuf_add_str(out, lnt_strbuf_str(&text));
    }
    lnt_strbuf_release(&text);
    return past.count;
}

/* The current room, or NULL after saying that there is none. */
static struct lnt_sub *
current(struct lnt_session *s)
{
    struct lnt_sub *sub = chat_current(chat_session(s));

    if (!sub)
        refuse_text(s, "you are in no room; /join ROOM enters one");
    return sub;
}

/* Cuts the first word off rest. */
static struct lnt_str
take_word(struct lnt_str *rest)
{
    struct lnt_str word = {rest->p, 0};

    while (word.n < rest->n && rest->p[word.n] != ' ' &&
           rest->p[word.n] != '\t')
        word.n++;
    *rest = lnt_str_trim(lnt_str(rest->p + word.n, rest->n - word.n));
    return word;
}

/* ---- commands ---- */

static void
answer_join(struct lnt_session *s, const struct chat_ask *ask,
            enum chat_code code, const struct lnt_result *done)
{
    struct lnt_strbuf *out;

    (void)ask;
    if (code != CHAT_OK) {
        refuse(s);
        return;
    }
    const struct lnt_room_info *info = done->info;
    out = answer(s);
    lnt_strbuf_addf(out, "* you are %.*s in %s", LNT_STR_ARG(chat_nick(s)),
                    info->name);
    if (chat_bare(chat_session(s)) != done->sub)
        lnt_strbuf_addf(out, "; its lines begin with [%s]", info->name);
    const char *topic = chat_topic(chat_conf_of(s), info->name);
    if (topic[0]) {
        lnt_strbuf_addc(out, '\n');
        chat_add_plain(out, LNT_STR("* topic: "), lnt_str_c(topic));
    }
    struct lnt_str motd = chat_motd(s);
    if (motd.p) {
        lnt_strbuf_addc(out, '\n');
        chat_add_plain(out, LNT_STR("* "), motd);
    }
    lnt_strbuf_addc(out, '\n');
    add_members(s, done->sub, info->members);
    add_past(s, done->sub, info->next, LINES_AT_JOIN);
    finish(s);
}

static lnt_verdict
command_join(struct lnt_session *s, struct lnt_str rest)
{
    struct chat_session *chat = chat_session(s);
    struct lnt_str room = take_word(&rest), nick = take_word(&rest);
    struct chat_ask ask;
    struct lnt_sub *sub;

    if (room.n == 0)
        return refuse_text(s, "/join ROOM [NICK]");
    if (chat_find(s, room, &sub) == CHAT_OK) {
        chat->current = chat_place_of(chat, sub) & CHAT_PLACE;
        lnt_strbuf_addf(answer(s), "* you speak in %s now",
                        lnt_sub_room_name(sub));
        return finish(s);
    }
    if (nick.n == 0)
        nick.p = NULL;
    chat_ask_init(&ask, answer_join);
    chat_join(s, room, nick, &ask);
    return LNT_GO_ON;
}

static lnt_verdict
command_leave(struct lnt_session *s, struct lnt_str rest)
{
    struct chat_session *chat = chat_session(s);
    struct lnt_str room = take_word(&rest);
    struct lnt_sub *sub;
    struct lnt_strbuf *out;

    if (room.n == 0 && !(sub = current(s)))
        return LNT_GO_ON;
    if (room.n > 0 && chat_find(s, room, &sub) != CHAT_OK)
        return refuse(s);
    out = answer(s);
    lnt_strbuf_addf(out, "* you left %s", lnt_sub_room_name(sub));
    chat_leave(s, sub);
    if (chat->subs)
        lnt_strbuf_addf(out, "; you speak in %s now",
                        lnt_sub_room_name(chat_current(chat)));
    return finish(s);
}

static void
answer_nick(struct lnt_session *s, const struct chat_ask *ask,
            enum chat_code code, const struct lnt_result *done)
{
    (void)ask;
    (void)done;
    if (code != CHAT_OK) {
        refuse(s);
        return;
    }
    lnt_strbuf_addf(answer(s), "* you are %.*s now", LNT_STR_ARG(chat_nick(s)));
    finish(s);
}

static lnt_verdict
command_nick(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_str nick = take_word(&rest);
    struct chat_ask ask;

    if (nick.n == 0)
        return refuse_text(s, "/nick NAME");
    chat_ask_init(&ask, answer_nick);
    chat_rename(s, nick, &ask);
    return LNT_GO_ON;
}

static lnt_verdict
command_who(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_str room = take_word(&rest);
    struct lnt_sub *sub;

    if (room.n == 0 && !(sub = current(s)))
        return LNT_GO_ON;
    if (room.n > 0 && chat_find(s, room, &sub) != CHAT_OK)
        return refuse(s);
    answer(s);
    add_members(s, sub, UINT_MAX);
    return finish(s);
}

/* What was said comes back from the log; only a refusal is answered. */
static void
answer_said(struct lnt_session *s, const struct chat_ask *ask,
            enum chat_code code, const struct lnt_result *done)
{
    (void)ask;
    (void)done;
    if (code != CHAT_OK)
        refuse(s);
}

static void
answer_msg(struct lnt_session *s, const struct chat_ask *ask,
           enum chat_code code, const struct lnt_result *done)
{
    char prefix[UINT8_MAX + 8];
    struct lnt_str to, text;

    (void)ask;
    if (code != CHAT_OK) {
        refuse(s);
        return;
    }
    if (!chat_unpack_direct(done->what, &to, &text))
        return;
    snprintf(prefix, sizeof(prefix), "-> *%.*s* ", LNT_STR_ARG(to));
    chat_add_plain(answer(s), lnt_str_c(prefix), text);
    finish(s);
}

static lnt_verdict
command_msg(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_str nick = take_word(&rest);
    struct chat_ask ask;

    if (nick.n == 0 || rest.n == 0)
        return refuse_text(s, "/msg NICK TEXT");
    chat_ask_init(&ask, answer_msg);
    chat_direct(s, nick, rest, &ask);
    return LNT_GO_ON;
}

static lnt_verdict
command_history(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_str word = take_word(&rest);
    const struct lnt_sub *sub;
    int64_t n = LINES_ASKED;
    const char *why;

    if (word.n > 0 && (lnt_parse_int(word, &n, &why) < 0 || n < 1))
        return refuse_text(s, "/history N, a number of messages");
    if (!(sub = current(s)))
        return LNT_GO_ON;
    answer(s);
    if (add_past(s, sub, lnt_hub_next(lnt_session_app(s)->hub, sub),
                 n < UINT_MAX ? (unsigned)n : UINT_MAX) == 0)
        lnt_strbuf_adds(&chat_of(s)->out, "* nothing has been said here yet");
    return finish(s);
}

static lnt_verdict
command_rooms(struct lnt_session *s, struct lnt_str rest)
{
    const struct chat_session *chat = chat_session(s);
    struct lnt_strbuf *out;

    (void)rest;
    if (!current(s))
        return LNT_GO_ON;
    out = answer(s);
    lnt_strbuf_addf(out, "* you speak in %s",
                    lnt_sub_room_name(chat_current(chat)));
    for (struct lnt_sub *sub = chat->subs; sub; sub = lnt_sub_next(sub)) {
        if (sub != chat_current(chat))
            lnt_strbuf_addf(out, ", and hear %s", lnt_sub_room_name(sub));
    }
    return finish(s);
}

static lnt_verdict
command_quit(struct lnt_session *s, struct lnt_str rest)
{
    (void)s;
    (void)rest;
    return LNT_CLOSE_NORMAL;
}

static lnt_verdict command_help(struct lnt_session *s, struct lnt_str rest);

static const struct command commands[] = {
    {"join", "ROOM [NICK]", "enter a room, or speak in it when you are there",
     command_join},
    {"leave", "[ROOM]", "leave this room, or that one", command_leave},
    {"nick", "NAME", "take another nick", command_nick},
    {"who", "[ROOM]", "who is here", command_who},
    {"msg", "NICK TEXT", "tell one person alone", command_msg},
    {"history", "[N]", "the last N messages", command_history},
    {"rooms", "", "the rooms you are in", command_rooms},
    {"help", "", "this list", command_help},
    {"quit", "", "good bye", command_quit},
};

static lnt_verdict
command_help(struct lnt_session *s, struct lnt_str rest)
{
    struct lnt_strbuf *out = answer(s);

    (void)rest;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char call[64];
        snprintf(call, sizeof(call), "/%s %s", commands[i].name,
                 commands[i].usage);
        lnt_strbuf_addf(out, "* %-19s %s\n", call, commands[i].help);
    }
    lnt_strbuf_adds(out, "* everything else is said in your room; "
                         "// says a text that begins with /");
    return finish(s);
}

static lnt_verdict
run_command(struct lnt_session *s, struct lnt_str line)
{
    struct lnt_str name = take_word(&line);

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (lnt_str_ieq(name, lnt_str_c(commands[i].name)))
            return commands[i].fn(s, line);
    }
    return refuse_text(s, "no such command; /help lists them all");
}

/* ---- the session ---- */

void
chat_human_greet(struct lnt_session *s)
{
    lnt_strbuf_adds(answer(s), "* welcome; /join ROOM [NICK] enters a room, "
                               "/help tells the rest");
    finish(s);
}

/* It is this line's turn. */
static void
on_turn(const struct lnt_result *r)
{
    struct lnt_session *s = r->session;
    lnt_verdict v;

    if (!s)
        return;
    if (r->error) {
        errno = r->error;
        (void)chat_refuse_late(chat_of(s));
        refuse(s);
        return;
    }
    v = chat_human_line(s, r->what);
    if (v != LNT_GO_ON)
        lnt_session_close(s, v, NULL);
}

lnt_verdict
chat_human_line(struct lnt_session *s, struct lnt_str line)
{
    struct lnt_str text = line;
    struct chat_ask ask;
    struct lnt_sub *sub;
    bool command = false;

    if (lnt_str_trim(line).n == 0)
        return LNT_GO_ON;
    if (line.p[0] == '/') {
        text = lnt_str(line.p + 1, line.n - 1);
        command = text.n == 0 || text.p[0] != '/';
    }
    chat_ask_init(&ask, answer_said);
    if (chat_must_wait(s, !command)) {
        lnt_hub_after(lnt_session_app(s)->hub, s, line,
                      chat_completion(on_turn, &ask));
        return LNT_GO_ON;
    }
    if (command)
        return run_command(s, text);
    sub = current(s);
    if (sub)
        chat_say(s, sub, text, &ask);
    return LNT_GO_ON;
}
