/*
 * The hub: a worker's view of the zone.  It reads the log, keeps the local
 * subscriptions (which sessions here are in which room) and queues each event
 * for them: rendered once a format, framed once a protocol and variant, one
 * reference a subscriber.
 */
#ifndef LNT_HUB_HUB_H
#define LNT_HUB_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "hub/result.h"
#include "net/module.h"
#include "zone/types.h"

struct lnt_hub;
struct lnt_zone;
struct lnt_sub; /* one session in one room */

struct lnt_hub_params {
    struct lnt_zone *zone;
    unsigned cell;        /* this worker's */
    const int *doorbells; /* eventfds by cell, LNT_CELLS of them */
    struct lnt_net *net;
};

struct lnt_hub *lnt_hub_new(const struct lnt_hub_params *p);
void lnt_hub_free(struct lnt_hub *h);

/* From now on this worker serves, to be said once: what lnt_hub_pin was asked
   for comes into force. */
void lnt_hub_serve(struct lnt_hub *h);
/* From now on others serve, as their configuration says: what a room keeps is
   not changed from here any more, only said of one that keeps nothing. */
void lnt_hub_retire(struct lnt_hub *h);

/* Calls fn once, when nothing is under way: perhaps now, at the latest when the
   time of all that is (LNT_OP_TIME) is over. */
void lnt_hub_when_idle(struct lnt_hub *h, void (*fn)(void *arg), void *arg);
/* Completes all that is under way with ECANCELED, and what is begun from now on.
   For the end of the worker, while modules are still there. */
void lnt_hub_cancel(struct lnt_hub *h);

#ifdef LNT_DEBUG_BUILD
/* For tests: operations stay under way until they are released, the first n that
   were begun, in that order; as in a cluster.  With hold false all are. */
void lnt_hub_hold(struct lnt_hub *h, bool hold);
size_t lnt_hub_release(struct lnt_hub *h, size_t n); /* how many there were */
size_t lnt_hub_held(const struct lnt_hub *h);        /* how many there are */
#endif

/* ---- for the worker's loop hook ---- */

/* Rings sleepers if this worker published since the last call, then reads a
   bounded part of the log and queues it.  true: more is waiting. */
bool lnt_hub_turn(struct lnt_hub *h);
/* Announces sleep; false when something came meanwhile. */
bool lnt_hub_sleep(struct lnt_hub *h);
void lnt_hub_wake(struct lnt_hub *h);

/* ---- for applications ---- */

/* announce_max, wherever it is taken: in rooms with more members than that,
   joins, leaves and new nicks are not announced. */

/*
 * Errors below are those of the operation itself.  Each may also complete with
 * EAGAIN, ETIMEDOUT or ECANCELED: hub/result.h, which says what completions are
 * and when they come.
 */

/*
 * A session takes a nick: the completion has the number of the user, which the
 * app keeps; one user a session.  EEXIST: another session has that nick; EINVAL:
 * it is empty or longer than LNT_NICK_MAX; ENOSPC: the zone has no place for
 * another user.
 */
void lnt_hub_enter(struct lnt_hub *h, struct lnt_session *s,
                   struct lnt_str nick, struct lnt_completion done);
/* Another nick.  EEXIST and EINVAL as above. */
void lnt_hub_rename(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                    struct lnt_str nick, unsigned announce_max,
                    struct lnt_completion done);
/* To be called from the app's close when it entered; after lnt_hub_leave of
   every sub. */
void lnt_hub_exit(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                  unsigned announce_max);

/*
 * Joins the room: member in the zone and subscriber here, from the join event
 * on; the joiner does not get its own join event, but all that come after it.
 * format: which rendering.  A room that is new counts for the session and its
 * network as its [limits] say.  The completion has the sub and the room's info.
 * EEXIST: the user is in that room already; EINVAL: the name is empty or longer
 * than LNT_ROOM_NAME_MAX; ENOSPC: the zone has no place for another room or
 * member; EDQUOT: the session, EUSERS: its network has created too many rooms
 * (rooms_created_per_session, rooms_created_per_ip).
 */
void lnt_hub_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                  struct lnt_str name, unsigned format, unsigned announce_max,
                  struct lnt_completion done);
/* The subscription is over when this returns. */
void lnt_hub_leave(struct lnt_hub *h, struct lnt_sub *sub,
                   unsigned announce_max);
/* Subscribes without a member: receives, is not seen.  Ends with leave, too.
   A room that is new counts for the network alone, and info->created is set:
   the app counts for the session.  EINVAL, ENOSPC and EUSERS as above. */
void lnt_hub_listen(struct lnt_hub *h, struct lnt_session *s,
                    struct lnt_str name, unsigned format,
                    struct lnt_completion done);
/* Nothing with a seq below start is delivered to it any more: it was told in
   another way.  UINT64_MAX: nothing at all until another start is said, which
   is then above what the worker has read. */
void lnt_hub_skip(struct lnt_hub *h, struct lnt_sub *sub, uint64_t start);
/*
 * Sets what the room keeps of what is published with LNT_EVENT_HISTORY.  Cheap
 * when nothing changes, so call it at every join.  After lnt_hub_retire it only
 * has an effect on rooms that keep nothing.  0, or -1: ENOSPC, the histories
 * that all rooms are promised would not fit into the zone, and this room keeps
 * what it can; ENOENT, the room is gone.
 */
int lnt_hub_keep(struct lnt_hub *h, const struct lnt_sub *sub,
                 const struct lnt_keep *keep);
/* Keeps a room as long as this worker lives, so that it (and its promised
   history) is there before anybody joins; for worker_start.  What the room keeps
   is set when this worker begins to serve: until then its generation may be
   given up, and the rooms are those of the generation before.  0, or -1: EINVAL,
   the name is empty or longer than LNT_ROOM_NAME_MAX; ENOSPC, the zone has no
   place for another room. */
int lnt_hub_pin(struct lnt_hub *h, const struct lnt_module_ctx *m,
                struct lnt_str name, const struct lnt_keep *keep);
/*
 * The first seq that this sub may still get: of what is before it everything
 * has been queued, or was history when it came.
 */
uint64_t lnt_hub_next(const struct lnt_hub *h, const struct lnt_sub *sub);
uint32_t lnt_sub_room(const struct lnt_sub *sub);
const char *lnt_sub_room_name(const struct lnt_sub *sub);
unsigned lnt_sub_format(const struct lnt_sub *sub); /* as given */

/* The subs of a session are a list the app owns the head of. */
struct lnt_sub *lnt_sub_next(const struct lnt_sub *sub);
void lnt_sub_link(struct lnt_sub *sub, struct lnt_sub **head);
void lnt_sub_unlink(struct lnt_sub *sub, struct lnt_sub **head);

/*
 * Publishes into the room: to every subscriber of every worker, in one order.
 * kind is LNT_EVENT_APP or above.  The completion has seq and time_us.
 * EMSGSIZE: data is larger than about a quarter of the log; ENOENT: the room is
 * gone.
 */
void lnt_hub_publish(struct lnt_hub *h, struct lnt_session *s,
                     const struct lnt_sub *sub, uint16_t kind, uint16_t flags,
                     struct lnt_str data, struct lnt_completion done);
/*
 * The same without being there: into the room of that name of module m, made
 * if it is new.  keep (may be NULL) as with lnt_hub_keep.  Errors as
 * lnt_hub_publish, and EINVAL: the name is empty or longer than
 * LNT_ROOM_NAME_MAX; ENOSPC: the zone has no place for another room.
 */
void lnt_hub_post(struct lnt_hub *h, struct lnt_module_ctx *m,
                  struct lnt_str name, const struct lnt_keep *keep,
                  uint16_t kind, uint16_t flags, struct lnt_str data,
                  struct lnt_completion done);
/* To one session, wherever it is: to its application's direct, if that is the
   same as that of s.  EMSGSIZE as above.  No error when there is no such
   session. */
void lnt_hub_direct(struct lnt_hub *h, struct lnt_session *s, uint64_t target,
                    uint16_t kind, struct lnt_str data,
                    struct lnt_completion done);

/*
 * Publishes to every session that is in one of these rooms (of the same
 * application) at the moment when the message is committed to the log, except
 * sessions that are in one of the excepted rooms, and the excepted sessions.
 * Each session gets it once, however many of the rooms it is in.  Rooms that do
 * not exist are fine.
 *
 * The message has its place in the order of the room of sub, and with
 * LNT_EVENT_HISTORY in that room's history; the subscribers of that room get it
 * only when it is among the rooms.  app->event finds that room's name in the
 * event; the format is that of the session's subscription to the first of the
 * rooms that it is in.
 *
 * Use kinds of their own for it: a release that does not know these messages
 * shows them to the room of sub, with other bytes before the data.
 *
 * Completes as lnt_hub_publish; E2BIG: a list is longer than LNT_AUDIENCE_MAX;
 * EINVAL: a name is empty or longer than LNT_ROOM_NAME_MAX.
 */
enum { LNT_AUDIENCE_MAX = 256 };
struct lnt_audience {
    const struct lnt_str *rooms, *except_rooms;
    size_t nrooms, nexcept_rooms;
    const uint64_t *except; /* ids of sessions, wherever they are */
    size_t nexcept;
};
void lnt_hub_spread(struct lnt_hub *h, struct lnt_session *s,
                    const struct lnt_sub *sub, const struct lnt_audience *to,
                    uint16_t kind, uint16_t flags, struct lnt_str data,
                    struct lnt_completion done);
/* The same without being there, as lnt_hub_post. */
void lnt_hub_post_spread(struct lnt_hub *h, struct lnt_module_ctx *m,
                         struct lnt_str name, const struct lnt_keep *keep,
                         const struct lnt_audience *to, uint16_t kind,
                         uint16_t flags, struct lnt_str data,
                         struct lnt_completion done);

/* Whether s has anything under way that is not complete. */
enum lnt_under_way lnt_hub_under_way(const struct lnt_hub *h,
                                     const struct lnt_session *s);
/* Completes when everything is complete that s has begun before; for what is to
   be done in its turn.  data is the completion's what. */
void lnt_hub_after(struct lnt_hub *h, struct lnt_session *s,
                   struct lnt_str data, struct lnt_completion done);

/* ---- what applications ask ---- */

/* Of the zone: below 2^53, not 0; with a seq it names a place in the log. */
uint64_t lnt_hub_epoch(const struct lnt_hub *h);
/* A guest number never given out before by this zone. */
uint64_t lnt_hub_guest(struct lnt_hub *h);
/* The nick of a user that this worker's session is; valid until the user is
   renamed or removed. */
struct lnt_str lnt_hub_nick(const struct lnt_hub *h, uint32_t user);
/* Who has this nick: its session, or 0.  A direct message to the one that was
   found last wakes only the worker that has it; to another session, all. */
uint64_t lnt_hub_find(struct lnt_hub *h, struct lnt_str nick);
/* Appends up to max nicks of the room, in order of joining, each followed by
   NUL.  Returns how many members there are. */
unsigned lnt_hub_who(struct lnt_hub *h, const struct lnt_sub *sub, unsigned max,
                     struct lnt_strbuf *nicks);
/*
 * Appends the last messages (up to limit) with a seq below before, oldest
 * first, to out, to be taken apart with lnt_hub_past_next.  Returns how many.
 * After a join, before is info->next: what comes from there on is delivered.
 */
unsigned lnt_hub_history(struct lnt_hub *h, const struct lnt_sub *sub,
                         uint64_t before, unsigned limit,
                         struct lnt_strbuf *out);
/*
 * Appends every message with LNT_EVENT_HISTORY of the room behind since and
 * below before, oldest first, if that can be had whole.  true with *count, also
 * when there are none.  false (and out as it was) when some are gone, there are
 * more than limit or LNT_SINCE_MAX bytes of them, or since is not of this
 * room's life.
 */
bool lnt_hub_since(struct lnt_hub *h, const struct lnt_sub *sub, uint64_t since,
                   uint64_t before, unsigned limit, struct lnt_strbuf *out,
                   unsigned *count);
/* Takes the next message off what the two above appended for sub; false at the
   end.  e->data points into rest. */
bool lnt_hub_past_next(const struct lnt_sub *sub, struct lnt_str *rest,
                       struct lnt_event *e);
/* What shared memory of that size would have, without making it: the _max,
   log_bytes and history_bytes.  For configure(). */
void lnt_hub_plan(size_t zone_size, struct lnt_zone_usage *u);

/* ---- a session that moves to another worker ---- */

/* Up to where the log has been queued for the sessions here. */
struct lnt_hub_point {
    uint64_t position, seq;
};

/*
 * What the giver's app freezes: the point, the user, and each sub of its list.
 * false: not now; in a moment, when this worker has read a bit more and s has
 * nothing under way.
 */
bool lnt_hub_point(struct lnt_hub *h, const struct lnt_session *s,
                   const struct lnt_sub *subs, struct lnt_hub_point *p);
/* Appends a piece that lnt_hub_adopt takes.  It is counted, and later releases
   append to it (core/pack.h). */
void lnt_sub_freeze(struct lnt_hub *h, const struct lnt_sub *sub,
                    struct lnt_strbuf *out);
/* Ends the subscription here; the member in the zone stays.  For the close of
   a session that has moved. */
void lnt_hub_forget(struct lnt_hub *h, struct lnt_sub *sub);

/* Until it is taken back: what is adopted comes from another zone.  Its numbers
   and places in the log mean nothing here, so users and subs are gone. */
void lnt_hub_foreign(struct lnt_hub *h, bool foreign);
/*
 * What the taker's app does, in this order.  The user becomes that of s: 0, or
 * -1 with ENOENT when it is gone together with the worker it was of.
 */
int lnt_hub_adopt_user(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                       uint64_t old_session);
/* A sub from its piece, taken off rest; NULL when that cannot be read, or with
   ENOENT when it is of another zone. */
struct lnt_sub *lnt_hub_adopt(struct lnt_hub *h, struct lnt_session *s,
                              struct lnt_str *rest);
/* The same for a piece as it was up to release 0.1.0. */
struct lnt_sub *lnt_hub_adopt_uncounted(struct lnt_hub *h,
                                        struct lnt_session *s,
                                        struct lnt_str *rest);
/*
 * When all subs are there: gives s what was published behind from and has been
 * read here already; all that follows comes the usual way.  So s gets each
 * event of its rooms exactly once and in order.  What is still sent to the old
 * id finds s, too.  0, or -1 with EPROTO: from is no place in the log.
 */
int lnt_hub_replay(struct lnt_hub *h, struct lnt_session *s,
                   struct lnt_sub *subs, uint64_t old_session,
                   const struct lnt_hub_point *from);

#endif
