/*
 * What a session missed while it moved.  Private to the hub.
 */
#ifndef LNT_HUB_REPLAY_H
#define LNT_HUB_REPLAY_H

#include <stdint.h>

struct lnt_hub_point;
struct lnt_session;
struct lnt_sub;
struct lnt_zone;

/* Gives s the events of its subs, and those meant for it alone under either
   id, that lie behind from, up to and with the one that has the seq to.
   Returns how many they were. */
uint64_t lnt_replay(struct lnt_zone *z, struct lnt_session *s,
                    const struct lnt_sub *subs, uint64_t old_session,
                    const struct lnt_hub_point *from, uint64_t to);

#endif
