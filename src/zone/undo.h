/*
 * The undo log: what a change overwrites is written down before.  When a process
 * dies within a change, the next one to lock puts the old bytes back; that takes
 * as long as the change had taken, however much lies in the zone.
 *
 * Whoever changes tables, under the lock, saves the bytes first.  Letting go of
 * the lock commits, and so does an event that goes out.  Between, lnt_undo_commit
 * may be called wherever everything fits together.  Private to the zone.
 */
#ifndef LNT_ZONE_UNDO_H
#define LNT_ZONE_UNDO_H

#include <string.h>

#include "zone/map.h"

/*
 * map->undo is one word, so that it never says something in between: above, the
 * number of the lock's turn to which the log belongs; below, how many bytes of
 * it are in use.
 *
 * An entry is the saved bytes, filled up to a multiple of 8, and a word: above,
 * where in the mapping they belong; below, how many they are.
 */
enum {
    LNT_UNDO_BITS = 24,
    LNT_UNDO_FULL = (1 << LNT_UNDO_BITS) - 1, /* it did not hold all */
    LNT_UNDO_LEN_BITS = 16,
    LNT_UNDO_LEN_MAX = (1 << LNT_UNDO_LEN_BITS) - 1,
};

/* The next turn of the lock begins. */
void lnt_undo_begin(struct lnt_zone *z);
/* The same, and nothing is saved in it: for a repair that makes the tables
   again. */
void lnt_undo_stop(struct lnt_zone *z);
/* Puts back what the dead holder of the lock had saved.  false: it saved nothing,
   or not all, and the tables have to be made again.  May be repeated until the
   next turn. */
bool lnt_undo_apply(struct lnt_zone *z);
void lnt_undo_overflow(struct lnt_zone *z);

static inline void
lnt_undo_set(struct lnt_zone *z, uint64_t word)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&z->map->undo, word, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Everything fits together: what was done so far is not undone any more. */
static inline void
lnt_undo_commit(struct lnt_zone *z)
{
    if (z->undo_size == 0)
        return;
    lnt_undo_set(z, z->map->undo & ~(uint64_t)LNT_UNDO_FULL);
#ifdef LNT_DEBUG_BUILD
    if (z->on_commit)
        z->on_commit(z);
#endif
}

/* What an entry of n bytes takes. */
static inline size_t
lnt_undo_room(size_t n)
{
    return (n + 7) / 8 * 8 + sizeof(uint64_t);
}

/* The word of an entry. */
static inline uint64_t
lnt_undo_word(const struct lnt_zone *z, const void *p, size_t n)
{
    uint64_t offset = (uint64_t)((const char *)p - (const char *)z->map);

    return offset << LNT_UNDO_LEN_BITS | n;
}

/* n bytes at p are going to be changed.  Saving them twice does no harm. */
static inline void
lnt_undo_save(struct lnt_zone *z, const void *p, size_t n)
{
    const size_t room = lnt_undo_room(n);
    uint64_t mark = z->map->undo, used = mark & LNT_UNDO_FULL;
    uint64_t word = lnt_undo_word(z, p, n);
    char *to = z->undo_log + used;

    if (used + room > z->undo_size || n > LNT_UNDO_LEN_MAX) {
        lnt_undo_overflow(z);
        return;
    }
    memcpy(to, p, n);
    memcpy(to + room - sizeof(word), &word, sizeof(word));
    lnt_undo_set(z, mark + room);
    LNT_ZONE_STEP(z);
}

/* The same for what may have been saved first after the commit. */
static inline void
lnt_undo_save_once(struct lnt_zone *z, const void *p, size_t n)
{
    const size_t room = lnt_undo_room(n);
    uint64_t word;

    if ((z->map->undo & LNT_UNDO_FULL) >= room && z->undo_size > room) {
        memcpy(&word, z->undo_log + room - sizeof(word), sizeof(word));
        if (word == lnt_undo_word(z, p, n))
            return;
    }
    lnt_undo_save(z, p, n);
}

/* One field, or all that *p is. */
#define LNT_UNDO_SAVE(z, p) lnt_undo_save(z, p, sizeof(*(p)))

#endif
