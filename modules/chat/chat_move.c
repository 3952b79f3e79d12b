/*
 * A chat session as bytes, for the worker it moves to: who it is, the rooms it
 * is in, what it has said where slow mode counts, and up to where it has been
 * given the log.
 *
 * By the rules of core/pack.h: version; a counted head; the rooms, as many
 * counted pieces of the hub; what it has said, as many counted pieces.  A field
 * of the session goes to the end of all of it, or of the head.  Version 1, of
 * release 0.1.0, is the same without the counts of bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/pack.h"
#include "hub/hub.h"
#include "modules/chat/chat.h"
#include "net/module.h"

enum { VERSION = 2, NEEDS = 2 };

/* Flags that a reader does not know mean nothing to it. */
enum { ENTERED = 1, GREETED = 2, HUMAN = 4 };

struct head {
    uint32_t flags, user, current, bare;
    uint64_t old_id;
    struct lnt_hub_point point;
};

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

static void
pack_head(const struct lnt_session *s, const struct lnt_hub_point *p,
          struct lnt_strbuf *out)
{
    const struct chat_session *chat = chat_session(s);

    lnt_pack_u32(out, (chat->entered ? ENTERED : 0) |
                          (chat->greeted ? GREETED : 0) |
                          (chat->human ? HUMAN : 0));
    lnt_pack_u64(out, lnt_session_id(s));
    lnt_pack_u64(out, p->position);
    lnt_pack_u64(out, p->seq);
    lnt_pack_u32(out, chat->user);
    lnt_pack_u32(out, place_or_nobody(chat, chat_current(chat)));
    lnt_pack_u32(out, place_or_nobody(chat, chat_bare(chat)));
}

int
chat_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct chat_session *chat = chat_session(s);
    struct lnt_hub *hub = hub_of(s);
    struct lnt_hub_point p;
    size_t head;

    if (!lnt_hub_point(hub, s, chat->subs, &p))
        return -1;
    lnt_pack_version(out, VERSION, NEEDS);
    head = lnt_pack_begin(out);
    pack_head(s, &p, out);
    lnt_pack_end(out, head);
    lnt_pack_u32(out, chat->rooms);
    freeze_subs(hub, chat->subs, out);
    chat_slow_freeze(s, out);
    return 0;
}

static bool
unpack_head(struct lnt_str *in, struct head *h)
{
    return lnt_unpack_u32(in, &h->flags) && lnt_unpack_u64(in, &h->old_id) &&
           lnt_unpack_u64(in, &h->point.position) &&
           lnt_unpack_u64(in, &h->point.seq) && lnt_unpack_u32(in, &h->user) &&
           lnt_unpack_u32(in, &h->current) && lnt_unpack_u32(in, &h->bare);
}

static int
thaw_user(struct lnt_session *s, const struct head *h)
{
    struct chat_session *chat = chat_session(s);

    chat->human = h->flags & HUMAN;
    chat->greeted = h->flags & GREETED;
    if (!(h->flags & ENTERED))
        return 0;
    /* Whoever moved may have died with its worker meanwhile. */
    if (lnt_hub_adopt_user(hub_of(s), s, h->user, h->old_id) < 0)
        return -1;
    chat->user = h->user;
    chat->entered = true;
    return 0;
}

static int
thaw_rooms(struct lnt_session *s, bool counted, struct lnt_str *rest)
{
    struct chat_session *chat = chat_session(s);
    uint32_t rooms;

    if (!lnt_unpack_u32(rest, &rooms) || rooms > CHAT_ROOMS_MAX)
        return -1;
    for (; rooms > 0; rooms--) {
        errno = EPROTO; /* what was read before may have left another one */
        struct lnt_sub *sub = counted
                                  ? lnt_hub_adopt(hub_of(s), s, rest)
                                  : lnt_hub_adopt_uncounted(hub_of(s), s, rest);

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
    struct lnt_pack_version v;
    struct lnt_str part;
    struct head h;

    if (!lnt_unpack_version(&rest, VERSION, &v))
        return -1;
    bool counted = v.is > 1;
    if (counted ? !lnt_unpack_part(&rest, &part) || !unpack_head(&part, &h)
                : !unpack_head(&rest, &h))
        return -1;
    if (thaw_user(s, &h) < 0 || thaw_rooms(s, counted, &rest) < 0)
        return -1;
    errno = EPROTO;
    if (chat_slow_thaw(s, counted, &rest) < 0 || (!counted && rest.n > 0))
        return -1;
    /* Which one is bare, the subs themselves know. */
    if (h.current < chat->rooms)
        chat->current = h.current & CHAT_PLACE;
    return lnt_hub_replay(hub_of(s), s, chat->subs, h.old_id, &h.point);
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
