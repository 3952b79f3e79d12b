/*
 * A filter for tests, and its client.  A client says "HELLO\n" and is answered
 * "WELCOME\n"; then each side sends records: two bytes of length, one of the
 * record's number, and the bytes, each mixed with a counter that never begins
 * anew.  A byte that is lost, doubled or out of order shows, and so does one
 * that was filtered twice.  An empty record is the last one.  What is wrong is
 * answered "ALERT\n", as it is, and the end.
 *
 * The greeting is a filter of its own that becomes the other, as a handshake
 * would.
 */
#ifndef LNT_T_TOY_FILTER_H
#define LNT_T_TOY_FILTER_H

#include <stdint.h>
#include <string.h>

#include "core/pack.h"
#include "core/strbuf.h"
#include "net/filter.h"

enum { TOY_HEAD = 3, TOY_MOST = 16000 };

/* One direction. */
struct toy_way {
    uint32_t records, bytes;
};

struct toy {
    struct toy_way in, out;
};

static unsigned toy_open, toy_sealed; /* states; calls of output */
static int toy_conf;                  /* what the endpoints give */

static inline uint8_t
toy_key(const struct toy_way *w, size_t i)
{
    return (uint8_t)((w->bytes + i) * 37 + 11 + ((w->bytes + i) >> 8));
}

static inline void
toy_mix(struct toy_way *w, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] ^= toy_key(w, i);
    w->bytes += (uint32_t)n;
    w->records++;
}

/* One record of up to TOY_MOST bytes. */
static inline void
toy_record(struct toy_way *w, const void *p, size_t n, struct lnt_strbuf *out)
{
    uint8_t head[TOY_HEAD] = {(uint8_t)(n >> 8), (uint8_t)n,
                              (uint8_t)w->records};
    lnt_strbuf_add(out, head, sizeof(head));
    size_t at = out->n;
    if (n)
        lnt_strbuf_add(out, p, n);
    toy_mix(w, (uint8_t *)out->p + at, n);
}

/* The next record that is whole: its size on the wire, 0 more is needed, -1 it
   is none. */
static inline int
toy_next(const struct toy_way *w, const uint8_t *p, size_t n)
{
    if (n < TOY_HEAD)
        return 0;
    size_t length = (size_t)p[0] << 8 | p[1];
    if (length > TOY_MOST || p[2] != (uint8_t)w->records)
        return -1;
    return n < TOY_HEAD + length ? 0 : (int)(TOY_HEAD + length);
}

static inline enum lnt_filter_verdict
toy_fail(struct lnt_filtered *f)
{
    lnt_filter_send(f, "ALERT\n", 6);
    return LNT_FILTER_FAIL;
}

static inline enum lnt_filter_verdict
toy_input(struct lnt_filtered *f, struct lnt_filter_input *in)
{
    struct toy *t = lnt_filter_state(f);
    int size;
    while ((size = toy_next(&t->in, in->p + in->used, in->n - in->used)) > 0) {
        size_t n = (size_t)size - TOY_HEAD;
        memmove(in->p + in->plain, in->p + in->used + TOY_HEAD, n);
        toy_mix(&t->in, in->p + in->plain, n);
        in->plain += n;
        in->used += (size_t)size;
        if (n == 0)
            return LNT_FILTER_END;
    }
    if (size < 0 || (in->eof && in->used < in->n))
        return toy_fail(f);
    return LNT_FILTER_GO_ON;
}

static inline int
toy_output(struct lnt_filtered *f, const struct lnt_str *pieces, size_t n,
           struct lnt_strbuf *raw)
{
    struct toy *t = lnt_filter_state(f);
    struct lnt_strbuf all = LNT_STRBUF_INIT;
    for (size_t i = 0; i < n; i++)
        lnt_strbuf_add_str(&all, pieces[i]);
    for (size_t at = 0; at < all.n;) {
        size_t part = all.n - at < TOY_MOST ? all.n - at : TOY_MOST;
        toy_record(&t->out, all.p + at, part, raw);
        at += part;
    }
    lnt_strbuf_release(&all);
    toy_sealed++;
    return 0;
}

static inline void
toy_finish(struct lnt_filtered *f, struct lnt_strbuf *raw)
{
    struct toy *t = lnt_filter_state(f);
    toy_record(&t->out, "", 0, raw);
}

static inline int
toy_freeze(const struct lnt_filtered *f, struct lnt_strbuf *out)
{
    const struct toy *t = lnt_filter_state(f);
    lnt_pack_version(out, 1, 1);
    lnt_strbuf_add(out, t, sizeof(*t));
    return 0;
}

static inline int
toy_thaw(struct lnt_filtered *f, const void *conf, struct lnt_str state)
{
    struct toy *t = lnt_filter_state(f);
    struct lnt_pack_version v;
    toy_open++;
    if (conf != &toy_conf || !lnt_unpack_version(&state, 1, &v) ||
        !lnt_unpack_bytes(&state, t, sizeof(*t)))
        return -1;
    return 0;
}

static inline void
toy_close(struct lnt_filtered *f)
{
    (void)f;
    toy_open--;
}

static const struct lnt_filter toy_filter = {
    .name = "toy",
    .state_size = sizeof(struct toy),
    .input = toy_input,
    .output = toy_output,
    .finish = toy_finish,
    .freeze = toy_freeze,
    .thaw = toy_thaw,
    .close = toy_close,
};

/* ---- the greeting ---- */

static inline int
toy_greet_open(struct lnt_filtered *f, const void *conf)
{
    (void)f;
    toy_open++;
    return conf == &toy_conf ? 0 : -1;
}

static inline enum lnt_filter_verdict
toy_greet_input(struct lnt_filtered *f, struct lnt_filter_input *in)
{
    size_t n = in->n < 6 ? in->n : 6;
    if (memcmp(in->p, "HELLO\n", n) != 0 || (in->eof && n < 6))
        return toy_fail(f);
    if (n < 6)
        return LNT_FILTER_GO_ON;
    in->used = 6;
    lnt_filter_send(f, "WELCOME\n", 8);
    toy_open++;
    (void)lnt_filter_become(f, &toy_filter);
    lnt_filter_ready(f);
    return LNT_FILTER_GO_ON;
}

static inline int
toy_greet_output(struct lnt_filtered *f, const struct lnt_str *pieces, size_t n,
                 struct lnt_strbuf *raw)
{
    (void)f;
    (void)pieces;
    (void)n;
    (void)raw;
    return -1; /* it is never ready */
}

static const struct lnt_filter *const toy_becomes[] = {&toy_filter, NULL};

static const struct lnt_filter toy_greeting = {
    .name = "toy greeting",
    .becomes = toy_becomes,
    .open = toy_greet_open,
    .input = toy_greet_input,
    .output = toy_greet_output,
    .close = toy_close,
};

/* ---- the client ---- */

struct toy_client {
    int fd;
    struct toy_way in, out;
    struct lnt_strbuf raw;   /* read, not taken apart yet */
    struct lnt_strbuf plain; /* what was said to it */
    bool welcome, alert, last, eof, wrong;
    unsigned records, reads;
};

static inline void
toy_take_apart(struct toy_client *c)
{
    uint8_t *p = (uint8_t *)c->raw.p;
    size_t n = c->raw.n, at = 0;
    int size;
    if (!c->welcome && n >= 8 && memcmp(p, "WELCOME\n", 8) == 0) {
        c->welcome = true;
        at = 8;
    }
    while (c->welcome && (size = toy_next(&c->in, p + at, n - at)) > 0) {
        size_t length = (size_t)size - TOY_HEAD;
        toy_mix(&c->in, p + at + TOY_HEAD, length);
        c->wrong |= c->last;
        c->last |= length == 0;
        lnt_strbuf_add(&c->plain, p + at + TOY_HEAD, length);
        c->records++;
        at += (size_t)size;
    }
    if (n - at == 6 && memcmp(p + at, "ALERT\n", 6) == 0) {
        c->alert = true;
        at = n;
    } else if (c->welcome && n > at && toy_next(&c->in, p + at, n - at) < 0 &&
               (n - at >= 6 || p[at] != 'A')) {
        c->wrong = true;
    }
    memmove(p, p + at, n - at);
    c->raw.n = n - at;
}

/* Reads what is there, up to most bytes. */
static inline void
toy_read(struct toy_client *c, size_t most)
{
    char room[65536];
    while (most > 0) {
        size_t want = most < sizeof(room) ? most : sizeof(room);
        ssize_t n = read(c->fd, room, want);
        if (n <= 0) {
            c->eof |= n == 0 || errno != EAGAIN;
            break;
        }
        c->reads++;
        most -= (size_t)n;
        lnt_strbuf_add(&c->raw, room, (size_t)n);
        toy_take_apart(c);
    }
}

static inline void
toy_client_end(struct toy_client *c)
{
    close(c->fd);
    lnt_strbuf_release(&c->raw);
    lnt_strbuf_release(&c->plain);
    memset(c, 0, sizeof(*c));
}

#endif
