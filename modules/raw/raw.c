/*
 * raw: a protocol without frames.  Whatever one read brings is one binary
 * message (or several, when it is longer than message_size); what the
 * application sends goes out as it is.  A byte stream keeps no boundaries, so
 * an application over raw must not give them a meaning.
 *
 * An application that answers with the very bytes it was given (echo) costs no
 * copy: they are written from the input where they lie.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "net/limits.h"
#include "net/module.h"

/* Where the input being handled lies, one a worker: data() is never entered
   twice.  Both 0 outside of data(). */
struct raw {
    uintptr_t start, end;
};

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct raw));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    free(m->data);
    m->data = NULL;
}

static lnt_verdict
raw_data(struct lnt_session *s, struct lnt_input *in)
{
    struct raw *raw = lnt_session_protocol(s)->data;
    uint64_t most = lnt_session_limits(s)->message_size;
    lnt_verdict verdict = LNT_GO_ON;

    raw->start = (uintptr_t)in->p;
    raw->end = (uintptr_t)in->p + in->n;
    in->used = 0;
    while (in->used < in->n && verdict == LNT_GO_ON &&
           !lnt_session_closing(s)) {
        size_t n = in->n - in->used;

        if (most > 0 && n > most)
            n = (size_t)most;
        uint8_t *p = in->p + in->used;
        in->used += n;
        verdict = lnt_session_message(s, LNT_BINARY, p, n);
    }
    raw->start = raw->end = 0;
    in->used = in->n;
    if (verdict == LNT_GO_ON && in->eof)
        lnt_session_finish(s);
    return verdict;
}

static void
raw_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
         size_t n)
{
    const struct raw *raw = lnt_session_protocol(s)->data;
    uintptr_t at = (uintptr_t)p;

    (void)type;
    /* In whose input, and whether in one piece, the core finds out. */
    if (at >= raw->start && at < raw->end && n <= raw->end - at)
        lnt_session_write_input(s, p, n);
    else
        lnt_session_write(s, p, n);
}

static struct lnt_buf *
raw_encode(struct lnt_module_ctx *m, unsigned variant,
           enum lnt_message_type type, struct lnt_str data)
{
    struct lnt_buf *b = lnt_buf_new(data.n);

    (void)m;
    (void)variant;
    (void)type;
    if (data.n > 0)
        memcpy(b->data, data.p, data.n);
    b->len = (uint32_t)data.n;
    return b;
}

static struct lnt_buf *
raw_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
           enum lnt_message_type type, struct lnt_str data)
{
    (void)m;
    (void)variant;
    (void)type;
    b = lnt_buf_grow(b, data.n);
    if (data.n > 0)
        memcpy(b->data + b->len, data.p, data.n);
    b->len += (uint32_t)data.n;
    return b;
}

static const struct lnt_protocol raw_protocol = {
    .open = lnt_session_ready,
    .data = raw_data,
    .send = raw_send,
    .encode = raw_encode,
    .append = raw_append,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
};

const struct lnt_module lnt_module_raw = {
    LNT_MODULE_HEAD,
    .name = "raw",
    .help = "bytes as they are: every read is a message, nothing is framed",
    .protocol = &raw_protocol,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
