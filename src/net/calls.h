/*
 * The open calls of a session: what a client has asked and the application has
 * put off, and what the application has asked a client.  Exists only while
 * there are any.  Private to net/.
 */
#ifndef LNT_NET_CALLS_H
#define LNT_NET_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"
#include "event/loop.h"

struct lnt_conn;
struct lnt_strbuf;

struct lnt_open_call {
    uint64_t session; /* its id when the call was made */
    uint64_t tag;     /* what the protocol knows it by */
    uint32_t number;
    uint32_t due; /* net time, 0: never */
    bool asked;   /* the application has asked the client */
};

struct lnt_calls {
    struct lnt_timer timer;
    struct lnt_conn *conn;
    uint32_t n, cap, nasked;
    struct lnt_open_call *list;
};

/* Of c; those of one that is not open for an application with calls are NULL
   for ever. */
uint32_t lnt_calls_count(const struct lnt_conn *c, bool asked);
/* Adds a copy.  fired is the timer's, called when the first is due. */
void lnt_calls_add(struct lnt_conn *c, const struct lnt_open_call *call,
                   void (*fired)(struct lnt_timer *t));
/* Takes one out that was asked, or was not; session 0: whatever it is.  false:
   it is not there. */
bool lnt_calls_take(struct lnt_conn *c, bool asked, uint64_t session,
                    uint32_t number, struct lnt_open_call *call);
/* Takes one out that is due; false: there is none now, the timer is set. */
bool lnt_calls_due(struct lnt_conn *c, struct lnt_open_call *call);
/* A number for a call, 1 to INT32_MAX: what clients take, too. */
uint32_t lnt_calls_number(const struct lnt_conn *c);
void lnt_calls_free(struct lnt_conn *c);

/* As a piece of a session that moves (appends nothing when there are none), and
   back.  false: it cannot be read. */
void lnt_calls_pack(const struct lnt_conn *c, struct lnt_strbuf *out);
bool lnt_calls_unpack(struct lnt_conn *c, struct lnt_str piece,
                      void (*fired)(struct lnt_timer *t));

#endif
