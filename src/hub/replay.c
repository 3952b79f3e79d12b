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

static bool
render(struct replay *r, const struct lnt_event *e)
{
    struct lnt_module_ctx *m = lnt_session_app(r->session);
    const struct lnt_app *app = m->module->app;
    const struct lnt_sub *sub;
    struct lnt_event shown;

    if (e->app != lnt_zone_app_id(m->module->name))
        return false;
    if (e->flags & LNT_EVENT_DIRECT) {
        shown = lnt_event_shown(e, NULL);
        return is_mine(r, e->target) &&
               lnt_app_direct(r->session, &shown, &r->text);
    }
    if ((e->flags & LNT_EVENT_NOT_ORIGIN) && is_mine(r, e->origin))
        return false;
    sub = e->room == LNT_ROOM_NONE ? NULL : find_sub(r, e->room);
    if (!sub || !app->event)
        return false;
    shown = lnt_event_shown(e, sub->group->room);
    return app->event(m, &shown, sub->group->format, &r->text);
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
            lnt_session_send(s, LNT_TEXT, r.text.p, r.text.n);
            n++;
        }
    }
    lnt_strbuf_release(&r.text);
    free(c.scratch);
    return n;
}
