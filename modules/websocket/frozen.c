/*
 * Freeze and thaw: a session as bytes, for another worker or for the next
 * binary.  What the core has (unread input, unsent output) goes along without
 * us.
 *
 * The bytes, by the rules of core/pack.h: version; flags, reason of a failure,
 * state of text in the unread input, what else there is; then, each counted and
 * only if it is there, terms of compression with its windows, what is
 * unfinished, what the access log is to say.  A further piece gets a bit of its
 * own and goes to the end, and so does a field of the session.  Version 1, of
 * release 0.1.0, is the same with the first two pieces not counted.
 *
 * A message that is gathered goes as it is, a compressed one as it came: it is
 * taken apart again, because the middle of a stream cannot be moved.
 */
#include "modules/websocket/session.h"

#include <errno.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/pack.h"
#include "core/utf8.h"
#include "modules/http/http.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/gather.h"
#include "net/limits.h"

enum {
    VERSION = 2,
    NEEDS = 2,
    KEPT = LNT_WS_CLOSE_SENT | LNT_WS_PEER_CLOSED | LNT_WS_FAILED |
           LNT_WS_DEAF | LNT_WS_OVER | LNT_WS_RAW,
};

/* What there is; bits of one number.  What others stand for is left out. */
enum {
    HAS_DEFLATE = 1,
    HAS_MORE = 2,
    OUT_FRESH = 4,
    IN_FRESH = 8,
    FIN = 16,
    PONG = 32,
    ZIPPED = 64,
    HAS_LOG = 128,
};

/* A state of the text by the shortest text that leads to it: numbers may mean
   something else to another binary. */
static const struct lnt_str beginnings[] = {
    {"", 0},     {"\xc2", 1}, {"\xe0", 1}, {"\xe1", 1},
    {"\xed", 1}, {"\xf0", 1}, {"\xf1", 1}, {"\xf4", 1},
};
enum { BEGINNINGS = sizeof(beginnings) / sizeof(beginnings[0]) };

/* Everything in the bytes, slices of them included. */
struct frozen {
    uint32_t flags, why, text, seen, has;
    uint32_t out_bits, in_bits, budget, min;
    struct lnt_str sent, received;
    uint32_t opcode, room, key;
    uint64_t left;
    struct lnt_str pong, message, log;
};

/* ---- freeze ---- */

static uint32_t
beginning_of(lnt_utf8_state text)
{
    uint32_t i = 0;

    while (i < BEGINNINGS &&
           lnt_utf8_check(0, beginnings[i].p, beginnings[i].n) != text)
        i++;
    lnt_assert(i < BEGINNINGS);
    return i;
}

static uint32_t
what_there_is(const struct lnt_ws *ws)
{
    const struct lnt_ws_deflate *d = ws->deflate;
    const struct lnt_ws_more *more = ws->more;
    uint32_t has = 0;

    if (d)
        has |= HAS_DEFLATE | (d->terms.out_fresh ? OUT_FRESH : 0u) |
               (d->terms.in_fresh ? IN_FRESH : 0u);
    if (more)
        has |= HAS_MORE | (more->fin ? FIN : 0u) | (more->pong ? PONG : 0u) |
               (more->inflater ? ZIPPED : 0u);
    return has;
}

static void
pack_deflate(struct lnt_ws_deflate *d, struct lnt_strbuf *out)
{
    uint8_t room[1 << LNT_WS_BITS_MAX];
    size_t piece = lnt_pack_begin(out);

    lnt_pack_u32(out, d->terms.out_bits);
    lnt_pack_u32(out, d->terms.in_bits);
    lnt_pack_u32(out, d->plan->budget);
    lnt_pack_u32(out, d->min);
    lnt_pack_str(out, lnt_ws_deflate_sent(d, room));
    lnt_pack_str(out, lnt_str(d->received.p, d->received.n));
    lnt_pack_end(out, piece);
}

static void
pack_more(const struct lnt_ws_more *more, struct lnt_strbuf *out)
{
    struct lnt_str message = lnt_str("", 0);
    size_t piece = lnt_pack_begin(out);

    if (more->inflater)
        message = lnt_strbuf_str(&more->zipped);
    else if (more->buf)
        message =
            lnt_str(more->buf->data + more->room, more->buf->len - more->room);
    lnt_pack_u32(out, more->opcode);
    lnt_pack_u32(out, more->room);
    lnt_pack_u32(out, more->key);
    lnt_pack_u64(out, more->left);
    lnt_pack_str(out, lnt_str(more->pong_data, more->pong_n));
    lnt_pack_str(out, message);
    lnt_pack_end(out, piece);
}

int
lnt_ws_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct lnt_ws *ws = lnt_session_state(s);
    struct lnt_strbuf log = LNT_STRBUF_INIT;

    if ((ws->flags & LNT_WS_IN_DATA) || (ws->more && ws->more->stuck))
        return -1;
    lnt_pack_version(out, VERSION, NEEDS);
    lnt_pack_u32(out, ws->flags & KEPT);
    lnt_pack_u32(out, ws->why);
    lnt_pack_u32(out, ws->flags & LNT_WS_RAW ? beginning_of(ws->utf8) : 0);
    lnt_pack_u32(out, ws->seen);
    lnt_http_upgrade_freeze(s, &log);
    lnt_pack_u32(out, what_there_is(ws) | (log.n > 0 ? HAS_LOG : 0));
    if (ws->deflate)
        pack_deflate(ws->deflate, out);
    if (ws->more)
        pack_more(ws->more, out);
    if (log.n > 0)
        lnt_pack_str(out, lnt_strbuf_str(&log));
    lnt_strbuf_release(&log);
    return 0;
}

/* ---- thaw ---- */

static bool
unpack_deflate(struct lnt_str *in, struct frozen *f)
{
    return lnt_unpack_u32(in, &f->out_bits) &&
           lnt_unpack_u32(in, &f->in_bits) && lnt_unpack_u32(in, &f->budget) &&
           lnt_unpack_u32(in, &f->min) && lnt_unpack_str(in, &f->sent) &&
           lnt_unpack_str(in, &f->received) && f->out_bits >= LNT_WS_BITS_MIN &&
           f->out_bits <= LNT_WS_BITS_MAX &&
           f->in_bits >= LNT_WS_BITS_MIN - 1 && f->in_bits <= LNT_WS_BITS_MAX &&
           f->sent.n <= (size_t)1 << f->out_bits &&
           f->received.n <= (size_t)1 << LNT_WS_BITS_MAX;
}

/* Whether the head of a reply fits in front of what is gathered. */
static bool
has_room(const struct frozen *f)
{
    if (f->room == LNT_WS_OUT_HEAD_MAX || f->opcode == 0)
        return f->room <= LNT_WS_OUT_HEAD_MAX;
    return (f->has & FIN) && !(f->has & ZIPPED) &&
           f->room == lnt_ws_head_size(f->message.n + f->left);
}

static bool
unpack_more(struct lnt_str *in, struct frozen *f)
{
    return lnt_unpack_u32(in, &f->opcode) && lnt_unpack_u32(in, &f->room) &&
           lnt_unpack_u32(in, &f->key) && lnt_unpack_u64(in, &f->left) &&
           lnt_unpack_str(in, &f->pong) && lnt_unpack_str(in, &f->message) &&
           f->opcode <= LNT_WS_BINARY && f->pong.n <= LNT_WS_CONTROL_MAX &&
           f->left < UINT64_MAX / 4 && has_room(f) &&
           (f->opcode || (f->message.n == 0 && !(f->has & ZIPPED))) &&
           (f->opcode || f->left == 0 || (f->flags & LNT_WS_DEAF)) &&
           (!(f->has & ZIPPED) || (f->has & HAS_DEFLATE));
}

static bool
unpack_piece(struct lnt_str *in, struct frozen *f, bool counted,
             bool (*unpack_fields)(struct lnt_str *in, struct frozen *f))
{
    struct lnt_str piece;

    if (!counted)
        return unpack_fields(in, f);
    return lnt_unpack_part(in, &piece) && unpack_fields(&piece, f);
}

static bool
unpack(struct lnt_str in, struct frozen *f)
{
    struct lnt_pack_version v;

    if (!lnt_unpack_version(&in, VERSION, &v))
        return false;
    errno = EPROTO;
    bool counted = v.is > 1;
    if (!lnt_unpack_u32(&in, &f->flags) || !lnt_unpack_u32(&in, &f->why) ||
        !lnt_unpack_u32(&in, &f->text) || !lnt_unpack_u32(&in, &f->seen) ||
        !lnt_unpack_u32(&in, &f->has) || f->why >= LNT_WS_WHYS ||
        f->text >= BEGINNINGS)
        return false;
    f->flags &= KEPT;
    return (!(f->has & HAS_DEFLATE) ||
            unpack_piece(&in, f, counted, unpack_deflate)) &&
           (!(f->has & HAS_MORE) ||
            unpack_piece(&in, f, counted, unpack_more)) &&
           (!(f->has & HAS_LOG) || lnt_unpack_str(&in, &f->log)) &&
           (counted || in.n == 0);
}

static void
thaw_deflate(struct lnt_session *s, struct lnt_ws *ws, const struct frozen *f)
{
    struct lnt_ws_streams *w = lnt_session_protocol(s)->data;
    struct lnt_ws_terms terms = {
        .out_bits = (uint8_t)f->out_bits,
        .in_bits = (uint8_t)f->in_bits,
        .out_fresh = f->has & OUT_FRESH,
        .in_fresh = f->has & IN_FRESH,
    };

    ws->deflate =
        lnt_ws_deflate_new(w, lnt_ws_plan_for(w, f->budget), &terms, f->min);
    if (!ws->deflate->shared)
        lnt_ws_deflate_resume(ws->deflate, f->sent, f->received);
}

static bool
thaw_zipped(struct lnt_ws *ws, const struct frozen *f, uint64_t max)
{
    struct lnt_ws_more *more = ws->more;

    more->inflater = lnt_ws_inflate_begin(ws->deflate);
    lnt_ws_note_zipped(more, (const uint8_t *)f->message.p, f->message.n);
    struct lnt_ws_gather g = {
        .inflater = more->inflater,
        .buf = &more->buf,
        .room = more->room,
        .max = max,
        .text = more->opcode == LNT_WS_TEXT,
        .utf8 = &ws->utf8,
    };
    return lnt_ws_gather(&g, (const uint8_t *)f->message.p, f->message.n,
                         false) == LNT_WS_WHY_NONE;
}

static bool
thaw_plain(struct lnt_ws *ws, const struct frozen *f, uint64_t max)
{
    struct lnt_ws_more *more = ws->more;

    if (f->message.n > max ||
        (f->left > max - f->message.n && !(f->flags & LNT_WS_DEAF)))
        return false;
    if (more->opcode == LNT_WS_TEXT)
        ws->utf8 = (uint8_t)lnt_utf8_check(0, f->message.p, f->message.n);
    if (f->message.n > 0) {
        more->buf = lnt_buf_new(more->room + f->message.n);
        memcpy(more->buf->data + more->room, f->message.p, f->message.n);
        more->buf->len = more->room + (uint32_t)f->message.n;
    }
    return ws->utf8 != LNT_UTF8_BAD;
}

static bool
thaw_more(struct lnt_session *s, struct lnt_ws *ws, const struct frozen *f)
{
    uint64_t max = lnt_session_limits(s)->message_size;
    struct lnt_ws_more *more = lnt_ws_need_more(&ws->more);

    more->opcode = (uint8_t)f->opcode;
    more->room = f->room;
    more->key = f->key;
    more->left = f->left;
    more->fin = f->has & FIN;
    more->pong = f->has & PONG;
    more->pong_n = (uint8_t)f->pong.n;
    if (f->pong.n > 0)
        memcpy(more->pong_data, f->pong.p, f->pong.n);
    if (more->pong)
        lnt_session_deadline(s, lnt_session_now(s) + LNT_WS_PONG_RETRY);
    return f->has & ZIPPED ? thaw_zipped(ws, f, max) : thaw_plain(ws, f, max);
}

int
lnt_ws_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct lnt_ws *ws = lnt_session_state(s);
    struct frozen f = {0};

    if (!unpack(state, &f))
        return -1;
    ws->flags = (uint8_t)f.flags;
    ws->why = (uint8_t)f.why;
    ws->seen = f.seen;
    ws->utf8 =
        (uint8_t)lnt_utf8_check(0, beginnings[f.text].p, beginnings[f.text].n);
    if (f.has & HAS_DEFLATE)
        thaw_deflate(s, ws, &f);
    if ((f.has & HAS_MORE) && !thaw_more(s, ws, &f))
        return -1;
    return lnt_http_upgrade_thaw(s, f.log);
}
