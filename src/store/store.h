/*
 * The store: a file in which the history of rooms outlives the server, an
 * SQLite database.  One process writes it, others may read it meanwhile.
 *
 *   server    one row: whose history it is, how far it goes
 *   room      name, application, what it keeps
 *   message   by room and seq
 *
 * Functions return 0, or -1 with a text in why that names the file.  After an
 * error the store is only good for lnt_store_close.
 */
#ifndef LNT_STORE_STORE_H
#define LNT_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"
#include "zone/zone.h"

struct lnt_store;
struct lnt_strbuf;

/* Reads the head of the file without opening it as a store: -1 when it cannot
   be one of ours.  What is not there or cannot be read is fine. */
int lnt_store_look(const char *path, struct lnt_strbuf *why);
/* Opens the file; makes it when there is none.  NULL with why. */
struct lnt_store *lnt_store_open(const char *path, struct lnt_strbuf *why);
/* What was not committed is forgotten.  NULL is fine. */
void lnt_store_close(struct lnt_store *s);
/* Reads all of it, looking for damage. */
int lnt_store_check(struct lnt_store *s, struct lnt_strbuf *why);
/* Says that it is damaged and what to do; -1. */
int lnt_store_damaged(const struct lnt_store *s, const char *how,
                      struct lnt_strbuf *why);
/* Whether the file is still the one that was opened. */
bool lnt_store_in_place(struct lnt_store *s);

/* To write; and to read one state of it, whoever writes meanwhile. */
int lnt_store_begin(struct lnt_store *s, struct lnt_strbuf *why);
int lnt_store_begin_reading(struct lnt_store *s, struct lnt_strbuf *why);
int lnt_store_commit(struct lnt_store *s, struct lnt_strbuf *why);

struct lnt_store_head {
    uint64_t epoch; /* of the zone; 0: a new store */
    uint64_t seq;   /* every message up to this one has been written */
    bool whole;     /* and after it there was none: the server has ended */
};
int lnt_store_head(struct lnt_store *s, struct lnt_store_head *head,
                   struct lnt_strbuf *why);
int lnt_store_set_head(struct lnt_store *s, const struct lnt_store_head *head,
                       struct lnt_strbuf *why);

struct lnt_store_room {
    int64_t id; /* 0: not in the store */
    uint32_t app;
    struct lnt_str name;
    struct lnt_keep keep;
    uint64_t lost; /* as in struct lnt_kept */
    bool parked;   /* not in the zone: it did not fit, or was evicted */
    /* What there is of it; for reading only. */
    uint64_t first, last, messages;
    uint64_t newest_us, oldest_us;
    /* To be written, too. */
    uint64_t creator; /* as in struct lnt_kept; 0 unknown */
    bool configured;
};

/*
 * One call for each room, the one that has been quiet for the longest time
 * first; then for those that are parked, that one last; then for those of the
 * configuration.  And one for each message of a room, in order: seq, time_us, kind, flags
 * and data are set.  What is passed lasts for the call.  fn returns 0 to go
 * on, or -1 with why.
 */
typedef int lnt_store_room_fn(void *arg, const struct lnt_store_room *r,
                              struct lnt_strbuf *why);
typedef int lnt_store_message_fn(void *arg, const struct lnt_event *e,
                                 struct lnt_strbuf *why);
int lnt_store_rooms(struct lnt_store *s, lnt_store_room_fn *fn, void *arg,
                    struct lnt_strbuf *why);
int lnt_store_messages(struct lnt_store *s, int64_t room,
                       lnt_store_message_fn *fn, void *arg,
                       struct lnt_strbuf *why);

/* The oldest message of a room; 0 and 0: there is none. */
int lnt_store_first(struct lnt_store *s, int64_t room, uint64_t *seq,
                    uint64_t *time_us, struct lnt_strbuf *why);

/* Writes the room's row: a new one, whose id is set, when that was 0. */
int lnt_store_put_room(struct lnt_store *s, struct lnt_store_room *r,
                       struct lnt_strbuf *why);
int lnt_store_put(struct lnt_store *s, int64_t room, const struct lnt_event *e,
                  struct lnt_strbuf *why);
/* Removes messages below seq; *n: how many there were. */
int lnt_store_prune(struct lnt_store *s, int64_t room, uint64_t seq,
                    uint64_t *n, struct lnt_strbuf *why);
/* Removes all but the last count messages. */
int lnt_store_limit(struct lnt_store *s, int64_t room, uint64_t count,
                    uint64_t *n, struct lnt_strbuf *why);
/* Removes messages from before that time. */
int lnt_store_forget(struct lnt_store *s, int64_t room, uint64_t time_us,
                     uint64_t *n, struct lnt_strbuf *why);
/* Removes a room with all it has. */
int lnt_store_drop(struct lnt_store *s, int64_t room, struct lnt_strbuf *why);
/* Removes messages behind seq, and rooms that have none then. */
int lnt_store_cut(struct lnt_store *s, uint64_t seq, struct lnt_strbuf *why);

/* ---- store_load.c ---- */

/* Into a zone that nobody has used yet: the history, and where its log goes
   on. */
int lnt_store_load(struct lnt_store *s, struct lnt_zone *z,
                   struct lnt_strbuf *why);

#endif
