/*
 * Sessions that move to another worker, or have come from one: the giver's side
 * and the taker's.
 */
#include <errno.h>
#include <string.h>

#include "core/pack.h"
#include "hub/fanout.h"
#include "hub/hub.h"
#include "hub/queue.h"
#include "hub/replay.h"
#include "hub/rooms.h"
#include "hub/state.h"
#include "net/stats.h"

bool
lnt_hub_point(struct lnt_hub *h, const struct lnt_session *s,
              const struct lnt_sub *subs, struct lnt_hub_point *p)
{
    if (lnt_queues_state(h->queues, lnt_session_id(s)) != LNT_NOTHING)
        return false;
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
    (void)lnt_rooms_unsubscribe(h, sub);
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

    if (lnt_rooms_hold(h, s, name, true, &node, &info, &created) < 0)
        return NULL;
    if (old->next < info.next)
        info.next = old->next;
    return lnt_rooms_listener(h, s, format, node, &info);
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
        name.n > LNT_ROOM_NAME_MAX || info.app != lnt_hub_app_id(s) ||
        format >= LNT_FORMATS_MAX)
        return NULL;
    memcpy(info.name, name.p, name.n);
    /* What lies between is replayed. */
    if (info.next <= h->reader.cursor.seq)
        info.next = h->reader.cursor.seq + 1;
    if (member == 0)
        sub = adopt_listener(h, s, format, name, &info);
    else if (lnt_zone_is_member(h->zone, member, info.room, lnt_session_id(s)))
        sub = lnt_rooms_subscribe(h, s, format, member, &info);
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
