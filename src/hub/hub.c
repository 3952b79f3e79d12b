/*
 * The hub: reads the log once a loop turn, wakes those who sleep, and is what
 * applications know of the zone.  Who is subscribed is kept by subs.c, what
 * they get is made by fanout.c.
 */
#include "hub/hub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "hub/fanout.h"
#include "hub/reader.h"
#include "hub/replay.h"
#include "hub/subs.h"
#include "hub/unwake.h"
#include "net/limits.h"
#include "net/net.h"
#include "net/stats.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"

/* What a room that is held is to keep as soon as this worker serves. */
struct pin {
    uint32_t room;
    struct lnt_keep keep;
};

struct lnt_hub {
    struct lnt_zone *zone;
    struct lnt_net *net;
    struct lnt_stats *stats;
    struct lnt_cell *cell;
    unsigned cell_index;
    const int *doorbells;
    struct lnt_reader reader;
    struct lnt_subs *subs;
    struct lnt_fanout *fanout;
    struct lnt_unwake *unwake;
    struct pin *pins;
    size_t npins;
    bool retired;
    bool asleep; /* announced it */
    /* The end of the log when a session moved here last: what is behind it
       names none by the id that it had before. */
    uint64_t settled;
    bool foreign; /* who moves here just now was in another zone */
};

/* ---- life ---- */

struct lnt_hub *
lnt_hub_new(const struct lnt_hub_params *p)
{
    struct lnt_hub *h = lnt_calloc(1, sizeof(*h));

    h->zone = p->zone;
    h->net = p->net;
    h->stats = lnt_net_stats(p->net);
    h->cell = lnt_zone_cell(p->zone, p->cell);
    h->cell_index = p->cell;
    h->doorbells = p->doorbells;
    h->subs = lnt_subs_new();
    h->fanout = lnt_fanout_new(h->subs, h->net, p->cell);
    h->unwake = lnt_unwake_new(h->zone, h->subs, p->cell);
    h->reader = (struct lnt_reader){
        .zone = h->zone,
        .stats = h->stats,
        .cell = h->cell,
        .cell_index = p->cell,
        .subs = h->subs,
        .fanout = h->fanout,
        .unwake = h->unwake,
    };
    lnt_reader_init(&h->reader);
    return h;
}

void
lnt_hub_free(struct lnt_hub *h)
{
    lnt_reader_release(&h->reader);
    lnt_unwake_free(h->unwake);
    lnt_fanout_free(h->fanout);
    lnt_subs_free(h->subs);
    free(h->pins);
    free(h);
}

struct lnt_zone *
lnt_hub_zone(struct lnt_hub *h)
{
    return h->zone;
}

/* ---- the loop ---- */

static void
ring_sleepers(struct lnt_hub *h)
{
    uint8_t cells[LNT_CELLS];
    size_t n = lnt_zone_sleepers(h->zone, (int)h->cell_index, cells);

    for (size_t i = 0; i < n; i++)
        lnt_eventfd_ring(h->doorbells[cells[i]]);
    if (n > 0)
        lnt_count_add(h->stats, LNT_C_DOORBELLS, n);
}

bool
lnt_hub_turn(struct lnt_hub *h)
{
    ring_sleepers(h);
    /* A worker that is never idle does not get to it before it sleeps. */
    if (lnt_subs_many_gone(h->subs))
        lnt_unwake_settle(h->unwake);
    if (!lnt_zone_pending(h->zone, &h->reader.cursor) &&
        lnt_subs_waiting(h->subs) == UINT64_MAX)
        return false;
    lnt_reader_turn(&h->reader);
    return lnt_zone_pending(h->zone, &h->reader.cursor);
}

bool
lnt_hub_sleep(struct lnt_hub *h)
{
    lnt_unwake_settle(h->unwake);
    /* What was published while events were told. */
    ring_sleepers(h);
    h->asleep = true;
    __atomic_store_n(&h->cell->asleep, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!lnt_zone_pending(h->zone, &h->reader.cursor))
        return true;
    lnt_hub_wake(h);
    return false;
}

void
lnt_hub_wake(struct lnt_hub *h)
{
    /* Whoever rings has cleared it. */
    if (h->asleep && !__atomic_load_n(&h->cell->asleep, __ATOMIC_RELAXED))
        lnt_unwake_rung(h->unwake);
    h->asleep = false;
    __atomic_store_n(&h->cell->asleep, 0, __ATOMIC_RELEASE);
}

/* ---- users ---- */

int
lnt_hub_enter(struct lnt_hub *h, struct lnt_session *s, struct lnt_str nick,
              uint32_t *user)
{
    return lnt_zone_user_add(h->zone, nick, h->cell_index, lnt_session_id(s),
                             user);
}

int
lnt_hub_rename(struct lnt_hub *h, uint32_t user, struct lnt_str nick,
               unsigned quiet)
{
    return lnt_zone_user_rename(h->zone, user, nick, quiet);
}

void
lnt_hub_exit(struct lnt_hub *h, uint32_t user, unsigned quiet)
{
    lnt_zone_user_remove(h->zone, user, quiet);
}

/* ---- rooms ---- */

static uint32_t
app_id(const struct lnt_session *s)
{
    return lnt_zone_app_id(lnt_session_app(s)->module->name);
}

/* Where the session is from and how many rooms it may create; user 0: it has
   none.  0, or -1 with EUSERS: the peer is gone already. */
static int
creator_of(const struct lnt_session *s, uint32_t user, struct lnt_creator *by)
{
    const struct lnt_limits *limits = lnt_session_limits(s);
    struct lnt_network net;
    struct lnt_addr peer;

    if (lnt_session_peer(s, &peer) < 0) {
        errno = EUSERS;
        return -1;
    }
    *by = (struct lnt_creator){
        .family = LNT_CREATOR_LOCAL,
        .user = user,
        .max_session = (uint64_t)limits->rooms_created_per_session,
    };
    if (lnt_addr_network(&peer, &net)) {
        by->prefix = net.prefix;
        by->family = net.family == 4 ? LNT_CREATOR_V4 : LNT_CREATOR_V6;
    }
    /* Behind a proxy on this machine everybody has the same address. */
    if (!lnt_addr_is_local(&peer))
        by->max_network = (uint64_t)limits->rooms_created_per_ip;
    return 0;
}

static void
count_refusal(struct lnt_hub *h)
{
    if (errno == EDQUOT)
        lnt_count(h->stats, LNT_C_ROOMS_REFUSED);
    else if (errno == EUSERS)
        lnt_count(h->stats, LNT_C_ROOMS_REFUSED_PEER);
}

/* Who creates the room is asked only when there is none yet. */
static int
join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
     struct lnt_str name, unsigned quiet, uint32_t *member,
     struct lnt_room_info *info)
{
    uint64_t id = lnt_session_id(s);
    struct lnt_creator by;
    int rc = lnt_zone_join_by(h->zone, app_id(s), name, NULL, user, id, quiet,
                              member, info);

    if (rc == 0 || errno != ENOENT)
        return rc;
    rc = creator_of(s, user, &by);
    if (rc == 0)
        rc = lnt_zone_join_by(h->zone, app_id(s), name, &by, user, id, quiet,
                              member, info);
    if (rc < 0)
        count_refusal(h);
    return rc;
}

/* The same for one that only listens; *created: there was no such room.  One
   that has moved here had the room before: limits do not count. */
static int
hold(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name, bool moved,
     uint32_t *node, struct lnt_room_info *info, bool *created)
{
    struct lnt_creator by;
    int rc = lnt_zone_listen_by(h->zone, app_id(s), name, NULL, h->cell_index,
                                node, info);

    *created = false;
    if (rc == 0 || errno != ENOENT)
        return rc;
    rc = creator_of(s, 0, &by);
    if (moved)
        by.max_session = by.max_network = 0;
    if (rc == 0)
        rc = lnt_zone_listen_by(h->zone, app_id(s), name, &by, h->cell_index,
                                node, info);
    if (rc < 0)
        count_refusal(h);
    *created = rc == 0;
    return rc;
}

static struct lnt_sub *
subscribe(struct lnt_hub *h, struct lnt_session *s, unsigned format,
          uint32_t member, const struct lnt_room_info *info)
{
    struct lnt_hub_room *r =
        lnt_subs_room_take(h->subs, info, lnt_session_app(s));

    return lnt_subs_add(h->subs, r, s, format, member, info->next,
                        info->next <= h->reader.cursor.seq + 1);
}

struct lnt_sub *
lnt_hub_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
             struct lnt_str name, unsigned format, unsigned quiet,
             struct lnt_room_info *info)
{
    uint32_t member;

    if (join(h, s, user, name, quiet, &member, info) < 0)
        return NULL;
    return subscribe(h, s, format, member, info);
}

static struct lnt_sub *
subscribe_listener(struct lnt_hub *h, struct lnt_session *s, unsigned format,
                   uint32_t node, const struct lnt_room_info *info)
{
    struct lnt_sub *sub = subscribe(h, s, format, 0, info);
    struct lnt_hub_room *r = sub->group->room;

    /* One for all of them here. */
    if (r->listeners++ == 0)
        r->hold = node;
    else
        lnt_zone_unhold(h->zone, node);
    return sub;
}

struct lnt_sub *
lnt_hub_listen(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
               unsigned format, struct lnt_room_info *info)
{
    uint32_t node;

    if (hold(h, s, name, false, &node, info, &info->created) < 0)
        return NULL;
    return subscribe_listener(h, s, format, node, info);
}

void
lnt_hub_skip(struct lnt_hub *h, struct lnt_sub *sub, uint64_t start)
{
    if (start > lnt_hub_next(h, sub))
        lnt_subs_delay(h->subs, sub, start);
}

void
lnt_hub_leave(struct lnt_hub *h, struct lnt_sub *sub, unsigned quiet)
{
    struct lnt_hub_room *r = sub->group->room;
    uint32_t member = sub->member;
    uint64_t id = lnt_session_id(sub->session);
    uint32_t held = 0;

    if (!member && --r->listeners == 0)
        held = r->hold;
    lnt_subs_remove(h->subs, sub);
    if (member)
        lnt_zone_leave(h->zone, member, id, quiet);
    else if (held)
        lnt_zone_unhold(h->zone, held);
}

int
lnt_hub_pin(struct lnt_hub *h, const struct lnt_module_ctx *m,
            struct lnt_str name, const struct lnt_keep *keep)
{
    struct lnt_room_info info;
    uint32_t node;

    if (lnt_zone_hold(h->zone, lnt_zone_app_id(m->module->name), name,
                      h->cell_index, &node, &info) < 0)
        return -1;
    lnt_zone_configured(h->zone, info.room);
    h->pins = lnt_realloc(h->pins, (h->npins + 1) * sizeof(*h->pins));
    h->pins[h->npins++] = (struct pin){info.room, *keep};
    return 0;
}

void
lnt_hub_serve(struct lnt_hub *h)
{
    struct lnt_room_info info;

    for (size_t i = 0; i < h->npins; i++) {
        const struct pin *p = &h->pins[i];

        if (lnt_zone_keep(h->zone, p->room, &p->keep) < 0 &&
            lnt_zone_room_info(h->zone, p->room, &info) == 0)
            lnt_log_warn("the zone is too full for all the history that room "
                         "%s is promised; a larger zone_size would help",
                         info.name);
    }
    free(h->pins);
    h->pins = NULL;
    h->npins = 0;
}

void
lnt_hub_retire(struct lnt_hub *h)
{
    h->retired = true;
}

static int
keep_history(struct lnt_hub *h, uint32_t room, const struct lnt_keep *keep)
{
    struct lnt_kept k;

    if (h->retired && lnt_zone_kept(h->zone, room, &k) == 0 && k.keep.count > 0)
        return 0;
    return lnt_zone_keep(h->zone, room, keep);
}

int
lnt_hub_keep(struct lnt_hub *h, const struct lnt_sub *sub,
             const struct lnt_keep *keep)
{
    struct lnt_hub_room *r = sub->group->room;

    if (r->kept && r->keep.count == keep->count &&
        r->keep.age_s == keep->age_s && r->keep.bytes == keep->bytes)
        return 0;
    if (keep_history(h, r->room, keep) < 0)
        return -1;
    r->kept = true;
    r->keep = *keep;
    return 0;
}

uint64_t
lnt_hub_next(const struct lnt_hub *h, const struct lnt_sub *sub)
{
    uint64_t start = lnt_subs_start(h->subs, sub);

    return start > h->reader.cursor.seq ? start : h->reader.cursor.seq + 1;
}

uint32_t
lnt_sub_room(const struct lnt_sub *sub)
{
    return sub->group->room->room;
}

const char *
lnt_sub_room_name(const struct lnt_sub *sub)
{
    return sub->group->room->name;
}

unsigned
lnt_sub_format(const struct lnt_sub *sub)
{
    return sub->group->format;
}

const char *
lnt_hub_room_name(struct lnt_hub *h, uint32_t room)
{
    const struct lnt_hub_room *r = lnt_subs_room(h->subs, room);

    return r ? r->name : "";
}

/* ---- a session's list ---- */

struct lnt_sub *
lnt_sub_next(const struct lnt_sub *sub)
{
    return sub->next;
}

void
lnt_sub_link(struct lnt_sub *sub, struct lnt_sub **head)
{
    sub->next = *head;
    *head = sub;
}

void
lnt_sub_unlink(struct lnt_sub *sub, struct lnt_sub **head)
{
    while (*head && *head != sub)
        head = &(*head)->next;
    if (*head)
        *head = sub->next;
    sub->next = NULL;
}

/* ---- publishing ---- */

static int
publish(struct lnt_hub *h, struct lnt_event *e, uint64_t *seq,
        uint64_t *time_us)
{
    lnt_assert(e->kind >= LNT_EVENT_APP);
    if (lnt_zone_publish(h->zone, e) < 0)
        return -1;
    lnt_count(h->stats, LNT_C_PUBLISHED);
    if (seq)
        *seq = e->seq;
    if (time_us)
        *time_us = e->time_us;
    return 0;
}

int
lnt_hub_publish(struct lnt_hub *h, struct lnt_session *from,
                struct lnt_sub *sub, uint16_t kind, uint16_t flags,
                struct lnt_str data, uint64_t *seq, uint64_t *time_us)
{
    const struct lnt_hub_room *r = sub->group->room;
    struct lnt_event e = {
        .origin = from ? lnt_session_id(from) : 0,
        .app = r->app_id,
        .room = r->room,
        .kind = kind,
        .flags = flags,
        .data = data,
    };

    return publish(h, &e, seq, time_us);
}

int
lnt_hub_post(struct lnt_hub *h, const struct lnt_module_ctx *m,
             struct lnt_str name, const struct lnt_keep *keep, uint16_t kind,
             uint16_t flags, struct lnt_str data, uint64_t *seq,
             uint64_t *time_us)
{
    struct lnt_event e = {
        .app = lnt_zone_app_id(m->module->name),
        .kind = kind,
        .flags = flags,
        .data = data,
    };
    struct lnt_room_info info;
    uint32_t node;
    int rc;

    if (lnt_zone_hold(h->zone, e.app, name, h->cell_index, &node, &info) < 0)
        return -1;
    /* Without a promise the room keeps what it can. */
    if (keep)
        (void)keep_history(h, info.room, keep);
    e.room = info.room;
    rc = publish(h, &e, seq, time_us);
    int why = errno;
    lnt_zone_unhold(h->zone, node);
    errno = why;
    return rc;
}

int
lnt_hub_direct(struct lnt_hub *h, struct lnt_session *from, uint64_t target,
               uint16_t kind, struct lnt_str data, uint64_t *seq,
               uint64_t *time_us)
{
    struct lnt_event e = {
        .origin = lnt_session_id(from),
        .target = target,
        .app = app_id(from),
        .room = LNT_ROOM_NONE,
        .kind = kind,
        .flags = LNT_EVENT_DIRECT,
        .data = data,
    };

    return publish(h, &e, seq, time_us);
}

/* ---- moving ---- */

bool
lnt_hub_point(struct lnt_hub *h, const struct lnt_sub *subs,
              struct lnt_hub_point *p)
{
    /* The taker reads on from there, once for each session: records of other
       rooms, for which nobody has woken us, are not to be among that. */
    lnt_reader_pass(&h->reader);
    p->position = h->reader.cursor.position;
    p->seq = h->reader.cursor.seq;
    if (p->seq < h->settled)
        return false;
    for (; subs; subs = subs->next) {
        if (lnt_hub_next(h, subs) > p->seq + 1)
            return false;
    }
    return true;
}

void
lnt_sub_freeze(struct lnt_hub *h, const struct lnt_sub *sub,
               struct lnt_strbuf *out)
{
    const struct lnt_hub_room *r = sub->group->room;
    size_t piece = lnt_pack_begin(out);

    lnt_pack_u32(out, r->room);
    lnt_pack_u32(out, r->app_id);
    lnt_pack_u32(out, sub->member);
    lnt_pack_u32(out, sub->group->format);
    lnt_pack_u64(out, lnt_hub_next(h, sub));
    lnt_pack_str(out, lnt_str_c(r->name));
    lnt_pack_end(out, piece); /* new fields: before this */
}

void
lnt_hub_forget(struct lnt_hub *h, struct lnt_sub *sub)
{
    if (sub->member)
        lnt_subs_remove(h->subs, sub);
    else
        lnt_hub_leave(h, sub, 0); /* its room is held for this worker */
}

void
lnt_hub_foreign(struct lnt_hub *h, bool foreign)
{
    h->foreign = foreign;
}

int
lnt_hub_adopt_user(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
                   uint64_t old_session)
{
    if (h->foreign) {
        errno = ENOENT;
        return -1;
    }
    return lnt_zone_user_move(h->zone, user, old_session, h->cell_index,
                              lnt_session_id(s));
}

/* One that only listens goes on where it was.  Nobody held its room meanwhile,
   so it may be another one of that name: all of that is news. */
static struct lnt_sub *
adopt_listener(struct lnt_hub *h, struct lnt_session *s, unsigned format,
               struct lnt_str name, const struct lnt_room_info *old)
{
    struct lnt_room_info info;
    bool created;
    uint32_t node;

    if (hold(h, s, name, true, &node, &info, &created) < 0)
        return NULL;
    if (old->next < info.next)
        info.next = old->next;
    return subscribe_listener(h, s, format, node, &info);
}

struct lnt_sub *
lnt_hub_adopt(struct lnt_hub *h, struct lnt_session *s, struct lnt_str *rest)
{
    struct lnt_str piece;

    if (!lnt_unpack_part(rest, &piece))
        return NULL;
    return lnt_hub_adopt_uncounted(h, s, &piece);
}

struct lnt_sub *
lnt_hub_adopt_uncounted(struct lnt_hub *h, struct lnt_session *s,
                        struct lnt_str *rest)
{
    struct lnt_room_info info = {0};
    uint32_t member, format;
    struct lnt_sub *sub;
    struct lnt_str name;

    if (h->foreign) {
        errno = ENOENT;
        return NULL;
    }
    if (!lnt_unpack_u32(rest, &info.room) || !lnt_unpack_u32(rest, &info.app) ||
        !lnt_unpack_u32(rest, &member) || !lnt_unpack_u32(rest, &format) ||
        !lnt_unpack_u64(rest, &info.next) || !lnt_unpack_str(rest, &name) ||
        name.n > LNT_ROOM_NAME_MAX || info.app != app_id(s) ||
        format >= LNT_FORMATS_MAX)
        return NULL;
    memcpy(info.name, name.p, name.n);
    /* What lies between is replayed. */
    if (info.next <= h->reader.cursor.seq)
        info.next = h->reader.cursor.seq + 1;
    if (member == 0)
        sub = adopt_listener(h, s, format, name, &info);
    else if (lnt_zone_is_member(h->zone, member, info.room, lnt_session_id(s)))
        sub = subscribe(h, s, format, member, &info);
    else
        sub = NULL;
    /* Where it was, the zone may have been told something else of late. */
    if (sub)
        sub->group->room->kept = false;
    return sub;
}

int
lnt_hub_replay(struct lnt_hub *h, struct lnt_session *s, struct lnt_sub *subs,
               uint64_t old_session, const struct lnt_hub_point *from)
{
    if (h->foreign)
        return 0; /* without subs, or we would not be here */
    if (from->seq < h->reader.cursor.seq &&
        !lnt_zone_is_place(h->zone, from->position, from->seq)) {
        errno = EPROTO;
        return -1;
    }
    h->settled = lnt_zone_head(h->zone);
    lnt_fanout_alias(h->fanout, old_session, lnt_session_id(s),
                     from->seq > h->reader.cursor.seq ? from->seq
                                                      : h->reader.cursor.seq,
                     h->settled);
    lnt_reader_moved(&h->reader);
    if (from->seq < h->reader.cursor.seq)
        lnt_count_add(h->stats, LNT_C_DELIVERED,
                      lnt_replay(h->zone, s, subs, old_session, from,
                                 h->reader.cursor.seq));
    return 0;
}
