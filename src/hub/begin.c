/*
 * What applications begin: each operation is written down as a struct lnt_op and
 * goes to its session's queue, which does it at once if it can.
 */
#include <errno.h>

#include "core/log.h"
#include "hub/hub.h"
#include "hub/op.h"
#include "hub/queue.h"
#include "hub/rooms.h"
#include "hub/spread.h"
#include "hub/state.h"

static void
begin(struct lnt_hub *h, struct lnt_session *s, struct lnt_op *op)
{
    lnt_assert(op->done.arg.n <= LNT_OP_ARG_MAX);
    op->session = lnt_session_id(s);
    op->m = lnt_session_app(s);
    lnt_queues_begin(h->queues, s, op);
}

/* ---- users ---- */

void
lnt_hub_enter(struct lnt_hub *h, struct lnt_session *s, struct lnt_str nick,
              struct lnt_completion done)
{
    begin(h, s,
          &(struct lnt_op){.kind = LNT_OP_ENTER, .what = nick, .done = done});
}

void
lnt_hub_rename(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
               struct lnt_str nick, unsigned announce_max,
               struct lnt_completion done)
{
    begin(h, s,
          &(struct lnt_op){
              .kind = LNT_OP_RENAME,
              .user = user,
              .what = nick,
              .announce_max = announce_max,
              .done = done,
          });
}

void
lnt_hub_exit(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
             unsigned announce_max)
{
    begin(h, s,
          &(struct lnt_op){
              .kind = LNT_OP_EXIT,
              .user = user,
              .announce_max = announce_max,
          });
}

/* ---- rooms ---- */

void
lnt_hub_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
             struct lnt_str name, unsigned format, unsigned announce_max,
             struct lnt_completion done)
{
    begin(h, s,
          &(struct lnt_op){
              .kind = LNT_OP_JOIN,
              .user = user,
              .what = name,
              .format = format,
              .announce_max = announce_max,
              .done = done,
          });
}

void
lnt_hub_listen(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
               unsigned format, struct lnt_completion done)
{
    begin(h, s,
          &(struct lnt_op){
              .kind = LNT_OP_LISTEN,
              .what = name,
              .format = format,
              .done = done,
          });
}

void
lnt_hub_leave(struct lnt_hub *h, struct lnt_sub *sub, unsigned announce_max)
{
    struct lnt_session *s = sub->session;
    uint32_t member = lnt_rooms_unsubscribe(h, sub);

    if (member)
        begin(h, s,
              &(struct lnt_op){
                  .kind = LNT_OP_LEAVE,
                  .member = member,
                  .announce_max = announce_max,
              });
}

/* ---- publishing ---- */

/* Most of what is ever begun. */
static void
publish(struct lnt_hub *h, struct lnt_session *s, struct lnt_event *e,
        const struct lnt_completion *done)
{
    if (lnt_queues_idle(h->queues)) {
        lnt_op_publish(h, s, e, done);
        return;
    }
    begin(h, s,
          &(struct lnt_op){.kind = LNT_OP_PUBLISH,
                           .what = e->data,
                           .event = *e,
                           .done = *done});
}

void
lnt_hub_publish(struct lnt_hub *h, struct lnt_session *s,
                const struct lnt_sub *sub, uint16_t kind, uint16_t flags,
                struct lnt_str data, struct lnt_completion done)
{
    const struct lnt_hub_room *r = sub->group->room;
    struct lnt_event e = {
        .origin = lnt_session_id(s),
        .app = r->app_id,
        .room = r->room,
        .kind = kind,
        .flags = flags,
        .data = data,
    };

    publish(h, s, &e, &done);
}

void
lnt_hub_direct(struct lnt_hub *h, struct lnt_session *s, uint64_t target,
               uint16_t kind, struct lnt_str data, struct lnt_completion done)
{
    struct lnt_event e = {
        .origin = lnt_session_id(s),
        .target = target,
        .app = lnt_hub_app_id(s),
        .room = LNT_ROOM_NONE,
        .kind = kind,
        .flags = LNT_EVENT_DIRECT,
        .data = data,
    };

    publish(h, s, &e, &done);
}

void
lnt_hub_post(struct lnt_hub *h, struct lnt_module_ctx *m, struct lnt_str name,
             const struct lnt_keep *keep, uint16_t kind, uint16_t flags,
             struct lnt_str data, struct lnt_completion done)
{
    lnt_assert(done.arg.n <= LNT_OP_ARG_MAX);
    lnt_queues_begin(h->queues, NULL,
                     &(struct lnt_op){
                         .kind = LNT_OP_POST,
                         .m = m,
                         .what = data,
                         .room_name = name,
                         .keep = keep,
                         .event = {.app = lnt_zone_app_id(m->module->name),
                                   .kind = kind,
                                   .flags = flags},
                         .done = done,
                     });
}

/* ---- publishing to several rooms ---- */

static int
check_names(const struct lnt_str *names, size_t n)
{
    if (n > LNT_AUDIENCE_MAX)
        return E2BIG;
    for (size_t i = 0; i < n; i++) {
        if (names[i].n == 0 || names[i].n > LNT_ROOM_NAME_MAX)
            return EINVAL;
    }
    return 0;
}

/* The head and the data in the hub's buffer, which is the caller's until
   end_spread: a completion may begin another one, from these very bytes.  0, or
   an errno. */
static int
pack_spread(struct lnt_hub *h, struct lnt_strbuf *b, struct lnt_str room,
            const struct lnt_audience *to, struct lnt_str data)
{
    int error = check_names(to->rooms, to->nrooms);

    if (error == 0)
        error = check_names(to->except_rooms, to->nexcept_rooms);
    if (error == 0 && to->nexcept > LNT_AUDIENCE_MAX)
        error = E2BIG;
    *b = h->spread;
    h->spread = (struct lnt_strbuf)LNT_STRBUF_INIT;
    lnt_strbuf_clear(b);
    if (error)
        return error;
    lnt_spread_pack(b, room, to);
    lnt_strbuf_add_str(b, data);
    return 0;
}

static void
end_spread(struct lnt_hub *h, struct lnt_strbuf *b)
{
    lnt_strbuf_release(&h->spread);
    h->spread = *b;
}

void
lnt_hub_spread(struct lnt_hub *h, struct lnt_session *s,
               const struct lnt_sub *sub, const struct lnt_audience *to,
               uint16_t kind, uint16_t flags, struct lnt_str data,
               struct lnt_completion done)
{
    const struct lnt_hub_room *r = sub->group->room;
    struct lnt_strbuf b;
    int error = pack_spread(h, &b, lnt_str(r->name, r->name_n), to, data);
    struct lnt_op op = {
        .kind = LNT_OP_PUBLISH,
        .what = lnt_strbuf_str(&b),
        .event = {.origin = lnt_session_id(s),
                  .app = r->app_id,
                  .room = r->room,
                  .kind = kind,
                  .flags = flags | LNT_EVENT_SPREAD},
        .error = error,
        .done = done,
    };

    begin(h, s, &op);
    end_spread(h, &b);
}

void
lnt_hub_post_spread(struct lnt_hub *h, struct lnt_module_ctx *m,
                    struct lnt_str name, const struct lnt_keep *keep,
                    const struct lnt_audience *to, uint16_t kind,
                    uint16_t flags, struct lnt_str data,
                    struct lnt_completion done)
{
    struct lnt_strbuf b;
    int error = pack_spread(h, &b, name, to, data);

    lnt_assert(done.arg.n <= LNT_OP_ARG_MAX);
    lnt_queues_begin(h->queues, NULL,
                     &(struct lnt_op){
                         .kind = LNT_OP_POST,
                         .m = m,
                         .what = lnt_strbuf_str(&b),
                         .room_name = name,
                         .keep = keep,
                         .event = {.app = lnt_zone_app_id(m->module->name),
                                   .kind = kind,
                                   .flags = flags | LNT_EVENT_SPREAD},
                         .error = error,
                         .done = done,
                     });
    end_spread(h, &b);
}

/* ---- what is under way ---- */

void
lnt_hub_after(struct lnt_hub *h, struct lnt_session *s, struct lnt_str data,
              struct lnt_completion done)
{
    begin(h, s,
          &(struct lnt_op){.kind = LNT_OP_AFTER, .what = data, .done = done});
}

enum lnt_under_way
lnt_hub_under_way(const struct lnt_hub *h, const struct lnt_session *s)
{
    return lnt_queues_state(h->queues, lnt_session_id(s));
}

void
lnt_hub_cancel(struct lnt_hub *h)
{
    lnt_queues_cancel(h->queues, ECANCELED);
}

void
lnt_hub_when_idle(struct lnt_hub *h, void (*fn)(void *arg), void *arg)
{
    lnt_queues_when_idle(h->queues, fn, arg);
}

#ifdef LNT_DEBUG_BUILD
void
lnt_hub_hold(struct lnt_hub *h, bool hold)
{
    lnt_queues_hold(h->queues, hold);
}

size_t
lnt_hub_release(struct lnt_hub *h, size_t n)
{
    return lnt_queues_release(h->queues, n);
}

size_t
lnt_hub_held(const struct lnt_hub *h)
{
    return lnt_queues_sent(h->queues);
}
#endif
