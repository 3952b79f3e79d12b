/*
 * Events with a name, arguments and, perhaps, an answer: what some protocols
 * (Socket.IO) carry beside plain messages.
 *
 * Who checks what: everything here that comes from a client has been checked by
 * its protocol, names and arguments for UTF-8, arguments for well-formed JSON
 * (core/json.h), attachments for their number.  Nobody checks it again; it is
 * passed on as the bytes it came in.  What an application gives is its own
 * promise in the same way; the core looks at the brackets around arguments only.
 */
#ifndef LNT_NET_NAMED_H
#define LNT_NET_NAMED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_strbuf;

enum { LNT_ATTACHMENTS_MAX = 16 };

struct lnt_named {
    struct lnt_str name; /* UTF-8; of no meaning in an answer */
    struct lnt_str args; /* a JSON array without blanks around it: [1,"two"] */
    /* Bytes that do not fit into JSON.  Where attachment N belongs, args have
       {"_placeholder":true,"num":N}. */
    size_t nattachments;
    struct lnt_str attachments[LNT_ATTACHMENTS_MAX];
};

/* One that a client waits for the answer to.  Plain data: it may be written
   down, also in what freeze writes.  number 0: no answer is wanted. */
struct lnt_reply {
    uint64_t session; /* the id that the session had when it was called */
    uint32_t number;
};

/* An event from a client; the bytes are valid during the call only. */
struct lnt_call {
    struct lnt_named event;
    struct lnt_reply reply;
};

/* Whether it may be sent: arguments in brackets, not too many attachments. */
bool lnt_named_fits(const struct lnt_named *e);
/* About how many bytes it is. */
size_t lnt_named_size(const struct lnt_named *e);

/*
 * As one string of bytes, for logs of the zone and for LNT_NAMED messages, by
 * the rules of core/pack.h.  read leaves slices of bytes in e; false: that is
 * no event, or one that does not fit.
 */
void lnt_named_add(struct lnt_strbuf *out, const struct lnt_named *e);
bool lnt_named_read(struct lnt_str bytes, struct lnt_named *e);

#endif
