/*
 * chat, inside: what its files share.
 *
 *   chat.c          the descriptor, the life of a session
 *   chat_conf.c     [chat] and [room NAME]
 *   chat_plan.c     whether the zone has room for what these promise
 *   chat_json.c     requests of programs, one JSON object each
 *   chat_human.c    lines of people, plain text and /commands
 *   chat_actions.c  what both ask for: say, direct, rename ...
 *   chat_check.c    what is not taken, and how that is said
 *   chat_enter.c    nicks and rooms: join, leave, who is there
 *   chat_joined.c   what programs are told of a room that they enter
 *   chat_listen.c   those who only listen
 *   chat_past.c     what was said before, for those who come later
 *   chat_values.c   what operators set while the server runs
 *   chat_render.c   events of the log, as JSON or as lines
 *   chat_text.c     pieces of JSON, and what a terminal may see
 *
 * Requests and lines only differ in how they ask and how they are answered;
 * both end in an action, and what an action does reaches everybody through the
 * log.
 */
#ifndef LNT_CHAT_H
#define LNT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "core/strbuf.h"
#include "hub/hub.h"
#include "net/module.h"
#include "net/session.h"

struct lnt_regex;
struct lnt_sub;

/* ---- configuration ---- */

struct chat_room {
    const char *name;
    const char *topic;  /* "" none */
    uint64_t slow_mode; /* ms, 0 off */
};

struct chat_conf {
    int64_t history;       /* messages of a room that are kept */
    uint64_t history_age;  /* ms, 0: however old */
    uint64_t history_size; /* bytes, or CHAT_SIZE_AUTO */
    struct lnt_keep keep;  /* the same, for the zone */
    struct lnt_regex *room_name, *nick_name;
    int64_t presence_limit;
    uint64_t text_size;
    int64_t rooms_per_session;
    bool guests;
    const struct chat_room *rooms; /* as configured, sorted by name */
    size_t nrooms;
};

#define CHAT_SIZE_AUTO UINT64_MAX

extern const struct lnt_section_kind chat_sections[];
int chat_configure(struct lnt_module_setup *setup);
/* Reports when the zone is too small for the rooms; 0 when it is not. */
int chat_plan(const struct lnt_module_setup *setup,
              const struct chat_conf *conf, struct lnt_origin at);
/* The room as configured, NULL when it is not. */
const struct chat_room *chat_room_conf(const struct chat_conf *conf,
                                       const char *name);
/* Its topic; "" when it has none. */
const char *chat_topic(const struct chat_conf *conf, const char *name);

/* ---- a worker ---- */

/* Scratch memory, reused from call to call; contents last until the next. */
struct chat {
    struct lnt_strbuf out;   /* the answer being written */
    struct lnt_strbuf data;  /* the payload of a record */
    struct lnt_strbuf names; /* nicks, each followed by NUL */
    struct lnt_strbuf why;   /* why the last action was refused */
    uint64_t retry_ms;       /* and when it may be tried again, 0 whenever */
    struct lnt_strbuf kept, past, pieces; /* of chat_past.c */
    uint64_t warn_again;                  /* ms; not before */
};

/* ---- a session ---- */

/* How events are written for a subscriber. */
enum {
    CHAT_FORMAT_JSON,
    CHAT_FORMAT_LINE,      /* for people */
    CHAT_FORMAT_ROOM_LINE, /* the same with the room's name before it */
    CHAT_FORMATS
};

enum {
    CHAT_ROOMS_MAX = 1000, /* of one session */
    CHAT_PLACE = 0x3fff,   /* bits that a room's place in its list takes */
    CHAT_ID_TEXT = 800,    /* bytes of a request's id as JSON */
};

/*
 * A person sees who speaks but not where, as long as there is one room; lines
 * of further rooms bear the room's name.  So at most one sub is bare.
 */
struct chat_session {
    struct lnt_sub *subs;   /* the rooms it is in, the latest first */
    struct chat_said *said; /* of chat_values.c; NULL none */
    uint32_t user;          /* in the zone, once entered */
    uint32_t rooms : 14;
    uint32_t current : 14; /* place in subs of the one where lines go; of one
                              that only listens: rooms that it created */
    bool entered : 1;      /* has a nick */
    bool greeted : 1;      /* was told the message of the day */
    bool human : 1;
};
/* Idle ones are many: with what malloc adds, 32 bytes each. */
_Static_assert(sizeof(struct chat_session) <= 24, "a session got larger");

static inline struct chat_session *
chat_session(const struct lnt_session *s)
{
    return lnt_session_app_state(s);
}

/* The scratch memory and the configuration that serve this session. */
static inline struct chat *
chat_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->data;
}

static inline const struct chat_conf *
chat_conf_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->conf;
}

/* The sub at that place of the list and back; NULL and rooms for none. */
struct lnt_sub *chat_sub_at(const struct chat_session *chat, uint32_t place);
uint32_t chat_place_of(const struct chat_session *chat,
                       const struct lnt_sub *sub);
/* Of a person, where plain lines go; NULL when it is in no room. */
static inline struct lnt_sub *
chat_current(const struct chat_session *chat)
{
    return chat_sub_at(chat, chat->current);
}
/* Of a person, the sub with CHAT_FORMAT_LINE; NULL none. */
const struct lnt_sub *chat_bare(const struct chat_session *chat);

/* ---- actions ---- */

enum chat_code {
    CHAT_OK,
    CHAT_BAD_JSON,
    CHAT_BAD_REQUEST,
    CHAT_UNKNOWN_TYPE,
    CHAT_BAD_ROOM,
    CHAT_BAD_NICK,
    CHAT_NICK_TAKEN,
    CHAT_NOT_JOINED,
    CHAT_ALREADY_JOINED,
    CHAT_TOO_LONG,
    CHAT_TOO_MANY_ROOMS,
    CHAT_SERVER_FULL,
    CHAT_NO_SUCH_NICK,
    CHAT_RATE_LIMITED,
    CHAT_TIMED_OUT,
};

/* As on the wire: "bad_json" ... */
extern const char *const chat_code_names[];

/* Sets c->why and returns code. */
enum chat_code chat_refuse(struct chat *c, enum chat_code code, const char *fmt,
                           ...) __attribute__((format(printf, 3, 4)));

/* What is asked for of the past. */
struct chat_wish {
    uint64_t epoch, since; /* 0 for one who was not here before */
    uint64_t limit;        /* messages */
    unsigned others;       /* as in chat_past */
    size_t told;
};

/*
 * What an action was asked with, and who answers.  These are plain bytes: when
 * the hub completes an action later, it keeps a copy until then.
 */
struct chat_ask {
    /* Called exactly once, before the action returns or later, but not when the
       session has ended meanwhile.  A code that is not CHAT_OK has its text in
       chat_of(s)->why.  done: what the hub said; NULL when it was not asked. */
    void (*answer)(struct lnt_session *s, const struct chat_ask *ask,
                   enum chat_code code, const struct lnt_result *done);
    struct chat_wish wish; /* of a join */
    bool newcomer;         /* from here on the action's own: */
    uint8_t tries;
    uint8_t room_n;
    char room[LNT_ROOM_NAME_MAX];
    uint16_t id_n; /* the request's id as JSON; without one 0 */
    char id[CHAT_ID_TEXT];
};
_Static_assert(sizeof(struct chat_ask) <= LNT_OP_ARG_MAX, "the hub keeps it");

static inline void
chat_ask_init(struct chat_ask *ask,
              void (*answer)(struct lnt_session *s, const struct chat_ask *ask,
                             enum chat_code code,
                             const struct lnt_result *done))
{
    ask->answer = answer;
    ask->newcomer = false;
    ask->tries = 0;
    ask->room_n = 0;
    ask->id_n = 0;
}

/* As the arg of a completion, and back. */
static inline struct lnt_completion
chat_completion(void (*fn)(const struct lnt_result *r),
                const struct chat_ask *ask)
{
    return (struct lnt_completion){
        fn,
        lnt_str((const char *)ask, offsetof(struct chat_ask, id) + ask->id_n)};
}

static inline const struct chat_ask *
chat_asked(const struct lnt_result *r)
{
    return (const void *)r->arg.p;
}

/* Joins, with nick (p NULL: the one it has, else a guest's).  A session that
   has a nick keeps it.  The answer's done has the sub and the room's info. */
void chat_join(struct lnt_session *s, struct lnt_str room, struct lnt_str nick,
               struct chat_ask *ask);
void chat_leave(struct lnt_session *s, struct lnt_sub *sub);
void chat_rename(struct lnt_session *s, struct lnt_str nick,
                 struct chat_ask *ask);
/* These have a seq in the answer's done. */
void chat_say(struct lnt_session *s, struct lnt_sub *sub, struct lnt_str text,
              const struct chat_ask *ask);
void chat_typing(struct lnt_session *s, struct lnt_sub *sub,
                 const struct chat_ask *ask);
void chat_direct(struct lnt_session *s, struct lnt_str to, struct lnt_str text,
                 const struct chat_ask *ask);
/* Says it without a session, for operators and programs of theirs; they are
   answered "seq N", or "code: why not". */
void chat_publish(struct lnt_module_ctx *m, struct lnt_str room,
                  struct lnt_str from, struct lnt_str text,
                  const struct lnt_requester *to);

/* Of text that is to be said, and of a nick, for whoever speaks. */
enum chat_code chat_check_text(const struct lnt_module_ctx *m,
                               struct lnt_str text);
enum chat_code chat_check_nick(const struct lnt_module_ctx *m,
                               struct lnt_str nick);
/* Why an operation failed that might have gone well, as the hub says it in
   errno: too many at once, too late.  CHAT_OK: it is another reason. */
enum chat_code chat_refuse_late(struct chat *c);
/* The zone is full. */
enum chat_code chat_refuse_full(struct chat *c, const char *what);

/*
 * Whether a request has to wait for its turn: what is said may be under way
 * together with what was said before (streams), all else comes behind.
 */
static inline bool
chat_must_wait(const struct lnt_session *s, bool streams)
{
    enum lnt_under_way under_way =
        lnt_hub_under_way(lnt_session_app(s)->hub, s);

    return under_way == LNT_MORE ||
           (under_way == LNT_ONLY_MESSAGES && !streams);
}

/* Whether a room may have that name. */
enum chat_code chat_check_room(const struct lnt_module_ctx *m,
                               struct lnt_str room);
/* Why a room was not joined or listened to, by errno. */
enum chat_code chat_refuse_room(const struct lnt_session *s);
/* A room keeps the history it is promised; what it cannot be promised it keeps
   as well as it can. */
void chat_keep_history(struct lnt_session *s, const struct lnt_sub *sub);
/* The sub of that room; *sub stays NULL when refused. */
enum chat_code chat_find(struct lnt_session *s, struct lnt_str room,
                         struct lnt_sub **sub);
/* Its nick; empty before it has one.  Valid until it is renamed. */
struct lnt_str chat_nick(const struct lnt_session *s);
/* How many members a room has; their nicks are in chat_of(s)->names unless
   there are more than presence_limit.  guess: how many there may be. */
unsigned chat_members(const struct lnt_session *s, const struct lnt_sub *sub,
                      unsigned guess);
/* Leaves everything, without a word to the session itself. */
void chat_exit(struct lnt_session *s);

/* ---- the past ---- */

/* Messages of a room, as they are told to one session. */
struct chat_past {
    const struct lnt_sub *sub;
    unsigned format;
    uint64_t before; /* those with a seq below */
    unsigned limit;  /* so many of them */
    unsigned others; /* answers that come behind this one, in the same turn */
    size_t told;     /* bytes of those before it that are not queued yet */
    unsigned count;  /* out: how many there were */
    bool more;       /* out: there are older ones */
};

/*
 * Appends the last of them, oldest first, with commas between JSON and newlines
 * between lines: as many as an answer may have, but one always, if there is
 * one.
 */
void chat_past_add(struct lnt_session *s, struct chat_past *p,
                   struct lnt_strbuf *out);
/* The same for all with a seq above since: true if that is all there were,
   else nothing is appended. */
bool chat_past_since(struct lnt_session *s, struct chat_past *p, uint64_t since,
                     struct lnt_strbuf *out);

/* ---- what programs are told of a room ---- */

/* Begins a "joined" in chat_of(s)->out; without its end, so that more can be
   added.  Whether all that was missed since is in it. */
bool chat_begin_joined(struct lnt_session *s, const struct chat_wish *wish,
                       const struct lnt_sub *sub,
                       const struct lnt_room_info *info);
/* Adds "members":[...], and "count" when always or when they are too many to
   list: then the list is empty.  guess: how many there may be. */
void chat_add_members(struct lnt_session *s, const struct lnt_sub *sub,
                      unsigned guess, bool always);

/* ---- those who only listen ---- */

/* lnt_app.may_listen and lnt_app.listen. */
bool chat_may_listen(struct lnt_module_ctx *m, const struct lnt_interest *l,
                     struct lnt_strbuf *why);
lnt_verdict chat_listen(struct lnt_session *s, const struct lnt_interest *l);

/* ---- values ---- */

/* The message of the day, the first time it is asked for a session; p NULL when
   there is none.  Valid until control returns to the loop. */
struct lnt_str chat_motd(struct lnt_session *s);
/* Milliseconds between two messages of one session in that room, 0 none. */
uint64_t chat_slow_mode(const struct lnt_module_ctx *m, const char *room);
/* Whether the session may say something there now, and then it has; else why
   not. */
enum chat_code chat_slow_pass(struct lnt_session *s, const struct lnt_sub *sub);
void chat_slow_forget(struct lnt_session *s);

/* lnt_module.on_value and on_broadcast */
void chat_on_value(struct lnt_module_ctx *m, struct lnt_str key,
                   struct lnt_str value);
void chat_on_broadcast(struct lnt_module_ctx *m, struct lnt_str text);

/* ---- requests and lines ---- */

void chat_json_request(struct lnt_session *s, struct lnt_str text);
void chat_human_greet(struct lnt_session *s);
lnt_verdict chat_human_line(struct lnt_session *s, struct lnt_str line);

/* ---- the log ---- */

enum {
    CHAT_MESSAGE = LNT_EVENT_APP, /* nick, text */
    CHAT_TYPING,                  /* nick */
    CHAT_DIRECT,                  /* nick, nick of the receiver, text */
};

/*
 * The payloads: each nick is one byte of length and its bytes, the text is
 * the rest.  In front of that a later release may put what this one skips:
 * CHAT_MORE, a length in two bytes (the high one first), and so many bytes of
 * further fields.  In JOIN, LEAVE and NICK such stand behind a NUL.  Kinds that
 * a reader does not know are nothing to it; what all must see keeps its kind.
 */
enum { CHAT_MORE = 0xff };
_Static_assert((int)CHAT_MORE > (int)LNT_NICK_MAX, "no length of a nick");

/* Takes a CHAT_DIRECT of this release apart. */
bool chat_unpack_direct(struct lnt_str data, struct lnt_str *to,
                        struct lnt_str *text);
void chat_pack(struct lnt_strbuf *out, struct lnt_str from,
               const struct lnt_str *to, struct lnt_str text);

/* lnt_app.event and lnt_app.direct: an event as format has it; false when it has
   nothing to say. */
bool chat_event(struct lnt_module_ctx *m, const struct lnt_event *e,
                unsigned format, struct lnt_strbuf *out);
bool chat_event_direct(struct lnt_session *s, const struct lnt_event *e,
                       struct lnt_strbuf *out);
/* A word of the server itself. */
void chat_render_notice(struct lnt_strbuf *out, bool human,
                        struct lnt_str text);
/* Records of a room were lost before they could be delivered. */
void chat_render_gap(struct lnt_strbuf *out, const char *room, uint64_t seq);

/* ---- text ---- */

/* Opens an object: {"type":"..." */
void chat_begin(struct lnt_strbuf *out, const char *type);
/* Adds a field to it. */
void chat_add_text(struct lnt_strbuf *out, const char *key,
                   struct lnt_str value);
void chat_add_number(struct lnt_strbuf *out, const char *key, uint64_t value);
/* Milliseconds as seconds, "1.5". */
void chat_add_seconds(struct lnt_strbuf *out, uint64_t ms);

/* Adds text as a terminal may see it, each of its lines behind prefix. */
void chat_add_plain(struct lnt_strbuf *out, struct lnt_str prefix,
                    struct lnt_str text);
/* Whether s has no control character, blank or bidirectional override. */
bool chat_is_plain(struct lnt_str s);

/* ---- a session that moves (chat_move.c) ---- */

int chat_freeze(struct lnt_session *s, struct lnt_strbuf *out);
int chat_thaw(struct lnt_session *s, struct lnt_str state);
/* Instead of chat_exit, when the session goes on elsewhere. */
void chat_forget(struct lnt_session *s);
void chat_slow_freeze(const struct lnt_session *s, struct lnt_strbuf *out);
/* counted: as chat_slow_freeze writes it; else as release 0.1.0 did. */
int chat_slow_thaw(struct lnt_session *s, bool counted, struct lnt_str *rest);

#endif
