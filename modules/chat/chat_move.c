/*
 * A chat session as bytes, for the worker it moves to: who it is, the rooms it
 * is in, what it has said where slow mode counts, and up to where it has been
 * given the log.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "core/pack.h"
#include "hub/hub.h"
#include "modules/chat/chat.h"
#include "net/module.h"

enum { VERSION = 1, ENTERED = 1, GREETED = 2, HUMAN = 4 };

/* Places of subs in the list; none is this. */
#define NOBODY UINT32_MAX

static struct lnt_hub *
hub_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->hub;
}

static uint32_t
place_or_nobody(const struct chat_session *chat, const struct lnt_sub *sub)
{
    return sub ? chat_place_of(chat, sub) : NOBODY;
}

/* The first joined goes first, so that linking them gives the same list. */
static void
freeze_subs(struct lnt_hub *hub, const struct lnt_sub *sub,
            struct lnt_strbuf *out)
{
    if (!sub)
        return;
    freeze_subs(hub, lnt_sub_next(sub), out);
    lnt_sub_freeze(hub, sub, out);
}

int
chat_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct chat_session *chat = chat_session(s);
    struct lnt_hub *hub = hub_of(s);
    struct lnt_hub_point p;

    if (!lnt_hub_point(hub, chat->subs, &p))
        return -1;
    lnt_pack_u32(out, VERSION);
    lnt_pack_u32(out, (chat->entered ? ENTERED : 0) |
                          (chat->greeted ? GREETED : 0) |
                          (chat->human ? HUMAN : 0));
    lnt_pack_u64(out, lnt_session_id(s));
    lnt_pack_u64(out, p.position);
    lnt_pack_u64(out, p.seq);
    lnt_pack_u32(out, chat->user);
    lnt_pack_u32(out, place_or_nobody(chat, chat_current(chat)));
    lnt_pack_u32(out, place_or_nobody(chat, chat_bare(chat)));
    lnt_pack_u32(out, chat->rooms);
    freeze_subs(hub, chat->subs, out);
    chat_slow_freeze(s, out);
    return 0;
}

static int
thaw_rooms(struct lnt_session *s, uint32_t rooms, struct lnt_str *rest)
{
    struct chat_session *chat = chat_session(s);

    for (; rooms > 0; rooms--) {
        struct lnt_sub *sub = lnt_hub_adopt(hub_of(s), s, rest);

        if (!sub)
            return -1;
        /* As this worker's configuration has it. */
        chat_keep_history(s, sub);
        lnt_sub_link(sub, &chat->subs);
        chat->rooms++;
    }
    return 0;
}

int
chat_thaw(struct lnt_session *s, struct lnt_str rest)
{
    struct chat_session *chat = chat_session(s);
    uint32_t version, flags, user, current, bare, rooms;
    struct lnt_hub_point p;
    uint64_t old_id;

    if (!lnt_unpack_u32(&rest, &version) || version != VERSION ||
        !lnt_unpack_u32(&rest, &flags) || !lnt_unpack_u64(&rest, &old_id) ||
        !lnt_unpack_u64(&rest, &p.position) || !lnt_unpack_u64(&rest, &p.seq) ||
        !lnt_unpack_u32(&rest, &user) || !lnt_unpack_u32(&rest, &current) ||
        !lnt_unpack_u32(&rest, &bare) || !lnt_unpack_u32(&rest, &rooms) ||
        rooms > CHAT_ROOMS_MAX)
        return -1;
    chat->human = flags & HUMAN;
    chat->greeted = flags & GREETED;
    if (flags & ENTERED) {
        /* Whoever moved may have died with its worker meanwhile. */
        if (lnt_hub_adopt_user(hub_of(s), s, user, old_id) < 0)
            return -1;
        chat->user = user;
        chat->entered = true;
    }
    if (thaw_rooms(s, rooms, &rest) < 0 || chat_slow_thaw(s, &rest) < 0 ||
        rest.n > 0)
        return -1;
    /* Which one is bare, the subs themselves know. */
    if (current < chat->rooms)
        chat->current = current & CHAT_PLACE;
    return lnt_hub_replay(hub_of(s), s, chat->subs, old_id, &p);
}

void
chat_forget(struct lnt_session *s)
{
    struct chat_session *chat = chat_session(s);

    while (chat->subs) {
        struct lnt_sub *sub = chat->subs;

        lnt_sub_unlink(sub, &chat->subs);
        lnt_hub_forget(hub_of(s), sub);
    }
}
