/*
 * Compressed messages, against a second parser with a window of its own
 * (ws_model.h); what is sent back is read by a client.  A session that is
 * moved to another worker again and again must do the same.
 *
 * Input: application and terms, message_size, budget, seed of the pieces, then
 * steps of what a client does: a kind, a length, so many bytes.
 */
#include "t/fuzz/ws_model.h"
#include "t/unit/ws_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SCRIPT_MAX = 20000 };

/* What two workers have, from one input to the next: nothing of one session may
   be seen by another. */
static struct lnt_ws_streams *workers[2];

struct options {
    enum ws_app app;
    uint64_t max, budget;
    struct lnt_ws_terms terms;
    uint32_t seed, min;
    bool eof;
};

/* ---- what the client sends ---- */

struct step {
    unsigned kind, arg;
    const uint8_t *p;
    size_t n;
};

static bool
next_step(struct step *s, const uint8_t **p, size_t *n)
{
    if (*n < 2)
        return false;
    s->kind = (*p)[0] & 15;
    s->arg = (*p)[0] >> 4;
    s->n = (*p)[1];
    *p += 2;
    *n -= 2;
    if (s->n > *n)
        s->n = *n;
    s->p = *p;
    *p += s->n;
    *n -= s->n;
    return true;
}

/* A message in as many fragments as it takes. */
static void
put_pieces(struct lnt_strbuf *b, unsigned first, struct lnt_str payload,
           size_t piece, bool pings)
{
    for (size_t at = 0; at + piece < payload.n; at += piece) {
        ws_put(b, first, payload.p + at, piece);
        first = 0;
        if (pings)
            ws_puts(b, 0x89, "between");
        payload.n -= piece;
        payload.p += piece;
        at -= piece;
    }
    ws_put(b, 0x80 | first, payload.p, payload.n);
}

static void
add_step(struct lnt_strbuf *b, struct zip_client *z, const struct step *s)
{
    unsigned type = s->arg & 1 ? 1 : 2;
    struct lnt_strbuf many = LNT_STRBUF_INIT;
    struct lnt_str payload;

    deflateParams(&z->out,
                  s->arg & 2   ? 6
                  : s->arg & 4 ? 0
                               : 1,
                  s->arg & 8 ? Z_FIXED : Z_DEFAULT_STRATEGY);
    lnt_strbuf_clear(&z->payload);
    switch (s->kind) {
    case 0:
    case 1:
    case 2:
        payload = zip_pack(z, s->p, s->n);
        ws_put(b, 0x80 | ZIP | type, payload.p, payload.n);
        break;
    case 3:
    case 4:
        payload = zip_pack(z, s->p, s->n);
        put_pieces(b, ZIP | type, payload, 1 + s->arg, s->kind == 4);
        break;
    case 5: /* a long one */
        for (unsigned i = 0; i < 20 + 40 * s->arg; i++)
            lnt_strbuf_add(&many, s->p, s->n);
        payload = zip_pack(z, many.p, many.n);
        put_pieces(b, ZIP | type, payload, 5000, false);
        break;
    case 6: /* not what a compressor makes */
        ws_put(b, 0x80 | ZIP | type, s->p, s->n);
        break;
    case 7:
        ws_put(b, ZIP | type, s->p, s->n);
        break;
    case 8:
        ws_put(b, (s->arg & 1 ? 0x80u : 0u) | (s->arg & 2 ? ZIP : 0u), s->p,
               s->n);
        break;
    case 9: /* one bit wrong */
        zip_pack(z, s->p, s->n);
        if (z->payload.n > 0)
            z->payload.p[s->n % z->payload.n] ^= (char)(1 << (s->arg & 7));
        ws_put(b, 0x80 | ZIP | type, z->payload.p, z->payload.n);
        break;
    case 10: /* a last block, with or without what should follow */
        zip_add(z, s->p, s->n, Z_FINISH);
        deflateReset(&z->out);
        if (s->arg & 2)
            lnt_strbuf_addc(&z->payload, '\0');
        ws_put(b, 0x80 | ZIP | type, z->payload.p, z->payload.n);
        break;
    case 11: /* the tail left on, or cut too much */
        zip_pack(z, s->p, s->n);
        ws_put(b, 0x80 | ZIP | type, z->payload.p,
               s->n && s->arg & 2 ? z->payload.n + 4
               : s->arg & 4       ? z->payload.n
                                  : z->payload.n - 1);
        break;
    case 12:
        ws_put(b, 0x80 | type, s->p, s->n);
        break;
    case 13:
        ws_put(b, s->arg & 2 ? 0x89 : type, s->p, s->n < 125 ? s->n : 125);
        break;
    case 14: /* blocks of several messages in one */
        zip_add(z, s->p, s->n / 2, s->arg & 2 ? Z_FULL_FLUSH : Z_BLOCK);
        zip_add(z, s->p + s->n / 2, s->n - s->n / 2, Z_SYNC_FLUSH);
        if (z->payload.n >= 4)
            z->payload.n -= 4;
        put_pieces(b, ZIP | type, lnt_strbuf_str(&z->payload), 7, true);
        break;
    default: /* whatever */
        lnt_strbuf_add(b, s->p, s->n);
        break;
    }
    lnt_strbuf_release(&many);
}

/* ---- the comparison ---- */

/* What was sent, as frames that are not compressed. */
static void
make_plain(struct lnt_strbuf *plain, const struct lnt_session *s,
           const struct options *o)
{
    struct zip_client *z = zip_client_new(o->terms, 1);
    struct lnt_str out = lnt_strbuf_str(&s->out);
    struct zip_frame f;

    while (zip_next(&out, &f)) {
        if (!(f.first & ZIP)) {
            ws_want(plain, f.first, f.payload.p, f.payload.n);
            continue;
        }
        if (!zip_unpack(z, f.payload))
            abort();
        ws_want(plain, f.first & ~(unsigned)ZIP, z->payload.p, z->payload.n);
    }
    if (out.n > 0)
        abort();
    zip_client_free(z);
}

static void
compare(const struct model *m, const struct lnt_session *s,
        const struct options *o)
{
    struct lnt_strbuf plain = LNT_STRBUF_INIT;

    if (s->fault) {
        fprintf(stderr, "%s\n", s->fault);
        abort();
    }
    make_plain(&plain, s, o);
    if (!lnt_str_eq(lnt_strbuf_str(&m->out), lnt_strbuf_str(&plain)))
        abort();
    bool over = s->end > WS_GOODBYE;
    if (over != (m->end > WS_GOODBYE) || (!over && s->end != m->end))
        abort();
    if (s->ws.deflate && !s->ws.deflate->shared &&
        s->ws.deflate->bytes > o->budget)
        abort();
    lnt_strbuf_release(&plain);
}

static struct lnt_session *
new_session(const struct options *o)
{
    struct lnt_session *s = ws_new(o->app, o->max);

    s->module.data = workers[0];
    ws_agree(s, o->budget, o->terms, o->min);
    return s;
}

static void
free_session(struct lnt_session *s)
{
    s->module.data = NULL;
    ws_free(s);
}

/* The same session in the other worker; or as it was. */
static struct lnt_session *
moved(struct lnt_session *s)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;

    if (s->end > WS_GOODBYE || lnt_ws_freeze(s, &bytes) < 0) {
        lnt_strbuf_release(&bytes);
        return s;
    }
    struct lnt_session *to = ws_new(s->app, s->limits.message_size);
    to->module.data = workers[s->module.data == workers[0]];
    to->end = s->end;
    to->code = s->code;
    to->nmessages = s->nmessages;
    to->fault = s->fault;
    lnt_strbuf_add_str(&to->out, lnt_strbuf_str(&s->out));
    lnt_strbuf_add_str(&to->rest, lnt_strbuf_str(&s->rest));
    if (lnt_ws_thaw(to, lnt_strbuf_str(&bytes)) < 0)
        abort();
    lnt_strbuf_release(&bytes);
    free_session(s);
    return to;
}

static void
run(struct options o, const struct lnt_strbuf *in, const struct model *m,
    size_t most, bool moving)
{
    struct lnt_session *s = new_session(&o);

    for (size_t at = 0; at < in->n;) {
        o.seed = o.seed * 1664525 + 1013904223;
        size_t n = 1 + (o.seed >> 10) % most;
        n = n < in->n - at ? n : in->n - at;
        ws_feed(s, in->p + at, n);
        at += n;
        if (moving && o.seed >> 30 == 0)
            s = moved(s);
    }
    compare(m, s, &o);
    if (o.eof) {
        ws_feed_eof(s, NULL, 0, true);
        if (s->end <= WS_GOODBYE || s->ws.more)
            abort();
    }
    free_session(s);
}

static struct options
read_options(const uint8_t *p)
{
    static const uint64_t budgets[] = {0,         4 << 10,  8 << 10,
                                       16 << 10,  32 << 10, 64 << 10,
                                       128 << 10, 256 << 10};
    struct options o = {
        .app = (enum ws_app)((p[0] & 7) % APP_VERDICT),
        .eof = p[0] & 0x80,
        .max = p[1] & 1 ? 200000 : (uint64_t)p[1] * 8 + 1,
        .budget = budgets[p[2] & 7],
        .min = p[2] & 8 ? 40 : 1,
        .seed = p[3],
    };
    /* As much as the plan would have, or less. */
    o.terms = lnt_ws_plan_wish(lnt_ws_plan_for(workers[0], o.budget));
    if (p[0] & 0x10)
        o.terms.out_fresh = true;
    if (p[0] & 0x20)
        o.terms.in_fresh = true;
    if (p[0] & 0x40 && o.terms.out_bits > 9)
        o.terms.out_bits--;
    unsigned in_bits = 8u + (p[2] >> 6);
    if (p[2] & 0x10 && !o.terms.in_fresh && in_bits < o.terms.in_bits)
        o.terms.in_bits = (uint8_t)in_bits;
    return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;
    struct step step;

    if (size < 4)
        return 0;
    for (size_t i = 0; i < 2; i++)
        if (!workers[i])
            workers[i] = lnt_ws_streams_new(NULL);
    struct options o = read_options(data);
    struct zip_client *z = zip_client_new(o.terms, 6);
    data += 4;
    size -= 4;
    while (in.n < SCRIPT_MAX && next_step(&step, &data, &size))
        add_step(&in, z, &step);
    zip_client_free(z);

    struct model m = {.app = o.app, .max = o.max};
    model_init(&m, &o.terms);
    for (size_t i = 0; i < in.n; i++)
        model_byte(&m, (uint8_t)in.p[i]);
    run(o, &in, &m, 1u << 30, false);
    run(o, &in, &m, 1u << o.seed % 12, false);
    run(o, &in, &m, 1u << o.seed % 9, true);
    if (in.n < 2000)
        run(o, &in, &m, 1, true);
    model_free(&m);
    lnt_strbuf_release(&in);
    return 0;
}
