/*
 * Publishing on this machine: into a room, or to one session.
 */
#include "hub/publish.h"

#include <errno.h>

#include "core/log.h"
#include "hub/hub.h"
#include "hub/rooms.h"
#include "hub/spread.h"
#include "hub/state.h"
#include "net/stats.h"

/* The numbers of the rooms are put into the head, which is the hub's own. */
static int
publish_to(struct lnt_hub *h, struct lnt_event *e)
{
    struct lnt_str names[2 * LNT_AUDIENCE_MAX], rest;
    struct lnt_zone_audience a = {.names = names};
    struct lnt_spread s;

    if (!lnt_spread_unpack(e->data, &s)) {
        errno = EINVAL;
        return -1;
    }
    a.hear = lnt_spread_rooms(s.rooms);
    a.n = a.hear + lnt_spread_rooms(s.except_rooms);
    lnt_assert(a.n <= 2 * LNT_AUDIENCE_MAX);
    rest = s.names;
    for (size_t i = 0; i < a.n; i++) {
        if (i == a.hear)
            rest = s.except_names;
        names[i] = lnt_spread_name(&rest);
    }
    /* Both lists of numbers are one behind the other. */
    a.numbers = (char *)(uintptr_t)s.rooms.p;
    return lnt_zone_publish_to(h->zone, e, &a);
}

int
lnt_publish(struct lnt_hub *h, struct lnt_event *e)
{
    int rc;

    lnt_assert(e->kind >= LNT_EVENT_APP);
    rc = e->flags & LNT_EVENT_SPREAD ? publish_to(h, e)
                                     : lnt_zone_publish(h->zone, e);
    if (rc < 0)
        return -1;
    lnt_count(h->stats, LNT_C_PUBLISHED);
    return 0;
}

int
lnt_publish_post(struct lnt_hub *h, struct lnt_str room,
                 const struct lnt_keep *keep, struct lnt_event *e)
{
    struct lnt_room_info info;
    uint32_t node;
    int rc;

    if (lnt_zone_hold(h->zone, e->app, room, h->cell_index, &node, &info) < 0)
        return -1;
    /* Without a promise the room keeps what it can. */
    if (keep)
        (void)lnt_rooms_keep(h, info.room, keep);
    e->room = info.room;
    rc = lnt_publish(h, e);
    int why = errno;
    lnt_zone_unhold(h->zone, node);
    errno = why;
    return rc;
}
