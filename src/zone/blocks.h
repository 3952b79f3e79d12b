/*
 * The kept messages of rooms: streams in blocks.  Private to the zone; all of
 * it under the lock.
 */
#ifndef LNT_ZONE_BLOCKS_H
#define LNT_ZONE_BLOCKS_H

#include "zone/map.h"

enum { LNT_KEPT_HEAD = sizeof(struct lnt_zone_kept) };

static inline uint64_t
lnt_kept_align(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

/* Where the next message begins, at or behind pos: heads are not divided. */
static inline uint64_t
lnt_kept_fit(uint64_t pos)
{
    uint64_t left = LNT_BLOCK_DATA - pos % LNT_BLOCK_DATA;

    return left < LNT_KEPT_ROOM ? pos + left : pos;
}

/* The first position of the block behind pos, or pos if it is one. */
static inline uint64_t
lnt_kept_whole(uint64_t pos)
{
    return (pos + LNT_BLOCK_DATA - 1) / LNT_BLOCK_DATA * LNT_BLOCK_DATA;
}

/* Adds the message (seq and time are set) as the room's settings say; what is
   not kept counts as lost. */
void lnt_kept_add(struct lnt_zone *z, uint32_t room, const struct lnt_event *e);
/* Drops what is too old or too many by the room's settings; at most some. */
void lnt_kept_trim(struct lnt_zone *z, uint32_t room, uint64_t now_us);
void lnt_kept_clear(struct lnt_zone *z, uint32_t room);
/* Reserves so many blocks instead of what the room had.  0, or -1 when the
   other rooms were promised too many. */
int lnt_kept_reserve(struct lnt_zone *z, uint32_t room, uint32_t blocks);
/* Blocks that hold bytes of data. */
uint32_t lnt_kept_blocks(uint64_t bytes);

/* A place in a room's stream: a message begins there, or block is 0. */
struct lnt_kept_at {
    uint32_t block;
    uint32_t offset;
};
struct lnt_kept_at lnt_kept_first(const struct lnt_zone *z, uint32_t room);
struct lnt_kept_at lnt_kept_next(const struct lnt_zone *z,
                                 struct lnt_kept_at at);
/* The oldest of the last n messages with a seq below before; 0 when there are
   none.  Looks at blocks, not at every message. */
struct lnt_kept_at lnt_kept_back(const struct lnt_zone *z, uint32_t room,
                                 uint64_t before, unsigned n);
/* The first message with a seq above since. */
struct lnt_kept_at lnt_kept_since(const struct lnt_zone *z, uint32_t room,
                                  uint64_t since);
const struct lnt_zone_kept *lnt_kept_head(const struct lnt_zone *z,
                                          struct lnt_kept_at at);
/* Copies the message's data. */
void lnt_kept_data(const struct lnt_zone *z, struct lnt_kept_at at, char *to);

/* ---- for repair ---- */

/* Position behind the message, before the next one is fitted in. */
uint64_t lnt_kept_behind(const struct lnt_zone *z, struct lnt_kept_at at);

/* The room's block; in order. */
void lnt_kept_link(struct lnt_zone *z, uint32_t room, uint32_t block);
/* Puts the room into the list of those over their quota, or takes it out. */
void lnt_kept_settle(struct lnt_zone *z, uint32_t room);

#endif
