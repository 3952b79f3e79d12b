/*
 * What lies in the zone's mapping, for the files of the zone alone.
 *
 *   head | cells | users' slots | rooms' slots | peers' slots | users | rooms
 *        | members | peers | visits | creators' slots | creators | ranking
 *        | ring | blocks
 *
 * Nodes are linked by 32-bit indices; index 0 is never used and means none, so
 * that fresh (zero) memory is a valid empty table and is not touched before it
 * is needed.  Everything but the ends of the log and what is marked atomic is
 * read and written under the lock.
 *
 * A process can die at any instruction of a locked section.  Every change is
 * therefore made in an order in which the nodes alone tell the truth: a node's
 * state is set last and cleared first, all links and counts can be rebuilt from
 * the nodes (zone_lock.c), and a change that goes together with events of the
 * log is written down in the journal until it is done.  LNT_ZONE_STEP stands
 * where the order matters; debug builds can be told to die there.
 */
#ifndef LNT_HUB_ZONE_MAP_H
#define LNT_HUB_ZONE_MAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/zone.h"

#define LNT_ZONE_MAGIC UINT64_C(0x6c696e6e65747a31)

enum lnt_node_state {
    LNT_NODE_FREE,
    LNT_NODE_USED,
    LNT_NODE_HOLD, /* a member node that keeps a room for a cell */
};

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

struct lnt_zone_member {
    uint64_t tag;       /* order of joining << 8 | state */
    uint32_t user;      /* of a hold: the incarnation */
    uint32_t room;      /* index */
    uint32_t next;      /* in the room; of free ones: next free */
    uint32_t prev;      /* in the room; first: 0 */
    uint32_t user_next; /* the user's next room; of a hold: the cell */
    uint32_t joined;    /* seconds since the zone was made */
};

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
    uint32_t quiet;                /* as last given by a member */
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
};

/* An address from which connections come. */
struct lnt_zone_peer {
    uint64_t prefix;
    uint32_t hash_next; /* in its slot; of free ones: next free */
    uint32_t visits;
    uint8_t family;
    uint8_t state;
};

/* A connection that counts for its peer. */
struct lnt_zone_visit {
    uint32_t peer;
    uint32_t incarnation; /* of the cell that has it, 0 free; set last */
    uint32_t serial;      /* goes up with each use of the node */
    uint32_t next;        /* of free ones: next free */
};

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

/* A message in a block's data; never divided, its data may be. */
struct lnt_zone_kept {
    uint32_t len; /* of the data */
    uint16_t kind, flags;
    uint64_t seq, time_us, origin;
};

/*
 * A record in the ring, followed by its data.  Records start at multiples of 8
 * and do not wrap: a pad, of which only the first word is there, fills the end
 * of the ring.
 */
struct lnt_zone_record {
    uint32_t len;  /* of the data; of a pad: of the whole */
    uint16_t kind; /* 0: pad */
    uint16_t flags;
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

/* What is being done that needs more than one step; see zone_steps.c. */
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
    uint32_t quiet;
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
};

struct lnt_zone_map {
    /* Never changes. */
    uint64_t magic;
    uint32_t layout;
    uint32_t shape; /* sizes of all structs, mixed */
    uint64_t size, epoch, hash_key, born_us;
    uint64_t ring_size;

    /* The ends of the log, atomic. */
    uint64_t head __attribute__((aligned(64))); /* behind the last record */
    uint64_t tail; /* the oldest record; moved before it is overwritten */
    uint64_t seq;  /* of the last record */
    uint64_t last; /* where the last record begins; set before head */
    uint64_t time_us;

    pthread_mutex_t lock __attribute__((aligned(64)));
    uint64_t repairs;
    /* How often the lock was taken.  Written by the holder, atomic. */
    uint64_t turns;

    /* Cells that are not free, a bit each; atomic. */
    uint64_t cells_used[LNT_CELLS / 64] __attribute__((aligned(64)));
    uint64_t guests; /* atomic */
    uint32_t incarnation;

    struct lnt_zone_parts parts __attribute__((aligned(64)));
    uint64_t order;     /* of joining: last given out */
    uint64_t whole_seq; /* messages up to here may be lost: lnt_zone_continue */
    struct lnt_stats past;          /* of cells that were released */
    struct lnt_store_state store;   /* atomic */
    uint32_t reserved;              /* blocks, sum of all quotas */
    uint32_t idle_most;             /* idle rooms of the creator with most */
    uint32_t idle_quota;            /* blocks, quotas of all idle rooms */
    uint32_t over_first, over_last; /* rooms, longest over their quota first */
    struct lnt_zone_journal journal;
    uint64_t evicted; /* rooms, ever */
};

struct lnt_zone {
    struct lnt_zone_map *map;
    char *ring;
    uint64_t ring_mask;
    struct lnt_cell *cells;
    struct lnt_zone_user *users;
    struct lnt_zone_room *rooms;
    struct lnt_zone_member *members;
    struct lnt_zone_peer *peers;
    struct lnt_zone_visit *visits;
    struct lnt_zone_block *blocks;
    struct lnt_zone_creator *creators;
    uint32_t *ranking;  /* by number of idle rooms: first creator, 0 none */
    uint32_t room_bits; /* of a room's number that are its index */
    int fd;
    bool unrung;            /* published since lnt_zone_sleepers */
    int lock_word;          /* see lnt_lock_word; -1 unknown */
    unsigned patience;      /* ms, see lnt_zone_set_patience; 0 no bound */
    uint64_t stuck;         /* the turn that outlasted it + 1, 0 none */
    uint64_t steps, die_at; /* debug builds: 0 never */
    const char *stop_file;  /* debug builds, see lnt_zone_step; NULL: none */
    uint64_t stop_steps;    /* steps since it told this process to stop */
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

/* A room's number: its index and, above that, its generation. */
static inline uint32_t
lnt_room_number(const struct lnt_zone *z, uint32_t index)
{
    return z->rooms[index].gen << z->room_bits | index;
}

/* The index, or 0 when the room is gone. */
static inline uint32_t
lnt_room_index(const struct lnt_zone *z, uint32_t number)
{
    uint32_t index = number & ((1u << z->room_bits) - 1);

    if (index == 0 || index > z->map->parts.rooms.max ||
        z->rooms[index].state != LNT_NODE_USED ||
        lnt_room_number(z, index) != number)
        return 0;
    return index;
}

/* The i-th word of a mutex; one of them has the holder (zone_lock.c). */
static inline uint32_t
lnt_lock_word(const pthread_mutex_t *lock, int i)
{
    return __atomic_load_n((const uint32_t *)(const void *)lock + i,
                           __ATOMIC_ACQUIRE);
}

/* ---- zone_lock.c ---- */

/* Waits as long as it takes: not for a process that has a patience. */
void lnt_zone_lock(struct lnt_zone *z);
/* For what such a process may call, too.  0, or -1 with EBUSY when its patience
   is over; without one it waits as long as it takes. */
int lnt_zone_lock_soon(struct lnt_zone *z);
void lnt_zone_unlock(struct lnt_zone *z);

#endif
