/*
 * The protocol; see toy.h.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "t/modules/toy/toy.h"

enum { MOST_DIGITS = 15 };

struct toy_session {
    uint32_t let_in;
};

/* ---- out ---- */

static void
add_attachments(struct lnt_strbuf *out, const struct lnt_named *e)
{
    if (e->nattachments == 0)
        return;
    for (size_t i = 0; i < e->nattachments; i++) {
        lnt_strbuf_adds(out, i ? "," : ",[");
        lnt_strbuf_add_json(out, e->attachments[i]);
    }
    lnt_strbuf_addc(out, ']');
}

static void
add_event(struct lnt_strbuf *out, const struct lnt_named *e, uint32_t ask)
{
    lnt_strbuf_adds(out, "[\"ev\",");
    lnt_strbuf_add_json(out, e->name);
    lnt_strbuf_addc(out, ',');
    lnt_strbuf_add_str(out, e->args);
    if (ask)
        lnt_strbuf_addf(out, ",%u", ask);
    else if (e->nattachments)
        lnt_strbuf_adds(out, ",null");
    add_attachments(out, e);
    lnt_strbuf_adds(out, "]\n");
}

static void
add_message(struct lnt_strbuf *out, enum lnt_message_type type,
            struct lnt_str data)
{
    struct lnt_named e;

    if (type == LNT_NAMED) {
        if (lnt_named_read(data, &e))
            add_event(out, &e, 0);
        return;
    }
    lnt_strbuf_adds(out, "[\"ev\",\"message\",[");
    lnt_strbuf_add_json(out, data);
    lnt_strbuf_adds(out, "]]\n");
}

static void
write_out(struct lnt_session *s, struct lnt_strbuf *text)
{
    lnt_session_write(s, text->p, text->n);
    lnt_strbuf_release(text);
}

static void
toy_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    add_message(&text, type, lnt_str(p, n));
    write_out(s, &text);
}

static struct lnt_buf *
toy_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
           enum lnt_message_type type, struct lnt_str data)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    (void)m;
    (void)variant;
    add_message(&text, type, data);
    b = lnt_buf_grow(b, text.n);
    memcpy(b->data + b->len, text.p, text.n);
    b->len += (uint32_t)text.n;
    lnt_strbuf_release(&text);
    return b;
}

static struct lnt_buf *
toy_encode(struct lnt_module_ctx *m, unsigned variant,
           enum lnt_message_type type, struct lnt_str data)
{
    return toy_append(m, variant, lnt_buf_new(data.n + 64), type, data);
}

static void
toy_emit(struct lnt_session *s, const struct lnt_named *e, uint32_t ask)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    add_event(&text, e, ask);
    write_out(s, &text);
}

static void
toy_reply(struct lnt_session *s, uint64_t tag, const struct lnt_named *answer)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    lnt_strbuf_addf(&text, "[\"reply\",%llu,", (unsigned long long)tag);
    lnt_strbuf_add_str(&text, answer->args);
    add_attachments(&text, answer);
    lnt_strbuf_adds(&text, "]\n");
    write_out(s, &text);
}

static bool
toy_goodbye(struct lnt_session *s, int code, const char *reason)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    lnt_strbuf_addf(&text, "[\"bye\",%d,", code);
    lnt_strbuf_add_json(&text, lnt_str_c(reason ? reason : ""));
    lnt_strbuf_adds(&text, "]\n");
    write_out(s, &text);
    return false;
}

/* ---- admission ---- */

static lnt_verdict
toy_admitted(struct lnt_session *s, bool yes, const char *why)
{
    struct toy_session *toy = lnt_session_state(s);
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    lnt_strbuf_adds(&text, yes ? "[\"ok\"" : "[\"no\",");
    if (!yes)
        lnt_strbuf_add_json(&text, lnt_str_c(why ? why : ""));
    lnt_strbuf_adds(&text, "]\n");
    write_out(s, &text);
    toy->let_in = yes;
    return yes ? lnt_session_ready(s) : LNT_GO_ON;
}

static lnt_verdict
take_auth(struct lnt_session *s, struct lnt_str payload)
{
    struct lnt_credentials c = {.json = payload};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    enum lnt_admit answer =
        lnt_session_ask_admission(s, lnt_session_endpoint(s), &c, &why);
    lnt_verdict v = LNT_GO_ON;

    if (answer != LNT_ADMIT_LATER)
        v = toy_admitted(s, answer == LNT_ADMIT, why.p);
    lnt_strbuf_release(&why);
    return v;
}

/* ---- in ---- */

static bool
take_number(struct lnt_str text, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (i == MOST_DIGITS || text.p[i] < '0' || text.p[i] > '9')
            return false;
        *v = *v * 10 + (uint64_t)(text.p[i] - '0');
    }
    return text.n > 0;
}

/* The strings themselves are kept in room, which must not move. */
static bool
take_attachments(struct lnt_str list, struct lnt_strbuf *room,
                 struct lnt_named *e)
{
    struct lnt_str value;

    lnt_strbuf_reserve(room, list.n);
    if (list.p[0] != '[')
        return false;
    while (lnt_json_element(&list, &value)) {
        size_t from = room->n;

        if (e->nattachments == LNT_ATTACHMENTS_MAX ||
            !lnt_json_string(value, room))
            return false;
        e->attachments[e->nattachments++] =
            lnt_str(room->p + from, room->n - from);
    }
    return true;
}

enum { FIELDS = 5 };

struct line {
    size_t n;
    struct lnt_str field[FIELDS];
};

static lnt_verdict
take_event(struct lnt_session *s, const struct line *l)
{
    struct lnt_named e = {.args = l->field[2]};
    struct lnt_strbuf name = LNT_STRBUF_INIT, room = LNT_STRBUF_INIT;
    lnt_verdict v = LNT_CLOSE_PROTOCOL;
    uint64_t id = 0;
    bool wants = l->n > 3 && !lnt_str_eq(l->field[3], LNT_STR("null"));

    if (e.args.p[0] == '[' && lnt_json_string(l->field[1], &name) &&
        (!wants || take_number(l->field[3], &id)) &&
        (l->n < 5 || take_attachments(l->field[4], &room, &e))) {
        e.name = lnt_strbuf_str(&name);
        v = lnt_session_call(s, &e, wants, id);
    }
    lnt_strbuf_release(&name);
    lnt_strbuf_release(&room);
    return v;
}

static lnt_verdict
take_answer(struct lnt_session *s, const struct line *l)
{
    struct lnt_named e = {.args = l->field[2]};
    uint64_t ask;

    if (e.args.p[0] != '[' || !take_number(l->field[1], &ask) ||
        ask > UINT32_MAX)
        return LNT_CLOSE_PROTOCOL;
    return lnt_session_answer(s, (uint32_t)ask, &e);
}

static lnt_verdict
take_line(struct lnt_session *s, struct lnt_str text)
{
    const struct toy_session *toy = lnt_session_state(s);
    struct line l = {0};

    if (text.n == 0 || text.p[0] != '[' || !lnt_json_valid(text))
        return LNT_CLOSE_PROTOCOL;
    while (l.n < FIELDS && lnt_json_element(&text, &l.field[l.n]))
        l.n++;
    if (!toy->let_in)
        return l.n == 2 && lnt_str_eq(l.field[0], LNT_STR("\"auth\""))
                   ? take_auth(s, l.field[1])
                   : LNT_CLOSE_PROTOCOL;
    if (l.n >= 3 && lnt_str_eq(l.field[0], LNT_STR("\"ev\"")))
        return take_event(s, &l);
    if (l.n == 3 && lnt_str_eq(l.field[0], LNT_STR("\"answer\"")))
        return take_answer(s, &l);
    return LNT_CLOSE_PROTOCOL;
}

static lnt_verdict
toy_data(struct lnt_session *s, struct lnt_input *in)
{
    const char *p = (const char *)in->p, *end = p + in->n, *lf;
    lnt_verdict v = LNT_GO_ON;

    while (v == LNT_GO_ON && p < end &&
           (lf = memchr(p, '\n', (size_t)(end - p)))) {
        v = take_line(s, lnt_str(p, (size_t)(lf - p)));
        p = lf + 1;
    }
    in->used = v ? in->n : in->n - (size_t)(end - p);
    return v;
}

static int
toy_freeze_session(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct toy_session *toy = lnt_session_state(s);

    lnt_pack_version(out, 1, 1);
    lnt_pack_u32(out, toy->let_in);
    return 0;
}

static int
toy_thaw_session(struct lnt_session *s, struct lnt_str state)
{
    struct toy_session *toy = lnt_session_state(s);
    struct lnt_pack_version v;

    return lnt_unpack_version(&state, 1, &v) &&
                   lnt_unpack_u32(&state, &toy->let_in)
               ? 0
               : -1;
}

const struct lnt_protocol toy_protocol = {
    .state_size = sizeof(struct toy_session),
    .data = toy_data,
    .send = toy_send,
    .encode = toy_encode,
    .append = toy_append,
    .goodbye = toy_goodbye,
    .freeze = toy_freeze_session,
    .thaw = toy_thaw_session,
    .emit = toy_emit,
    .reply = toy_reply,
    .admitted = toy_admitted,
};
