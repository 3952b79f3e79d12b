/*
 * Events of the log on their way to the local subscribers.  Private to the
 * hub.
 */
#ifndef LNT_HUB_FANOUT_H
#define LNT_HUB_FANOUT_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_event;
struct lnt_fanout;
struct lnt_net;
struct lnt_subs;

struct lnt_fanout *lnt_fanout_new(struct lnt_subs *subs, struct lnt_net *net,
                                  unsigned cell);
void lnt_fanout_free(struct lnt_fanout *f);

/* Whether an event, of which data is not looked at, may concern somebody here. */
bool lnt_fanout_wants(struct lnt_fanout *f, const struct lnt_event *e);
/* All up to that seq has been read or passed over. */
void lnt_fanout_passed(struct lnt_fanout *f, uint64_t seq);
/* Takes the next event of the log, and completes it (hub/event.h); what it makes of it may be queued for the
   subscribers now or with the events that follow. */
void lnt_fanout_event(struct lnt_fanout *f, struct lnt_event *e);
/* Queues what has not been yet.  Before subscribers are added. */
void lnt_fanout_flush(struct lnt_fanout *f);
/* Behind the event with the seq after, a session's old id stands for the new
   one, for as long as somebody may still know the old: until the event with the
   seq until, and some more.  What is before was told where it came from. */
void lnt_fanout_alias(struct lnt_fanout *f, uint64_t old_id, uint64_t id,
                      uint64_t after, uint64_t until);
/* Tells every subscribed session once that events were lost. */
void lnt_fanout_gap(struct lnt_fanout *f);

#endif
