/*
 * An event as applications see it.  Private to the hub.
 */
#ifndef LNT_HUB_EVENT_H
#define LNT_HUB_EVENT_H

#include "hub/spread.h"
#include "hub/subs.h"

/*
 * The only place where it is filled, in what the log or a history said: room is
 * the one that it is shown in, NULL when it is for one session alone; head that
 * of a message to several rooms, else NULL, whose room it bears then.  Bytes
 * still belong to all of them.
 */
static inline void
lnt_event_show(struct lnt_event *e, const struct lnt_hub_room *room,
               const struct lnt_spread *head)
{
    if (head) {
        e->target = 0;
        e->room_name = head->room_name;
        e->data = head->data;
    } else if (room) {
        e->target = 0;
        e->app = room->app_id;
        e->room = room->room;
        e->room_name = lnt_str(room->name, room->name_n);
    } else {
        e->room_name = LNT_STR("");
    }
}

#endif
