/*
 * Calls into the application of a session.  Everybody above a connection calls
 * an application through here and in no other way ("make lint" checks that):
 * these calls reach it only while the session is open for it.  That is from
 * the return of its open or thaw until its close begins, and not while the
 * session waits for the close that was asked for it.  A session that ends, has
 * ended, was moved or was only half taken over is never shown to its
 * application again, however it was found.
 *
 * The session must not have been freed: it comes from a lookup by id in this
 * loop turn, or from a table that the application's close takes it out of.
 */
#ifndef LNT_NET_APP_H
#define LNT_NET_APP_H

#include <stdbool.h>

#include "net/session.h"

struct lnt_call;
struct lnt_event;
struct lnt_interest;
struct lnt_named;
struct lnt_strbuf;

/* Whether the application has the session now. */
bool lnt_app_is_open(const struct lnt_session *s);

/* app->message; LNT_GO_ON when the session is not open or the application
   takes no messages. */
lnt_verdict lnt_app_message(struct lnt_session *s, const struct lnt_message *m);
/* app->direct; false when it has nothing to say. */
bool lnt_app_direct(struct lnt_session *s, const struct lnt_event *e,
                    struct lnt_strbuf *out);
/* app->direct_named */
bool lnt_app_direct_named(struct lnt_session *s, const struct lnt_event *e,
                          struct lnt_strbuf *out);
/* app->call, app->answer; LNT_GO_ON when the session is not open or the
   application has none. */
lnt_verdict lnt_app_call(struct lnt_session *s, const struct lnt_call *call);
lnt_verdict lnt_app_answer(struct lnt_session *s, uint32_t number,
                           const struct lnt_named *answer);
/* app->gap */
void lnt_app_gap(struct lnt_session *s);
/* app->listen, by protocols that only send, when lnt_session_ready has
   returned LNT_GO_ON.  LNT_GO_ON without a call when the session is not open:
   it is about to end anyway. */
lnt_verdict lnt_app_listen(struct lnt_session *s, const struct lnt_interest *l);
/* app->describe */
void lnt_app_describe(const struct lnt_session *s, struct lnt_strbuf *out);
/* app->drain */
void lnt_app_drain(struct lnt_session *s);

#endif
