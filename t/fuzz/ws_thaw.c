/*
 * The state of a moved session with bytes of it changed on the way.  It is
 * refused or it is a session: whatever comes then, no more is gathered than a
 * message may have, and nothing is touched that is not the session's.
 *
 * Input: application and compression, message_size, number of changes, sizes
 * of pieces, the changes (place, bits), then steps of what a client does: a
 * kind, a length, so many bytes.  The session moves in the middle of it.
 */
#include "core/mem.h"
#include "t/unit/ws_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SCRIPT_MAX = 8000,
    CHANGES_MAX = 7,
    WORKER_RUNS = 5000, /* what is shared on terms that nobody has grows */
    TEXT = 1,
    BINARY = 2,
};

/* What two workers have. */
static struct lnt_ws_streams *workers[2];

struct options {
    enum ws_app app;
    bool compressed, clogged, cut;
    uint64_t budget, max, max_then;
    struct lnt_ws_terms terms;
    unsigned nchanges;
    size_t piece;
};

static struct options
read_options(const uint8_t *p)
{
    static const uint64_t budgets[] = {0, 0, 4 << 10, 64 << 10};
    struct options o = {
        .app = (enum ws_app)((p[0] & 7) % (APP_VERDICT + 1)),
        .compressed = (p[0] >> 3 & 3) != 0,
        .budget = budgets[p[0] >> 3 & 3],
        .clogged = p[0] & 0x80,
        .max = p[1] & 1 ? 100000 : (uint64_t)p[1] * 8 + 1,
        .cut = p[2] & 0x80,
        .nchanges = p[2] & CHANGES_MAX,
        .piece = (size_t)p[3] + 1,
        .terms = {.out_bits = 15, .in_bits = 15},
    };

    o.max_then = p[2] & 0x40 ? o.max / 4 + 1 : o.max;
    o.terms.out_fresh = o.budget == 0 || p[0] & 0x20;
    o.terms.in_fresh = o.budget == 0 || p[0] & 0x40;
    return o;
}

/* ---- what the client sends ---- */

static void
add_step(struct lnt_strbuf *b, struct zip_client *z, unsigned kind,
         const uint8_t *p, size_t n)
{
    unsigned type = kind & 0x10 ? TEXT : BINARY;
    struct lnt_str payload;

    switch (z || (kind & 7) < 3 || (kind & 7) > 4 ? kind & 7 : 0) {
    case 0:
        ws_put(b, 0x80 | type, p, n);
        break;
    case 1:
        ws_put(b, type, p, n);
        break;
    case 2:
        ws_put(b, kind & 0x20 ? 0x80 : 0, p, n);
        break;
    case 3:
        payload = zip_pack(z, p, n);
        ws_put(b, 0x80 | ZIP | type, payload.p, payload.n);
        break;
    case 4:
        payload = zip_pack(z, p, n);
        ws_put(b, ZIP | type, payload.p, payload.n / 2);
        ws_put(b, kind & 0x20 ? 0x80 : 0, payload.p + payload.n / 2,
               payload.n - payload.n / 2);
        break;
    case 5:
        ws_put(b, 0x89, p, n < 125 ? n : 125);
        break;
    case 6:
        ws_put(b, 0x88, p, n < 125 ? n : 125);
        break;
    default:
        lnt_strbuf_add(b, p, n);
        break;
    }
}

static void
write_script(struct lnt_strbuf *b, const struct options *o, const uint8_t *p,
             size_t n)
{
    struct zip_client *z = o->compressed ? zip_client_new(o->terms, 1) : NULL;

    while (n >= 2 && b->n < SCRIPT_MAX) {
        size_t len = p[1] < n - 2 ? p[1] : n - 2;
        add_step(b, z, p[0], p + 2, len);
        p += 2 + len;
        n -= 2 + len;
    }
    if (z)
        zip_client_free(z);
}

/* ---- the two workers ---- */

static struct lnt_session *
new_session(const struct options *o, uint64_t max, unsigned worker)
{
    struct lnt_session *s = ws_new(o->app, max);

    s->module.data = workers[worker];
    return s;
}

static void
free_session(struct lnt_session *s)
{
    s->module.data = NULL;
    ws_free(s);
}

static void
renew_workers(void)
{
    static unsigned runs;

    if (runs++ % WORKER_RUNS != 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        lnt_ws_streams_free(workers[i]);
        workers[i] = lnt_ws_streams_new(NULL);
    }
}

static void
check(const struct lnt_session *s, bool changed)
{
    const struct lnt_ws_more *more = s->ws.more;

    if (s->fault && !changed) {
        fprintf(stderr, "%s\n", s->fault);
        abort();
    }
    if (more && more->buf &&
        more->buf->len > more->room + s->limits.message_size)
        abort();
}

static void
go_on(struct lnt_session *s, const struct options *o, const uint8_t *p,
      size_t n, bool changed)
{
    for (size_t at = 0; at < n; at += o->piece) {
        ws_feed(s, p + at, o->piece < n - at ? o->piece : n - at);
        check(s, changed);
    }
    ws_feed_eof(s, NULL, 0, true);
    check(s, changed);
}

static void
move(struct lnt_session *from, const struct options *o, const uint8_t *changes,
     const uint8_t *rest, size_t n)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    bool changed = o->nchanges > 0 || o->cut || o->max_then != o->max;

    if (from->end > WS_GOODBYE || lnt_ws_freeze(from, &bytes) < 0) {
        lnt_strbuf_release(&bytes);
        return;
    }
    for (unsigned i = 0; i < o->nchanges; i++) {
        size_t at = changes[3 * i] | (size_t)changes[3 * i + 1] << 8;
        bytes.p[at % bytes.n] ^= (char)changes[3 * i + 2];
    }
    if (o->cut)
        bytes.n -= 1 + o->piece % bytes.n;
    struct lnt_session *to = new_session(o, o->max_then, 1);
    to->end = from->end;
    to->code = from->code;
    lnt_strbuf_add_str(&to->rest, lnt_strbuf_str(&from->rest));
    /* In memory of just its size, so that reading beyond it is seen. */
    char *copy = lnt_malloc(bytes.n ? bytes.n : 1);
    memcpy(copy, bytes.p, bytes.n);
    if (lnt_ws_thaw(to, lnt_str(copy, bytes.n)) == 0)
        go_on(to, o, rest, n, changed);
    else if (!changed)
        abort();
    free(copy);
    lnt_strbuf_release(&bytes);
    free_session(to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lnt_strbuf in = LNT_STRBUF_INIT;

    if (size < 4 + 3 * CHANGES_MAX)
        return 0;
    struct options o = read_options(data);
    const uint8_t *changes = data + 4;
    data += 4 + 3 * CHANGES_MAX;
    size -= 4 + 3 * CHANGES_MAX;
    write_script(&in, &o, data, size);
    if (in.n == 0) {
        lnt_strbuf_release(&in);
        return 0;
    }

    renew_workers();
    struct lnt_session *s = new_session(&o, o.max, 0);
    if (o.compressed)
        ws_agree(s, o.budget, o.terms, 1);
    s->queued = o.clogged ? 1 : 0;
    size_t half = in.n - in.n / 3;
    ws_feed(s, in.p, half);
    move(s, &o, changes, (uint8_t *)in.p + half, in.n - half);
    free_session(s);
    lnt_strbuf_release(&in);
    return 0;
}
