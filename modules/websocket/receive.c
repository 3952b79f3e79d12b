/*
 * The receiving side: bytes into messages (RFC 6455, sections 5, 7 and 8.1).
 *
 * A whole message that lies in the input is unmasked there and handed over
 * without a copy, at the place where the reply would have to stand: behind the
 * replies written before it.  An echo is then a head written in front of it,
 * and all echoes of one input are one run of bytes.
 *
 * Compressed messages are decompressed as they come (gather.c), unless they
 * are there whole into a buffer that all sessions share.
 *
 * Of a frame that has not come whole, a small one is left in the input once
 * (most are complete at the next read), with its text checked as far as it
 * goes.  Otherwise its bytes are taken as they come: memory grows with what
 * has come, never with what a length says.
 */
#include "modules/websocket/session.h"

#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/utf8.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/gather.h"
#include "modules/websocket/mask.h"
#include "net/limits.h"
#include "net/stats.h"

enum {
    RAW_MAX = 64 * 1024, /* largest frame that is left in the input */
    ZIPPED_MARGIN = 1024,
};

/* Whether to go on with the input. */
enum step { NEXT, WAIT };

/* What to say of a head that is bad. */
static const enum lnt_ws_why whys[] = {
    [LNT_WS_BAD_BITS] = LNT_WS_WHY_BITS,
    [LNT_WS_BAD_OPCODE] = LNT_WS_WHY_OPCODE,
    [LNT_WS_BAD_CONTROL] = LNT_WS_WHY_CONTROL,
    [LNT_WS_BAD_MASK] = LNT_WS_WHY_MASK,
    [LNT_WS_BAD_LENGTH] = LNT_WS_WHY_LENGTH,
};

static void read_frames(struct lnt_ws_turn *t);
static void check_raw(struct lnt_ws_turn *t);
static void answer_late_ping(struct lnt_ws_turn *t);

lnt_verdict
lnt_ws_data(struct lnt_session *s, struct lnt_input *in)
{
    struct lnt_ws *ws = lnt_session_state(s);

    if (ws->flags & LNT_WS_OVER) {
        in->used = in->n;
        return LNT_GO_ON;
    }
    struct lnt_ws_turn t = {
        .session = s,
        .ws = ws,
        .more = ws->more,
        .p = in->p,
        .end = in->p + in->n,
        .clogged = lnt_session_queued(s) > 0,
        .msg_n = SIZE_MAX,
        .max = lnt_session_limits(s)->message_size,
    };
    ws->turn = &t;
    ws->flags |= LNT_WS_IN_DATA;
    if (t.more && t.more->pong && !t.clogged)
        answer_late_ping(&t);
    if (ws->flags & LNT_WS_RAW)
        check_raw(&t);
    read_frames(&t);
    if (in->eof && !(ws->flags & LNT_WS_OVER)) {
        ws->flags |= LNT_WS_OVER | LNT_WS_DEAF;
        if (!t.verdict)
            lnt_session_finish(s);
    }
    if (t.more) {
        if (ws->flags & LNT_WS_DEAF)
            lnt_ws_drop_message(t.more);
        if ((ws->flags & LNT_WS_OVER) ||
            (!t.more->left && !t.more->opcode && !t.more->pong)) {
            lnt_ws_free_more(t.more);
            t.more = NULL;
        }
    }
    ws->flags &= (uint8_t)~LNT_WS_IN_DATA;
    ws->more = t.more;
    in->used = ws->flags & LNT_WS_OVER ? in->n : (size_t)(t.p - in->p);
    return t.verdict;
}

/* ---- the end ---- */

/* The peer breaks the rules: nothing it sends from here on has a meaning. */
static enum step
fail(struct lnt_ws_turn *t, int code, enum lnt_ws_why why)
{
    struct lnt_ws *ws = t->ws;

    ws->flags |= LNT_WS_FAILED | LNT_WS_DEAF | LNT_WS_OVER;
    if (ws->flags & LNT_WS_CLOSE_SENT) {
        lnt_session_finish(t->session);
    } else if (!t->verdict) {
        ws->why = (uint8_t)why;
        t->verdict = code;
        lnt_count(lnt_session_stats(t->session), code == LNT_CLOSE_TOO_BIG
                                                     ? LNT_C_TOO_BIG
                                                     : LNT_C_PROTOCOL_ERRORS);
    }
    return WAIT;
}

static enum step
take_close(struct lnt_ws_turn *t, const uint8_t *p, size_t n)
{
    struct lnt_ws *ws = t->ws;
    unsigned code = n >= 2 ? (unsigned)p[0] << 8 | p[1] : 0;

    if (n == 1)
        return fail(t, LNT_CLOSE_PROTOCOL, LNT_WS_WHY_CLOSE_SIZE);
    if (n >= 2 && !lnt_ws_code_valid(code))
        return fail(t, LNT_CLOSE_PROTOCOL, LNT_WS_WHY_CLOSE_CODE);
    if (n > 2 && !lnt_utf8_valid(p + 2, n - 2))
        return fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_REASON_TEXT);

    ws->flags |= LNT_WS_PEER_CLOSED | LNT_WS_DEAF | LNT_WS_OVER;
    /* With a verdict of ours pending, the goodbye is the answer. */
    if (t->verdict)
        return WAIT;
    if (!(ws->flags & LNT_WS_CLOSE_SENT)) {
        ws->flags |= LNT_WS_CLOSE_SENT;
        lnt_ws_control(t->session, LNT_WS_CLOSE, p, n >= 2 ? 2 : 0);
    }
    lnt_session_end(t->session);
    return WAIT;
}

/* ---- pings ---- */

/*
 * A peer that pings without reading is owed an answer to its last ping only
 * (section 5.5.3); it waits until the queue is empty.
 */
static void
keep_ping(struct lnt_ws_turn *t, const uint8_t *p, size_t n)
{
    struct lnt_ws_more *more = lnt_ws_need_more(&t->more);

    if (!more->pong)
        lnt_session_deadline(t->session,
                             lnt_session_now(t->session) + LNT_WS_PONG_RETRY);
    more->pong = true;
    more->pong_n = (uint8_t)n;
    if (n > 0)
        memcpy(more->pong_data, p, n);
}

static void
answer_late_ping(struct lnt_ws_turn *t)
{
    struct lnt_ws_more *more = t->more;

    more->pong = false;
    lnt_session_deadline(t->session, 0);
    if (!(t->ws->flags & LNT_WS_CLOSE_SENT))
        lnt_ws_control(t->session, LNT_WS_PONG, more->pong_data, more->pong_n);
}

static void
take_ping(struct lnt_ws_turn *t, const uint8_t *p, size_t n, uint32_t key)
{
    uint8_t clear[LNT_WS_CONTROL_MAX];

    if (t->ws->flags & LNT_WS_DEAF)
        return;
    if (t->clogged) {
        lnt_ws_unmask(clear, p, n, key);
        keep_ping(t, clear, n);
        return;
    }
    /* Sent back like an echo, so that the run of replies goes on. */
    uint8_t *to = t->run ? t->run + 2 : t->p - n;
    lnt_ws_unmask(to, p, n, key);
    lnt_ws_head_write(to - 2, LNT_WS_FIN | LNT_WS_PONG, n);
    lnt_session_write_input(t->session, to - 2, 2 + n);
    t->run = to + n;
}

lnt_verdict
lnt_ws_timeout(struct lnt_session *s, enum lnt_timeout which)
{
    struct lnt_ws *ws = lnt_session_state(s);

    if (which != LNT_TIMEOUT_OWN || !ws->more || !ws->more->pong)
        return LNT_GO_ON;
    if (lnt_session_queued(s) > 0) {
        lnt_session_deadline(s, lnt_session_now(s) + LNT_WS_PONG_RETRY);
        return LNT_GO_ON;
    }
    struct lnt_ws_turn t = {.session = s, .ws = ws, .more = ws->more};
    answer_late_ping(&t);
    return LNT_GO_ON;
}

/* A control frame is handled when it is there whole. */
static enum step
take_control(struct lnt_ws_turn *t, const struct lnt_ws_head *h)
{
    size_t n = (size_t)h->len;

    if ((size_t)(t->end - t->p) < h->size + n)
        return WAIT;
    uint8_t *payload = t->p + h->size;
    t->p = payload + n;
    switch (h->first & LNT_WS_OPCODE) {
    case LNT_WS_CLOSE:
        lnt_ws_unmask(payload, payload, n, h->key);
        return take_close(t, payload, n);
    case LNT_WS_PING:
        take_ping(t, payload, n, h->key);
        return NEXT;
    default: /* a pong; the core has noted that the peer lives */
        return NEXT;
    }
}

/* ---- messages ---- */

static void
deliver(struct lnt_ws_turn *t, unsigned opcode, uint8_t *p, size_t n)
{
    lnt_verdict v = lnt_session_message(
        t->session, opcode == LNT_WS_TEXT ? LNT_TEXT : LNT_BINARY, p, n);
    t->msg_n = SIZE_MAX;
    if (v) {
        t->verdict = v;
        t->ws->flags |= LNT_WS_DEAF;
    }
}

/* What is wrong with a compressed message.  Data that cannot be decompressed
   is bad data as text that is no UTF-8 is (1007); its framing was right. */
static enum step
fail_zipped(struct lnt_ws_turn *t, enum lnt_ws_why why)
{
    int code =
        why == LNT_WS_WHY_TOO_BIG ? LNT_CLOSE_TOO_BIG : LNT_CLOSE_BAD_DATA;

    if (why == LNT_WS_WHY_TOO_BIG)
        lnt_count(lnt_session_stats(t->session), LNT_C_TOO_BIG_OUT);
    return fail(t, code, why);
}

/* A compressed message in one frame that is all there. */
static enum step
take_zipped(struct lnt_ws_turn *t, const struct lnt_ws_head *h)
{
    struct lnt_ws_streams *streams = t->ws->deflate->streams;
    unsigned opcode = h->first & LNT_WS_OPCODE;
    uint8_t *payload = t->p + h->size, text = 0;
    size_t n = (size_t)h->len;
    struct lnt_buf *buf = lnt_ws_scratch_take(streams);
    struct lnt_ws_gather g = {
        .inflater = lnt_ws_inflate_begin(t->ws->deflate),
        .buf = &buf,
        .max = t->max,
        .text = opcode == LNT_WS_TEXT,
        .utf8 = &text,
    };

    lnt_ws_unmask(payload, payload, n, h->key);
    t->p = payload + n;
    enum lnt_ws_why why = lnt_ws_gather(&g, payload, n, true);
    if (why) {
        lnt_ws_inflate_drop(g.inflater);
        lnt_ws_scratch_give(streams, buf);
        return fail_zipped(t, why);
    }
    lnt_ws_inflate_end(g.inflater, lnt_str(buf->data, buf->len));
    deliver(t, opcode, buf->data, buf->len);
    lnt_ws_scratch_give(streams, buf);
    return NEXT;
}

/* A message in one frame that is all there. */
static enum step
take_whole(struct lnt_ws_turn *t, const struct lnt_ws_head *h)
{
    struct lnt_ws *ws = t->ws;
    unsigned opcode = h->first & LNT_WS_OPCODE;
    uint8_t *payload = t->p + h->size;
    size_t n = (size_t)h->len, seen = 0;
    lnt_utf8_state text = 0;
    uint8_t *to = t->run ? t->run + lnt_ws_head_size(n) : payload;

    if (ws->flags & LNT_WS_RAW) {
        /* It was the first in the input then, so it is now. */
        lnt_assert(to == payload);
        ws->flags &= (uint8_t)~LNT_WS_RAW;
        seen = ws->seen;
        text = ws->utf8;
    }
    bool high = lnt_ws_unmask(to + seen, payload + seen, n - seen,
                              lnt_ws_key_after(h->key, seen));
    if (opcode == LNT_WS_TEXT && (high || text) &&
        lnt_utf8_check(text, to + seen, n - seen) != 0)
        return fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_TEXT);
    t->p = payload + n;
    t->msg = to;
    t->msg_n = n;
    t->buf = NULL;
    deliver(t, opcode, to, n);
    return NEXT;
}

/* Leaves the frame in the input; what is there of its text is checked, and
   unmasked in place. */
static enum step
leave_raw(struct lnt_ws_turn *t, const struct lnt_ws_head *h)
{
    struct lnt_ws *ws = t->ws;

    ws->flags |= LNT_WS_RAW;
    ws->seen = 0;
    ws->utf8 = 0;
    if ((h->first & LNT_WS_OPCODE) != LNT_WS_TEXT)
        return WAIT;
    uint8_t *payload = t->p + h->size;
    size_t n = (size_t)(t->end - payload);
    if (lnt_ws_unmask(payload, payload, n, h->key)) {
        lnt_utf8_state text = lnt_utf8_check(0, payload, n);
        if (text == LNT_UTF8_BAD)
            return fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_TEXT);
        ws->utf8 = (uint8_t)text;
    }
    ws->seen = (uint32_t)n;
    return WAIT;
}

/* What another process says of the frame that it left may be anything; then
   the frame is taken as if nobody had seen it. */
static void
check_raw(struct lnt_ws_turn *t)
{
    struct lnt_ws *ws = t->ws;
    struct lnt_ws_head h;
    size_t there = (size_t)(t->end - t->p);
    bool good = lnt_ws_head_parse(&h, t->p, there, 0) == LNT_WS_DONE;

    if (good) {
        unsigned opcode = h.first ^ LNT_WS_FIN;
        good = (opcode == LNT_WS_TEXT || opcode == LNT_WS_BINARY) &&
               ws->seen <= h.len && ws->seen <= there - h.size &&
               !(t->more && (t->more->opcode || t->more->left)) &&
               !(ws->flags & LNT_WS_DEAF);
    }
    if (good)
        return;
    ws->flags &= (uint8_t)~LNT_WS_RAW;
    ws->seen = 0;
    ws->utf8 = 0;
}

/* How much of the message has been gathered. */
static size_t
gathered(const struct lnt_ws_more *more)
{
    return more && more->buf ? more->buf->len - more->room : 0;
}

static uint8_t *
make_room(struct lnt_ws_more *more, size_t n)
{
    if (!more->buf) {
        more->buf = lnt_buf_new(more->room + n);
        more->buf->len = more->room;
    } else {
        more->buf = lnt_buf_grow(more->buf, n);
    }
    return more->buf->data + more->buf->len;
}

static enum step
end_message(struct lnt_ws_turn *t)
{
    struct lnt_ws_more *more = t->more;
    struct lnt_buf *buf = more->buf;
    unsigned opcode = more->opcode;
    uint8_t nothing[1];

    if (opcode == LNT_WS_TEXT && t->ws->utf8 != 0)
        return fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_TEXT);
    if (more->inflater) {
        lnt_ws_inflate_end(more->inflater,
                           lnt_str(buf->data + more->room, gathered(more)));
        more->inflater = NULL;
        more->stuck = false;
        lnt_strbuf_release(&more->zipped);
    }
    more->buf = NULL;
    more->opcode = 0;
    if (!buf) {
        /* Made of empty fragments. */
        deliver(t, opcode, nothing, 0);
        return NEXT;
    }
    t->msg = buf->data + more->room;
    t->msg_n = buf->len - more->room;
    t->buf = buf;
    t->room = more->room;
    deliver(t, opcode, t->msg, t->msg_n);
    lnt_buf_unref(buf);
    return NEXT;
}

/* n bytes of the frame at hand, which is compressed. */
static enum step
take_zipped_payload(struct lnt_ws_turn *t, size_t n)
{
    struct lnt_ws_more *more = t->more;
    bool fin = more->fin && n == more->left;
    struct lnt_ws_gather g = {
        .inflater = more->inflater,
        .buf = &more->buf,
        .room = more->room,
        .max = t->max,
        .text = more->opcode == LNT_WS_TEXT,
        .utf8 = &t->ws->utf8,
    };

    lnt_ws_unmask(t->p, t->p, n, more->key);
    more->key = lnt_ws_key_after(more->key, n);
    if (!fin)
        lnt_ws_note_zipped(more, t->p, n);
    enum lnt_ws_why why = lnt_ws_gather(&g, t->p, n, fin);
    if (why)
        return fail_zipped(t, why);
    t->p += n;
    more->left -= n;
    if (more->left > 0)
        return WAIT;
    return fin ? end_message(t) : NEXT;
}

/* Takes what has come of the frame at hand. */
static enum step
take_payload(struct lnt_ws_turn *t)
{
    struct lnt_ws_more *more = t->more;
    size_t n = (size_t)(t->end - t->p);

    if (n > more->left)
        n = (size_t)more->left;
    if (more->inflater && !(t->ws->flags & LNT_WS_DEAF))
        return take_zipped_payload(t, n);
    if (n > 0 && !(t->ws->flags & LNT_WS_DEAF)) {
        uint8_t *to = make_room(more, n);
        bool high = lnt_ws_unmask(to, t->p, n, more->key);
        if (more->opcode == LNT_WS_TEXT && (high || t->ws->utf8)) {
            lnt_utf8_state text = lnt_utf8_check(t->ws->utf8, to, n);
            if (text == LNT_UTF8_BAD)
                return fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_TEXT);
            t->ws->utf8 = (uint8_t)text;
        }
        more->buf->len += (uint32_t)n;
        more->key = lnt_ws_key_after(more->key, n);
    }
    t->p += n;
    more->left -= n;
    if (more->left > 0)
        return WAIT;
    if (!more->fin || (t->ws->flags & LNT_WS_DEAF))
        return NEXT;
    return end_message(t);
}

/* Takes the head; the payload follows as it comes. */
static enum step
begin_frame(struct lnt_ws_turn *t, const struct lnt_ws_head *h)
{
    struct lnt_ws *ws = t->ws;
    struct lnt_ws_more *more = lnt_ws_need_more(&t->more);
    unsigned opcode = h->first & LNT_WS_OPCODE;
    size_t seen = 0;

    more->fin = (h->first & LNT_WS_FIN) != 0;
    more->left = h->len;
    more->key = h->key;
    t->p += h->size;
    if (ws->flags & LNT_WS_RAW) {
        ws->flags &= (uint8_t)~LNT_WS_RAW;
        seen = ws->seen;
    } else if (opcode != LNT_WS_CONTINUATION) {
        ws->utf8 = 0;
    }
    if (ws->flags & LNT_WS_DEAF)
        return take_payload(t);
    if (opcode != LNT_WS_CONTINUATION) {
        more->opcode = (uint8_t)opcode;
        /* When the size is known, so is that of a reply's head. */
        more->room = more->fin ? (uint32_t)lnt_ws_head_size(h->len)
                               : LNT_WS_OUT_HEAD_MAX;
    }
    if (h->first & LNT_WS_RSV1) {
        more->room = LNT_WS_OUT_HEAD_MAX;
        more->inflater = lnt_ws_inflate_begin(ws->deflate);
    }
    if (seen > 0) {
        memcpy(make_room(more, seen), t->p, seen);
        more->buf->len += (uint32_t)seen;
        more->key = lnt_ws_key_after(more->key, seen);
        more->left -= seen;
        t->p += seen;
    }
    return take_payload(t);
}

static enum step
take_data(struct lnt_ws_turn *t, const struct lnt_ws_head *h, bool complete)
{
    struct lnt_ws *ws = t->ws;
    size_t there = (size_t)(t->end - t->p);
    bool first = (h->first & LNT_WS_OPCODE) != LNT_WS_CONTINUATION;
    bool inside = t->more && t->more->opcode != 0;
    bool zipped = (h->first & LNT_WS_RSV1) || (inside && t->more->inflater);

    if (!(ws->flags & LNT_WS_DEAF)) {
        if (!first && !inside)
            return fail(t, LNT_CLOSE_PROTOCOL, LNT_WS_WHY_NO_MESSAGE);
        if (first && inside)
            return fail(t, LNT_CLOSE_PROTOCOL, LNT_WS_WHY_IN_MESSAGE);
        /* How much comes out is seen when it does; compressed it is hardly
           ever longer, and never by more than some bytes for each 16 KiB. */
        uint64_t most = zipped ? t->max + t->max / 8 + ZIPPED_MARGIN
                               : t->max - gathered(t->more);
        if (h->len > most)
            return fail(t, LNT_CLOSE_TOO_BIG, LNT_WS_WHY_TOO_BIG);
        if (complete && first && (h->first & LNT_WS_FIN)) {
            if (h->len <= there - h->size)
                return zipped ? take_zipped(t, h) : take_whole(t, h);
            if (!zipped && !(ws->flags & LNT_WS_RAW) &&
                h->size + h->len <= RAW_MAX)
                return leave_raw(t, h);
        }
    }
    return complete ? begin_frame(t, h) : WAIT;
}

static enum step
read_frame(struct lnt_ws_turn *t)
{
    struct lnt_ws_head h;

    if (t->more && t->more->left > 0)
        return take_payload(t);
    unsigned rsv = t->ws->deflate ? LNT_WS_RSV1 : 0;
    enum lnt_ws_parsed r =
        lnt_ws_head_parse(&h, t->p, (size_t)(t->end - t->p), rsv);
    if (r > LNT_WS_MORE)
        return fail(t, LNT_CLOSE_PROTOCOL, whys[r]);
    if (r == LNT_WS_MORE && h.size == 0)
        return WAIT;
    if (!(h.first & LNT_WS_CONTROL_BIT))
        return take_data(t, &h, r == LNT_WS_DONE);
    return r == LNT_WS_DONE ? take_control(t, &h) : WAIT;
}

/*
 * The usual case without the detours: a message of less than 126 bytes, whole,
 * with nothing unfinished.  False: it is another case, nothing was done.
 */
static inline bool
take_short(struct lnt_ws_turn *t)
{
    uint8_t *p = t->p;
    size_t there = (size_t)(t->end - p);
    uint32_t key;

    if (there < 6 || t->more || t->ws->flags != LNT_WS_IN_DATA)
        return false;
    unsigned opcode = p[0] ^ LNT_WS_FIN;
    size_t n = p[1] ^ (size_t)LNT_WS_MASKED;
    if (opcode - LNT_WS_TEXT > 1 || n > 125 || n > there - 6 || n > t->max)
        return false;
    memcpy(&key, p + 2, sizeof(key));
    uint8_t *to = t->run ? t->run + 2 : p + 6;
    t->p = p + 6 + n;
    t->msg = to;
    t->msg_n = n;
    t->buf = NULL;
    if (lnt_ws_unmask(to, p + 6, n, key) && opcode == LNT_WS_TEXT &&
        !lnt_utf8_valid(to, n))
        fail(t, LNT_CLOSE_BAD_DATA, LNT_WS_WHY_TEXT);
    else
        deliver(t, opcode, to, n);
    return true;
}

static void
read_frames(struct lnt_ws_turn *t)
{
    while (t->p < t->end && !(t->ws->flags & LNT_WS_OVER))
        if (!take_short(t) && read_frame(t) == WAIT)
            return;
}
