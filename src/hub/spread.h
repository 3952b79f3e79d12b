/*
 * Messages to whoever is in one of several rooms: what stands before their data
 * in the log.  Private to the hub.
 */
#ifndef LNT_HUB_SPREAD_H
#define LNT_HUB_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_audience;
struct lnt_event;
struct lnt_strbuf;
struct lnt_sub;
struct lnt_zone_audience;

/* Appends it; room: the name of the one in whose order the message stands. */
void lnt_spread_pack(struct lnt_strbuf *out, struct lnt_str room,
                     const struct lnt_audience *to);

/* The parts of one, pointing into its bytes.  By number, in this zone. */
struct lnt_spread {
    struct lnt_str room_name;
    struct lnt_str rooms, except_rooms; /* numbers, 32 bits each; 0: there was
                                           no such room */
    struct lnt_str names, except_names; /* theirs, packed, in the same order */
    struct lnt_str except;              /* ids of sessions, 64 bits each */
    struct lnt_str data;                /* what was published */
};
/* false: it cannot be read. */
bool lnt_spread_unpack(struct lnt_str data, struct lnt_spread *s);

static inline size_t
lnt_spread_rooms(struct lnt_str numbers)
{
    return numbers.n / sizeof(uint32_t);
}
uint32_t lnt_spread_room(struct lnt_str numbers, size_t i);
/* Takes the next name off. */
struct lnt_str lnt_spread_name(struct lnt_str *names);
static inline size_t
lnt_spread_sessions(struct lnt_str ids)
{
    return ids.n / sizeof(uint64_t);
}
uint64_t lnt_spread_session(struct lnt_str ids, size_t i);

/* For one session: the sub by which it is reached, NULL when it is not.  It has
   either id.  By name: a room in which nobody else was may have gone, and come
   back under another number, while the session moved. */
const struct lnt_sub *lnt_spread_reaches(const struct lnt_spread *s,
                                         const struct lnt_sub *subs,
                                         uint64_t id, uint64_t old_id);

#endif
