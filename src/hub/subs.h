/*
 * Who in this worker is subscribed to what.  Private to the hub.
 *
 * The subscribers of a room are in groups of those for whom an event is the
 * same bytes: same protocol, variant and format.  A group is one dense array.
 */
#ifndef LNT_HUB_SUBS_H
#define LNT_HUB_SUBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/map.h"
#include "zone/zone.h"

struct lnt_buf;
struct lnt_module_ctx;
struct lnt_session;
struct lnt_subs;

enum { LNT_FORMATS_MAX = 8 };

struct lnt_sub {
    struct lnt_session *session;
    struct lnt_sub *next; /* the session's next; of free ones: next free */
    struct lnt_group *group;
    uint32_t at;     /* place in the group, or among the waiting */
    uint32_t member; /* in the zone; 0: listens */
};

struct lnt_entry {
    struct lnt_session *session; /* NULL: left while being delivered to */
    struct lnt_sub *sub;
};

struct lnt_group {
    struct lnt_hub_room *room;
    struct lnt_list_node node; /* of the room */
    struct lnt_group *dirty_next;
    struct lnt_module_ctx *protocol;
    struct lnt_entry *entries;
    uint32_t n, cap;
    uint32_t subs; /* those that wait included */
    unsigned variant;
    uint8_t format;
    bool dirty;
    struct lnt_buf *run; /* events queued for all, not yet delivered */
};

struct lnt_hub_room {
    struct lnt_map_node node;
    uint32_t room; /* the zone's number */
    uint32_t app_id;
    struct lnt_module_ctx *app;
    struct lnt_list groups;
    uint32_t listeners;
    uint32_t hold;  /* for these */
    bool kept;      /* keep is what the zone was told last */
    uint8_t name_n; /* bytes */
    struct lnt_keep keep;
    char name[];
};

struct lnt_subs *lnt_subs_new(void);
void lnt_subs_free(struct lnt_subs *t);

/* The room, or NULL when nobody here is subscribed to it. */
struct lnt_hub_room *lnt_subs_room(const struct lnt_subs *t, uint32_t room);
/* The same by its name; looks at all of them. */
struct lnt_hub_room *lnt_subs_room_named(const struct lnt_subs *t, uint32_t app,
                                         struct lnt_str name);
/* Made if it is new.  It goes when its last subscriber has been removed. */
struct lnt_hub_room *lnt_subs_room_take(struct lnt_subs *t,
                                        const struct lnt_room_info *info,
                                        struct lnt_module_ctx *app);

/* The number of a room that has gone like that and has not been told yet; 0: no
   more.  It may be there again. */
uint32_t lnt_subs_gone(struct lnt_subs *t);
/* Whether so many have not been told that it is time for it. */
bool lnt_subs_many_gone(const struct lnt_subs *t);

/* Subscribes to what has a seq of start or more; now: everything before it has
   been read. */
struct lnt_sub *lnt_subs_add(struct lnt_subs *t, struct lnt_hub_room *room,
                             struct lnt_session *s, unsigned format,
                             uint32_t member, uint64_t start, bool now);
/* From now on it is subscribed to what has a seq of start or more only. */
void lnt_subs_delay(struct lnt_subs *t, struct lnt_sub *sub, uint64_t start);
/* Nothing more is delivered.  The room may be gone. */
void lnt_subs_remove(struct lnt_subs *t, struct lnt_sub *sub);

/* The start of one that waits, else 0. */
uint64_t lnt_subs_start(const struct lnt_subs *t, const struct lnt_sub *sub);
/* The lowest start of those that wait, UINT64_MAX when nobody does. */
uint64_t lnt_subs_waiting(const struct lnt_subs *t);
/* Whoever waits for seq or less waits no longer. */
void lnt_subs_reach(struct lnt_subs *t, uint64_t seq);

/* Between the two, entries stay where they are: those that are removed become
   NULL, and those that are added wait. */
void lnt_subs_begin(struct lnt_subs *t);
void lnt_subs_end(struct lnt_subs *t);

/* Calls fn for every subscriber; which must not change anything. */
void lnt_subs_each(const struct lnt_subs *t,
                   void (*fn)(void *arg, const struct lnt_sub *sub), void *arg);

#endif
