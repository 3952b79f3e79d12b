/*
 * Answers that are put off, for t/parked.t: a handler at a path, and the protocol
 * that its clients may be upgraded to, which gives an application what comes and
 * sends what it says.
 *
 *   GET  /park?KEY[&ms=N][&stay][&up]   waits until somebody says something to
 *                    KEY; stay: it cannot be moved; up: it is upgraded then
 *   POST /say?KEY    all that wait for KEY in this worker are answered the body;
 *                    answers how many those were
 *   GET  /count      how many wait in this worker, were due and were gone
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "modules/http/http.h"
#include "net/module.h"

/* One that waits. */
struct one {
    struct one *next;
    struct lnt_http_later *later;
    bool stays, up;
    char key[32];
};

/* A worker's. */
struct parked {
    struct one *ones;
    unsigned waiting, due, gone;
};

static bool
has(struct lnt_str query, const char *text)
{
    return memmem(query.p, query.n, text, strlen(text)) != NULL;
}

static void
copy_key(char key[32], struct lnt_str query)
{
    const char *end = query.n ? memchr(query.p, '&', query.n) : NULL;
    size_t n = end ? (size_t)(end - query.p) : query.n;
    snprintf(key, 32, "%.*s", n < 31 ? (int)n : 31, query.p ? query.p : "");
}

static struct one *
add(struct parked *w, const char *key)
{
    struct one *o = lnt_calloc(1, sizeof(*o));
    memcpy(o->key, key, sizeof(o->key));
    o->next = w->ones;
    w->ones = o;
    w->waiting++;
    return o;
}

static void
drop(struct parked *w, struct one *o)
{
    struct one **at = &w->ones;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    w->waiting--;
    free(o);
}

static lnt_verdict
park(struct parked *w, struct lnt_http_request *r)
{
    char key[32];
    uint64_t ms = 20000;
    const char *at =
        r->query.n ? memmem(r->query.p, r->query.n, "&ms=", 4) : NULL;
    if (at) {
        ms = 0;
        for (at += 4; at < r->query.p + r->query.n && *at >= '0' && *at <= '9';
             at++)
            ms = ms * 10 + (uint64_t)(*at - '0');
    }
    copy_key(key, r->query);
    struct one *o = add(w, key);
    o->stays = has(r->query, "&stay");
    o->up = has(r->query, "&up");
    o->later = lnt_http_park(r, ms, o);
    return LNT_GO_ON;
}

static void
answer(struct parked *w, struct one *o, struct lnt_str text)
{
    struct lnt_http_request *r = lnt_http_resume(o->later);
    bool up = o->up;
    drop(w, o);
    if (up)
        (void)lnt_http_upgrade(r, LNT_STR("HTTP/1.1 101 Up\r\n\r\n"));
    else
        (void)lnt_http_respond(r, 200, "text/plain", NULL, text);
}

static lnt_verdict
say(struct parked *w, struct lnt_http_request *r)
{
    char key[32], text[32];
    unsigned n = 0;
    copy_key(key, r->query);
    for (struct one *o = w->ones, *next; o; o = next) {
        next = o->next;
        if (strcmp(o->key, key) != 0)
            continue;
        answer(w, o, r->body);
        n++;
    }
    int length = snprintf(text, sizeof(text), "%u told", n);
    return lnt_http_respond(r, 200, "text/plain", NULL,
                            lnt_str(text, (size_t)length));
}

static lnt_verdict
handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    struct parked *w = m->data;
    char text[100];
    if (lnt_str_eq(r->rest, LNT_STR("park")))
        return park(w, r);
    if (lnt_str_eq(r->rest, LNT_STR("say")))
        return say(w, r);
    int n = snprintf(text, sizeof(text), "%u waiting, %u due, %u gone",
                     w->waiting, w->due, w->gone);
    return lnt_http_respond(r, 200, "text/plain", NULL,
                            lnt_str(text, (size_t)n));
}

static void
due(struct lnt_module_ctx *m, struct lnt_http_later *l, enum lnt_http_due why)
{
    static const char *const texts[] = {
        [LNT_HTTP_DUE_DEADLINE] = "deadline",
        [LNT_HTTP_DUE_MOVE] = "move",
        [LNT_HTTP_DUE_END] = "end",
    };
    struct parked *w = m->data;
    w->due++;
    answer(w, lnt_http_later_data(l), lnt_str_c(texts[why]));
}

static void
gone(struct lnt_module_ctx *m, struct lnt_http_later *l)
{
    struct parked *w = m->data;
    w->gone += !lnt_session_moved(lnt_http_later_session(l));
    drop(w, lnt_http_later_data(l));
}

static int
freeze(struct lnt_module_ctx *m, struct lnt_http_later *l,
       struct lnt_strbuf *out)
{
    const struct one *o = lnt_http_later_data(l);
    (void)m;
    lnt_pack_str(out, lnt_str_c(o->key));
    lnt_pack_u32(out, o->up);
    return o->stays ? -1 : 0;
}

static int
thaw(struct lnt_module_ctx *m, struct lnt_http_later *l, struct lnt_str state)
{
    struct lnt_str name;
    uint32_t up;
    char key[32];
    if (!lnt_unpack_str(&state, &name) || !lnt_unpack_u32(&state, &up))
        return -1;
    copy_key(key, name);
    struct one *o = add(m->data, key);
    o->up = up;
    o->later = l;
    lnt_http_later_keep(l, o);
    return 0;
}

/* ---- the protocol ---- */

static lnt_verdict
on_open(struct lnt_session *s)
{
    return lnt_session_ready(s);
}

static lnt_verdict
on_data(struct lnt_session *s, struct lnt_input *in)
{
    in->used = in->n;
    return in->n ? lnt_session_message(s, LNT_BINARY, in->p, in->n) : LNT_GO_ON;
}

static void
on_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
        size_t n)
{
    (void)type;
    lnt_session_write(s, p, n);
}

/* ---- the module ---- */

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct parked));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    const struct parked *w = m->data;
    if (w->ones)
        abort(); /* gone was not told */
    free(m->data);
}

static const struct lnt_http_handler parked_handler = {
    .body_max = 4096,
    .allow = "GET, HEAD, POST",
    .upgrades = "something that is answered later",
    .handle = handle,
    .due = due,
    .gone = gone,
    .freeze = freeze,
    .thaw = thaw,
};

static const struct lnt_protocol parked_protocol = {
    .open = on_open,
    .data = on_data,
    .send = on_send,
};

const struct lnt_module lnt_module_parked = {
    LNT_MODULE_HEAD,
    .name = "parked",
    .help = "answers that are put off, for tests",
    .protocol = &parked_protocol,
    .handler = &parked_handler,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
