/*
 * Operations of the hub as calls with a result, for tests and measurements on
 * one machine, where each completes before it returns.
 */
#ifndef LNT_T_HUB_NOW_H
#define LNT_T_HUB_NOW_H

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hub/hub.h"

struct now {
    bool done;
    struct lnt_result r;
    struct lnt_room_info info;
};

static inline void
now_done(const struct lnt_result *r)
{
    struct now *now;

    memcpy(&now, r->arg.p, sizeof(now));
    now->done = true;
    now->r = *r;
    if (r->error == 0 && r->info)
        now->info = *r->info;
    errno = r->error;
}

/* p: a pointer to a struct now that outlives the call. */
#define NOW(p)                                                                 \
    ((struct lnt_completion){now_done, {(const char *)(p), sizeof(*(p))}})

static inline int
now_result(const struct now *now, uint64_t *seq, uint64_t *time_us)
{
    lnt_assert(now->done);
    if (seq)
        *seq = now->r.seq;
    if (time_us)
        *time_us = now->r.time_us;
    errno = now->r.error;
    return now->r.error ? -1 : 0;
}

static inline int
now_enter(struct lnt_hub *h, struct lnt_session *s, struct lnt_str nick,
          uint32_t *user)
{
    struct now now = {0}, *p = &now;

    lnt_hub_enter(h, s, nick, NOW(&p));
    *user = now.r.user;
    return now_result(&now, NULL, NULL);
}

static inline struct lnt_sub *
now_sub(const struct now *now, struct lnt_room_info *info)
{
    if (now_result(now, NULL, NULL) < 0)
        return NULL;
    *info = now->info;
    return now->r.sub;
}

static inline struct lnt_sub *
now_join(struct lnt_hub *h, struct lnt_session *s, uint32_t user,
         struct lnt_str name, unsigned format, unsigned announce_max,
         struct lnt_room_info *info)
{
    struct now now = {0}, *p = &now;

    lnt_hub_join(h, s, user, name, format, announce_max, NOW(&p));
    return now_sub(&now, info);
}

static inline struct lnt_sub *
now_listen(struct lnt_hub *h, struct lnt_session *s, struct lnt_str name,
           unsigned format, struct lnt_room_info *info)
{
    struct now now = {0}, *p = &now;

    lnt_hub_listen(h, s, name, format, NOW(&p));
    return now_sub(&now, info);
}

static inline int
now_publish(struct lnt_hub *h, struct lnt_session *s, const struct lnt_sub *sub,
            uint16_t kind, uint16_t flags, struct lnt_str data, uint64_t *seq,
            uint64_t *time_us)
{
    struct now now = {0}, *p = &now;

    lnt_hub_publish(h, s, sub, kind, flags, data, NOW(&p));
    return now_result(&now, seq, time_us);
}

static inline int
now_post(struct lnt_hub *h, struct lnt_module_ctx *m, struct lnt_str name,
         const struct lnt_keep *keep, uint16_t kind, uint16_t flags,
         struct lnt_str data, uint64_t *seq, uint64_t *time_us)
{
    struct now now = {0}, *p = &now;

    lnt_hub_post(h, m, name, keep, kind, flags, data, NOW(&p));
    return now_result(&now, seq, time_us);
}

static inline int
now_direct(struct lnt_hub *h, struct lnt_session *s, uint64_t target,
           uint16_t kind, struct lnt_str data, uint64_t *seq, uint64_t *time_us)
{
    struct now now = {0}, *p = &now;

    lnt_hub_direct(h, s, target, kind, data, NOW(&p));
    return now_result(&now, seq, time_us);
}

#endif
