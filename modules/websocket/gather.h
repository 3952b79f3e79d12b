/*
 * A compressed message on its way in: decompressed as it comes, never beyond
 * its limit, its text checked.
 */
#ifndef LNT_WEBSOCKET_GATHER_H
#define LNT_WEBSOCKET_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modules/websocket/session.h"

struct lnt_ws_inflater;

struct lnt_ws_gather {
    struct lnt_ws_inflater *inflater;
    struct lnt_buf **buf; /* room, then the message so far; NULL: none yet */
    uint32_t room;
    uint64_t max; /* bytes of the message */
    bool text;
    uint8_t *utf8; /* state of the text */
};

/* Takes n more bytes, unmasked; fin: they are the last.  Says what is wrong. */
enum lnt_ws_why lnt_ws_gather(const struct lnt_ws_gather *g, const uint8_t *p,
                              size_t n, bool fin);

#endif
