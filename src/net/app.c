/*
 * The life of a session in its application, and every call into it.  The
 * application's state is allocated and freed here, so that what decides
 * whether a call may be made and what it would be made with stand together.
 */
#include "net/app.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "net/calls.h"
#include "net/conn.h"
#include "net/endpoint.h"

static const struct lnt_app *
app_of(const struct lnt_conn *c)
{
    const struct lnt_module *m = c->session.endpoint->app;

    return m ? m->app : NULL;
}

/* The application, if it has the session now. */
static inline const struct lnt_app *
open_app(const struct lnt_conn *c)
{
    return lnt_conn_is_open(c) ? app_of(c) : NULL;
}

bool
lnt_app_is_open(const struct lnt_session *s)
{
    return open_app(lnt_conn_of(s)) != NULL;
}

/* ---- begin and end ---- */

static void
new_state(struct lnt_conn *c, const struct lnt_app *app)
{
    if (lnt_app_has_head(app)) {
        struct lnt_app_head *head =
            lnt_calloc(1, sizeof(*head) + app->state_size);

        c->session.app_state = head + 1;
    } else if (app->state_size) {
        c->session.app_state = lnt_calloc(1, app->state_size);
    }
}

/* When the turn is over: its code may be on the stack above us. */
static void
free_state(struct lnt_conn *c)
{
    struct lnt_app_head *head = lnt_conn_app_head(c);

    lnt_loop_free(c->net->loop, head ? (void *)head : c->session.app_state);
    c->session.app_state = NULL;
}

lnt_verdict
lnt_app_open(struct lnt_conn *c)
{
    const struct lnt_app *app = app_of(c);

    c->state = LNT_CONN_READY;
    if (!app)
        return LNT_GO_ON;
    if (c->admission) {
        *lnt_conn_app_head(c) = (struct lnt_app_head){{NULL}, lnt_granted};
        c->admission = 0;
    } else {
        new_state(c, app);
    }
    return app->open ? app->open(&c->session) : LNT_GO_ON;
}

int
lnt_app_thaw(struct lnt_conn *c, struct lnt_str state)
{
    const struct lnt_app *app = app_of(c);

    /* One whose sessions do not move in this release, but do in another. */
    if (app && app->state_size && !app->thaw) {
        errno = EPROTO;
        return -1;
    }
    c->state = LNT_CONN_READY;
    if (!app)
        return 0;
    new_state(c, app);
    return app->thaw ? app->thaw(&c->session, state)
                     : lnt_session_thaw_nothing(&c->session, state);
}

int
lnt_app_freeze(struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_app *app = open_app(c);

    return app && app->freeze ? app->freeze(&c->session, out) : 0;
}

void
lnt_app_close(struct lnt_conn *c)
{
    const struct lnt_app *app = app_of(c);

    lnt_app_forget(c);
    if (c->state != LNT_CONN_READY)
        return;
    lnt_calls_free(c);
    c->state = LNT_CONN_GOODBYE;
    if (app && app->close)
        app->close(&c->session);
    free_state(c);
}

/* ---- admission ---- */

/* What the session is, while its application takes it for one of another
   endpoint: nothing can be sent, and above all not in that one's protocol. */
struct guise {
    const struct lnt_endpoint *endpoint;
    uint8_t state;
};

static struct guise
put_on(struct lnt_conn *c, const struct lnt_endpoint *e)
{
    struct guise was = {c->session.endpoint, c->state};

    c->session.endpoint = e;
    if (c->state == LNT_CONN_READY)
        c->state = LNT_CONN_HANDSHAKE;
    return was;
}

static void
put_off(struct lnt_conn *c, struct guise was)
{
    c->session.endpoint = was.endpoint;
    c->state = was.state;
}

const char lnt_granted[] = "yes";

enum lnt_admit
lnt_app_answered(const struct lnt_conn *c)
{
    const char *answer = lnt_conn_app_head(c)->answer;

    if (!answer)
        return LNT_ADMIT_LATER;
    return answer == lnt_granted ? LNT_ADMIT : LNT_REFUSE;
}

void
lnt_app_keep_answer(struct lnt_conn *c, bool yes, const char *why)
{
    lnt_conn_app_head(c)->answer =
        yes ? lnt_granted : lnt_strdup(why ? why : "");
}

static void
drop_answer(struct lnt_app_head *head)
{
    if (head->answer != lnt_granted)
        free((void *)(uintptr_t)head->answer);
    head->answer = NULL;
}

/* It has put its answer off, and has given it before it returned. */
static enum lnt_admit
take_answer(struct lnt_conn *c, struct lnt_strbuf *why)
{
    enum lnt_admit answer = lnt_app_answered(c);

    if (answer == LNT_REFUSE) {
        lnt_strbuf_clear(why);
        lnt_strbuf_adds(why, lnt_conn_app_head(c)->answer);
    }
    return answer;
}

enum lnt_admit
lnt_app_admit(struct lnt_conn *c, const struct lnt_endpoint *e,
              const struct lnt_credentials *credentials, struct lnt_strbuf *why)
{
    const struct lnt_app *app = e->app->app;
    enum lnt_admit answer;
    struct guise was;

    new_state(c, app);
    c->admission = 1;
    was = put_on(c, e);
    answer = app->admit(&c->session, credentials, why);
    put_off(c, was);
    if (answer == LNT_REFUSE) {
        lnt_app_forget(c);
        return answer;
    }
    lnt_conn_app_head(c)->endpoint = e;
    if (answer == LNT_ADMIT) {
        drop_answer(lnt_conn_app_head(c));
        lnt_conn_app_head(c)->answer = lnt_granted;
        return answer;
    }
    answer = take_answer(c, why);
    if (answer == LNT_REFUSE)
        lnt_app_forget(c);
    return answer;
}

bool
lnt_app_admitted_to(const struct lnt_conn *c, const struct lnt_endpoint *e)
{
    return c->admission && lnt_conn_app_head(c)->endpoint == e;
}

void
lnt_app_forget(struct lnt_conn *c)
{
    const struct lnt_endpoint *e;

    if (!c->admission)
        return;
    e = lnt_conn_app_head(c)->endpoint;
    if (e && e->app->app->close) {
        struct guise was = put_on(c, e);

        e->app->app->close(&c->session);
        put_off(c, was);
    }
    drop_answer(lnt_conn_app_head(c));
    free_state(c);
    if (c->flags & LNT_F_WAITS)
        lnt_output_touch(c);
    c->admission = 0;
    c->flags &= (uint16_t)~LNT_F_WAITS;
}

/* ---- while it is open ---- */

lnt_verdict
lnt_app_message(struct lnt_session *s, const struct lnt_message *m)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->message ? app->message(s, m) : LNT_GO_ON;
}

bool
lnt_app_direct(struct lnt_session *s, const struct lnt_event *e,
               struct lnt_strbuf *out)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->direct && app->direct(s, e, out);
}

lnt_verdict
lnt_app_call(struct lnt_session *s, const struct lnt_call *call)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->call ? app->call(s, call) : LNT_GO_ON;
}

lnt_verdict
lnt_app_answer(struct lnt_session *s, uint32_t number,
               const struct lnt_named *answer)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->answer ? app->answer(s, number, answer) : LNT_GO_ON;
}

bool
lnt_app_direct_named(struct lnt_session *s, const struct lnt_event *e,
                     struct lnt_strbuf *out)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->direct_named && app->direct_named(s, e, out);
}

void
lnt_app_gap(struct lnt_session *s)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    if (app && app->gap)
        app->gap(s);
}

lnt_verdict
lnt_app_listen(struct lnt_session *s, const struct lnt_interest *l)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    return app && app->listen ? app->listen(s, l) : LNT_GO_ON;
}

void
lnt_app_describe(const struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    if (app && app->describe)
        app->describe(s, out);
}

void
lnt_app_drain(struct lnt_session *s)
{
    const struct lnt_app *app = open_app(lnt_conn_of(s));

    if (app && app->drain)
        app->drain(s);
}
