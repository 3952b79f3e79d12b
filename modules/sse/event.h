/*
 * Messages as events of a stream (HTML standard, "Server-sent events").
 */
#ifndef LNT_SSE_EVENT_H
#define LNT_SSE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_buf;

enum { LNT_SSE_TYPE_MAX = 64 };

/* What a message says of itself when it is a JSON object: its member "type" is
   the name of the event, "seq" the number in its id. */
struct lnt_sse_label {
    struct lnt_str type; /* letters, digits, - and _; p NULL: none */
    uint64_t seq;
    bool numbered; /* there is a seq */
};
void lnt_sse_label_read(struct lnt_sse_label *label, struct lnt_str message);

/*
 * Appends the message as one event and returns where the buffer is now; the
 * buffer is the caller's alone.  Its id is EPOCH:SEQ if it has a seq; epoch 0:
 * it gets none.
 */
struct lnt_buf *lnt_sse_event_add(struct lnt_buf *b, uint64_t epoch,
                                  struct lnt_str message);

#endif
