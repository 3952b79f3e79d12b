/*
 * The undo log: begun, applied.  What is saved, and when, is left to those who
 * change the tables.
 *
 * The log belongs to a turn of the lock.  A process that keeps none takes
 * another turn without saying so in map->undo, and is not taken for the one
 * that did.  Only a repair that makes the tables again takes such turns, and
 * processes of releases without undo log.
 *
 * An event that readers have seen cannot be undone.  It is out when map->head
 * moves, and the log is emptied only afterwards: map->undo_head is the head with
 * which the log becomes void.
 */
#include "zone/undo.h"

static uint64_t
turn_of(const struct lnt_zone *z)
{
    return z->map->turns << LNT_UNDO_BITS;
}

static void
next_turn(struct lnt_zone_map *map)
{
    __atomic_store_n(&map->turns, map->turns + 1, __ATOMIC_RELAXED);
}

/* Turns first: were the log that of a turn to come, it could be taken for the log
   of a process that keeps none. */
void
lnt_undo_begin(struct lnt_zone *z)
{
    next_turn(z->map);
    if (z->undo_size > 0)
        lnt_undo_set(z, turn_of(z));
}

void
lnt_undo_stop(struct lnt_zone *z)
{
    next_turn(z->map);
    z->undo_size = 0;
}

/* The same for all that comes until the next commit. */
void
lnt_undo_overflow(struct lnt_zone *z)
{
    if (z->undo_size > 0)
        lnt_undo_set(z, z->map->undo | LNT_UNDO_FULL);
}

/* Puts back the entry that ends at used.  How many bytes it takes; 0: that is
   none. */
static size_t
put_back(struct lnt_zone *z, uint64_t used)
{
    uint64_t word, offset;
    size_t n, room;

    memcpy(&word, z->undo_log + used - sizeof(word), sizeof(word));
    n = word & LNT_UNDO_LEN_MAX;
    offset = word >> LNT_UNDO_LEN_BITS;
    room = lnt_undo_room(n);
    if (room > used || offset + n > z->map->size)
        return 0;
    memcpy(lnt_zone_at(z, offset), z->undo_log + used - room, n);
    LNT_ZONE_STEP(z);
    return room;
}

bool
lnt_undo_apply(struct lnt_zone *z)
{
    const struct lnt_zone_map *map = z->map;
    uint64_t used = map->undo & LNT_UNDO_FULL;
    size_t room;

    if (map->undo - used != turn_of(z) || used > z->undo_size ||
        z->undo_size == 0)
        return false;
    if (map->head == map->undo_head)
        return true;
    while (used > 0) {
        room = put_back(z, used);
        if (room == 0)
            return false; /* cannot be; but never wrong */
        used -= room;
    }
    return true;
}
