/*
 * Publishing on this machine.  Private to the hub.
 */
#ifndef LNT_HUB_PUBLISH_H
#define LNT_HUB_PUBLISH_H

#include "core/str.h"

struct lnt_event;
struct lnt_hub;
struct lnt_keep;

/* 0 with e->seq and e->time_us, or -1 as lnt_zone_publish. */
int lnt_publish(struct lnt_hub *h, struct lnt_event *e);
/* The same into a room that is made if it is new.  -1 as lnt_zone_hold, too. */
int lnt_publish_post(struct lnt_hub *h, struct lnt_str room,
                     const struct lnt_keep *keep, struct lnt_event *e);

#endif
