/*
 * A WebSocket session without a server: the session functions that the
 * protocol calls, made of arrays, and a client that feeds it bytes.  For the
 * ws_* programs and the fuzz target.
 *
 * The core's promises are kept to the letter: input lies in memory of exactly
 * its size, what data() leaves comes again with more behind it, input bytes
 * that were "written" must be untouched when data() returns.
 */
#ifndef LNT_T_WS_HARNESS_H
#define LNT_T_WS_HARNESS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/strbuf.h"
#include "modules/http/http.h"
#include "modules/websocket/deflate.h"
#include "modules/websocket/session.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/session.h"
#include "net/stats.h"

/* What the application does with a message. */
enum ws_app {
    APP_ECHO,
    APP_SWALLOW,
    APP_TWICE,   /* sends it back two times */
    APP_OTHER,   /* sends something else, then it, then something else */
    APP_PREFIX,  /* sends back all but the last byte */
    APP_MIXED,   /* one of these, as the message's first byte says */
    APP_VERDICT, /* closes with 4500 at a message "bye" */
};

enum ws_end { WS_OPEN, WS_GOODBYE, WS_FINISHED, WS_ENDED };

struct lnt_session {
    struct lnt_ws ws;
    struct lnt_module_ctx module; /* data: what a worker has for compression */
    struct lnt_limits limits;
    struct lnt_stats stats;
    enum ws_app app;
    enum ws_end end;
    int code;      /* the verdict that ended it */
    size_t queued; /* what the kernel has not taken */
    uint64_t now, deadline;
    bool in_data;

    struct lnt_strbuf out;      /* everything sent */
    struct lnt_strbuf messages; /* "t5:hello" and so on */
    size_t nmessages;
    size_t copies, runs, bufs; /* ways in which it was sent */

    struct lnt_strbuf rest; /* input not consumed */
    uint8_t *input;         /* of data() */
    size_t input_n;
    const uint8_t *run; /* input to be written back */
    size_t run_n;
    uint8_t *run_copy;
    const char *fault; /* a promise that the protocol broke */
};

#define WS_UNUSED __attribute__((unused))

/* ---- what the protocol calls ---- */

void *
lnt_session_state(const struct lnt_session *s)
{
    return (void *)(uintptr_t)&s->ws;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    return &s->limits;
}

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    return (struct lnt_module_ctx *)(uintptr_t)&s->module;
}

struct lnt_stats *
lnt_session_stats(const struct lnt_session *s)
{
    return (struct lnt_stats *)(uintptr_t)&s->stats;
}

uint64_t
lnt_session_now(const struct lnt_session *s)
{
    return s->now;
}

size_t
lnt_session_queued(const struct lnt_session *s)
{
    return s->queued + s->run_n;
}

void
lnt_session_deadline(struct lnt_session *s, uint64_t at_ms)
{
    s->deadline = at_ms;
}

/* What http knows of the request travels along, byte by byte. */
#define WS_LOGGED "GET /chat \x0e"

void
lnt_http_upgrade_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    (void)s;
    lnt_strbuf_adds(out, WS_LOGGED);
}

int
lnt_http_upgrade_thaw(struct lnt_session *s, struct lnt_str state)
{
    (void)s;
    return state.n == 0 || lnt_str_eq(state, LNT_STR(WS_LOGGED)) ? 0 : -1;
}

static void
ws_settle_run(struct lnt_session *s)
{
    if (s->run_n == 0)
        return;
    if (memcmp(s->run, s->run_copy, s->run_n) != 0)
        s->fault = "bytes written from the input were changed afterwards";
    lnt_strbuf_add(&s->out, s->run, s->run_n);
    free(s->run_copy);
    s->run_copy = NULL;
    s->run_n = 0;
}

void
lnt_session_write(struct lnt_session *s, const void *p, size_t n)
{
    if (s->end > WS_GOODBYE)
        return;
    ws_settle_run(s);
    lnt_strbuf_add(&s->out, p, n);
    s->copies++;
}

void
lnt_session_write_buf(struct lnt_session *s, struct lnt_buf *b)
{
    if (s->end > WS_GOODBYE)
        return;
    ws_settle_run(s);
    lnt_strbuf_add(&s->out, b->data, b->len);
    s->bufs++;
}

void
lnt_session_write_input(struct lnt_session *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (s->end > WS_GOODBYE)
        return;
    if (!s->in_data || p < s->input - LNT_INPUT_ROOM ||
        p + n > s->input + s->input_n)
        s->fault = "write_input outside of the input";
    if (s->run_n == 0 || s->run + s->run_n != p) {
        ws_settle_run(s);
        s->run = p;
        s->runs++;
    }
    uint8_t *copy = realloc(s->run_copy, s->run_n + n);
    if (!copy)
        abort();
    memcpy(copy + s->run_n, p, n);
    s->run_copy = copy;
    s->run_n += n;
}

void
lnt_session_finish(struct lnt_session *s)
{
    if (s->end < WS_FINISHED)
        s->end = WS_FINISHED;
}

void
lnt_session_end(struct lnt_session *s)
{
    if (s->end < WS_FINISHED)
        s->end = WS_ENDED;
}

static void
ws_note_message(struct lnt_session *s, enum lnt_message_type type,
                const uint8_t *p, size_t n)
{
    lnt_strbuf_addf(&s->messages, "%c%zu:", type == LNT_TEXT ? 't' : 'b', n);
    lnt_strbuf_add(&s->messages, p, n);
    s->nmessages++;
}

lnt_verdict
lnt_session_message(struct lnt_session *s, enum lnt_message_type type, void *p,
                    size_t n)
{
    enum ws_app app = s->app;
    if (s->end != WS_OPEN) {
        s->fault = "a message after the end";
        return LNT_GO_ON;
    }
    ws_note_message(s, type, p, n);
    if (app == APP_MIXED)
        app = n ? (enum ws_app)(*(uint8_t *)p % APP_MIXED) : APP_ECHO;
    switch (app) {
    case APP_TWICE:
        lnt_ws_send(s, type, p, n);
        lnt_ws_send(s, type, p, n);
        break;
    case APP_OTHER:
        lnt_ws_send(s, LNT_TEXT, "before", 6);
        lnt_ws_send(s, type, p, n);
        lnt_ws_send(s, LNT_BINARY, "behind", 6);
        break;
    case APP_PREFIX:
        lnt_ws_send(s, LNT_BINARY, p, n ? n - 1 : 0);
        break;
    case APP_VERDICT:
        if (n == 3 && memcmp(p, "bye", 3) == 0)
            return 4500;
        lnt_ws_send(s, type, p, n);
        break;
    case APP_ECHO:
    case APP_MIXED:
        lnt_ws_send(s, type, p, n);
        break;
    case APP_SWALLOW:
        break;
    }
    return LNT_GO_ON;
}

/* ---- the session's life ---- */

WS_UNUSED static struct lnt_session *
ws_new(enum ws_app app, uint64_t message_size)
{
    struct lnt_session *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->app = app;
    s->limits.message_size = message_size;
    s->now = 1000000;
    return s;
}

/* Compression on these terms, within budget (0: shared). */
WS_UNUSED static void
ws_agree(struct lnt_session *s, uint64_t budget, struct lnt_ws_terms terms,
         uint32_t min)
{
    struct lnt_ws_streams *w = s->module.data;
    if (!w)
        w = s->module.data = lnt_ws_streams_new(&s->stats);
    s->ws.deflate =
        lnt_ws_deflate_new(w, lnt_ws_plan_for(w, budget), &terms, min);
}

WS_UNUSED static void
ws_free(struct lnt_session *s)
{
    ws_settle_run(s);
    lnt_ws_free_more(s->ws.more);
    lnt_ws_deflate_free(s->ws.deflate);
    lnt_ws_streams_free(s->module.data);
    lnt_strbuf_release(&s->out);
    lnt_strbuf_release(&s->messages);
    lnt_strbuf_release(&s->rest);
    free(s);
}

/* As the core does it: goodbye, and the end when there is nothing to await. */
WS_UNUSED static void
ws_close(struct lnt_session *s, int code, const char *reason)
{
    if (s->end != WS_OPEN)
        return;
    s->end = WS_GOODBYE;
    s->code = code;
    if (!lnt_ws_goodbye(s, code, reason))
        lnt_session_finish(s);
}

/* Gives the session n more bytes. */
WS_UNUSED static void
ws_feed_eof(struct lnt_session *s, const void *p, size_t n, bool eof)
{
    if (s->end > WS_GOODBYE)
        return;
    size_t total = s->rest.n + n;
    uint8_t *room = malloc(LNT_INPUT_ROOM + total);
    if (!room)
        abort();
    struct lnt_input in = {.p = room + LNT_INPUT_ROOM, .n = total, .eof = eof};
    if (s->rest.n > 0)
        memcpy(in.p, s->rest.p, s->rest.n);
    if (n > 0)
        memcpy(in.p + s->rest.n, p, n);
    s->input = in.p;
    s->input_n = total;
    s->in_data = true;
    lnt_verdict v = lnt_ws_data(s, &in);
    ws_settle_run(s);
    s->in_data = false;
    if (s->ws.flags & LNT_WS_IN_DATA)
        s->fault = "still in data()";
    if (in.used > total)
        s->fault = "more consumed than there was";
    else if (total - in.used > s->limits.message_size + 64 * 1024)
        s->fault = "too much left in the input";
    lnt_strbuf_clear(&s->rest);
    lnt_strbuf_add(&s->rest, in.p + in.used, total - in.used);
    free(room);
    if (v)
        ws_close(s, v, NULL);
    else if (eof && s->end <= WS_GOODBYE)
        s->fault = "not finished at the end of the input";
}

WS_UNUSED static void
ws_feed(struct lnt_session *s, const void *p, size_t n)
{
    ws_feed_eof(s, p, n, false);
}

/* ---- the client ---- */

WS_UNUSED static void
ws_put_head(struct lnt_strbuf *b, unsigned first, uint64_t n, unsigned form,
            const uint8_t key[4])
{
    lnt_strbuf_addc(b, (char)first);
    unsigned bytes = form ? form : n < 126 ? 1 : n < 65536 ? 2 : 8;
    if (bytes == 1) {
        lnt_strbuf_addc(b, (char)(0x80 | n));
    } else {
        lnt_strbuf_addc(b, (char)(0x80 | (bytes == 2 ? 126 : 127)));
        for (unsigned i = 0; i < bytes; i++)
            lnt_strbuf_addc(b, (char)(n >> (8 * (bytes - 1 - i))));
    }
    lnt_strbuf_add(b, key, 4);
}

/* One frame, masked; form 1, 2 or 8 bytes of length, 0: the shortest. */
WS_UNUSED static void
ws_put_form(struct lnt_strbuf *b, unsigned first, const void *data, size_t n,
            unsigned form)
{
    static uint32_t seed = 0x2545f491;
    uint8_t key[4];
    const uint8_t *p = data;
    for (unsigned i = 0; i < 4; i++) {
        seed = seed * 1664525 + 1013904223;
        key[i] = (uint8_t)(seed >> 24);
    }
    ws_put_head(b, first, n, form, key);
    char *to = lnt_strbuf_reserve(b, n);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(p[i] ^ key[i & 3]);
    b->n += n;
}

WS_UNUSED static void
ws_put(struct lnt_strbuf *b, unsigned first, const void *p, size_t n)
{
    ws_put_form(b, first, p, n, 0);
}

WS_UNUSED static void
ws_puts(struct lnt_strbuf *b, unsigned first, const char *text)
{
    ws_put_form(b, first, text, strlen(text), 0);
}

/* One frame as the server has to send it. */
WS_UNUSED static void
ws_want(struct lnt_strbuf *b, unsigned first, const void *p, size_t n)
{
    uint8_t head[LNT_WS_OUT_HEAD_MAX];
    lnt_ws_head_write(head, first, n);
    lnt_strbuf_add(b, head, lnt_ws_head_size(n));
    lnt_strbuf_add(b, p, n);
}

WS_UNUSED static void
ws_wants(struct lnt_strbuf *b, unsigned first, const char *text)
{
    ws_want(b, first, text, strlen(text));
}

#endif
