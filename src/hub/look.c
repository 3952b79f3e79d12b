/*
 * What applications ask the zone, by way of their hub: who has which nick, who
 * is in a room, what was said there.
 */
#include "hub/event.h"
#include "hub/hub.h"
#include "hub/state.h"

uint64_t
lnt_hub_epoch(const struct lnt_hub *h)
{
    return lnt_zone_epoch(h->zone);
}

/* ---- people ---- */

uint64_t
lnt_hub_guest(struct lnt_hub *h)
{
    return lnt_zone_guest(h->zone);
}

struct lnt_str
lnt_hub_nick(const struct lnt_hub *h, uint32_t user)
{
    return lnt_zone_user_nick(h->zone, user);
}

uint64_t
lnt_hub_find(struct lnt_hub *h, struct lnt_str nick)
{
    return lnt_zone_user_find(h->zone, nick);
}

unsigned
lnt_hub_who(struct lnt_hub *h, const struct lnt_sub *sub, unsigned max,
            struct lnt_strbuf *nicks)
{
    return lnt_zone_room_nicks(h->zone, lnt_sub_room(sub), max, nicks);
}

/* ---- the past ---- */

unsigned
lnt_hub_history(struct lnt_hub *h, const struct lnt_sub *sub, uint64_t before,
                unsigned limit, struct lnt_strbuf *out)
{
    return lnt_zone_history(h->zone, lnt_sub_room(sub), before, limit, out);
}

bool
lnt_hub_since(struct lnt_hub *h, const struct lnt_sub *sub, uint64_t since,
              uint64_t before, unsigned limit, struct lnt_strbuf *out,
              unsigned *count)
{
    return lnt_zone_since(h->zone, lnt_sub_room(sub), since, before, limit, out,
                          count);
}

bool
lnt_hub_past_next(const struct lnt_sub *sub, struct lnt_str *rest,
                  struct lnt_event *e)
{
    const struct lnt_hub_room *room = sub->group->room;
    struct lnt_spread head;

    if (!lnt_zone_kept_next(rest, e))
        return false;
    lnt_event_show(e, room, NULL);
    if ((e->flags & LNT_EVENT_SPREAD) && lnt_spread_unpack(e->data, &head))
        lnt_event_show(e, room, &head);
    return true;
}
