/*
 * A case: what a client sends, and what must come of it.  Each runs whole, one
 * byte at a time, in random pieces and in two pieces at every place; the
 * outcome must be the same.  Numbers in names are those of the Autobahn test
 * suite's cases, whose rules these follow.
 */
#ifndef LNT_T_WS_CASES_H
#define LNT_T_WS_CASES_H

#include "t/unit/tap.h"
#include "t/unit/ws_harness.h"

struct ws_case {
    struct lnt_strbuf in, out;
    enum ws_app app;
    uint64_t size;   /* message_size */
    enum ws_end end; /* FINISHED after a failure, ENDED after a close */
    const struct lnt_ws_terms *terms; /* of compression; NULL: none.  Answers
                                         are not compressed. */
    uint64_t budget;
};

/* What a server answers to a failure: a close frame; its text is ours. */
WS_UNUSED static void
ws_wants_close(struct ws_case *c, unsigned code, const char *reason)
{
    char payload[LNT_WS_CONTROL_MAX + 1];
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    snprintf(payload + 2, sizeof(payload) - 2, "%s", reason);
    ws_want(&c->out, 0x88, payload, 2 + strlen(reason));
}

WS_UNUSED static void
ws_wants_failure(struct ws_case *c, unsigned code, const char *reason)
{
    ws_wants_close(c, code, reason);
    c->end = WS_FINISHED;
}

/* Ends a case in the usual way: close 1000 both ways. */
WS_UNUSED static void
ws_close_cleanly(struct ws_case *c)
{
    ws_put(&c->in, 0x88, "\x03\xe8", 2);
    ws_want(&c->out, 0x88, "\x03\xe8", 2);
    c->end = WS_ENDED;
}

static const char *
ws_differs(const struct ws_case *c, const struct lnt_session *s)
{
    static char text[200];
    if (s->fault)
        return s->fault;
    if (!lnt_str_eq(lnt_strbuf_str(&s->out), lnt_strbuf_str(&c->out))) {
        size_t i = 0;
        while (i < s->out.n && i < c->out.n && s->out.p[i] == c->out.p[i])
            i++;
        snprintf(text, sizeof(text),
                 "%zu bytes sent, %zu wanted, differ at %zu", s->out.n,
                 c->out.n, i);
        return text;
    }
    if (s->end != c->end) {
        snprintf(text, sizeof(text), "end is %d, wanted %d", (int)s->end,
                 (int)c->end);
        return text;
    }
    return NULL;
}

/* Feeds the case in pieces; a piece of 0 stands for all the rest. */
static const char *
ws_run(const struct ws_case *c, const size_t *pieces, size_t n)
{
    struct lnt_session *s = ws_new(c->app, c->size ? c->size : 1 << 24);
    size_t at = 0;
    if (c->terms)
        ws_agree(s, c->budget, *c->terms, UINT32_MAX);
    for (size_t i = 0; at < c->in.n; i++) {
        size_t len = pieces[i % n];
        if (len == 0 || len > c->in.n - at)
            len = c->in.n - at;
        ws_feed(s, c->in.p + at, len);
        at += len;
    }
    const char *why = ws_differs(c, s);
    ws_free(s);
    return why;
}

static uint32_t ws_seed = 12345;

static uint32_t
ws_random(uint32_t below)
{
    ws_seed = ws_seed * 1664525 + 1013904223;
    return (ws_seed >> 8) % below;
}

static void
ws_complain(const char *name, const char *how, const char *why, bool *good)
{
    if (!why)
        return;
    if (*good)
        diag("%s, %s: %s", name, how, why);
    *good = false;
}

/* Runs the case in all ways and frees it. */
WS_UNUSED static void
ws_check(struct ws_case *c, const char *name)
{
    bool good = true;
    size_t pieces[64] = {0};
    ws_complain(name, "whole", ws_run(c, pieces, 1), &good);
    pieces[0] = 1;
    ws_complain(name, "bytewise", ws_run(c, pieces, 1), &good);
    for (unsigned i = 0; i < 30; i++) {
        uint32_t most = 1u << ws_random(c->in.n > 4096 ? 17 : 7);
        for (size_t k = 0; k < 64; k++)
            pieces[k] = 1 + ws_random(most);
        ws_complain(name, "in random pieces", ws_run(c, pieces, 64), &good);
    }
    for (size_t i = 1; i < c->in.n && i < 300; i++) {
        size_t two[2] = {i, 0};
        ws_complain(name, "in two pieces", ws_run(c, two, 2), &good);
    }
    ok(good, "%s", name);
    lnt_strbuf_release(&c->in);
    lnt_strbuf_release(&c->out);
    memset(c, 0, sizeof(*c));
}

#endif
