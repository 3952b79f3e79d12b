/*
 * Operations on this machine's zone: each is done in one step, and whoever began
 * it is told.
 */
#include "hub/op.h"

#include <errno.h>

#include "hub/publish.h"
#include "hub/rooms.h"
#include "hub/spread.h"
#include "hub/state.h"

static int
subscribe(struct lnt_hub *h, const struct lnt_op *op, struct lnt_session *s,
          struct lnt_room_info *info, struct lnt_result *r)
{
    r->sub = op->kind == LNT_OP_JOIN
                 ? lnt_rooms_join(h, s, op->user, op->what, op->format,
                                  op->announce_max, info)
                 : lnt_rooms_listen(h, s, op->what, op->format, info);
    r->info = info;
    return r->sub ? 0 : -1;
}

static int
publish(struct lnt_hub *h, const struct lnt_op *op, struct lnt_result *r)
{
    struct lnt_event e = op->event;
    int rc;

    e.data = op->what;
    rc = op->kind == LNT_OP_POST
             ? lnt_publish_post(h, op->room_name, op->keep, &e)
             : lnt_publish(h, &e);
    r->seq = e.seq;
    r->time_us = e.time_us;
    return rc;
}

void
lnt_op_publish(struct lnt_hub *h, struct lnt_session *s, struct lnt_event *e,
               const struct lnt_completion *done)
{
    int error = lnt_publish(h, e) < 0 ? errno : 0;

    if (done->fn)
        done->fn(&(struct lnt_result){
            .m = lnt_session_app(s),
            .session = s,
            .session_id = e->origin,
            .error = error,
            .seq = e->seq,
            .time_us = e->time_us,
            .what = e->data,
            .arg = done->arg,
        });
}

static int
perform(struct lnt_hub *h, const struct lnt_op *op, struct lnt_session *s,
        struct lnt_room_info *info, struct lnt_result *r)
{
    switch (op->kind) {
    case LNT_OP_AFTER:
        return 0;
    case LNT_OP_ENTER:
        return lnt_zone_user_add(h->zone, op->what, h->cell_index, op->session,
                                 &r->user);
    case LNT_OP_RENAME:
        return lnt_zone_user_rename(h->zone, op->user, op->what,
                                    op->announce_max);
    case LNT_OP_EXIT:
        lnt_zone_user_remove(h->zone, op->user, op->announce_max);
        return 0;
    case LNT_OP_JOIN:
    case LNT_OP_LISTEN:
        return subscribe(h, op, s, info, r);
    case LNT_OP_LEAVE:
        lnt_zone_leave(h->zone, op->member, op->session, op->announce_max);
        return 0;
    case LNT_OP_PUBLISH:
    case LNT_OP_POST:
        return publish(h, op, r);
    }
    return 0;
}

/* Whether it happens though its session has gone. */
static bool
outlives(const struct lnt_op *op)
{
    return lnt_op_streams(op) || op->kind == LNT_OP_LEAVE ||
           op->kind == LNT_OP_EXIT;
}

void
lnt_op_run(struct lnt_hub *h, const struct lnt_op *op, struct lnt_session *s,
           int error, bool later)
{
    struct lnt_room_info info;
    struct lnt_spread head;
    struct lnt_result r = {
        .m = op->m,
        .session = s,
        .session_id = op->session,
        .later = later,
        .what = op->what,
        .arg = op->done.arg,
    };

    if (error == 0)
        error = op->error;
    if (error == 0 && !s && !outlives(op))
        error = ECANCELED;
    r.error = error;
    /* Its head is the hub's own. */
    if ((op->event.flags & LNT_EVENT_SPREAD) &&
        lnt_spread_unpack(op->what, &head))
        r.what = head.data;
    if (error == 0 && perform(h, op, s, &info, &r) < 0)
        r.error = errno;
    if (op->done.fn)
        op->done.fn(&r);
}
