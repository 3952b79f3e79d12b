/*
 * What a worker's hub is made of.  Private to the hub.
 */
#ifndef LNT_HUB_STATE_H
#define LNT_HUB_STATE_H

#include "hub/reader.h"
#include "hub/subs.h"
#include "net/module.h"
#include "net/session.h"
#include "zone/zone.h"

struct lnt_hub;
struct lnt_fanout;
struct lnt_net;
struct lnt_queues;
struct lnt_unwake;

/* What a room that is held is to keep as soon as this worker serves. */
struct lnt_pin {
    uint32_t room;
    struct lnt_keep keep;
};

struct lnt_hub {
    struct lnt_zone *zone;
    struct lnt_net *net;
    struct lnt_stats *stats;
    struct lnt_cell *cell;
    unsigned cell_index;
    const int *doorbells;
    struct lnt_reader reader;
    struct lnt_subs *subs;
    struct lnt_fanout *fanout;
    struct lnt_unwake *unwake;
    struct lnt_queues *queues; /* operations under way */
    struct lnt_pin *pins;
    size_t npins;
    struct lnt_strbuf spread; /* the message to several rooms being begun */
    bool retired;
    bool asleep; /* announced it */
    /* The end of the log when a session moved here last: what is behind it
       names none by the id that it had before. */
    uint64_t settled;
    bool foreign; /* who moves here just now was in another zone */
};

/* The number of the session's application in the zone. */
static inline uint32_t
lnt_hub_app_id(const struct lnt_session *s)
{
    return lnt_zone_app_id(lnt_session_app(s)->module->name);
}

#endif
