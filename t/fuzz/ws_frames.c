/*
 * The frame parser, against a second one that is slow and simple (ws_model.h).
 * Both are asked what is sent back and how it ends; reads begin and end
 * wherever the input says.
 *
 * Input: application and options, message_size, seed of the pieces, a moment
 * for our goodbye, then what the client sends.
 */
#include "t/fuzz/ws_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    model_free(&m);
    return 0;
}
