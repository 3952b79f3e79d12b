/*
 * permessage-deflate (RFC 7692, section 7.1): which of a client's offers is
 * accepted, and the answer.  Without any state; what is done then is
 * deflate.h's.
 */
#ifndef LNT_WEBSOCKET_OFFERS_H
#define LNT_WEBSOCKET_OFFERS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

enum {
    LNT_WS_BITS_MIN = 9, /* of a window of ours: zlib's raw deflate has none
                            of 8 bits */
    LNT_WS_BITS_MAX = 15,
};

/* What both sides have agreed on. */
struct lnt_ws_terms {
    uint8_t out_bits; /* the window that we compress with */
    uint8_t in_bits;  /* the window that the client compresses with; 8, too */
    bool out_fresh;   /* our messages do without those before them:
                         server_no_context_takeover */
    bool in_fresh;    /* the client's do: client_no_context_takeover */
};

enum { LNT_WS_TERMS_TEXT = 160 }; /* bytes that an answer takes at most */

/*
 * Looks through the value of one Sec-WebSocket-Extensions for an offer that
 * fits, in the client's order.  wish: what we would like best; the terms are
 * never larger than that in anything that costs memory.  Offers that break the
 * rules, in whatever way, are passed over.  Returns the length of the answer
 * (the value of the header) written to text; 0: there is none that fits.
 */
size_t lnt_ws_offers_choose(struct lnt_str value,
                            const struct lnt_ws_terms *wish,
                            struct lnt_ws_terms *terms,
                            char text[LNT_WS_TERMS_TEXT]);

#endif
