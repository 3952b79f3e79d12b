/*
 * A long-polling protocol in lines, for t/detached.t: sessions without a
 * connection, and connections on which any of them is polled.
 *
 *   open             begins a session: "sid NAME", or "no ERRNO"
 *   send NAME TEXT   a message of its client: "ok"
 *   poll NAME        waits until there is something: "got N", and N lines
 *   leave NAME       ends it: "ok"
 *   me               this worker: name, pid, slot
 *
 * NAME begins with the worker that it began in.  A line for a session that is
 * elsewhere goes there with its connection; "unknown NAME" if it is nowhere.  A
 * poll that waits is left unread, so it follows its session by itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/strbuf.h"
#include "net/detached.h"
#include "net/handover.h"
#include "net/module.h"
#include "net/server_info.h"

enum { MOST = 4000 }; /* bytes of one answer, unless a message has more */

struct poll {
    bool stays;    /* the next line is not handed over again */
    bool answered; /* the poll that is first in the input */
};

__attribute__((format(printf, 2, 3))) static void
say(struct lnt_session *s, const char *fmt, ...)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&b, fmt, ap);
    va_end(ap);
    lnt_session_write(s, b.p, b.n);
    lnt_strbuf_release(&b);
}

/* ---- sessions ---- */

/* Whole lines from the front of the queue. */
static void
on_queued(struct lnt_session *s)
{
    struct lnt_session *to = lnt_detached_transport(s);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_str front;
    unsigned lines = 0;
    if (!to)
        return;
    while ((front = lnt_detached_front(s)).n) {
        size_t n = 0;
        while (n < front.n) {
            const char *lf = memchr(front.p + n, '\n', front.n - n);
            size_t next = (size_t)(lf + 1 - front.p);
            if (lines && b.n + next > MOST)
                break;
            n = next;
            lines++;
        }
        if (n == 0)
            break;
        lnt_strbuf_add(&b, front.p, n);
        lnt_detached_take(s, n);
    }
    say(to, "got %u\n", lines);
    lnt_session_write(to, b.p, b.n);
    lnt_strbuf_release(&b);
    struct poll *p = lnt_session_state(to);
    p->answered = true;
    lnt_session_again(to);
    lnt_detached_leave(s);
}

static struct lnt_buf *
on_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
          enum lnt_message_type type, struct lnt_str data)
{
    (void)m;
    (void)variant;
    (void)type;
    b = lnt_buf_grow(b, data.n + 1);
    memcpy(b->data + b->len, data.p, data.n);
    b->len += (uint32_t)data.n;
    b->data[b->len++] = '\n';
    return b;
}

static struct lnt_buf *
on_encode(struct lnt_module_ctx *m, unsigned variant,
          enum lnt_message_type type, struct lnt_str data)
{
    return on_append(m, variant, lnt_buf_new(data.n + 1), type, data);
}

static void
on_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
        size_t n)
{
    (void)type;
    struct lnt_buf *b = on_encode(NULL, 0, type, lnt_str(p, n));
    lnt_session_write_buf(s, b);
    lnt_buf_unref(b);
}

static lnt_verdict
on_open(struct lnt_session *s)
{
    return lnt_session_is_detached(s) ? lnt_session_ready(s) : LNT_GO_ON;
}

/* Whoever polls it looks for it again. */
static void
on_close(struct lnt_session *s)
{
    struct lnt_session *to =
        lnt_session_is_detached(s) ? lnt_detached_transport(s) : NULL;
    if (to)
        lnt_session_again(to);
}

/* ---- connections ---- */

static void
open_session(struct lnt_session *s)
{
    char name[LNT_DETACHED_NAME_MAX];
    uint64_t random;
    lnt_random(&random, sizeof(random));
    int n = snprintf(name, sizeof(name), "%" PRIx64 "-%016" PRIx64,
                     lnt_net_worker(lnt_session_net(s)), random);
    if (lnt_detached_open(s, lnt_session_endpoint(s), lnt_str(name, (size_t)n)))
        say(s, "sid %s\n", name);
    else
        say(s, "no %d\n", errno);
}

enum did { DONE, PARKED, GONE };

static enum did
with_session(struct lnt_session *s, const char *verb, struct lnt_str name,
             struct lnt_str text)
{
    struct poll *p = lnt_session_state(s);
    struct lnt_session *d = lnt_detached_find(lnt_session_net(s), name);
    if (!d) {
        uint64_t worker = strtoull(name.p, NULL, 16);
        if (!p->stays && lnt_session_hand_over(s, worker, name) == 0)
            return GONE;
        p->stays = false;
        say(s, "unknown %.*s\n", (int)name.n, name.p);
        return DONE;
    }
    if (strcmp(verb, "poll") == 0) {
        lnt_detached_attach(d, s);
        return PARKED;
    }
    if (strcmp(verb, "leave") == 0) {
        lnt_session_close(d, LNT_CLOSE_NORMAL, NULL);
    } else {
        lnt_verdict v =
            lnt_session_message(d, LNT_TEXT, (void *)(uintptr_t)text.p, text.n);
        if (v)
            lnt_session_close(d, v, NULL);
    }
    say(s, "ok\n");
    return DONE;
}

static enum did
take_line(struct lnt_session *s, char *line)
{
    char *name = strchr(line, ' '), *text = NULL;
    if (strcmp(line, "open") == 0) {
        open_session(s);
        return DONE;
    }
    if (strcmp(line, "me") == 0) {
        say(s, "%" PRIx64 " %d %d\n", lnt_net_worker(lnt_session_net(s)),
            (int)getpid(), lnt_session_protocol(s)->server->slot);
        return DONE;
    }
    if (!name) {
        say(s, "what?\n");
        return DONE;
    }
    *name++ = '\0';
    text = strchr(name, ' ');
    if (text)
        *text++ = '\0';
    return with_session(s, line, lnt_str_c(name), lnt_str_c(text ? text : ""));
}

static lnt_verdict
on_data(struct lnt_session *s, struct lnt_input *in)
{
    struct poll *p = lnt_session_state(s);
    const char *lf;
    while (in->used < in->n &&
           (lf = memchr(in->p + in->used, '\n', in->n - in->used))) {
        const char *line = (const char *)in->p + in->used;
        struct lnt_strbuf copy = LNT_STRBUF_INIT;
        enum did did = DONE;
        if (!p->answered) {
            lnt_strbuf_add(&copy, line, (size_t)(lf - line));
            lnt_strbuf_addc(&copy, '\0');
            did = take_line(s, copy.p);
            lnt_strbuf_release(&copy);
        }
        p->answered = false;
        if (did != DONE)
            return LNT_GO_ON;
        p->stays = false; /* that was for this line */
        in->used += (size_t)(lf + 1 - line);
    }
    if (in->eof) {
        in->used = in->n;
        lnt_session_finish(s);
    }
    return LNT_GO_ON;
}

static void
on_stays(struct lnt_session *s, const char *why)
{
    struct poll *p = lnt_session_state(s);
    (void)why;
    p->stays = true;
}

static int
on_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    const struct poll *p = lnt_session_state(s);
    (void)out;
    return p->answered ? -1 : 0; /* a turn later it is read */
}

static int
on_thaw(struct lnt_session *s, struct lnt_str state)
{
    (void)state;
    if (!lnt_session_is_detached(s))
        lnt_session_again(s);
    return 0;
}

static const struct lnt_protocol protocol = {
    .state_size = sizeof(struct poll),
    .open = on_open,
    .data = on_data,
    .send = on_send,
    .encode = on_encode,
    .append = on_append,
    .queued = on_queued,
    .freeze = on_freeze,
    .thaw = on_thaw,
    .stays = on_stays,
    .close = on_close,
};

const struct lnt_module lnt_module_poll = {
    LNT_MODULE_HEAD,
    .name = "poll",
    .help = "long polling in lines, for tests",
    .protocol = &protocol,
};
