/*
 * Publishing: into a room that one is in, into any room, to one session.
 */
#include <errno.h>

#include "core/log.h"
#include "hub/hub.h"
#include "hub/rooms.h"
#include "hub/state.h"
#include "net/stats.h"

static int
publish(struct lnt_hub *h, struct lnt_event *e, uint64_t *seq,
        uint64_t *time_us)
{
    lnt_assert(e->kind >= LNT_EVENT_APP);
    if (lnt_zone_publish(h->zone, e) < 0)
        return -1;
    lnt_count(h->stats, LNT_C_PUBLISHED);
    if (seq)
        *seq = e->seq;
    if (time_us)
        *time_us = e->time_us;
    return 0;
}

int
lnt_hub_publish(struct lnt_hub *h, struct lnt_session *from,
                struct lnt_sub *sub, uint16_t kind, uint16_t flags,
                struct lnt_str data, uint64_t *seq, uint64_t *time_us)
{
    const struct lnt_hub_room *r = sub->group->room;
    struct lnt_event e = {
        .origin = from ? lnt_session_id(from) : 0,
        .app = r->app_id,
        .room = r->room,
        .kind = kind,
        .flags = flags,
        .data = data,
    };

    return publish(h, &e, seq, time_us);
}

int
lnt_hub_post(struct lnt_hub *h, const struct lnt_module_ctx *m,
             struct lnt_str name, const struct lnt_keep *keep, uint16_t kind,
             uint16_t flags, struct lnt_str data, uint64_t *seq,
             uint64_t *time_us)
{
    struct lnt_event e = {
        .app = lnt_zone_app_id(m->module->name),
        .kind = kind,
        .flags = flags,
        .data = data,
    };
    struct lnt_room_info info;
    uint32_t node;
    int rc;

    if (lnt_zone_hold(h->zone, e.app, name, h->cell_index, &node, &info) < 0)
        return -1;
    /* Without a promise the room keeps what it can. */
    if (keep)
        (void)lnt_rooms_keep(h, info.room, keep);
    e.room = info.room;
    rc = publish(h, &e, seq, time_us);
    int why = errno;
    lnt_zone_unhold(h->zone, node);
    errno = why;
    return rc;
}

int
lnt_hub_direct(struct lnt_hub *h, struct lnt_session *from, uint64_t target,
               uint16_t kind, struct lnt_str data, uint64_t *seq,
               uint64_t *time_us)
{
    struct lnt_event e = {
        .origin = lnt_session_id(from),
        .target = target,
        .app = lnt_hub_app_id(from),
        .room = LNT_ROOM_NONE,
        .kind = kind,
        .flags = LNT_EVENT_DIRECT,
        .data = data,
    };

    return publish(h, &e, seq, time_us);
}
