/*
 * An event as applications see it.  Private to the hub.
 */
#ifndef LNT_HUB_EVENT_H
#define LNT_HUB_EVENT_H

#include "hub/spread.h"
#include "hub/subs.h"

/*
 * The only place where it is filled: read is what the log or a history says,
 * room the one that it is shown in, NULL when it is for one session alone; head
 * that of a message to several rooms, else NULL, whose room it bears then.
 * Bytes still belong to all of them.
 */
static inline struct lnt_event
lnt_event_shown(const struct lnt_event *read, const struct lnt_hub_room *room,
                const struct lnt_spread *head)
{
    struct lnt_event e = {
        .seq = read->seq,
        .time_us = read->time_us,
        .origin = read->origin,
        .target = room ? 0 : read->target,
        .app = room ? room->app_id : read->app,
        .room = room ? room->room : LNT_ROOM_NONE,
        .kind = read->kind,
        .flags = read->flags,
        .data = read->data,
        .room_name = room ? lnt_str(room->name, room->name_n) : LNT_STR(""),
    };

    if (head) {
        e.room = read->room;
        e.room_name = head->room_name;
        e.data = head->data;
    }
    return e;
}

#endif
