/*
 * The sending side: messages, control frames, the goodbye.  Queues and the
 * kernel are the core's.
 *
 * Three ways for a message: bytes just received go back in place, with a head
 * written in front of them; small ones are copied behind their head; large
 * ones get a buffer of their own.
 */
#include "modules/websocket/session.h"

#include <string.h>

#include "core/buf.h"
#include "core/log.h"

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
};

static inline unsigned
first_byte(enum lnt_message_type type)
{
    return LNT_WS_FIN | (type == LNT_TEXT ? LNT_WS_TEXT : LNT_WS_BINARY);
}

/*
 * Sends the message being handled back, without moving it.  In the input there
 * is always room for the head: a client's is at least four bytes longer.
 */
static bool
send_back(struct lnt_session *s, struct lnt_ws_turn *t, unsigned first)
{
    size_t n = t->msg_n;
    size_t head = lnt_ws_head_size(n);
    uint8_t *p = t->msg - head;

    if (!t->buf) {
        lnt_ws_head_write(p, first, n);
        lnt_session_write_input(s, p, head + n);
        t->run = t->msg + n;
    } else if (t->room == head) {
        lnt_ws_head_write(p, first, n);
        lnt_session_write_buf(s, t->buf);
    } else {
        return false;
    }
    t->msg = NULL;
    return true;
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
    struct lnt_buf *b = lnt_ws_encode(NULL, 0, type, lnt_str(p, n));
    lnt_session_write_buf(s, b);
    lnt_buf_unref(b);
}

void
lnt_ws_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
            size_t n)
{
    struct lnt_ws *ws = lnt_session_state(s);

    if (ws->flags & LNT_WS_CLOSE_SENT)
        return;
    if (ws->flags & LNT_WS_IN_DATA) {
        struct lnt_ws_turn *t = ws->turn;
        if (p && p == t->msg && n == t->msg_n &&
            send_back(s, t, first_byte(type)))
            return;
    }
    send_copy(s, type, p, n);
}

struct lnt_buf *
lnt_ws_encode(struct lnt_module_ctx *m, unsigned variant,
              enum lnt_message_type type, struct lnt_str data)
{
    struct lnt_buf *b = lnt_buf_new(lnt_ws_head_size(data.n) + data.n);
    return lnt_ws_append(m, variant, b, type, data);
}

struct lnt_buf *
lnt_ws_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
              enum lnt_message_type type, struct lnt_str data)
{
    (void)m;
    (void)variant;
    size_t head = lnt_ws_head_size(data.n);
    b = lnt_buf_grow(b, head + data.n);
    lnt_ws_head_write(b->data + b->len, first_byte(type), data.n);
    if (data.n > 0)
        memcpy(b->data + b->len + head, data.p, data.n);
    b->len += (uint32_t)(head + data.n);
    return b;
}

void
lnt_ws_control(struct lnt_session *s, enum lnt_ws_opcode opcode, const void *p,
               size_t n)
{
    uint8_t frame[2 + LNT_WS_CONTROL_MAX];

    lnt_assert(n <= LNT_WS_CONTROL_MAX);
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
