/*
 * Admission: an application decides whether it lets a client in, before the
 * session is opened for it.  The answer may come later; then either the
 * protocol goes on with it, or the core holds the input until it is there.
 * handshake_timeout bounds both.
 */
#include <stddef.h>

#include "core/strbuf.h"
#include "net/app.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/session.h"
#include "net/stats.h"

static bool
admits(const struct lnt_endpoint *e)
{
    return e->app && e->app->app->admit;
}

enum lnt_admit
lnt_session_ask_admission(struct lnt_session *s, const struct lnt_endpoint *to,
                          const struct lnt_credentials *credentials,
                          struct lnt_strbuf *why)
{
    struct lnt_conn *c = lnt_conn_of(s);
    enum lnt_admit answer;

    if (!admits(to) || (to == s->endpoint && c->state != LNT_CONN_HANDSHAKE))
        return LNT_ADMIT;
    /* One of before that came to nothing. */
    lnt_app_forget(c);
    answer = lnt_app_admit(c, to, credentials, why);
    if (answer == LNT_REFUSE)
        lnt_count(c->net->stats, LNT_C_NOT_ADMITTED);
    return answer;
}

bool
lnt_session_asked(struct lnt_session *s, const struct lnt_endpoint *to,
                  enum lnt_admit *answer, struct lnt_strbuf *why)
{
    struct lnt_conn *c = lnt_conn_of(s);

    if (!lnt_app_admitted_to(c, to))
        return false;
    *answer = lnt_app_answered(c);
    if (*answer == LNT_REFUSE) {
        lnt_strbuf_adds(why, lnt_conn_app_head(c)->answer);
        lnt_count(c->net->stats, LNT_C_NOT_ADMITTED);
        lnt_app_forget(c);
    }
    return true;
}

void
lnt_session_forget_admission(struct lnt_session *s)
{
    lnt_app_forget(lnt_conn_of(s));
}

/* Nothing is read until the application has answered. */
static void
wait(struct lnt_conn *c)
{
    c->flags |= LNT_F_HELD | LNT_F_WAITS;
    if (lnt_output_watch(c) < 0) {
        c->flags |= LNT_F_DOOMED;
        lnt_output_touch(c);
    }
}

static void
refuse(struct lnt_conn *c, const char *why)
{
    lnt_conn_ask_close(c, LNT_CLOSE_POLICY,
                       why && why[0] ? why : "you are not let in");
}

bool
lnt_admit_ready(struct lnt_conn *c)
{
    const struct lnt_endpoint *e = c->session.endpoint;
    const struct lnt_credentials none = {.json = {NULL, 0}};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    enum lnt_admit answer;

    if (c->state != LNT_CONN_HANDSHAKE || !admits(e))
        return true;
    if (!lnt_session_asked(&c->session, e, &answer, &why))
        answer = lnt_session_ask_admission(&c->session, e, &none, &why);
    if (answer == LNT_ADMIT_LATER)
        wait(c);
    else if (answer == LNT_REFUSE)
        refuse(c, why.p);
    lnt_strbuf_release(&why);
    return answer == LNT_ADMIT;
}

/* Ready was called before, and found no answer. */
static void
open_waiting(struct lnt_conn *c)
{
    lnt_verdict v;

    /* What was held comes when this turn ends. */
    c->flags &= (uint16_t)~LNT_F_WAITS;
    lnt_output_touch(c);
    v = lnt_conn_ready(c);
    if (v)
        lnt_conn_ask_close(c, v, NULL);
    else
        lnt_deadline_set(c);
}

bool
lnt_session_admitted(struct lnt_session *s, bool yes, const char *why)
{
    struct lnt_conn *c = lnt_conn_of(s);
    const struct lnt_protocol *p = s->endpoint->protocol->protocol;
    lnt_verdict v = LNT_GO_ON;

    if (!c->admission || (c->flags & (LNT_F_CLOSE_ASKED | LNT_F_DOOMED)) ||
        lnt_conn_app_head(c)->answer)
        return false;
    /* The upgrade that it is for has not begun, or admit has not returned. */
    if (!lnt_app_admitted_to(c, s->endpoint)) {
        lnt_app_keep_answer(c, yes, why);
        return true;
    }
    bool waits = c->flags & LNT_F_WAITS;
    if (yes) {
        lnt_app_keep_answer(c, true, NULL);
    } else {
        lnt_count(c->net->stats, LNT_C_NOT_ADMITTED);
        lnt_app_forget(c);
    }
    if (!waits && p->admitted)
        v = p->admitted(s, yes, why);
    else if (!yes)
        refuse(c, why);
    else if (waits)
        open_waiting(c);
    if (v)
        lnt_conn_ask_close(c, v, why);
    return true;
}
