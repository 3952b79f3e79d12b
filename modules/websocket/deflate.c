/*
 * What a worker and its sessions keep for compression: plans for a budget,
 * windows, the sets of sessions that share everything.
 */
#include "modules/websocket/deflate.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "modules/websocket/streams.h"

static const struct lnt_ws_plan shared_plan = {
    .out_bits = LNT_WS_BITS_MAX,
    .in_bits = LNT_WS_BITS_MAX,
};

/*
 * Best first.  Most of what is gained is gained with the first 2 KiB of
 * window; a compressor costs 6 KiB before it has any, but saves reading the
 * window in again for each message (docs/operating.md has the figures).
 */
static const struct lnt_ws_plan plans[] = {
    {256 << 10, 15, 7, 15}, {128 << 10, 14, 6, 14}, {64 << 10, 13, 5, 13},
    {32 << 10, 12, 3, 12},  {16 << 10, 11, 1, 9},   {8 << 10, 12, 0, 11},
    {4 << 10, 11, 0, 10},
};

enum { PLANS = sizeof(plans) / sizeof(plans[0]) };
enum { FITS = 1, FITS_NOT = 2 };

struct lnt_ws_streams *
lnt_ws_streams_new(struct lnt_stats *stats)
{
    struct lnt_ws_streams *w = lnt_calloc(1, sizeof(*w));

    _Static_assert(sizeof(plans) / sizeof(plans[0]) <= LNT_WS_PLANS_MAX,
                   "room for all plans");
    w->stats = stats;
    return w;
}

void
lnt_ws_streams_free(struct lnt_ws_streams *w)
{
    if (!w)
        return;
    while (w->spare) {
        struct lnt_ws_inflater *f = w->spare;
        w->spare = f->next;
        inflateEnd(&f->z);
        free(f);
    }
    for (size_t i = 0; i <= LNT_WS_BITS_MAX; i++) {
        if (!w->out[i])
            continue;
        deflateEnd(w->out[i]);
        free(w->out[i]);
    }
    lnt_ws_deflate_free(w->promised);
    lnt_strbuf_release(&w->frame);
    if (w->message)
        lnt_buf_unref(w->message);
    for (size_t i = 0; i < w->nshared; i++)
        free(w->shared[i]);
    free(w->shared);
    free(w);
}

/* ---- zlib ---- */

static voidpf
count_alloc(voidpf counter, uInt items, uInt size)
{
    size_t n = (size_t)items * size;

    *(size_t *)counter += n;
    return lnt_malloc(n);
}

static void
plain_free(voidpf counter, voidpf p)
{
    (void)counter;
    free(p);
}

void
lnt_ws_stream_init(z_stream *z, struct lnt_ws_streams *w)
{
    memset(z, 0, sizeof(*z));
    z->zalloc = count_alloc;
    z->zfree = plain_free;
    z->opaque = &w->zlib;
}

void
lnt_ws_stream_compressor(z_stream *z, struct lnt_ws_streams *w, int bits,
                         int mem)
{
    lnt_ws_stream_init(z, w);
    int r = deflateInit2(z, LNT_WS_LEVEL, Z_DEFLATED, -bits, mem,
                         Z_DEFAULT_STRATEGY);
    lnt_assert(r == Z_OK);
}

/* ---- windows ---- */

void
lnt_ws_window_add(struct lnt_ws_deflate *d, struct lnt_ws_window *window,
                  unsigned bits, struct lnt_str text)
{
    uint32_t cap = 1u << bits;

    if (text.n == 0)
        return;
    if (!window->p) {
        window->p = lnt_malloc(cap);
        d->bytes += cap;
    }
    if (text.n >= cap) {
        memcpy(window->p, text.p + text.n - cap, cap);
        window->n = cap;
        return;
    }
    uint32_t keep = cap - (uint32_t)text.n;
    if (keep > window->n)
        keep = window->n;
    memmove(window->p, window->p + window->n - keep, keep);
    memcpy(window->p + keep, text.p, text.n);
    window->n = keep + (uint32_t)text.n;
}

void
lnt_ws_window_free(struct lnt_ws_deflate *d, struct lnt_ws_window *window,
                   unsigned bits)
{
    if (!window->p)
        return;
    free(window->p);
    *window = (struct lnt_ws_window){NULL, 0};
    d->bytes -= 1u << bits;
}

/* ---- plans ---- */

/* Another zlib may need more than the one that the plans were made with. */
static bool
keeps_promise(struct lnt_ws_streams *w, const struct lnt_ws_plan *plan)
{
    size_t need = sizeof(struct lnt_ws_deflate) + ((size_t)1 << plan->in_bits);

    if (plan->out_mem) {
        z_stream z;
        size_t before = w->zlib;
        lnt_ws_stream_compressor(&z, w, plan->out_bits, plan->out_mem);
        deflateEnd(&z);
        need += sizeof(z) + (w->zlib - before);
    } else {
        need += (size_t)1 << plan->out_bits;
    }
    return need <= plan->budget;
}

const struct lnt_ws_plan *
lnt_ws_plan_for(struct lnt_ws_streams *w, uint64_t budget)
{
    if (budget == 0)
        return &shared_plan;
    for (size_t i = 0; i + 1 < PLANS; i++) {
        if (plans[i].budget > budget)
            continue;
        if (w->fits[i] == 0)
            w->fits[i] = keeps_promise(w, &plans[i]) ? FITS : FITS_NOT;
        if (w->fits[i] == FITS)
            return &plans[i];
    }
    return &plans[PLANS - 1];
}

struct lnt_ws_terms
lnt_ws_plan_wish(const struct lnt_ws_plan *plan)
{
    return (struct lnt_ws_terms){
        .out_bits = plan->out_bits,
        .in_bits = plan->in_bits,
        .out_fresh = plan->budget == 0,
        .in_fresh = plan->budget == 0,
    };
}

/* ---- sessions ---- */

static struct lnt_ws_deflate *
new_deflate(struct lnt_ws_streams *w, const struct lnt_ws_plan *plan,
            const struct lnt_ws_terms *terms, uint32_t min)
{
    struct lnt_ws_deflate *d = lnt_calloc(1, sizeof(*d));

    d->streams = w;
    d->plan = plan;
    d->terms = *terms;
    d->min = min ? min : 1;
    d->bytes = sizeof(*d);
    d->variant = LNT_WS_VARIANT_OWN;
    return d;
}

/* The one for all that look back in neither direction; made when it is the
   first on these terms. */
static struct lnt_ws_deflate *
take_shared(struct lnt_ws_streams *w, const struct lnt_ws_plan *plan,
            const struct lnt_ws_terms *terms, uint32_t min)
{
    struct lnt_ws_terms both = *terms;

    for (size_t i = 0; i < w->nshared; i++)
        if (w->shared[i]->terms.out_bits == terms->out_bits &&
            w->shared[i]->min == (min ? min : 1))
            return w->shared[i];
    both.in_fresh = true;
    both.in_bits = LNT_WS_BITS_MAX;
    struct lnt_ws_deflate *d = new_deflate(w, plan, &both, min);
    w->shared = lnt_realloc(w->shared, (w->nshared + 1) * sizeof(w->shared[0]));
    w->shared[w->nshared++] = d;
    lnt_assert(w->nshared < LNT_WS_VARIANT_OWN);
    d->variant = (uint16_t)w->nshared;
    d->shared = true;
    return d;
}

struct lnt_ws_deflate *
lnt_ws_deflate_new(struct lnt_ws_streams *w, const struct lnt_ws_plan *plan,
                   const struct lnt_ws_terms *terms, uint32_t min)
{
    struct lnt_ws_deflate *d, *shared;

    lnt_assert(terms->out_bits >= LNT_WS_BITS_MIN &&
               terms->out_bits <= LNT_WS_BITS_MAX &&
               terms->in_bits <= LNT_WS_BITS_MAX);
    if (!terms->out_fresh)
        return new_deflate(w, plan, terms, min);
    shared = take_shared(w, &shared_plan, terms, min);
    if (terms->in_fresh)
        return shared;
    /* It remembers what it gets, but gets what the others get. */
    d = new_deflate(w, plan, terms, min);
    d->variant = shared->variant;
    return d;
}

void
lnt_ws_deflate_free(struct lnt_ws_deflate *d)
{
    if (!d || d->shared)
        return;
    if (d->out) {
        deflateEnd(d->out);
        free(d->out);
    }
    free(d->sent.p);
    free(d->received.p);
    free(d);
}

void
lnt_ws_deflate_promise(struct lnt_ws_streams *w, struct lnt_ws_deflate *d)
{
    lnt_ws_deflate_free(w->promised);
    w->promised = d;
}

struct lnt_ws_deflate *
lnt_ws_deflate_claim(struct lnt_ws_streams *w)
{
    struct lnt_ws_deflate *d = w->promised;

    w->promised = NULL;
    return d;
}

struct lnt_ws_deflate *
lnt_ws_deflate_of(struct lnt_ws_streams *w, unsigned variant)
{
    if (variant == LNT_WS_VARIANT_PLAIN)
        return NULL;
    lnt_assert(variant <= w->nshared);
    return w->shared[variant - 1];
}

/* ---- moving ---- */

struct lnt_str
lnt_ws_deflate_sent(struct lnt_ws_deflate *d, uint8_t *room)
{
    uInt n = 0;

    if (!d->out)
        return lnt_str(d->sent.p, d->sent.n);
    int r = deflateGetDictionary(d->out, room, &n);
    lnt_assert(r == Z_OK);
    return lnt_str(room, n);
}

void
lnt_ws_deflate_resume(struct lnt_ws_deflate *d, struct lnt_str sent,
                      struct lnt_str received)
{
    lnt_assert(!d->out && !d->sent.p && !d->received.p);
    if (!d->terms.out_fresh)
        lnt_ws_window_add(d, &d->sent, d->terms.out_bits, sent);
    if (!d->terms.in_fresh)
        lnt_ws_window_add(d, &d->received, lnt_ws_in_bits(d), received);
}
