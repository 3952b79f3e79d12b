/*
 * A second parser of frames, slow and simple: it takes a byte at a time and
 * gathers everything.  What the fast one sends back, and how it ends, must be
 * the same.  For the fuzz targets ws_frames and ws_deflate.
 */
#ifndef LNT_T_WS_MODEL_H
#define LNT_T_WS_MODEL_H

#include <zlib.h>

#include "core/utf8.h"
#include "t/unit/ws_harness.h"

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
    /* Compression; terms NULL: none. */
    const struct lnt_ws_terms *terms;
    bool zipped;
    z_stream z;
    bool any, between, last;   /* where z is */
    struct lnt_strbuf history; /* text of all compressed messages */
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

/* A byte of text, however it came. */
static void
model_text(struct model *m, uint8_t c)
{
    if (m->deaf)
        return;
    if (m->message.n == m->max) {
        /* What comes first is what counts. */
        model_close(m, 1009, "message too big", true);
        return;
    }
    lnt_strbuf_addc(&m->message, (char)c);
    if (m->opcode == 1) {
        m->text = lnt_utf8_check(m->text, &c, 1);
        if (m->text == LNT_UTF8_BAD)
            model_close(m, 1007, "text is not UTF-8", true);
    }
}

/* Begins a stream that may refer to what is in its window. */
static void
model_stream(struct model *m)
{
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    unsigned bits = m->terms->in_bits < 9 ? 9 : m->terms->in_bits;
    size_t n = m->terms->in_fresh ? 0 : m->history.n;
    if (n > (size_t)1 << bits)
        n = (size_t)1 << bits;
    if (n > 0)
        lnt_strbuf_add(&all, m->history.p + m->history.n - n, n);
    lnt_strbuf_add_str(&all, lnt_strbuf_str(&m->message));
    n = all.n < 32768 ? all.n : 32768;
    if (inflateReset(&m->z) != Z_OK)
        abort();
    if (n > 0 && inflateSetDictionary(&m->z, (Bytef *)all.p + all.n - n,
                                      (uInt)n) != Z_OK)
        abort();
    m->last = false;
    lnt_strbuf_release(&all);
}

static void
model_zipped(struct model *m, uint8_t c)
{
    uint8_t out[1000];
    if (m->last)
        model_stream(m);
    m->any = true;
    m->z.next_in = &c;
    m->z.avail_in = 1;
    do {
        m->z.next_out = out;
        m->z.avail_out = sizeof(out);
        int r = inflate(&m->z, Z_SYNC_FLUSH);
        if (r != Z_BUF_ERROR)
            m->between = m->z.data_type & 128;
        for (size_t i = 0; i < sizeof(out) - m->z.avail_out && !m->deaf; i++)
            model_text(m, out[i]);
        m->last = r == Z_STREAM_END;
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR && !m->deaf)
            model_close(m, 1007, "compressed data is corrupt", true);
    } while (m->z.avail_out == 0 && !m->deaf);
}

/* The end of a compressed message. */
static void
model_tail(struct model *m)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    if (m->any && !m->last && !m->between) {
        for (size_t i = 0; i < 4 && !m->deaf; i++)
            model_zipped(m, tail[i]);
        if (!m->deaf && (!m->between || (m->z.data_type & 63)))
            model_close(m, 1007, "compressed data is corrupt", true);
    }
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
        if (m->zipped)
            model_tail(m);
        if (m->deaf)
            return;
        if (m->zipped)
            lnt_strbuf_add_str(&m->history, lnt_strbuf_str(&m->message));
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
        unsigned may = m->terms && op != 0 && !control ? 0x30 : 0x70;
        if (c & may)
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
            else if (op == 0 ? m->zipped : m->head[0] & 0x40) {
                if (m->len > m->max + m->max / 8 + 1024)
                    model_close(m, 1009, "message too big", true);
            } else if (m->len > m->max ||
                       (op == 0 && m->len + m->message.n > m->max))
                model_close(m, 1009, "message too big", true);
        }
    }
    if (m->end > WS_GOODBYE || m->head_n < 6 + more)
        return;
    if (!control && op != 0 && !m->deaf) {
        m->opcode = op;
        m->text = 0;
        m->zipped = m->head[0] & 0x40;
        lnt_strbuf_clear(&m->message);
        m->any = m->between = false;
        if (m->zipped)
            model_stream(m);
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
    } else if (!m->deaf && m->zipped) {
        model_zipped(m, c);
    } else {
        model_text(m, c);
    }
    if (m->end > WS_GOODBYE)
        return;
    if (m->got == m->len)
        model_end_of_frame(m);
}

static inline void
model_init(struct model *m, const struct lnt_ws_terms *terms)
{
    m->terms = terms;
    if (terms && inflateInit2(&m->z, -15) != Z_OK)
        abort();
}

static void
model_free(struct model *m)
{
    if (m->terms)
        inflateEnd(&m->z);
    lnt_strbuf_release(&m->out);
    lnt_strbuf_release(&m->message);
    lnt_strbuf_release(&m->payload);
    lnt_strbuf_release(&m->history);
}

#endif
