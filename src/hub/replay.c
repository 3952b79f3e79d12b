/*
 * Replay: the log is read once more, for one session.
 */
#include "hub/replay.h"

#include <stdlib.h>

#include "core/strbuf.h"
#include "hub/event.h"
#include "hub/hub.h"
#include "hub/subs.h"
#include "net/app.h"
#include "net/module.h"

struct replay {
    struct lnt_session *session;
    const struct lnt_sub *subs;
    uint64_t old_id, id;
    bool events; /* its protocol has events with names */
    bool named;  /* text is one */
    struct lnt_strbuf text;
};

static const struct lnt_sub *
find_sub(const struct replay *r, uint32_t room)
{
    const struct lnt_sub *sub = r->subs;

    while (sub && sub->group->room->room != room)
        sub = sub->next;
    return sub;
}

static bool
is_mine(const struct replay *r, uint64_t id)
{
    return id != 0 && (id == r->old_id || id == r->id);
}

/* To whom it is among the subs, NULL: not to this session. */
static const struct lnt_sub *
find_reached(const struct replay *r, const struct lnt_event *e,
             struct lnt_spread *head)
{
    if (e->flags & LNT_EVENT_SPREAD)
        return lnt_spread_unpack(e->data, head)
                   ? lnt_spread_reaches(head, r->subs, r->id, r->old_id)
                   : NULL;
    return e->room == LNT_ROOM_NONE ? NULL : find_sub(r, e->room);
}

static bool
render_direct(struct replay *r, const struct lnt_event *e)
{
    r->named =
        r->events && lnt_session_app(r->session)->module->app->direct_named;
    return r->named ? lnt_app_direct_named(r->session, e, &r->text)
                    : lnt_app_direct(r->session, e, &r->text);
}

static bool
render(struct replay *r, struct lnt_event *e)
{
    struct lnt_module_ctx *m = lnt_session_app(r->session);
    const struct lnt_app *app = m->module->app;
    const struct lnt_sub *sub;
    struct lnt_spread head;

    if (e->app != lnt_zone_app_id(m->module->name))
        return false;
    if (e->flags & LNT_EVENT_DIRECT) {
        lnt_event_show(e, NULL, NULL);
        return is_mine(r, e->target) && render_direct(r, e);
    }
    if ((e->flags & LNT_EVENT_NOT_ORIGIN) && is_mine(r, e->origin))
        return false;
    sub = find_reached(r, e, &head);
    if (!sub)
        return false;
    lnt_event_show(e, sub->group->room,
                   e->flags & LNT_EVENT_SPREAD ? &head : NULL);
    r->named = r->events && app->event_named;
    if (r->named)
        return app->event_named(m, e, sub->group->format, &r->text);
    return app->event && app->event(m, e, sub->group->format, &r->text);
}

static void
send_text(struct replay *r)
{
    struct lnt_named e;

    if (!r->named)
        lnt_session_send(r->session, LNT_TEXT, r->text.p, r->text.n);
    else if (lnt_named_read(lnt_strbuf_str(&r->text), &e))
        lnt_session_emit(r->session, &e);
}

uint64_t
lnt_replay(struct lnt_zone *z, struct lnt_session *s,
           const struct lnt_sub *subs, uint64_t old_session,
           const struct lnt_hub_point *from, uint64_t to)
{
    struct lnt_cursor c = {.position = from->position, .seq = from->seq};
    struct replay r = {
        .session = s,
        .subs = subs,
        .old_id = old_session,
        .id = lnt_session_id(s),
        .events = lnt_session_has_events(s),
    };
    struct lnt_event e;
    uint64_t n = 0;

    /* What is sent may end the session, and with it its subs. */
    while (c.seq < to && lnt_app_is_open(s)) {
        enum lnt_read got = lnt_zone_read(z, &c, &e);

        if (got == LNT_READ_NONE)
            break;
        if (got == LNT_READ_LAPPED) {
            lnt_app_gap(s);
            break;
        }
        lnt_strbuf_clear(&r.text);
        if (render(&r, &e)) {
            send_text(&r);
            n++;
        }
    }
    lnt_strbuf_release(&r.text);
    free(c.scratch);
    return n;
}
