/*
 * Publishing on this machine: into a room, or to one session.
 */
#include "hub/publish.h"

#include <errno.h>

#include "core/log.h"
#include "hub/rooms.h"
#include "hub/state.h"
#include "net/stats.h"

int
lnt_publish(struct lnt_hub *h, struct lnt_event *e)
{
    lnt_assert(e->kind >= LNT_EVENT_APP);
    if (lnt_zone_publish(h->zone, e) < 0)
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
