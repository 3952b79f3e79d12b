/* LINK: modules/websocket/receive.c modules/websocket/send.c
         modules/websocket/session.c modules/websocket/frame.c
         modules/websocket/mask.c core/utf8.c core/buf.c core/mem.c
         core/strbuf.c core/str.c core/log.c core/log_line.c os/clock.c os/file.c */
/*
 * The frame parser, against a second one that is slow and simple: it takes a
 * byte at a time and gathers everything.  Both are asked what is sent back and
 * how it ends; reads begin and end wherever the input says.
 *
 * Input: application and options, message_size, seed of the pieces, a moment
 * for our goodbye, then what the client sends.
 */
#include "core/utf8.h"
#include "t/unit/ws_harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the slow one ---- */

struct model {
    enum ws_app app;
    enum ws_end end;
    int code;
    uint64_t max;
    bool closing; /* our close is out */
    bool deaf;
    struct lnt_strbuf out, message, payload;
    uint8_t head[14];
    size_t head_n;
    uint64_t len, got;
    bool in_payload;
    unsigned opcode; /* of the message; 0 none */
    lnt_utf8_state text;
};

static void
model_close(struct model *m, int code, const char *reason, bool final)
{
    char p[2 + LNT_WS_REASON_MAX] = {(char)(code >> 8), (char)code};
    if (!m->closing) {
        memcpy(p + 2, reason, strlen(reason));
        ws_want(&m->out, 0x88, p, 2 + strlen(reason));
        m->closing = true;
        m->code = code;
        m->end = WS_GOODBYE;
    }
    m->deaf = true;
    if (final)
        m->end = WS_FINISHED;
}

static void
model_message(struct model *m)
{
    enum ws_app app = m->app;
    uint8_t *p = (uint8_t *)m->message.p;
    size_t n = m->message.n;
    unsigned first = 0x80 | m->opcode;
    m->opcode = 0;
    if (app == APP_MIXED)
        app = n ? (enum ws_app)(p[0] % APP_MIXED) : APP_ECHO;
    if (app == APP_VERDICT && n == 3 && memcmp(p, "bye", 3) == 0) {
        model_close(m, 4500, "", false);
        return;
    }
    if (app == APP_SWALLOW)
        return;
    if (app == APP_OTHER)
        ws_wants(&m->out, 0x81, "before");
    if (app == APP_PREFIX)
        ws_want(&m->out, 0x82, p, n ? n - 1 : 0);
    else
        ws_want(&m->out, first, p, n);
    if (app == APP_TWICE)
        ws_want(&m->out, first, p, n);
    if (app == APP_OTHER)
        ws_wants(&m->out, 0x82, "behind");
}

static void
model_control(struct model *m)
{
    const uint8_t *p = (const uint8_t *)m->payload.p;
    size_t n = m->payload.n;
    unsigned opcode = m->head[0] & 15;
    if (opcode == 9 && !m->deaf)
        ws_want(&m->out, 0x8a, p, n);
    if (opcode != 8)
        return;
    unsigned code = n >= 2 ? (unsigned)p[0] << 8 | p[1] : 1000;
    bool known = (code >= 1000 && code <= 1003) ||
                 (code >= 1007 && code <= 1014) ||
                 (code >= 3000 && code <= 4999);
    if (n == 1) {
        model_close(m, 1002, "close frame with half a code", true);
    } else if (!known) {
        model_close(m, 1002, "close code not allowed", true);
    } else if (n > 2 && lnt_utf8_check(0, p + 2, n - 2) != 0) {
        model_close(m, 1007, "close reason is not UTF-8", true);
    } else {
        if (!m->closing)
            ws_want(&m->out, 0x88, p, n >= 2 ? 2 : 0);
        /* A verdict of this very read is finished rather than ended. */
        m->end = WS_ENDED;
    }
}

static void
model_end_of_frame(struct model *m)
{
    m->in_payload = false;
    m->head_n = 0;
    if (m->head[0] & 8) {
        model_control(m);
    } else if (!m->deaf && m->head[0] & 0x80) {
        if (m->opcode == 1 && m->text != 0)
            model_close(m, 1007, "text is not UTF-8", true);
        else
            model_message(m);
    }
}

/* A byte of head; what is wrong is said as soon as it can be known. */
static void
model_head(struct model *m, uint8_t c)
{
    m->head[m->head_n++] = c;
    unsigned op = m->head[0] & 15;
    bool control = op >= 8;
    const char *why = NULL;
    if (m->head_n == 1) {
        if (c & 0x70)
            why = "reserved bits set without an extension";
        else if ((op > 2 && op < 8) || op > 10)
            why = "unknown opcode";
        else if (control && !(c & 0x80))
            why = "control frame too long or fragmented";
    } else if (m->head_n == 2) {
        if (!(c & 0x80))
            why = "frame not masked";
        else if (control && (c & 127) > 125)
            why = "control frame too long or fragmented";
    } else if (m->head_n == 3 && (m->head[1] & 127) == 127 && c & 0x80) {
        why = "frame length out of range";
    }
    if (why) {
        model_close(m, 1002, why, true);
        return;
    }
    if (m->head_n < 2)
        return;
    size_t more = (m->head[1] & 127) == 126   ? 2
                  : (m->head[1] & 127) == 127 ? 8
                                              : 0;
    if (m->head_n == 2 + more) {
        m->len = more ? 0 : m->head[1] & 127;
        for (size_t i = 0; i < more; i++)
            m->len = m->len << 8 | m->head[2 + i];
        if (!control && !m->deaf) {
            if (op == 0 && !m->opcode)
                model_close(m, 1002, "continuation without a message", true);
            else if (op != 0 && m->opcode)
                model_close(m, 1002, "new message inside a fragmented one",
                            true);
            else if (m->len > m->max ||
                     (op == 0 && m->len + m->message.n > m->max))
                model_close(m, 1009, "message too big", true);
        }
    }
    if (m->end > WS_GOODBYE || m->head_n < 6 + more)
        return;
    if (!control && op != 0 && !m->deaf) {
        m->opcode = op;
        m->text = 0;
        lnt_strbuf_clear(&m->message);
    }
    lnt_strbuf_clear(&m->payload);
    m->got = 0;
    m->in_payload = true;
    if (m->len == 0)
        model_end_of_frame(m);
}

static void
model_byte(struct model *m, uint8_t c)
{
    if (m->end > WS_GOODBYE)
        return;
    if (!m->in_payload) {
        model_head(m, c);
        return;
    }
    size_t more = (m->head[1] & 127) == 126   ? 2
                  : (m->head[1] & 127) == 127 ? 8
                                              : 0;
    c ^= m->head[2 + more + (m->got++ & 3)];
    if (m->head[0] & 8) {
        lnt_strbuf_addc(&m->payload, (char)c);
    } else if (!m->deaf) {
        lnt_strbuf_addc(&m->message, (char)c);
        if (m->opcode == 1) {
            m->text = lnt_utf8_check(m->text, &c, 1);
            if (m->text == LNT_UTF8_BAD) {
                model_close(m, 1007, "text is not UTF-8", true);
                return;
            }
        }
    }
    if (m->got == m->len)
        model_end_of_frame(m);
}

/* ---- the comparison ---- */

static void
compare(const struct model *m, const struct lnt_session *s)
{
    if (s->fault) {
        fprintf(stderr, "%s\n", s->fault);
        abort();
    }
    if (!lnt_str_eq(lnt_strbuf_str(&m->out), lnt_strbuf_str(&s->out)))
        abort();
    /* Their close may have come in the same read as a verdict of ours, or
       later; both are the end. */
    bool over = s->end > WS_GOODBYE;
    if (over != (m->end > WS_GOODBYE) || (!over && s->end != m->end))
        abort();
}

struct options {
    enum ws_app app;
    uint64_t max;
    uint32_t seed;
    unsigned most; /* longest piece; 0: whole */
    size_t goodbye;
    bool eof;
};

static void
feed_pieces(struct lnt_session *s, struct options *o, const uint8_t *p,
            size_t n)
{
    for (size_t at = 0; at < n;) {
        o->seed = o->seed * 1664525 + 1013904223;
        size_t len = o->most ? 1 + (o->seed >> 10) % o->most : n;
        if (len > n - at)
            len = n - at;
        ws_feed(s, p + at, len);
        at += len;
    }
}

static void
run(struct options o, const uint8_t *p, size_t n, const struct model *m)
{
    struct lnt_session *s = ws_new(o.app, o.max);
    size_t before = o.goodbye < n ? o.goodbye : n;
    feed_pieces(s, &o, p, before);
    if (before < n) {
        ws_close(s, 1001, "bye");
        feed_pieces(s, &o, p + before, n - before);
    }
    compare(m, s);
    if (o.eof) {
        ws_feed_eof(s, NULL, 0, true);
        if (s->end <= WS_GOODBYE || s->ws.more)
            abort();
    }
    ws_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    struct options o = {
        .app = (enum ws_app)(data[0] % (APP_VERDICT + 1)),
        .eof = data[0] & 0x80,
        .max = data[1] & 1 ? 100000 : (uint64_t)data[1] + 1,
        .seed = data[2],
        .most = 1u << data[3] % 9,
        .goodbye = data[4] ? (size_t)data[4] * 2 : SIZE_MAX,
    };
    const uint8_t *p = data + 5;
    size_t n = size - 5;
    struct model m = {.app = o.app, .max = o.max};
    for (size_t i = 0; i < n; i++) {
        if (i == o.goodbye && m.end == WS_OPEN)
            model_close(&m, 1001, "bye", false);
        model_byte(&m, p[i]);
    }
    run(o, p, n, &m);
    o.most = 0;
    run(o, p, n, &m);
    o.most = 1;
    run(o, p, n, &m);
    lnt_strbuf_release(&m.out);
    lnt_strbuf_release(&m.message);
    lnt_strbuf_release(&m.payload);
    return 0;
}
