/*
 * What lies in the zone's mapping, for the files of the zone alone.
 *
 *   map | cells | users' slots | rooms' slots | peers' slots | users | rooms
 *        | members | peers | visits | creators' slots | creators | ranking
 *        | undo log | ring | blocks
 *
 * Nodes are linked by 32-bit indices; index 0 is never used and means none, so
 * that fresh (zero) memory is a valid empty table and is not touched before it
 * is needed.  Everything but the ends of the log and what is marked atomic is
 * read and written under the lock.
 *
 * Releases.  Processes of an older and of a newer release use one zone at the
 * same time, whichever of them made it.  So, from layout 4 on:
 *
 *   - A new field goes to the end of its struct (of the map: to its end, or into
 *     what is reserved within), and 0 means that nobody has set it.  Whoever
 *     takes a node clears what lies behind the fields that it knows.
 *   - Nodes lie as far apart as the zone says (room_size and so on), which is
 *     more than they need: a struct may grow up to that.  Beyond, the field goes
 *     into a part of its own.
 *   - Records and kept messages say how long their head is.
 *   - What a field means never changes, and no place is used again: a counter
 *     keeps its number, a kind of event, a flag and a state their values.
 *     Others may meet a value that they do not know: it must do no harm.
 *   - Capacities (cells, nodes, the ring) are those of the zone, not of the
 *     binary.
 *   - Derived state has a bit in LNT_ZONE_FEATURES and is used only while
 *     lnt_zone_maintained says so: whoever joins takes away what it does not
 *     maintain, and lnt_zone_rebuild makes it again when all do.
 *   - What older releases must not touch gets a bit in map->needs when it is
 *     first used: they refuse the zone then.
 *
 * What cannot be done like that is another LNT_ZONE_LAYOUT.  An upgrade to it
 * loses every room and is refused without --new-zone.
 *
 * A process can die at any instruction of a locked section.  So:
 *
 *   - Whatever is overwritten in tables (nodes, slots, heads of pools, ranking,
 *     the map's sums, journal) is saved before: lnt_undo_save.  Whoever locks
 *     next puts it back (undo.h).  Not saved: the ring and the ends of the
 *     log, cells, counters, who uses the zone and what it concerns (masters to
 *     concerns), and the data of kept messages, which goes where none is that
 *     counts; a block that was given up is therefore taken only after a commit.
 *   - A change that goes together with events of the log is written down in the
 *     journal until it is done: events that are out cannot be undone.
 *   - Every change is made in an order in which the nodes alone tell the truth: a
 *     node's state is set last and cleared first, and all links and counts can
 *     be rebuilt from the nodes (repair.c).  That takes as long as the zone
 *     is large.  It is for what the undo log did not hold.
 *
 * LNT_ZONE_STEP stands where the order matters; debug builds can be told to die
 * there.
 */
#ifndef LNT_ZONE_MAP_H
#define LNT_ZONE_MAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/zone.h"

#define LNT_ZONE_MAGIC UINT64_C(0x6c696e6e65747a31)

enum { LNT_CELL_WORDS = 4 }; /* of a mask of cells, 64 bits each */
_Static_assert(LNT_CELLS <= LNT_CELL_WORDS * 64 && LNT_CELLS <= UINT8_MAX,
               "cells have a bit in masks, and users name them in a byte");

/*
 * Derived state: what follows from the rest of the zone, and is kept up to date
 * by every change (an index, a mask, a cache).  A release that brings some gives
 * it a bit here.
 */
enum {
    LNT_ZONE_F_WAKERS = 1, /* lnt_zone_room.wakers; .readers, .concerns of the
                              map */
    LNT_ZONE_FEATURES = LNT_ZONE_F_WAKERS, /* of this binary, all of them */
};

enum lnt_node_state {
    LNT_NODE_FREE,
    LNT_NODE_USED,
    LNT_NODE_HOLD,   /* a member node that keeps a room for a cell, ... */
    LNT_NODE_LISTEN, /* ... whose process also subscribes to the room */
};

/* LNT_..._KNOWN: behind the last field that is set when a node is taken; the rest
   of the node is cleared then. */

struct lnt_zone_user {
    uint64_t session;
    uint32_t incarnation; /* of the cell that owns it */
    uint32_t hash_next;   /* in its slot; of free ones: next free */
    uint32_t members;     /* first room it is in */
    uint8_t state;
    uint8_t cell;
    uint8_t nick_len;
    uint8_t unused;
    char nick[LNT_NICK_MAX];
    uint32_t serial;  /* goes up with each use of the node */
    uint32_t created; /* rooms that it created and that still exist */
};

enum { LNT_USER_KNOWN = offsetof(struct lnt_zone_user, created) + 4 };

struct lnt_zone_member {
    uint64_t tag;       /* order of joining << 8 | state */
    uint32_t user;      /* of a hold: the incarnation */
    uint32_t room;      /* index */
    uint32_t next;      /* in the room; of free ones: next free */
    uint32_t prev;      /* in the room; first: 0 */
    uint32_t user_next; /* the user's next room; of a hold: the cell */
    uint32_t joined;    /* seconds since the zone was made */
};
enum { LNT_MEMBER_KNOWN = offsetof(struct lnt_zone_member, joined) + 4 };

struct lnt_zone_room {
    uint64_t last;     /* position of its last record, 0 none ever */
    uint64_t last_seq; /* and its seq; at first what the log's was */
    uint64_t born_seq; /* the log's when the room was made */

    /* History: a stream of messages cut into blocks. */
    uint64_t begin;    /* position in the stream of the oldest message */
    uint64_t end;      /* and behind the newest */
    uint64_t lost_seq; /* every message newer than this is in the history */
    uint64_t kept_seq, kept_time; /* of the newest message */
    uint32_t kept;                /* messages */
    uint32_t block_first, block_last, blocks;
    uint32_t quota;                /* blocks that nobody can take from it */
    uint32_t keep_count;           /* messages, 0 none */
    uint32_t keep_age;             /* seconds, 0 no limit */
    uint32_t over_next, over_prev; /* rooms that have more than their quota */

    uint32_t gen; /* goes up when the room goes: its number changes */
    uint32_t app;
    uint32_t hash_next; /* in its slot; of free ones: next free */
    uint32_t first, last_member;
    uint32_t members;
    uint32_t holds;                /* first hold */
    uint32_t announce_max;         /* as last given by a member */
    uint32_t idle_next, idle_prev; /* in its creator's list of rooms without
                                      member or hold */
    uint8_t state;
    uint8_t name_len;
    uint8_t idle, over; /* is in that list */
    char name[LNT_ROOM_NAME_MAX];
    uint32_t creator;      /* node; set before state */
    uint32_t user, serial; /* of the session that created it, 0 none */
    uint8_t rank;          /* which of its creator's lists it goes to */
    uint8_t configured;    /* has a section in the configuration */
    uint8_t told;          /* what it keeps was set by lnt_zone_keep */
    /* A bit for each cell whose process subscribes to it: wakers.c. */
    uint64_t wakers[LNT_CELL_WORDS];
};

/* An address from which connections come. */
struct lnt_zone_peer {
    uint64_t prefix;
    uint32_t hash_next; /* in its slot; of free ones: next free */
    uint32_t visits;
    uint8_t family;
    uint8_t state;
};
enum { LNT_PEER_KNOWN = offsetof(struct lnt_zone_peer, state) + 1 };

/* A connection that counts for its peer. */
struct lnt_zone_visit {
    uint32_t peer;
    uint32_t incarnation; /* of the cell that has it, 0 free; set last */
    uint32_t serial;      /* goes up with each use of the node */
    uint32_t next;        /* of free ones: next free */
};
enum { LNT_VISIT_KNOWN = offsetof(struct lnt_zone_visit, next) + 4 };

/*
 * Rooms are counted by who created them: an address, or another origin.  What
 * rooms say of their creator is true; the counts and lists follow from them.
 *
 * Idle rooms are in one of several lists, by how many rooms their session had
 * created: the more, the sooner they are evicted.
 */
enum { LNT_RANKS = 4 };
struct lnt_zone_creator {
    uint64_t prefix;
    uint32_t family;    /* as in struct lnt_creator */
    uint32_t hash_next; /* in its slot; of free ones: next free */
    uint32_t rooms;     /* of its rooms, all */
    uint32_t idle;      /* and those without member or hold */
    /* Creators with as many idle rooms; prev of the first is the last. */
    uint32_t next, prev;
    uint32_t first[LNT_RANKS]; /* idle rooms, longest idle first */
    uint32_t last[LNT_RANKS];
    uint8_t state;
};

enum { LNT_BLOCK_DATA = 992 };
struct lnt_zone_block {
    uint64_t order;     /* data[0] is at order * LNT_BLOCK_DATA of the stream */
    uint64_t first_seq; /* of the first message that begins here */
    uint32_t room;      /* index of the owner, 0 free; set last */
    uint32_t next, prev;
    uint16_t first; /* where it begins */
    uint16_t count; /* messages that begin here and are kept */
    char data[LNT_BLOCK_DATA];
};

/* The head of a message in a block's data.  Its data may be divided, the head
   never is: it begins where LNT_KEPT_ROOM bytes of the block are left. */
enum { LNT_KEPT_ROOM = 64 };
struct lnt_zone_kept {
    uint32_t len; /* of the data */
    uint16_t kind;
    uint8_t flags;
    uint8_t head; /* bytes before the data; of another release perhaps more */
    uint64_t seq, time_us, origin;
};

/*
 * A record in the ring, followed by its data.  Records start at multiples of 8
 * and do not wrap: a pad, of which only the first word is there, fills the end
 * of the ring.  A record of another release may have a longer head.
 */
enum { LNT_RECORD_HEAD = 56 }; /* of layout 4 */
struct lnt_zone_record {
    uint32_t len;  /* of the data; of a pad: of the whole */
    uint16_t kind; /* 0: pad */
    uint8_t flags;
    uint8_t head; /* bytes before the data: at least LNT_RECORD_HEAD */
    uint64_t seq, time_us, origin, target;
    uint64_t prev; /* position of the record of this room before, 0 none */
    uint32_t app, room;
};

/* A table of nodes: those at fresh and above were never used. */
struct lnt_zone_pool {
    uint64_t base;   /* offset of node 0 */
    uint32_t stride; /* bytes of a node */
    uint32_t link;   /* offset of "next free" in a node */
    uint32_t max;    /* highest index */
    uint32_t free;   /* first of the free nodes below fresh */
    uint32_t fresh;
    uint32_t used;
};

/* Slots of a hash table; as many as are active grow one by one with the
   nodes (linear hashing), so a big table costs a small server nothing. */
struct lnt_zone_slots {
    uint64_t base;
    uint32_t max;
    uint32_t active;
};

/* What is being done that needs more than one step; see steps.c. */
enum lnt_journal_op {
    LNT_JOURNAL_NONE,
    LNT_JOURNAL_JOIN,   /* member node: undo unless its event is out */
    LNT_JOURNAL_LEAVE,  /* member node: finish */
    LNT_JOURNAL_RENAME, /* user node: take the old nick back */
    LNT_JOURNAL_NICKS,  /* user node: the rest of the events */
};
struct lnt_zone_journal {
    uint32_t op;
    uint32_t node;
    uint64_t seq; /* the log's before its events */
    uint64_t origin;
    uint32_t announce_max;
    uint32_t nick_len;
    char nick[LNT_NICK_MAX];
};

struct lnt_zone_parts {
    struct lnt_zone_pool users, rooms, members, peers, visits, blocks;
    struct lnt_zone_slots nicks, names, addresses;
    uint64_t cells, ring, ring_size;
    struct lnt_zone_pool creators;
    struct lnt_zone_slots origins; /* creators by what they are */
    uint64_t ranking;              /* offset of lnt_zone.ranking */
    uint32_t cells_max, cell_size; /* one more cell: what is past */
    uint64_t undo, undo_size;      /* the undo log; size 0: there is none */
};

/* The first record that concerns a cell's process since lnt_zone_jump: where the
   log ended when it was written, 0 none, and with which seq. */
struct lnt_zone_concern {
    uint64_t position, seq;
};

/* A master that has the zone; masters have no cell. */
enum { LNT_ZONE_MASTERS = 8 };
struct lnt_zone_master {
    int32_t pid; /* 0: nobody */
    uint32_t reserved;
    uint64_t features;
};

struct lnt_zone_map {
    /* Never changes. */
    uint64_t magic;
    uint32_t layout;
    uint32_t map_size; /* bytes of this struct, of the release that made it */
    uint64_t size, epoch; /* size: all of it */
    uint64_t hash_key, born_us;
    uint64_t ring_size;
    uint64_t needs;     /* features without which nobody can use the zone */
    uint64_t zone_size; /* as configured: without this struct and the cells */

    /* The ends of the log, atomic. */
    uint64_t head __attribute__((aligned(64))); /* behind the last record */
    uint64_t tail; /* the oldest record; moved before it is overwritten */
    uint64_t seq;  /* of the last record */
    uint64_t last; /* where the last record begins; set before head */
    uint64_t time_us;
    uint64_t undo_head; /* with this head the undo log is void */
    uint64_t room_seq;  /* before the record at last: last_seq of its room */

    pthread_mutex_t lock __attribute__((aligned(64)));
    uint64_t repairs;
    /* How often the lock was taken.  Written by the holder, atomic. */
    uint64_t turns;
    uint64_t undo; /* see undo.h */

    /* Cells that are not free, a bit each; atomic. */
    uint64_t cells_used[LNT_CELL_WORDS] __attribute__((aligned(64)));
    uint64_t guests; /* atomic */
    uint32_t incarnation;

    struct lnt_zone_parts parts __attribute__((aligned(64)));
    uint64_t parts_reserved[30]; /* for more parts */
    uint64_t order;              /* of joining: last given out */
    uint64_t whole_seq; /* messages up to here may be lost: lnt_zone_continue */
    struct lnt_store_state store; /* atomic */
    uint64_t store_reserved[8];
    uint32_t reserved;              /* blocks, sum of all quotas */
    uint32_t idle_most;             /* idle rooms of the creator with most */
    uint32_t idle_quota;            /* blocks, quotas of all idle rooms */
    uint32_t over_first, over_last; /* rooms, longest over their quota first */
    struct lnt_zone_journal journal;
    uint64_t journal_reserved[8];
    uint64_t evicted; /* rooms, ever */

    struct lnt_zone_master masters[LNT_ZONE_MASTERS];
    uint64_t arrivals;   /* of masters, and beginnings of rebuilds, ever */
    uint64_t maintained; /* derived state that is right, features; atomic */
    uint64_t readers[LNT_CELL_WORDS]; /* cells rung for every record; atomic */
    struct lnt_zone_concern concerns[LNT_CELLS];
    uint64_t rebuilds; /* repairs that made the tables again */
};

/* Whom this process has still to ring. */
struct lnt_unrung {
    bool any; /* published since lnt_zone_sleepers */
    bool all; /* everybody, else those that have a bit here */
    uint64_t cells[LNT_CELL_WORDS];
};

struct lnt_zone {
    struct lnt_zone_map *map;
    char *ring;
    uint64_t ring_mask;
    /* Nodes, see lnt_room_at and so on.  How far apart they are, the zone says:
       the release that made it may have had smaller or larger ones. */
    char *cells, *users, *rooms, *members, *peers, *visits, *blocks, *creators;
    uint32_t cell_size, user_size, room_size, member_size, peer_size,
        visit_size, creator_size;
    uint32_t *ranking;  /* by number of idle rooms: first creator, 0 none */
    uint32_t room_bits; /* of a room's number that are its index */
    int fd;
    char *undo_log;
    size_t undo_size; /* 0: nothing is saved */
    struct lnt_unrung unrung;
    const uint64_t *audience; /* whom the record that is being written concerns,
                                 instead of those in its room; NULL */
    uint32_t found;    /* user that lnt_zone_user_find found last, 0 none */
    int lock_word;     /* see lnt_lock_word; -1 unknown */
    unsigned patience; /* ms, see lnt_zone_set_patience; 0 no bound */
    uint64_t stuck;    /* the turn that outlasted it + 1, 0 none */
    uint64_t steps, die_at; /* debug builds: 0 never */
    const char *stop_file;  /* debug builds, see lnt_zone_step; NULL: none */
    uint64_t stop_steps;    /* steps since it told this process to stop */
    /* Debug builds: called where what was done so far is not undone any more. */
    void (*on_commit)(struct lnt_zone *z);
};

void lnt_zone_step(struct lnt_zone *z);

#ifdef LNT_DEBUG_BUILD
#define LNT_ZONE_STEP(z) lnt_zone_step(z)
#else
#define LNT_ZONE_STEP(z) ((void)(z), __atomic_signal_fence(__ATOMIC_SEQ_CST))
#endif

static inline void *
lnt_zone_at(struct lnt_zone *z, uint64_t offset)
{
    return (char *)z->map + offset;
}

static inline struct lnt_cell *
lnt_cell_at(const struct lnt_zone *z, unsigned i)
{
    return (struct lnt_cell *)(void *)(z->cells + (size_t)i * z->cell_size);
}
static inline struct lnt_zone_user *
lnt_user_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_user *)(void *)(z->users +
                                            (size_t)i * z->user_size);
}
static inline struct lnt_zone_room *
lnt_room_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_room *)(void *)(z->rooms +
                                            (size_t)i * z->room_size);
}
static inline struct lnt_zone_member *
lnt_member_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_member *)(void *)(z->members +
                                              (size_t)i * z->member_size);
}
static inline struct lnt_zone_peer *
lnt_peer_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_peer *)(void *)(z->peers +
                                            (size_t)i * z->peer_size);
}
static inline struct lnt_zone_visit *
lnt_visit_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_visit *)(void *)(z->visits +
                                             (size_t)i * z->visit_size);
}
static inline struct lnt_zone_creator *
lnt_creator_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_creator *)(void *)(z->creators +
                                               (size_t)i * z->creator_size);
}
/* These have one size in all releases. */
static inline struct lnt_zone_block *
lnt_block_at(const struct lnt_zone *z, uint32_t i)
{
    return (struct lnt_zone_block *)(void *)z->blocks + i;
}

/* How many cells there are. */
static inline unsigned
lnt_cells_of(const struct lnt_zone *z)
{
    return z->map->parts.cells_max;
}

/* What cells that were released had counted. */
static inline struct lnt_stats *
lnt_past_of(const struct lnt_zone *z)
{
    return &lnt_cell_at(z, z->map->parts.cells_max)->stats;
}

/* How many counters a cell has room for; those that this binary does not know
   included. */
static inline unsigned
lnt_counters_of(const struct lnt_zone *z)
{
    return (unsigned)((z->cell_size - offsetof(struct lnt_cell, stats) -
                       offsetof(struct lnt_stats, counters)) /
                      sizeof(uint64_t));
}

static inline uint32_t *
lnt_zone_slot(struct lnt_zone *z, const struct lnt_zone_slots *s, uint32_t i)
{
    return (uint32_t *)lnt_zone_at(z, s->base) + i;
}

static inline enum lnt_node_state
lnt_member_state(const struct lnt_zone_member *m)
{
    return (enum lnt_node_state)(m->tag & 0xff);
}

/* Keeps its room for a cell, whatever else. */
static inline bool
lnt_member_holds(const struct lnt_zone_member *m)
{
    return lnt_member_state(m) != LNT_NODE_FREE &&
           lnt_member_state(m) != LNT_NODE_USED;
}

/* A room's number: its index and, above that, its generation. */
static inline uint32_t
lnt_room_number(const struct lnt_zone *z, uint32_t index)
{
    return lnt_room_at(z, index)->gen << z->room_bits | index;
}

/* The index, or 0 when the room is gone. */
static inline uint32_t
lnt_room_index(const struct lnt_zone *z, uint32_t number)
{
    uint32_t index = number & ((1u << z->room_bits) - 1);

    if (index == 0 || index > z->map->parts.rooms.max ||
        lnt_room_at(z, index)->state != LNT_NODE_USED ||
        lnt_room_number(z, index) != number)
        return 0;
    return index;
}

/* The i-th word of a mutex; zone.c finds out which of them has the holder. */
static inline uint32_t
lnt_lock_word(const pthread_mutex_t *lock, int i)
{
    return __atomic_load_n((const uint32_t *)(const void *)lock + i,
                           __ATOMIC_ACQUIRE);
}

/* Whether derived state of that feature can be relied on.  Under the lock it stays
   so until the lock is let go. */
static inline bool
lnt_zone_maintained(const struct lnt_zone *z, uint64_t feature)
{
    return (__atomic_load_n(&z->map->maintained, __ATOMIC_ACQUIRE) & feature) !=
           0;
}

/* ---- lock.c ---- */

/* Waits as long as it takes: not for a process that has a patience. */
void lnt_zone_lock(struct lnt_zone *z);
/* For what such a process may call, too.  0, or -1 with EBUSY when its patience
   is over; without one it waits as long as it takes. */
int lnt_zone_lock_soon(struct lnt_zone *z);
/* For what can be left out: 0, or -1 with EBUSY at once. */
int lnt_zone_lock_try(struct lnt_zone *z);
void lnt_zone_unlock(struct lnt_zone *z);

#endif
