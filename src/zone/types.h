/*
 * Plain structs that the zone fills and everybody up to the applications reads:
 * events, rooms, what they keep, how full all is.  Nothing here touches shared
 * memory; hub/hub.h gives them to modules, which see nothing else of the zone.
 */
#ifndef LNT_ZONE_TYPES_H
#define LNT_ZONE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

enum {
    LNT_NICK_MAX = 32,           /* bytes */
    LNT_ROOM_NAME_MAX = 64,      /* bytes */
    LNT_SINCE_MAX = 1024 * 1024, /* bytes that are told of what was missed */
};

#define LNT_ZONE_MIN_SIZE (1u << 20)

/* ---- events ---- */

/* Events that the zone itself writes have kinds below LNT_EVENT_APP. */
enum {
    LNT_EVENT_JOIN = 1, /* data: nick */
    LNT_EVENT_LEAVE,    /* data: nick */
    LNT_EVENT_NICK,     /* data: old nick, NUL, new nick */
    LNT_EVENT_APP = 16, /* first free for applications */
};
enum {
    LNT_EVENT_HISTORY = 1,    /* also kept in the room's history */
    LNT_EVENT_NOT_ORIGIN = 2, /* not delivered to the session origin */
    LNT_EVENT_DIRECT = 4,     /* for the session target alone */
    LNT_EVENT_SPREAD = 8,     /* for those in several rooms (lnt_hub_spread);
                                 set by the hub alone */
};

/*
 * An event on its way into the log, and out of it.  What an application gets is
 * filled in one place (hub/event.h), whether it comes from the log, once more
 * after a move, or from a history.
 */
struct lnt_event {
    uint64_t seq;     /* in: ignored */
    uint64_t time_us; /* since the Unix epoch; in: ignored */
    uint64_t origin;  /* session id of the sender, 0 none */
    uint64_t target;  /* session id with LNT_EVENT_DIRECT, else 0 */
    uint32_t app;     /* lnt_zone_app_id of the application */
    uint32_t room;    /* index, or LNT_ROOM_NONE */
    uint16_t kind, flags;
    struct lnt_str data;
    struct lnt_str room_name; /* for applications: valid during the call, empty
                                 without a room; in: ignored */
};
#define LNT_ROOM_NONE UINT32_MAX

/* ---- rooms ---- */

struct lnt_room_info {
    uint32_t room;
    uint32_t app;
    uint32_t members;
    uint32_t kept; /* messages in its history */
    uint64_t seq;  /* the join's own (of one without event: the log's),
                           else of the room's last record */
    uint64_t next; /* the first seq that a subscriber from here on gets;
                           what comes before it is history (after a join:
                           seq + 1) */
    char name[LNT_ROOM_NAME_MAX + 1];
    bool created; /* of lnt_hub_listen alone: it was not there before */
};

/*
 * What a room keeps of the events published with LNT_EVENT_HISTORY: at most
 * the last count, none older than age_s.  bytes are its quota: so much of that
 * (32 bytes more a message than its data) is kept whatever other rooms do; what
 * is beyond only while nobody needs the space.
 */
struct lnt_keep {
    uint32_t count;
    uint32_t age_s; /* 0 no limit */
    uint64_t bytes;
};

/* ---- the whole server ---- */

/* What the process that writes the store tells all others; atomic, 0 unless
   there is one. */
struct lnt_store_state {
    uint64_t origin;    /* epoch of the zone that this one's history is from */
    uint64_t rooms;     /* in the store */
    uint64_t messages;  /* in the store */
    uint64_t written;   /* messages, ever */
    uint64_t syncs;     /* ever */
    uint64_t errors;    /* ever */
    uint64_t seq;       /* everything up to this is in the store */
    uint64_t synced_us; /* when that was found last */
    uint64_t broken_us; /* since when it cannot be written, 0: it can */
    uint64_t parked;    /* of the rooms in the store: not in the zone */
    uint64_t loaded;    /* seq up to which the zone's history was loaded */
};

struct lnt_zone_usage {
    uint64_t size, log_bytes, log_used, records, published;
    uint64_t oldest_us; /* time of the oldest record in the log */
    uint64_t users, users_max, rooms, rooms_max, members, members_max;
    uint64_t peers, visits, visits_max; /* addresses; their connections */
    uint64_t history_bytes, history_used, history_promised, kept;
    uint64_t repairs;
    uint64_t rebuilds; /* of these, with all tables made again */
    uint64_t evicted;  /* rooms, ever */
};

#endif
