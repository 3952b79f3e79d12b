/*
 * Request bodies: counted or chunked (RFC 9112 sections 6 and 7), collected
 * whole for handlers that take one, with a limit that holds while they come.
 */
#ifndef LNT_HTTP_BODY_H
#define LNT_HTTP_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"
#include "modules/http/head.h"

enum lnt_http_body_phase {
    LNT_HTTP_BODY_COUNTED,   /* bytes of a Content-Length */
    LNT_HTTP_BODY_SIZE,      /* a chunk's size */
    LNT_HTTP_BODY_EXTENSION, /* what follows it, ignored */
    LNT_HTTP_BODY_SIZE_LF,
    LNT_HTTP_BODY_DATA, /* a chunk's bytes */
    LNT_HTTP_BODY_DATA_CR,
    LNT_HTTP_BODY_DATA_LF,
    LNT_HTTP_BODY_TRAILER, /* at the start of a trailer line or the end */
    LNT_HTTP_BODY_TRAILER_NAME,
    LNT_HTTP_BODY_TRAILER_VALUE,
    LNT_HTTP_BODY_TRAILER_LF,
    LNT_HTTP_BODY_END_LF,
    LNT_HTTP_BODY_COMPLETE,
};

struct lnt_http_body {
    enum lnt_http_body_phase phase;
    unsigned digits; /* of the chunk size so far */
    uint32_t extra;  /* bytes of extensions and trailers, all together */
    uint64_t left;   /* of the counted body or of the chunk */
    uint64_t max;    /* bytes of body taken */
    struct lnt_strbuf data;
};

/* To be released.  max: more than that is refused with 413. */
void lnt_http_body_init(struct lnt_http_body *b,
                        const struct lnt_http_framing *f, uint64_t max);
void lnt_http_body_release(struct lnt_http_body *b);

/*
 * Takes the next bytes; *used says how many belonged to the body.  DONE: it is
 * complete in b->data.  BAD: *fault says why, the framing is lost.  Trailers
 * are checked and dropped.
 */
enum lnt_http_parse lnt_http_body_feed(struct lnt_http_body *b, const char *p,
                                       size_t n, size_t *used,
                                       struct lnt_http_fault *fault);

#endif
