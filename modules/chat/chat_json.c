/*
 * Requests of programs: one JSON object a message (RFC 8259), with "type" and
 * what the type wants.  Each is answered, with its "id" when it has one; what
 * cannot be done is answered with an error, and the connection lives on.
 *
 * jansson reads, once for every request.  Answers are few fixed shapes and are
 * written directly.
 */
#include "modules/chat/chat.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

#include "hub/hub.h"
#include "net/module.h"

enum {
    ID_MAX = 128, /* bytes of an id that is a string */
    PAGE = 50,    /* messages of history, when nothing is said of it */
};

struct request {
    struct lnt_session *session;
    struct chat *chat;
    const json_t *body;
    const json_t *id; /* NULL none */
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
    struct lnt_strbuf *out = &r->chat->out;
    char number[64];
    size_t n;

    if (!r->id)
        return;
    if (json_is_string(r->id)) {
        chat_add_text(out, "id",
                      lnt_str(json_string_value(r->id),
                              json_string_length(r->id)));
        return;
    }
    n = json_dumpb(r->id, number, sizeof(number), JSON_ENCODE_ANY);
    lnt_strbuf_adds(out, ",\"id\":");
    lnt_strbuf_add(out, number, n);
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
    if (!r->id)
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
request_join(struct request *r)
{
    struct chat_wish wish = {.limit = UINT64_MAX};
    struct lnt_str room, nick;
    struct lnt_room_info info;
    struct lnt_sub *sub;
    enum chat_code code;

    if (!take_text(r, "room", true, &room) ||
        !take_text(r, "nick", false, &nick) || !take_since(r, &wish) ||
        !take_count(r, "limit", &wish.limit))
        return;
    code = chat_join(r->session, room, nick, &sub, &info);
    if (code != CHAT_OK) {
        refuse(r, code);
        return;
    }
    (void)chat_begin_joined(r->session, &wish, sub, &info);
    finish_with_id(r);
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
    uint64_t seq;
    enum chat_code code;

    if (!take_text(r, "text", true, &text) || !(sub = take_sub(r)))
        return;
    code = chat_say(r->session, sub, text, &seq);
    if (code == CHAT_OK)
        ack(r, seq);
    else
        refuse(r, code);
}

static void
request_typing(struct request *r)
{
    struct lnt_sub *sub = take_sub(r);
    uint64_t seq;
    enum chat_code code;

    if (!sub)
        return;
    code = chat_typing(r->session, sub, &seq);
    if (code == CHAT_OK)
        ack(r, seq);
    else
        refuse(r, code);
}

static void
request_direct(struct request *r)
{
    struct lnt_str to, text;
    uint64_t seq;
    enum chat_code code;

    if (!take_text(r, "to", true, &to) || !take_text(r, "text", true, &text))
        return;
    code = chat_direct(r->session, to, text, &seq);
    if (code == CHAT_OK)
        ack(r, seq);
    else
        refuse(r, code);
}

static void
request_nick(struct request *r)
{
    struct lnt_str nick;
    enum chat_code code;

    if (!take_text(r, "nick", true, &nick))
        return;
    code = chat_rename(r->session, nick);
    if (code != CHAT_OK) {
        refuse(r, code);
        return;
    }
    chat_add_text(answer(r, "nick"), "nick", chat_nick(r->session));
    finish_with_id(r);
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

/* The commonest first. */
static const struct {
    const char *type;
    void (*fn)(struct request *r);
} requests[] = {
    {"message", request_message}, {"typing", request_typing},
    {"direct", request_direct},   {"join", request_join},
    {"leave", request_leave},     {"nick", request_nick},
    {"who", request_who},         {"history", request_history},
    {"ping", request_ping},
};

static void
dispatch(struct request *r)
{
    struct lnt_str type;

    if (!take_text(r, "type", true, &type))
        return;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (lnt_str_eq(type, lnt_str_c(requests[i].type))) {
            requests[i].fn(r);
            return;
        }
    }
    refuse(r, chat_refuse(r->chat, CHAT_UNKNOWN_TYPE,
                          "type must be join, leave, message, direct, typing, "
                          "nick, who, history or ping"));
}

/* Takes the id, if it is one that can be given back. */
static bool
take_id(struct request *r)
{
    const json_t *id = json_object_get(r->body, "id");
    bool text = json_is_string(id);

    if (!id || json_is_number(id) ||
        (text && json_string_length(id) <= ID_MAX)) {
        r->id = id;
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
    struct request r = {.session = s, .chat = chat_of(s)};
    json_error_t error;
    json_t *body;

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
