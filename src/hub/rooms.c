/*
 * Rooms and subscriptions: joining them in the zone, and what a session is
 * subscribed to here.
 */
#include "hub/rooms.h"

#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/mem.h"
#include "hub/hub.h"
#include "hub/state.h"
#include "net/limits.h"
#include "net/net.h"
#include "net/stats.h"
#include "os/socket.h"

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
     struct lnt_str name, unsigned announce_max, uint32_t *member,
     struct lnt_room_info *info)
{
    uint64_t id = lnt_session_id(s);
    struct lnt_creator by;
    int rc = lnt_zone_join_by(h->zone, lnt_hub_app_id(s), name, NULL, user, id,
                              announce_max, member, info);

    if (rc == 0 || errno != ENOENT)
        return rc;
    rc = creator_of(s, user, &by);
    if (rc == 0)
        rc = lnt_zone_join_by(h->zone, lnt_hub_app_id(s), name, &by, user, id,
                              announce_max, member, info);
    if (rc < 0)
        count_refusal(h);
    return rc;
}

/* The same for one that only listens; *created: there was no such room.  One
   that has moved here had the room before: limits do not count. */
int
lnt_rooms_hold(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
               bool moved, uint32_t *node, struct lnt_room_info *info,
               bool *created)
{
    struct lnt_creator by;
    int rc = lnt_zone_listen_by(h->zone, lnt_hub_app_id(s), name, NULL,
                                h->cell_index, node, info);

    *created = false;
    if (rc == 0 || errno != ENOENT)
        return rc;
    rc = creator_of(s, 0, &by);
    if (moved)
        by.max_session = by.max_network = 0;
    if (rc == 0)
        rc = lnt_zone_listen_by(h->zone, lnt_hub_app_id(s), name, &by,
                                h->cell_index, node, info);
    if (rc < 0)
        count_refusal(h);
    *created = rc == 0;
    return rc;
}

struct lnt_sub *
lnt_rooms_subscribe(struct lnt_hub *h, struct lnt_session *s, unsigned format,
                    uint32_t member, const struct lnt_room_info *info)
{
    struct lnt_hub_room *r =
        lnt_subs_room_take(h->subs, info, lnt_session_app(s));

    return lnt_subs_add(h->subs, r, s, format, member, info->next,
                        info->next <= h->reader.cursor.seq + 1);
}

struct lnt_sub *
lnt_rooms_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
               struct lnt_str name, unsigned format, unsigned announce_max,
               struct lnt_room_info *info)
{
    uint32_t member;

    if (join(h, s, user, name, announce_max, &member, info) < 0)
        return NULL;
    return lnt_rooms_subscribe(h, s, format, member, info);
}

struct lnt_sub *
lnt_rooms_listener(struct lnt_hub *h, struct lnt_session *s, unsigned format,
                   uint32_t node, const struct lnt_room_info *info)
{
    struct lnt_sub *sub = lnt_rooms_subscribe(h, s, format, 0, info);
    struct lnt_hub_room *r = sub->group->room;

    /* One for all of them here. */
    if (r->listeners++ == 0)
        r->hold = node;
    else
        lnt_zone_unhold(h->zone, node);
    return sub;
}

struct lnt_sub *
lnt_rooms_listen(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
                 unsigned format, struct lnt_room_info *info)
{
    uint32_t node;

    if (lnt_rooms_hold(h, s, name, false, &node, info, &info->created) < 0)
        return NULL;
    return lnt_rooms_listener(h, s, format, node, info);
}

void
lnt_hub_skip(struct lnt_hub *h, struct lnt_sub *sub, uint64_t start)
{
    if (start > lnt_hub_next(h, sub) ||
        lnt_subs_start(h->subs, sub) == UINT64_MAX)
        lnt_subs_delay(h->subs, sub, start);
}

uint32_t
lnt_rooms_unsubscribe(struct lnt_hub *h, struct lnt_sub *sub)
{
    struct lnt_hub_room *r = sub->group->room;
    uint32_t member = sub->member, held = 0;

    if (!member && --r->listeners == 0)
        held = r->hold;
    lnt_subs_remove(h->subs, sub);
    if (held)
        lnt_zone_unhold(h->zone, held);
    return member;
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
    h->pins[h->npins++] = (struct lnt_pin){info.room, *keep};
    return 0;
}

void
lnt_hub_serve(struct lnt_hub *h)
{
    struct lnt_room_info info;

    for (size_t i = 0; i < h->npins; i++) {
        const struct lnt_pin *p = &h->pins[i];

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

int
lnt_rooms_keep(struct lnt_hub *h, uint32_t room, const struct lnt_keep *keep)
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
    if (lnt_rooms_keep(h, r->room, keep) < 0)
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
