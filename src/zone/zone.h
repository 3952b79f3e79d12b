/*
 * The zone: one mapping shared by every process of a server. Fixed tables and
 * one ring, offsets only, one robust mutex held for short straight sections.
 *
 *   cells     one a worker process: its doorbell flag, its statistics
 *   log       a ring of records in one order over the whole server
 *   users     a nick, unique in the server, owned by a session of a worker
 *   rooms     a name, per application; exist while they have members or history
 *   members   user x room
 *   peers     addresses that connections come from, and how many have each
 *   creators  addresses that rooms were created from, and how many rooms each
 *             has: which room is evicted first follows from that
 *   blocks    the history of rooms, apart from the ring: a busy room can never
 *             push out a quiet one's
 *
 * If the holder of the lock dies, the next one to lock repairs: a record that
 * was being written lies past the head and does not exist, and in the tables the
 * holder's undo log says what to put back.
 */
#ifndef LNT_ZONE_ZONE_H
#define LNT_ZONE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/str.h"
#include "net/stats.h"
#include "zone/types.h"

struct lnt_network;
struct lnt_strbuf;
struct lnt_zone; /* this process's handle; the mapping survives fork */

enum {
    LNT_CELLS = 240,     /* cells that any zone has, at most */
    LNT_ZONE_LAYOUT = 4, /* see map.h: not to be changed lightly */
};

/* ---- life ---- */

/* How much address space a zone of that size takes, with what is reserved. */
uint64_t lnt_zone_mapping_size(uint64_t size);
/* Whether a new zone of that size would be as large as this one. */
bool lnt_zone_has_size(const struct lnt_zone *z, uint64_t size);
/* A new zone of size bytes.  NULL with errno and a text in why. */
struct lnt_zone *lnt_zone_create(size_t size, struct lnt_strbuf *why);
/* Maps one that another process made, perhaps of another release.  EPROTO: this
   binary cannot use it, or too many masters do already; EBUSY: its lock was not
   to be had in time.  Owns fd afterwards, also on failure. */
struct lnt_zone *lnt_zone_attach(int fd, struct lnt_strbuf *why);
void lnt_zone_close(struct lnt_zone *z); /* unmaps, closes */
int lnt_zone_fd(const struct lnt_zone *z);
/* How many cells it has: processes alive at once, those that drain included. */
unsigned lnt_zone_cells(const struct lnt_zone *z);
uint64_t lnt_zone_epoch(const struct lnt_zone *z); /* below 2^53, not 0 */
uint64_t lnt_zone_head(const struct lnt_zone *z);  /* seq of the last record */
/* The most payload one record can have, bytes. */
size_t lnt_zone_record_max(const struct lnt_zone *z);

/* ---- the lock ---- */

/*
 * For a process that must not hang with the one that holds the lock: it never
 * waits longer than that many ms, and not at all while a holder that it has
 * waited for in vain still holds the lock.  It may only call what says EBUSY
 * below, and what never locks; anything else is an assertion.  0, as at first:
 * it waits as long as it takes.  Belongs to the handle, so a forked process
 * inherits it.
 */
void lnt_zone_set_patience(struct lnt_zone *z, unsigned ms);
/* Whether the lock could be had.  0, or -1 with EBUSY. */
int lnt_zone_probe(struct lnt_zone *z);
/* The process that holds the lock, 0 none (or this C library does not show it);
   *turn changes with each time that the lock is taken.  Never locks. */
pid_t lnt_zone_holder(const struct lnt_zone *z, uint64_t *turn);

/* ---- cells ---- */

enum lnt_cell_state {
    LNT_CELL_FREE,
    LNT_CELL_STARTING,
    LNT_CELL_READY, /* accepting */
    LNT_CELL_DRAINING,
};

/* Lies in the zone: what map.h says of changes holds for it, too. */
struct lnt_cell {
    uint32_t state;       /* lnt_cell_state, atomic */
    uint32_t asleep;      /* 1: ring the doorbell, atomic */
    uint32_t incarnation; /* server-wide unique, never 0 */
    uint32_t generation;
    int32_t pid;
    uint32_t slot;
    uint32_t hint;     /* 1: connections wait to be accepted, atomic */
    uint64_t position; /* where the owner reads the log, atomic */
    uint64_t features; /* what its process maintains, see lnt_zone_maintained */
    uint64_t reserved[15];
    struct lnt_stats stats; /* last: counters are appended */
} __attribute__((aligned(64)));

/* Takes a free cell for a worker to come: state STARTING, statistics zero, new
   incarnation.  Its index, or -1 with EUSERS (all are taken) or EBUSY. */
int lnt_zone_cell_take(struct lnt_zone *z, uint32_t slot, uint32_t generation);
/* Frees it; users of that incarnation are removed with their leaves in the
   log.  Safe to call twice, and for a process that was killed.  0, or -1 with
   EBUSY: it is not free yet, to be called again. */
int lnt_zone_cell_release(struct lnt_zone *z, unsigned cell,
                          uint32_t incarnation);
struct lnt_cell *lnt_zone_cell(struct lnt_zone *z, unsigned cell);
/* What the owners of released cells had counted, all together: with this, sums
   over the server never go back. */
const struct lnt_stats *lnt_zone_past(const struct lnt_zone *z);
/* Where all processes count the lines of the log that they lose: the counter
   LNT_C_LOG_LOST of what is past, because the master has no cell. */
uint64_t *lnt_zone_log_lost(struct lnt_zone *z);
/* The sums over the whole server, of workers that are gone, too.  A process
   whose patience is over gets them without the lock: a cell that another master
   releases meanwhile may be missing. */
void lnt_zone_counters(struct lnt_zone *z, uint64_t sums[LNT_COUNTERS]);
static inline uint32_t
lnt_cell_state(const struct lnt_cell *c)
{
    return __atomic_load_n(&c->state, __ATOMIC_ACQUIRE);
}
void lnt_cell_set_state(struct lnt_cell *c, enum lnt_cell_state state);

/* The slot of a cell that the store's process has: no worker. */
#define LNT_SLOT_STORE UINT32_MAX
static inline bool
lnt_cell_is_worker(const struct lnt_cell *c)
{
    return c->slot != LNT_SLOT_STORE;
}

/* ---- the log ---- */

/* The number under which an application's rooms and events go. */
uint32_t lnt_zone_app_id(const char *app_name);

/*
 * Appends to the log; e->seq and e->time_us are set.  0, or -1 with EMSGSIZE
 * (over lnt_zone_record_max) or ENOENT (room is gone).  Does not ring.
 */
int lnt_zone_publish(struct lnt_zone *z, struct lnt_event *e);

/*
 * The same to whoever is in several rooms of the application: their names are
 * looked up in the same step.  Processes that subscribe to one of the first
 * hear rooms are woken; those of e->room are not, unless it is among them.
 */
struct lnt_zone_audience {
    const struct lnt_str *names;
    size_t n, hear;
    char *numbers; /* n of 32 bits, anywhere in the bytes of e->data: become the
                      numbers of the rooms, 0 when there is no such room */
};
int lnt_zone_publish_to(struct lnt_zone *z, struct lnt_event *e,
                        const struct lnt_zone_audience *a);

/* Where a process reads. */
struct lnt_cursor {
    uint64_t position; /* byte offset, ever growing */
    uint64_t seq;      /* of the last record read */
    char *scratch;     /* the record's bytes; grows; free() when done */
    size_t cap;
};
/* From the head on: what is published from now. */
void lnt_zone_cursor_init(struct lnt_zone *z, struct lnt_cursor *c);
/* Behind the record with that seq.  false: the log does not go back so far, and
   the cursor is at the head. */
bool lnt_zone_cursor_after(struct lnt_zone *z, struct lnt_cursor *c,
                           uint64_t seq);

/* Whether a record with the next seq begins there, or did before the ring was
   overwritten, or will: for places that another process tells. */
bool lnt_zone_is_place(const struct lnt_zone *z, uint64_t position,
                       uint64_t seq);

enum lnt_read { LNT_READ_NONE, LNT_READ_ONE, LNT_READ_LAPPED };
/*
 * The next record; e->data points into the cursor's scratch until the next
 * call.  Never locks.  LAPPED: the ring was overwritten before this reader
 * came; the cursor now stands at the head.
 */
enum lnt_read lnt_zone_read(struct lnt_zone *z, struct lnt_cursor *c,
                            struct lnt_event *e);
/*
 * Passes over the records in front of the cursor that fn does not want, left of
 * them at most, which goes down.  e->data has no bytes then, but its length.
 * ONE: the next is wanted, lnt_zone_read reads it; LAPPED: lnt_zone_read will say
 * so; NONE: there is no more, or left is 0.  Never locks.
 */
struct lnt_wanted {
    bool (*fn)(void *arg, const struct lnt_event *e);
    void *arg;
    uint32_t left;
};
enum lnt_read lnt_zone_pass(struct lnt_zone *z, struct lnt_cursor *c,
                            struct lnt_wanted *w);
/*
 * Moves the cursor of that cell's process on to the first record that concerns
 * it, or to the end of the log if none does, without looking at what lies
 * between.  Not always: only what was published since the last call is known,
 * and what the zone says of this process counts from base on alone.  For one
 * that has much in front of it; takes the lock if that is free, and else does
 * nothing.
 */
struct lnt_ahead {
    bool known;
    uint64_t base; /* position; the process may raise it */
    uint64_t arrivals;
};
void lnt_zone_jump(struct lnt_zone *z, unsigned cell, struct lnt_cursor *c,
                   struct lnt_ahead *a);
/* Where the log ends. */
uint64_t lnt_zone_end(const struct lnt_zone *z);
/* How many bytes of the log are in front of the cursor. */
uint64_t lnt_zone_lag(const struct lnt_zone *z, const struct lnt_cursor *c);
/* Whether there is something to read; for the last look before sleep. */
bool lnt_zone_pending(const struct lnt_zone *z, const struct lnt_cursor *c);

/* The cells that sleep and must be rung, as a list; their flags are cleared
   (the caller rings).  self is left out.  Returns how many (at most
   LNT_CELLS); 0 at once when this process has published nothing, released no
   cell and repaired nothing since the last call.

   Of those that sleep it is the ones whose process subscribes to a room in
   which this one has published, or has the target of a direct message: all
   others sleep on, until the log has grown by so much that they must read. */
size_t lnt_zone_sleepers(struct lnt_zone *z, int self, uint8_t *cells);

/* The process of the cell, which calls this, subscribes to none of these rooms
   any more: their records need not wake it.  Members and listeners that it has
   do, so each join and move must come with a subscription. */
void lnt_zone_unwake(struct lnt_zone *z, unsigned cell, const uint32_t *rooms,
                     size_t n);

/* ---- users, rooms, members ---- */

/* Takes nick for a session.  0 with *user, or -1: EEXIST taken, ENOSPC table
   full, EINVAL bad length. */
int lnt_zone_user_add(struct lnt_zone *z, struct lnt_str nick, unsigned cell,
                      uint64_t session, uint32_t *user);
/* announce_max, here and below: in rooms with more members than that, joins,
   leaves and nicks are not announced. */
/* Another nick; one LNT_EVENT_NICK in each room of the user that is not too
   large for that (announce_max).  Errors as above. */
int lnt_zone_user_rename(struct lnt_zone *z, uint32_t user, struct lnt_str nick,
                         unsigned announce_max);
/* Leaves all rooms (LNT_EVENT_LEAVE in each but the large ones), frees the
   nick. */
void lnt_zone_user_remove(struct lnt_zone *z, uint32_t user,
                          unsigned announce_max);
/*
 * The user goes over to a session of another worker's cell, with all its rooms,
 * if it still is old_session's.  0, or -1 with ENOENT: that one's worker has
 * died and the user with it.
 */
int lnt_zone_user_move(struct lnt_zone *z, uint32_t user, uint64_t old_session,
                       unsigned cell, uint64_t session);
/* The nick of a user, for its owner alone: nobody else changes it.  Points
   into the zone, valid until the user is renamed or removed.  Never locks. */
struct lnt_str lnt_zone_user_nick(const struct lnt_zone *z, uint32_t user);
/* Who has this nick: its session, or 0.  A direct message to the one that was
   found last wakes only the worker that has it; to another session, all. */
uint64_t lnt_zone_user_find(struct lnt_zone *z, struct lnt_str nick);
/* A guest number never given out before by this zone. */
uint64_t lnt_zone_guest(struct lnt_zone *z);

/*
 * Who creates a room.  When the zone is full, rooms without members are evicted,
 * with their history: first those of the creator that has most of them.
 */
enum {
    LNT_CREATOR_SERVER = 1, /* the server, or programs of its operator */
    LNT_CREATOR_LOCAL,      /* clients over unix sockets */
    LNT_CREATOR_STORE,      /* prefix names a creator of an earlier run */
    LNT_CREATOR_V4,         /* networks: prefix as in struct lnt_network */
    LNT_CREATOR_V6,
};
struct lnt_creator {
    uint64_t prefix;
    uint32_t family;
    uint32_t user; /* of the session, 0: none */
    /* How many rooms that exist they may have created, 0: no limit.  The second
       is for networks. */
    uint64_t max_session, max_network;
};

/*
 * Adds user to the room of that name and application, creating the room if it
 * is new (by NULL: not then); in the same step LNT_EVENT_JOIN goes into the log,
 * with LNT_EVENT_NOT_ORIGIN (unless the room then has more than announce_max
 * members).
 * 0 with *member and *info, or -1: EEXIST is a member already, ENOSPC, EINVAL;
 * EDQUOT, EUSERS: the session or its network has created too many rooms;
 * ENOENT: there is none and by is NULL.
 */
int lnt_zone_join_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                     const struct lnt_creator *by, uint32_t user,
                     uint64_t origin, unsigned announce_max, uint32_t *member,
                     struct lnt_room_info *info);
/* The room itself goes when it is empty and has neither history nor holds. */
void lnt_zone_leave(struct lnt_zone *z, uint32_t member, uint64_t origin,
                    unsigned announce_max);
/* Whether that is a member of the room and the user's is that session. */
bool lnt_zone_is_member(struct lnt_zone *z, uint32_t member, uint32_t room,
                        uint64_t session);
/* 0, or -1 with ENOENT. */
int lnt_zone_room_find(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                       struct lnt_room_info *info);
/*
 * Keeps the room (created if it is new) as long as the cell's worker lives or
 * until it is unheld, also without members.  0 with *hold and *info, or -1 as
 * lnt_zone_join_by.
 */
int lnt_zone_hold_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                     const struct lnt_creator *by, unsigned cell,
                     uint32_t *hold, struct lnt_room_info *info);
/* The same, and the cell's process subscribes to the room: its records wake it
   until lnt_zone_unwake. */
int lnt_zone_listen_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                       const struct lnt_creator *by, unsigned cell,
                       uint32_t *hold, struct lnt_room_info *info);
/* The first on behalf of the server. */
static inline int
lnt_zone_hold(struct lnt_zone *z, uint32_t app, struct lnt_str name,
              unsigned cell, uint32_t *hold, struct lnt_room_info *info)
{
    const struct lnt_creator by = {.family = LNT_CREATOR_SERVER};

    return lnt_zone_hold_by(z, app, name, &by, cell, hold, info);
}
/* The room is one of the configuration as long as anybody holds it. */
void lnt_zone_configured(struct lnt_zone *z, uint32_t room);
void lnt_zone_unhold(struct lnt_zone *z, uint32_t hold);
/* Appends up to max nicks of the room, in order of joining, each followed by
   NUL, to out.  Returns how many members there are. */
unsigned lnt_zone_room_nicks(struct lnt_zone *z, uint32_t room, unsigned max,
                             struct lnt_strbuf *out);
/* The same by its number. */
int lnt_zone_room_info(struct lnt_zone *z, uint32_t room,
                       struct lnt_room_info *info);
/* One call for each room of the application (0: all); outside the lock.  0, or
   -1 with EBUSY: those that come first, at most. */
int lnt_zone_rooms(struct lnt_zone *z, uint32_t app,
                   void (*fn)(void *arg, const struct lnt_room_info *info),
                   void *arg);

/* ---- connections by address ---- */

/*
 * One more connection from there to the worker of that cell, unless there are
 * max already (0: no limit).  0 with *visit, never 0, or -1: EUSERS there are
 * max, ENOSPC the zone has no room to count more (connections, as many as
 * lnt_zone_usage says).
 */
int lnt_zone_peer_enter(struct lnt_zone *z, const struct lnt_network *net,
                        unsigned cell, uint64_t max, uint32_t *visit);
/* It has ended.  Nothing happens if it is not that worker's. */
void lnt_zone_peer_leave(struct lnt_zone *z, uint32_t visit, unsigned cell);
/* What it is called from worker to worker, never 0.  Never locks. */
uint64_t lnt_zone_peer_name(const struct lnt_zone *z, uint32_t visit);
/* It goes over to the worker of that cell; its number, the low half of the
   name, stays.  -1 with ENOENT: the worker that had it died meanwhile, or it
   counted in another zone. */
int lnt_zone_peer_move(struct lnt_zone *z, uint64_t name, unsigned cell);
/* How many there are from the same address. */
uint64_t lnt_zone_peer_count(struct lnt_zone *z, uint32_t visit);

/* ---- history ---- */

/*
 * Sets it.  0, or -1 with ENOSPC: the quotas of all rooms together would be
 * more than there is; this room then keeps what it can on top of the quota it
 * had.  Before that, if it helps, rooms in which nobody is are evicted.  ENOENT:
 * the room is gone.
 */
int lnt_zone_keep(struct lnt_zone *z, uint32_t room,
                  const struct lnt_keep *keep);

/*
 * Appends the last messages (up to limit) with a seq below before, oldest
 * first, to out, to be taken apart with lnt_zone_kept_next.  Returns how many.
 * After a join, before is info.next: what comes from there on is delivered.
 */
unsigned lnt_zone_history(struct lnt_zone *z, uint32_t room, uint64_t before,
                          unsigned limit, struct lnt_strbuf *out);

/*
 * Appends every message with LNT_EVENT_HISTORY of the room behind since and
 * below before, oldest first, if that can be had whole: from the history, or
 * from the log.  true with *count, also when there are none.  false (and out as
 * it was) when some are gone, there are more than limit or LNT_SINCE_MAX bytes
 * of them, or since is not of this room's life.
 */
bool lnt_zone_since(struct lnt_zone *z, uint32_t room, uint64_t since,
                    uint64_t before, unsigned limit, struct lnt_strbuf *out,
                    unsigned *count);

/* Takes the next message off what the two above appended; false at the end.
   e->data points into rest; app and room are not set. */
bool lnt_zone_kept_next(struct lnt_str *rest, struct lnt_event *e);

/*
 * For a zone that nobody has used yet, to go on where a former one ended: takes
 * its epoch and the seq of its last record.  whole: nothing of it was lost.
 * If something may have been, seqs go on at a distance, and lnt_zone_since
 * tells everybody from before that there is a gap.
 */
void lnt_zone_continue(struct lnt_zone *z, uint64_t epoch, uint64_t seq,
                       bool whole);
/* Puts a message of the former zone into the history of a room, oldest first:
   e->seq (not above that of lnt_zone_continue), time_us, origin, kind, flags
   and data.  0, or -1 with ENOSPC, EINVAL or EMSGSIZE. */
struct lnt_former {
    uint64_t creator; /* as struct lnt_kept said; 0: one with no other room */
    uint64_t lost;    /* up to that seq some of the room's may be missing */
    bool parked;      /* the room was not in the former zone: it has only space
                         that nobody needs, and is evicted before others */
};
int lnt_zone_restore_by(struct lnt_zone *z, uint32_t app, struct lnt_str name,
                        const struct lnt_keep *keep, const struct lnt_former *f,
                        const struct lnt_event *e);

/* What the history of a room is at the moment. */
struct lnt_kept {
    struct lnt_keep keep;
    uint32_t count;       /* messages */
    uint64_t first, last; /* seqs of the oldest and the newest, 0 none */
    uint64_t lost;        /* of what is newer than this nothing is missing */
    uint64_t creator;     /* the same for all rooms of one, never 0; does not
                             tell who it is */
    bool told;            /* keep was set: not a room that was created just now
                             and keeps nothing yet */
    bool configured;      /* it is one of the configuration */
};
/* 0, or -1 with ENOENT. */
int lnt_zone_kept(struct lnt_zone *z, uint32_t room, struct lnt_kept *k);
/* Appends what the history has behind seq, oldest first, as lnt_zone_history
   does; no more once there are max bytes.  Returns how many messages. */
unsigned lnt_zone_kept_after(struct lnt_zone *z, uint32_t room, uint64_t seq,
                             size_t max, struct lnt_strbuf *out);

struct lnt_store_state *lnt_zone_store(struct lnt_zone *z);

/* Drops history that has become too old and rooms that only it kept alive.  To
   be called now and then by one process; cheap.  What cannot be locked in time
   is left for the next time. */
void lnt_zone_sweep(struct lnt_zone *z);
/* Makes derived state again that an older release did not keep up to date, when
   the last process of that release is gone.  For the master, when a process is
   gone and now and then; returns at once when there is nothing to do. */
void lnt_zone_rebuild(struct lnt_zone *z);

/* ---- repair ---- */

/* 0, or -1 with EBUSY. */
int lnt_zone_usage(struct lnt_zone *z, struct lnt_zone_usage *u);
/* What a zone of size bytes would have, without making it: the _max,
   log_bytes and history_bytes. */
void lnt_zone_plan(size_t size, struct lnt_zone_usage *u);

#endif
