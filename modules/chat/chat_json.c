/*
 * Requests of programs: one JSON object a message (RFC 8259), with "type" and
 * what the type wants.  Each is answered, with its "id" when it has one; what
 * cannot be done is answered with an error, and the connection lives on.
 *
 * jansson reads, once for every request.  Answers are few fixed shapes and are
 * written directly.
 */
#include "modules/chat/chat.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "core/log.h"
#include "hub/hub.h"
#include "net/module.h"

enum {
    ID_MAX = 128, /* bytes of an id that is a string */
    PAGE = 50,    /* messages of history, when nothing is said of it */
};

struct request {
    struct lnt_session *session;
    struct chat *chat;
    struct lnt_str text, id; /* as JSON; id empty when there is none */
    const json_t *body;
    struct chat_ask *ask; /* where what is asked is written down */
};

/* ---- answers ---- */

static struct lnt_strbuf *
answer(struct request *r, const char *type)
{
    struct lnt_strbuf *out = &r->chat->out;

    lnt_strbuf_clear(out);
    chat_begin(out, type);
    return out;
}

static void
add_id(struct request *r)
{
    if (r->id.n == 0)
        return;
    lnt_strbuf_adds(&r->chat->out, ",\"id\":");
    lnt_strbuf_add_str(&r->chat->out, r->id);
}

static void
finish(struct request *r)
{
    struct lnt_strbuf *out = &r->chat->out;

    lnt_strbuf_addc(out, '}');
    lnt_session_send(r->session, LNT_TEXT, out->p, out->n);
}

/* The same, with the id. */
static void
finish_with_id(struct request *r)
{
    add_id(r);
    finish(r);
}

/* What was done needs no more words: an ack, for those who asked with an id. */
static void
ack(struct request *r, uint64_t seq)
{
    if (r->id.n == 0)
        return;
    answer(r, "ack");
    add_id(r);
    chat_add_number(&r->chat->out, "seq", seq);
    finish(r);
}

/* The reason is in why. */
static void
refuse(struct request *r, enum chat_code code)
{
    struct lnt_strbuf *out = answer(r, "error");

    chat_add_text(out, "code", lnt_str_c(chat_code_names[code]));
    chat_add_text(out, "message", lnt_strbuf_str(&r->chat->why));
    if (r->chat->retry_ms > 0) {
        lnt_strbuf_adds(out, ",\"retry_after\":");
        chat_add_seconds(out, r->chat->retry_ms);
    }
    finish_with_id(r);
}

/* A request that is answered now, perhaps later than it was asked. */
static struct request
asked(struct lnt_session *s, const struct chat_ask *ask)
{
    return (struct request){
        .session = s,
        .chat = chat_of(s),
        .id = lnt_str(ask->id, ask->id_n),
    };
}

/* What was published has a seq, and no more is said of it. */
static void
answer_published(struct lnt_session *s, const struct chat_ask *ask,
                 enum chat_code code, const struct lnt_result *done)
{
    struct request r = asked(s, ask);

    if (code == CHAT_OK)
        ack(&r, done->seq);
    else
        refuse(&r, code);
}

/* ---- fields ---- */

/* A field of text; absent (*out has p NULL) only when not required.  false:
   the request was refused. */
static bool
take_text(struct request *r, const char *key, bool required,
          struct lnt_str *out)
{
    const json_t *value = json_object_get(r->body, key);

    *out = lnt_str(NULL, 0);
    if (json_is_string(value)) {
        *out = lnt_str(json_string_value(value), json_string_length(value));
        return true;
    }
    if (!value && !required)
        return true;
    refuse(r,
           chat_refuse(r->chat, CHAT_BAD_REQUEST,
                       value ? "%s must be a string" : "%s is missing", key));
    return false;
}

/* The room named in the request, which the session must be in.  NULL: the
   request was refused. */
static struct lnt_sub *
take_sub(struct request *r)
{
    struct lnt_str room;
    struct lnt_sub *sub;
    enum chat_code code;

    if (!take_text(r, "room", true, &room))
        return NULL;
    code = chat_find(r->session, room, &sub);
    if (code != CHAT_OK)
        refuse(r, code);
    return sub;
}

static bool
is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* A number that may be left out; *out keeps what it has then. */
static bool
take_count(struct request *r, const char *key, uint64_t *out)
{
    const json_t *value = json_object_get(r->body, key);

    if (is_count(value))
        *out = (uint64_t)json_integer_value(value);
    if (!value || is_count(value))
        return true;
    refuse(r, chat_refuse(r->chat, CHAT_BAD_REQUEST,
                          "%s must be a whole number, not negative", key));
    return false;
}

/* ---- requests ---- */

/* "since", where a client that was here before left off. */
static bool
take_since(struct request *r, struct chat_wish *wish)
{
    const json_t *since = json_object_get(r->body, "since");
    const json_t *epoch = json_object_get(since, "epoch");
    const json_t *seq = json_object_get(since, "seq");

    if (!since)
        return true;
    if (is_count(epoch) && is_count(seq)) {
        wish->epoch = (uint64_t)json_integer_value(epoch);
        wish->since = (uint64_t)json_integer_value(seq);
        return true;
    }
    refuse(r, chat_refuse(r->chat, CHAT_BAD_REQUEST,
                          "since must be {\"epoch\": number, \"seq\": "
                          "number}, as an earlier joined told them"));
    return false;
}

static void
answer_join(struct lnt_session *s, const struct chat_ask *ask,
            enum chat_code code, const struct lnt_result *done)
{
    struct request r = asked(s, ask);

    if (code != CHAT_OK) {
        refuse(&r, code);
        return;
    }
    (void)chat_begin_joined(s, &ask->wish, done->sub, done->info);
    finish_with_id(&r);
}

static void
request_join(struct request *r)
{
    struct chat_wish *wish = &r->ask->wish;
    struct lnt_str room, nick;

    *wish = (struct chat_wish){.limit = UINT64_MAX};
    if (!take_text(r, "room", true, &room) ||
        !take_text(r, "nick", false, &nick) || !take_since(r, wish) ||
        !take_count(r, "limit", &wish->limit))
        return;
    r->ask->answer = answer_join;
    chat_join(r->session, room, nick, r->ask);
}

static void
request_leave(struct request *r)
{
    struct lnt_sub *sub = take_sub(r);

    if (!sub)
        return;
    chat_add_text(answer(r, "left"), "room", lnt_str_c(lnt_sub_room_name(sub)));
    chat_leave(r->session, sub);
    finish_with_id(r);
}

static void
request_message(struct request *r)
{
    struct lnt_str text;
    struct lnt_sub *sub;

    if (take_text(r, "text", true, &text) && (sub = take_sub(r)))
        chat_say(r->session, sub, text, r->ask);
}

static void
request_typing(struct request *r)
{
    struct lnt_sub *sub = take_sub(r);

    if (sub)
        chat_typing(r->session, sub, r->ask);
}

static void
request_direct(struct request *r)
{
    struct lnt_str to, text;

    if (take_text(r, "to", true, &to) && take_text(r, "text", true, &text))
        chat_direct(r->session, to, text, r->ask);
}

static void
answer_nick(struct lnt_session *s, const struct chat_ask *ask,
            enum chat_code code, const struct lnt_result *done)
{
    struct request r = asked(s, ask);

    (void)done;
    if (code != CHAT_OK) {
        refuse(&r, code);
        return;
    }
    chat_add_text(answer(&r, "nick"), "nick", chat_nick(s));
    finish_with_id(&r);
}

static void
request_nick(struct request *r)
{
    struct lnt_str nick;

    if (!take_text(r, "nick", true, &nick))
        return;
    r->ask->answer = answer_nick;
    chat_rename(r->session, nick, r->ask);
}

static void
request_who(struct request *r)
{
    struct lnt_sub *sub = take_sub(r);

    if (!sub)
        return;
    chat_add_text(answer(r, "who"), "room", lnt_str_c(lnt_sub_room_name(sub)));
    chat_add_members(r->session, sub, UINT_MAX, true);
    finish_with_id(r);
}

/* What is still to come as events is not history yet. */
static void
request_history(struct request *r)
{
    uint64_t before = UINT64_MAX, limit = PAGE, next;
    struct chat_past past = {.format = CHAT_FORMAT_JSON};
    struct lnt_strbuf *out;
    struct lnt_sub *sub;

    if (!take_count(r, "before", &before) || !take_count(r, "limit", &limit) ||
        !(sub = take_sub(r)))
        return;
    next = lnt_hub_next(lnt_session_app(r->session)->hub, sub);
    past.sub = sub;
    past.before = before < next ? before : next;
    past.limit = limit < UINT_MAX ? (unsigned)limit : UINT_MAX;
    out = answer(r, "history");
    chat_add_text(out, "room", lnt_str_c(lnt_sub_room_name(sub)));
    lnt_strbuf_adds(out, ",\"messages\":[");
    chat_past_add(r->session, &past, out);
    lnt_strbuf_addf(out, "],\"more\":%s", past.more ? "true" : "false");
    finish_with_id(r);
}

static void
request_ping(struct request *r)
{
    answer(r, "pong");
    finish_with_id(r);
}

/* The commonest first.  What only speaks may be under way together. */
static const struct {
    const char *type;
    void (*fn)(struct request *r);
    bool speaks;
} requests[] = {
    {"message", request_message, true}, {"typing", request_typing, true},
    {"direct", request_direct, true},   {"join", request_join, false},
    {"leave", request_leave, false},    {"nick", request_nick, false},
    {"who", request_who, false},        {"history", request_history, false},
    {"ping", request_ping, false},
};

/* It is this request's turn, and it is read once more. */
static void
on_turn(const struct lnt_result *r)
{
    const struct chat_ask *ask = chat_asked(r);

    if (!r->session)
        return;
    if (r->error == 0) {
        chat_json_request(r->session, r->what);
        return;
    }
    struct request late = asked(r->session, ask);
    errno = r->error;
    refuse(&late, chat_refuse_late(late.chat));
}

static void
dispatch(struct request *r)
{
    struct lnt_session *s = r->session;
    struct lnt_str type;

    if (!take_text(r, "type", true, &type))
        return;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (!lnt_str_eq(type, lnt_str_c(requests[i].type)))
            continue;
        if (chat_must_wait(s, requests[i].speaks))
            lnt_hub_after(lnt_session_app(s)->hub, s, r->text,
                          chat_completion(on_turn, r->ask));
        else
            requests[i].fn(r);
        return;
    }
    refuse(r, chat_refuse(r->chat, CHAT_UNKNOWN_TYPE,
                          "type must be join, leave, message, direct, typing, "
                          "nick, who, history or ping"));
}

/* Writes the id down as it will be given back. */
static void
keep_id(struct request *r, const json_t *id)
{
    struct lnt_strbuf *text = &r->chat->data;

    if (!id)
        return;
    if (json_is_string(id)) {
        lnt_strbuf_clear(text);
        lnt_strbuf_add_json(text, lnt_str(json_string_value(id),
                                          json_string_length(id)));
        lnt_assert(text->n <= sizeof(r->ask->id));
        memcpy(r->ask->id, text->p, text->n);
        r->ask->id_n = (uint16_t)text->n;
    } else {
        r->ask->id_n = (uint16_t)json_dumpb(id, r->ask->id, sizeof(r->ask->id),
                                            JSON_ENCODE_ANY);
    }
    r->id = lnt_str(r->ask->id, r->ask->id_n);
}

/* Takes the id, if it is one that can be given back. */
static bool
take_id(struct request *r)
{
    const json_t *id = json_object_get(r->body, "id");
    bool text = json_is_string(id);

    if (!id || json_is_number(id) ||
        (text && json_string_length(id) <= ID_MAX)) {
        keep_id(r, id);
        return true;
    }
    refuse(r, chat_refuse(r->chat, CHAT_BAD_REQUEST,
                          text ? "id has more than %d bytes"
                               : "id must be a number or a string of at most "
                                 "%d bytes",
                          ID_MAX));
    return false;
}

/* ---- reading ---- */

static const char *
what_is_wrong(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something stands behind it";
    case json_error_duplicate_key:
        return "the same key twice";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a NUL in a string";
    case json_error_stack_overflow:
        return "nested too deeply";
    case json_error_numeric_overflow:
        return "a number is too large";
    case json_error_invalid_utf8:
        return "not valid UTF-8";
    default:
        return "a syntax error";
    }
}

void
chat_json_request(struct lnt_session *s, struct lnt_str text)
{
    struct chat_ask ask;
    struct request r = {
        .session = s, .chat = chat_of(s), .text = text, .ask = &ask};
    json_error_t error;
    json_t *body;

    chat_ask_init(&ask, answer_published);
    body = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES,
                      &error);
    if (!body) {
        refuse(&r, chat_refuse(r.chat, CHAT_BAD_JSON,
                               "a request is one JSON object; %s, near byte "
                               "%d",
                               what_is_wrong(&error), error.position));
        return;
    }
    r.body = body;
    if (!json_is_object(body))
        refuse(&r, chat_refuse(r.chat, CHAT_BAD_JSON,
                               "a request is one JSON object, not an array"));
    else if (take_id(&r))
        dispatch(&r);
    json_decref(body);
}
