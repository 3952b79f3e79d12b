/*
 * Events with names: from the protocol to the application and back, and the
 * answers that are waited for in either direction.
 */
#include <errno.h>

#include "core/json.h"
#include "core/log.h"
#include "core/strbuf.h"
#include "net/app.h"
#include "net/calls.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "net/stats.h"
#include "net/table.h"

enum { LONGEST = 7 * 86400000 }; /* ms that an answer is waited for */

/* A call that the application is being given.  It costs no memory unless the
   answer is put off. */
struct lnt_calling {
    struct lnt_conn *conn;
    struct lnt_reply reply; /* number 0: there is nothing to answer any more */
    uint64_t tag;
    struct lnt_calling *outer;
};

static const struct lnt_protocol *
protocol_of(const struct lnt_conn *c)
{
    return c->session.endpoint->protocol->protocol;
}

static bool
has_room(struct lnt_conn *c, bool asked)
{
    if (lnt_calls_count(c, asked) <
        (uint64_t)c->session.endpoint->limits->open_calls)
        return true;
    lnt_count(c->net->stats, LNT_C_CALLS_REFUSED);
    return false;
}

static uint32_t
due_in(const struct lnt_conn *c, uint64_t ms)
{
    uint32_t at;

    if (ms == 0)
        return 0;
    at = lnt_net_time(c->net) + (uint32_t)(ms < LONGEST ? ms : LONGEST);
    return at ? at : 1;
}

/* ---- deadlines ---- */

static void
on_due(struct lnt_timer *t)
{
    struct lnt_conn *c = LNT_OWNER(t, struct lnt_calls, timer)->conn;
    struct lnt_open_call call;

    lnt_log_conn(lnt_table_id(c));
    while (lnt_calls_due(c, &call)) {
        lnt_verdict v = LNT_GO_ON;

        lnt_count(c->net->stats, LNT_C_CALLS_EXPIRED);
        if (call.asked)
            v = lnt_app_answer(&c->session, call.number, NULL);
        if (v)
            lnt_conn_ask_close(c, v, NULL);
    }
    lnt_log_conn(0);
}

/* ---- from the client ---- */

/* An application that knows plain messages only. */
static lnt_verdict
call_as_message(struct lnt_session *s, const struct lnt_named *e)
{
    struct lnt_str rest = e->args, value;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_verdict v = LNT_GO_ON;

    if (lnt_str_eq(e->name, LNT_STR("message")) &&
        lnt_json_element(&rest, &value) && rest.n == 1 &&
        lnt_json_string(value, &text)) {
        struct lnt_message m = {LNT_TEXT, lnt_strbuf_str(&text)};

        v = lnt_app_message(s, &m);
    }
    lnt_strbuf_release(&text);
    return v;
}

lnt_verdict
lnt_session_call(struct lnt_session *s, const struct lnt_named *e,
                 bool wants_reply, uint64_t tag)
{
    struct lnt_conn *c = lnt_conn_of(s);
    struct lnt_call call = {.event = *e};
    struct lnt_calling calling = {.conn = c, .tag = tag};
    lnt_verdict v;

    if (!lnt_conn_is_open(c) || !lnt_session_takes(c))
        return LNT_GO_ON;
    lnt_count(c->net->stats, LNT_C_NAMED_IN);
    if (!s->endpoint->app || !s->endpoint->app->app->call)
        return call_as_message(s, e);
    if (wants_reply) {
        if (!has_room(c, false)) {
            lnt_session_close(s, LNT_CLOSE_POLICY,
                              "too many calls wait for their answers");
            return LNT_GO_ON;
        }
        calling.reply.session = lnt_table_id(c);
        calling.reply.number = lnt_calls_number(c);
    }
    call.reply = calling.reply;
    calling.outer = c->net->calling;
    c->net->calling = &calling;
    v = lnt_app_call(s, &call);
    c->net->calling = calling.outer;
    return v;
}

lnt_verdict
lnt_session_answer(struct lnt_session *s, uint32_t ask,
                   const struct lnt_named *answer)
{
    struct lnt_conn *c = lnt_conn_of(s);
    struct lnt_open_call call;

    if (!lnt_conn_is_open(c) || !lnt_session_takes(c) ||
        !lnt_calls_take(c, true, 0, ask, &call))
        return LNT_GO_ON;
    return lnt_app_answer(s, ask, answer);
}

/* ---- to the client ---- */

bool
lnt_session_has_events(const struct lnt_session *s)
{
    return s->endpoint->protocol->protocol->emit != NULL;
}

/* Whether it is something to send; what the application got wrong is said. */
static bool
is_fit(const struct lnt_conn *c, const struct lnt_named *e)
{
    if (!lnt_conn_is_open(c) || !protocol_of(c)->emit)
        return false;
    if (!lnt_named_fits(e)) {
        lnt_log_error("application %s: the arguments of event \"%.*s\" are no "
                      "JSON array, or have more than %d attachments; it is not "
                      "sent",
                      c->session.endpoint->app->name,
                      (int)(e->name.n < 100 ? e->name.n : 100), e->name.p,
                      LNT_ATTACHMENTS_MAX);
        return false;
    }
    return true;
}

static bool
may_emit(struct lnt_conn *c, const struct lnt_named *e)
{
    return is_fit(c, e) && lnt_session_may_send(c, lnt_named_size(e));
}

static void
count_out(struct lnt_conn *c, enum lnt_counter counter)
{
    lnt_count(c->net->stats, LNT_C_MESSAGES_OUT);
    lnt_count(c->net->stats, counter);
}

void
lnt_session_emit(struct lnt_session *s, const struct lnt_named *e)
{
    struct lnt_conn *c = lnt_conn_of(s);

    if (!may_emit(c, e))
        return;
    count_out(c, LNT_C_NAMED_OUT);
    protocol_of(c)->emit(s, e, 0);
}

uint32_t
lnt_session_ask(struct lnt_session *s, const struct lnt_named *e, uint64_t ms)
{
    struct lnt_conn *c = lnt_conn_of(s);
    struct lnt_open_call call = {.asked = true};
    const struct lnt_module *app = s->endpoint->app;

    lnt_assert(ms > 0 && app && app->app->answer);
    if (!may_emit(c, e) || !has_room(c, true))
        return 0;
    call.session = lnt_table_id(c);
    call.number = lnt_calls_number(c);
    call.due = due_in(c, ms);
    lnt_calls_add(c, &call, on_due);
    count_out(c, LNT_C_NAMED_OUT);
    protocol_of(c)->emit(s, e, call.number);
    return call.number;
}

/* The call in progress that is meant; NULL. */
static struct lnt_calling *
calling_of(const struct lnt_conn *c, const struct lnt_reply *r)
{
    struct lnt_calling *calling = c->net->calling;

    while (calling &&
           (calling->conn != c || calling->reply.number != r->number ||
            calling->reply.session != r->session))
        calling = calling->outer;
    return calling;
}

/* Takes what is to be answered out; false: nobody waits for it. */
static bool
take_call(struct lnt_conn *c, const struct lnt_reply *r, uint64_t *tag)
{
    struct lnt_calling *calling = r->number ? calling_of(c, r) : NULL;
    struct lnt_open_call call;

    if (calling) {
        *tag = calling->tag;
        calling->reply.number = 0;
        return true;
    }
    if (!r->number || !lnt_calls_take(c, false, r->session, r->number, &call))
        return false;
    *tag = call.tag;
    return true;
}

bool
lnt_session_reply(struct lnt_session *s, const struct lnt_reply *reply,
                  const struct lnt_named *answer)
{
    struct lnt_conn *c = lnt_conn_of(s);
    uint64_t tag;

    if (!is_fit(c, answer))
        return false;
    if (!take_call(c, reply, &tag)) {
        lnt_count(c->net->stats, LNT_C_REPLIES_REFUSED);
        lnt_log_info("application %s answers a call that no answer is waited "
                     "for: it has been answered, or its time is over",
                     s->endpoint->app->name);
        return false;
    }
    if (!lnt_session_may_send(c, lnt_named_size(answer)))
        return false;
    count_out(c, LNT_C_REPLIES);
    protocol_of(c)->reply(s, tag, answer);
    return true;
}

bool
lnt_session_reply_later(struct lnt_session *s, const struct lnt_reply *reply,
                        uint64_t ms)
{
    struct lnt_conn *c = lnt_conn_of(s);
    struct lnt_calling *calling = reply->number ? calling_of(c, reply) : NULL;
    struct lnt_open_call call = {
        .session = reply->session,
        .number = reply->number,
        .due = due_in(c, ms),
    };

    if (!calling || !lnt_conn_is_open(c))
        return false;
    call.tag = calling->tag;
    calling->reply.number = 0;
    lnt_calls_add(c, &call, on_due);
    return true;
}

/* ---- moving ---- */

void
lnt_events_freeze(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    lnt_calls_pack(c, out);
}

int
lnt_events_thaw(struct lnt_conn *c, struct lnt_str piece)
{
    if (lnt_calls_unpack(c, piece, on_due))
        return 0;
    errno = EPROTO;
    return -1;
}
