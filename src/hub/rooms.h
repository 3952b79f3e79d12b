/*
 * Rooms and subscriptions, as the hub's other files need them.  Private
 * to the hub.
 */
#ifndef LNT_HUB_ROOMS_H
#define LNT_HUB_ROOMS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_hub;
struct lnt_keep;
struct lnt_room_info;
struct lnt_session;
struct lnt_sub;

/* Holds a room for one that only listens; *created: there was no such room.  One
   that has moved here had the room before: limits do not count.  0, or -1 as
   lnt_zone_listen_by. */
int lnt_rooms_hold(struct lnt_hub *h, struct lnt_session *s,
                   struct lnt_str name, bool moved, uint32_t *node,
                   struct lnt_room_info *info, bool *created);
/* As lnt_hub_join and lnt_hub_listen, at once.  NULL with errno. */
struct lnt_sub *lnt_rooms_join(struct lnt_hub *h, struct lnt_session *s,
                               uint32_t user, struct lnt_str name,
                               unsigned format, unsigned announce_max,
                               struct lnt_room_info *info);
struct lnt_sub *lnt_rooms_listen(struct lnt_hub *h, struct lnt_session *s,
                                 struct lnt_str name, unsigned format,
                                 struct lnt_room_info *info);
/* Ends the subscription, and the hold of one that only listens.  The member
   that stays in the zone, 0 none. */
uint32_t lnt_rooms_unsubscribe(struct lnt_hub *h, struct lnt_sub *sub);
/* Subscribes s to what has a seq of info->next or more. */
struct lnt_sub *lnt_rooms_subscribe(struct lnt_hub *h, struct lnt_session *s,
                                    unsigned format, uint32_t member,
                                    const struct lnt_room_info *info);
/* The same for one that only listens; node: the room is held by it. */
struct lnt_sub *lnt_rooms_listener(struct lnt_hub *h, struct lnt_session *s,
                                   unsigned format, uint32_t node,
                                   const struct lnt_room_info *info);
/* What the room keeps, unless others serve by now. */
int lnt_rooms_keep(struct lnt_hub *h, uint32_t room,
                   const struct lnt_keep *keep);

#endif
