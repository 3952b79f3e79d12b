/*
 * The sending side: messages, control frames, the goodbye.  Queues and the
 * kernel are the core's.
 *
 * Three ways for a message: bytes just received go back in place, with a head
 * written in front of them; small ones are copied behind their head; large
 * ones get a buffer of their own.  With compression agreed on, all but short
 * ones come out of compress.c as frames.
 */
#include "modules/websocket/session.h"

#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "modules/websocket/deflate.h"
#include "net/stats.h"

enum { SMALL = 1024 };

static const char *const reasons[LNT_WS_WHYS] = {
    [LNT_WS_WHY_BITS] = "reserved bits set without an extension",
    [LNT_WS_WHY_OPCODE] = "unknown opcode",
    [LNT_WS_WHY_CONTROL] = "control frame too long or fragmented",
    [LNT_WS_WHY_MASK] = "frame not masked",
    [LNT_WS_WHY_LENGTH] = "frame length out of range",
    [LNT_WS_WHY_NO_MESSAGE] = "continuation without a message",
    [LNT_WS_WHY_IN_MESSAGE] = "new message inside a fragmented one",
    [LNT_WS_WHY_CLOSE_SIZE] = "close frame with half a code",
    [LNT_WS_WHY_CLOSE_CODE] = "close code not allowed",
    [LNT_WS_WHY_REASON_TEXT] = "close reason is not UTF-8",
    [LNT_WS_WHY_TEXT] = "text is not UTF-8",
    [LNT_WS_WHY_TOO_BIG] = "message too big",
    [LNT_WS_WHY_COMPRESSED] = "compressed data is corrupt",
};

static inline unsigned
first_byte(enum lnt_message_type type)
{
    return LNT_WS_FIN | (type == LNT_TEXT ? LNT_WS_TEXT : LNT_WS_BINARY);
}

/* Apart, so that an echo does not pay for the room on the stack. */
__attribute__((noinline)) static void
send_copy(struct lnt_session *s, enum lnt_message_type type, const void *p,
          size_t n)
{
    if (n <= SMALL) {
        uint8_t frame[LNT_WS_OUT_HEAD_MAX + SMALL];
        size_t head = lnt_ws_head_size(n);
        lnt_ws_head_write(frame, first_byte(type), n);
        if (n > 0)
            memcpy(frame + head, p, n);
        lnt_session_write(s, frame, head + n);
        return;
    }
    struct lnt_buf *b =
        lnt_ws_encode(NULL, LNT_WS_VARIANT_PLAIN, type, lnt_str(p, n));
    lnt_session_write_buf(s, b);
    lnt_buf_unref(b);
}

/* The message being handled was gathered in a buffer, which can go out if the
   room in front of it is as large as the head. */
__attribute__((noinline)) static void
send_back_buf(struct lnt_session *s, struct lnt_ws_turn *t,
              enum lnt_message_type type)
{
    if (t->room != lnt_ws_head_size(t->msg_n)) {
        send_copy(s, type, t->msg, t->msg_n);
        return;
    }
    lnt_ws_head_before(t->msg, first_byte(type), t->msg_n);
    t->msg_n = SIZE_MAX;
    lnt_session_write_buf(s, t->buf);
}

/*
 * The message being handled goes back without being moved.  In the input there
 * is always room for the head: a client's is at least four bytes longer.
 */
static inline void
send_plain(struct lnt_session *s, struct lnt_ws *ws, enum lnt_message_type type,
           const void *p, size_t n)
{
    struct lnt_ws_turn *t = ws->turn;

    if (!(ws->flags & LNT_WS_IN_DATA) || p != t->msg || n != t->msg_n) {
        send_copy(s, type, p, n);
    } else if (t->buf) {
        send_back_buf(s, t, type);
    } else {
        uint8_t *end = t->msg + n;
        uint8_t *frame = lnt_ws_head_before(t->msg, first_byte(type), n);
        t->run = end;
        t->msg_n = SIZE_MAX;
        lnt_session_write_input(s, frame, (size_t)(end - frame));
    }
}

/* Where compression was agreed on; apart, so that others do not pay for it. */
__attribute__((noinline)) static void
send_zipped(struct lnt_session *s, struct lnt_ws *ws,
            enum lnt_message_type type, const void *p, size_t n)
{
    struct lnt_str frame =
        lnt_ws_compress(ws->deflate, first_byte(type), lnt_str(p, n));

    if (frame.p)
        lnt_session_write(s, frame.p, frame.n);
    else
        send_plain(s, ws, type, p, n);
}

void
lnt_ws_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
            size_t n)
{
    struct lnt_ws *ws = lnt_session_state(s);

    if (ws->flags & LNT_WS_CLOSE_SENT)
        return;
    if (ws->deflate)
        send_zipped(s, ws, type, p, n);
    else
        send_plain(s, ws, type, p, n);
}

/* The message as a frame for all sessions of a variant, if it is one that is
   compressed; else p is NULL. */
static struct lnt_str
zip_for(struct lnt_module_ctx *m, unsigned variant, enum lnt_message_type type,
        struct lnt_str data)
{
    struct lnt_ws_deflate *d = variant == LNT_WS_VARIANT_PLAIN
                                   ? NULL
                                   : lnt_ws_deflate_of(m->data, variant);

    return d ? lnt_ws_compress(d, first_byte(type), data) : lnt_str(NULL, 0);
}

static struct lnt_buf *
append_frame(struct lnt_buf *b, enum lnt_message_type type, struct lnt_str data)
{
    size_t head = lnt_ws_head_size(data.n);

    b = lnt_buf_grow(b, head + data.n);
    lnt_ws_head_write(b->data + b->len, first_byte(type), data.n);
    if (data.n > 0)
        memcpy(b->data + b->len + head, data.p, data.n);
    b->len += (uint32_t)(head + data.n);
    return b;
}

static struct lnt_buf *
append_bytes(struct lnt_buf *b, struct lnt_str bytes)
{
    b = lnt_buf_grow(b, bytes.n);
    memcpy(b->data + b->len, bytes.p, bytes.n);
    b->len += (uint32_t)bytes.n;
    return b;
}

struct lnt_buf *
lnt_ws_encode(struct lnt_module_ctx *m, unsigned variant,
              enum lnt_message_type type, struct lnt_str data)
{
    /* What each refers to is different. */
    if (variant == LNT_WS_VARIANT_OWN)
        return NULL;
    struct lnt_str frame = zip_for(m, variant, type, data);
    if (frame.p)
        return append_bytes(lnt_buf_new(frame.n), frame);
    return append_frame(lnt_buf_new(lnt_ws_head_size(data.n) + data.n), type,
                        data);
}

struct lnt_buf *
lnt_ws_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
              enum lnt_message_type type, struct lnt_str data)
{
    struct lnt_str frame = zip_for(m, variant, type, data);

    return frame.p ? append_bytes(b, frame) : append_frame(b, type, data);
}

unsigned
lnt_ws_variant(const struct lnt_session *s)
{
    const struct lnt_ws *ws = lnt_session_state(s);

    return ws->deflate ? ws->deflate->variant : LNT_WS_VARIANT_PLAIN;
}

static enum lnt_counter
close_counter(const uint8_t *p, size_t n)
{
    static const uint8_t counters[] = {
        [0] = LNT_C_CLOSE_1000,  [1] = LNT_C_CLOSE_1001,
        [2] = LNT_C_CLOSE_1002,  [7] = LNT_C_CLOSE_1007,
        [8] = LNT_C_CLOSE_1008,  [9] = LNT_C_CLOSE_1009,
        [11] = LNT_C_CLOSE_1011, [12] = LNT_C_CLOSE_1012,
        [13] = LNT_C_CLOSE_1013,
    };
    unsigned code = n >= 2 ? (unsigned)p[0] << 8 | p[1] : 0;

    if (code >= 4500 && code < 5000)
        return LNT_C_CLOSE_4500;
    if (code >= 4000 && code < 4500)
        return LNT_C_CLOSE_4000;
    if (code < 1000 || code - 1000 >= sizeof(counters) ||
        !counters[code - 1000])
        return LNT_C_CLOSE_OTHER;
    return counters[code - 1000];
}

void
lnt_ws_control(struct lnt_session *s, enum lnt_ws_opcode opcode, const void *p,
               size_t n)
{
    uint8_t frame[2 + LNT_WS_CONTROL_MAX];

    lnt_assert(n <= LNT_WS_CONTROL_MAX);
    if (opcode == LNT_WS_CLOSE)
        lnt_count(lnt_session_stats(s), close_counter(p, n));
    lnt_ws_head_write(frame, LNT_WS_FIN | (unsigned)opcode, n);
    if (n > 0)
        memcpy(frame + 2, p, n);
    lnt_session_write(s, frame, 2 + n);
}

void
lnt_ws_ping(struct lnt_session *s)
{
    const struct lnt_ws *ws = lnt_session_state(s);
    if (!(ws->flags & LNT_WS_CLOSE_SENT))
        lnt_ws_control(s, LNT_WS_PING, NULL, 0);
}

/* The close frame: a code we may send, and as much of the reason as fits. */
static void
send_close(struct lnt_session *s, int code, struct lnt_str reason)
{
    uint8_t payload[LNT_WS_CONTROL_MAX];

    if (code < 0 || !lnt_ws_code_valid((unsigned)code))
        code = LNT_CLOSE_ERROR;
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    reason = lnt_ws_cut(reason, LNT_WS_REASON_MAX);
    if (reason.n > 0)
        memcpy(payload + 2, reason.p, reason.n);
    lnt_ws_control(s, LNT_WS_CLOSE, payload, 2 + reason.n);
}

bool
lnt_ws_goodbye(struct lnt_session *s, int code, const char *reason)
{
    struct lnt_ws *ws = lnt_session_state(s);

    if (!(ws->flags & LNT_WS_CLOSE_SENT)) {
        send_close(s, code, lnt_str_c(reason ? reason : reasons[ws->why]));
        ws->flags |= LNT_WS_CLOSE_SENT | LNT_WS_DEAF;
    }
    /* While input is handled, its handler drops what is unfinished. */
    if (!(ws->flags & LNT_WS_IN_DATA) && ws->more)
        lnt_ws_drop_message(ws->more);
    /* Nothing is to be waited for when their close has come, or when what
       comes has no meaning. */
    if (ws->flags & (LNT_WS_PEER_CLOSED | LNT_WS_FAILED | LNT_WS_OVER)) {
        ws->flags |= LNT_WS_OVER;
        return false;
    }
    return true;
}
