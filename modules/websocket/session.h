/*
 * A WebSocket session: what stays while it is idle, what exists while
 * something is unfinished, and what exists while input is handled.  Shared by
 * the two directions, receive.c and send.c.
 */
#ifndef LNT_WEBSOCKET_SESSION_H
#define LNT_WEBSOCKET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "core/strbuf.h"
#include "modules/websocket/frame.h"
#include "net/module.h"
#include "net/session.h"

struct lnt_buf;
struct lnt_ws_deflate;
struct lnt_ws_inflater;

enum {                         /* lnt_ws.flags */
       LNT_WS_IN_DATA = 1,     /* receive is at work: the turn is valid */
       LNT_WS_CLOSE_SENT = 2,  /* our close frame is out: nothing may follow */
       LNT_WS_PEER_CLOSED = 4, /* theirs has come */
       LNT_WS_FAILED = 8,      /* their input makes no sense any more */
       LNT_WS_DEAF = 16,       /* data frames are skipped */
       LNT_WS_OVER = 32,       /* all input is dropped */
       LNT_WS_RAW = 64,        /* an unfinished frame was left in the input */
};

enum { LNT_WS_PONG_RETRY = 1000 }; /* ms, for a pong that has to wait */

/* Why we fail a connection; the close frame says it. */
enum lnt_ws_why {
    LNT_WS_WHY_NONE,
    LNT_WS_WHY_BITS,
    LNT_WS_WHY_OPCODE,
    LNT_WS_WHY_CONTROL,
    LNT_WS_WHY_MASK,
    LNT_WS_WHY_LENGTH,
    LNT_WS_WHY_NO_MESSAGE,
    LNT_WS_WHY_IN_MESSAGE,
    LNT_WS_WHY_CLOSE_SIZE,
    LNT_WS_WHY_CLOSE_CODE,
    LNT_WS_WHY_REASON_TEXT,
    LNT_WS_WHY_TEXT,
    LNT_WS_WHY_TOO_BIG,
    LNT_WS_WHY_COMPRESSED,
    LNT_WS_WHYS,
};

/* The protocol's state of a session: all that an idle one keeps. */
struct lnt_ws {
    union {
        struct lnt_ws_turn *turn; /* with IN_DATA */
        struct lnt_ws_more *more; /* else; NULL while nothing is unfinished */
    };
    struct lnt_ws_deflate *deflate; /* NULL: no compression was agreed on */
    uint32_t seen; /* with RAW: bytes of that frame's payload that are unmasked
                      and checked */
    uint8_t utf8;  /* state of the text that is unfinished */
    uint8_t flags;
    uint8_t why; /* enum lnt_ws_why */
};

/* What is unfinished: a message in fragments, a frame that is coming in, an
   answer that has to wait.  Malloc'd while one of them is. */
struct lnt_ws_more {
    struct lnt_buf *buf; /* room for our head, then the message so far; NULL
                            while that is empty */
    uint32_t room;       /* of our head in buf */
    uint32_t key;        /* for the next byte */
    uint64_t left;       /* payload of the frame at hand still to come */
    uint8_t opcode;      /* of the message at hand; 0 none */
    bool fin;            /* the frame at hand is its last */
    bool pong;           /* a ping waits for its answer */
    uint8_t pong_n;
    uint8_t pong_data[LNT_WS_CONTROL_MAX];
    /* A compressed message: what takes it apart, and while it is short also
       how it came, because that is all that can be moved. */
    struct lnt_ws_inflater *inflater; /* NULL: not compressed */
    struct lnt_strbuf zipped;
    bool stuck; /* it is not short any more */
};

/* One call of data(). */
struct lnt_ws_turn {
    struct lnt_session *session;
    struct lnt_ws *ws;
    struct lnt_ws_more *more;
    uint8_t *p, *end; /* input not handled yet */
    uint8_t *run;     /* end of the replies written into the input; NULL */
    lnt_verdict verdict;
    bool clogged; /* the kernel has not taken earlier output */
    /* The message that the application is handling; msg_n is SIZE_MAX when
       there is none, or when it has been sent back already. */
    uint8_t *msg;
    size_t msg_n;
    struct lnt_buf *buf; /* it lies there, behind room; NULL: in the input */
    uint32_t room;
    uint64_t max; /* message_size */
};

/* ---- session.c ---- */

/* Makes it, zeroed, when there is none. */
struct lnt_ws_more *lnt_ws_need_more(struct lnt_ws_more **more);
/* Frees a message that is unfinished and will not be wanted. */
void lnt_ws_drop_message(struct lnt_ws_more *more);
/* Frees all of it; NULL is fine. */
void lnt_ws_free_more(struct lnt_ws_more *more);

/* Notes n more bytes of a compressed message. */
void lnt_ws_note_zipped(struct lnt_ws_more *more, const uint8_t *p, size_t n);

/* ---- receive.c ---- */

lnt_verdict lnt_ws_data(struct lnt_session *s, struct lnt_input *in);
lnt_verdict lnt_ws_timeout(struct lnt_session *s, enum lnt_timeout which);

/* ---- send.c ---- */

void lnt_ws_send(struct lnt_session *s, enum lnt_message_type type,
                 const void *p, size_t n);
struct lnt_buf *lnt_ws_encode(struct lnt_module_ctx *m, unsigned variant,
                              enum lnt_message_type type, struct lnt_str data);
struct lnt_buf *lnt_ws_append(struct lnt_module_ctx *m, unsigned variant,
                              struct lnt_buf *b, enum lnt_message_type type,
                              struct lnt_str data);
unsigned lnt_ws_variant(const struct lnt_session *s);
void lnt_ws_ping(struct lnt_session *s);
/* A whole control frame; n is at most LNT_WS_CONTROL_MAX. */
void lnt_ws_control(struct lnt_session *s, enum lnt_ws_opcode opcode,
                    const void *p, size_t n);
bool lnt_ws_goodbye(struct lnt_session *s, int code, const char *reason);

/* ---- frozen.c ---- */

/* -1: not now, the session is inside something that cannot be moved. */
int lnt_ws_freeze(struct lnt_session *s, struct lnt_strbuf *out);
/* For a new session, instead of open.  -1: state is not what freeze writes, or
   breaks the limits of here; the session must be closed. */
int lnt_ws_thaw(struct lnt_session *s, struct lnt_str state);

#endif
