/*
 * The rooms of a store, as the mirror remembers them: a table by application
 * and name.  Private to the mirror.
 */
#ifndef LNT_STORE_STORED_H
#define LNT_STORE_STORED_H

#include <stddef.h>
#include <stdint.h>

#include "core/map.h"
#include "store/store.h"

struct lnt_stored_room {
    struct lnt_map_node node;
    struct lnt_store_room row; /* as it is in the store */
    uint64_t seen; /* the last look at all rooms that found it in the zone */
    size_t rank;   /* of lnt_stored_excess */
    char name[LNT_ROOM_NAME_MAX];
};

/* Zeroed is an empty one. */
struct lnt_stored {
    struct lnt_map rooms;
    uint64_t messages; /* of all rooms */
    size_t parked;     /* rooms that are */
};

struct lnt_stored_room *lnt_stored_find(const struct lnt_stored *t,
                                        uint32_t app, struct lnt_str name);
/* Copies the row; its name is LNT_ROOM_NAME_MAX bytes at most. */
struct lnt_stored_room *lnt_stored_add(struct lnt_stored *t,
                                       const struct lnt_store_room *row);
/* Frees r. */
void lnt_stored_remove(struct lnt_stored *t, struct lnt_stored_room *r);
void lnt_stored_clear(struct lnt_stored *t);
/* Sets row.parked. */
void lnt_stored_park(struct lnt_stored *t, struct lnt_stored_room *r,
                     bool parked);
/*
 * The n rooms that are parked and not of the configuration which are to go
 * first: of creators that have many those created last, in turns, from the
 * creator with most down; then those created last of all.  So a flood of new rooms does not push
 * out those that were there before it.  Fewer when there are fewer; *n says how
 * many.  Free it.
 */
struct lnt_stored_room **lnt_stored_excess(const struct lnt_stored *t,
                                           size_t *n);

#endif
