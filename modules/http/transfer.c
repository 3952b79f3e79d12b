/*
 * Bytes of a response that are too many to be queued at once.
 *
 * A file is sent by the kernel, behind a first piece that goes out with the
 * head; a client that reads slowly holds an open file then.  What cannot be
 * sent so is read piece by piece into one buffer a transfer, used again for
 * every piece, whatever the size is.
 */
#include "modules/http/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "modules/http/access.h"
#include "modules/http/exchange.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/session.h"
#include "os/file.h"

struct lnt_http_transfer {
    struct lnt_buf *buf; /* NULL while the kernel sends the file */
    struct lnt_http_source source;
    struct lnt_http_line *line; /* NULL: nothing is logged */
    bool by_hand;               /* what is left is read and written */
    bool unsent;                /* buf waits for the queue to become empty */
    bool last;
};

static int
fill_from_file(struct lnt_http_source *s, struct lnt_buf *b, size_t n)
{
    while (n > 0) {
        ssize_t got = pread(s->fd, b->data + b->len, n, (off_t)s->offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO;
        if (got <= 0)
            return -1;
        b->len += (uint32_t)got;
        s->offset += (uint64_t)got;
        s->left -= (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int
lnt_http_source_fill(struct lnt_http_source *s, struct lnt_buf *b)
{
    size_t n = b->cap - b->len;
    if (n > s->left)
        n = (size_t)s->left;
    if (s->fd >= 0)
        return fill_from_file(s, b, n);
    if (n > 0)
        memcpy(b->data + b->len, s->p + s->offset, n);
    b->len += (uint32_t)n;
    s->offset += n;
    s->left -= n;
    return 0;
}

void
lnt_http_source_close(struct lnt_http_source *s)
{
    if (s->fd >= 0)
        lnt_file_close(s->fd);
    s->fd = -1;
}

static void
drop_buf(struct lnt_http_transfer *t)
{
    if (t->buf)
        lnt_buf_unref(t->buf);
    t->buf = NULL;
}

/* more: bytes that are queued and will go out, however this goes on. */
static void
free_transfer(struct lnt_session *s, struct lnt_http_transfer *t, uint64_t more)
{
    const struct lnt_http_worker *w = lnt_session_protocol(s)->data;
    if (t->line)
        lnt_http_access_end(w->access, s, t->line, more);
    lnt_http_source_close(&t->source);
    drop_buf(t);
    free(t);
}

void
lnt_http_transfer(struct lnt_session *s, struct lnt_http_conn *c,
                  struct lnt_buf *b, const struct lnt_http_source *source,
                  bool last)
{
    size_t queued = lnt_session_queued(s);
    bool waits =
        queued > 0 && queued + b->len > lnt_session_limits(s)->send_queue;
    if (!waits)
        lnt_session_write_buf(s, b);
    if (!waits && (!source || source->left == 0)) {
        if (source) {
            struct lnt_http_source done = *source;
            lnt_http_source_close(&done);
        }
        lnt_buf_unref(b);
        if (last)
            lnt_session_finish(s);
        return;
    }
    struct lnt_http_transfer *t = lnt_calloc(1, sizeof(*t));
    t->buf = b;
    t->unsent = waits;
    t->last = last;
    t->source.fd = -1;
    if (source)
        t->source = *source;
    t->by_hand = t->source.fd < 0;
    lnt_assert(!c->busy.transfer);
    c->busy.transfer = t;
    c->flags |= LNT_HTTP_F_TRANSFER;
    lnt_session_hold(s);
}

void
lnt_http_transfer_log(struct lnt_http_conn *c, struct lnt_http_line *line)
{
    lnt_assert((c->flags & LNT_HTTP_F_TRANSFER) && !c->busy.transfer->line);
    c->busy.transfer->line = line;
}

/* The next piece into the buffer; 0, or -1 with errno. */
static int
next_piece(struct lnt_http_transfer *t)
{
    if (!t->buf || t->buf->refs > 1 || t->buf->cap < LNT_HTTP_PIECE) {
        drop_buf(t);
        t->buf = lnt_buf_new(LNT_HTTP_PIECE);
    }
    t->buf->len = 0;
    return lnt_http_source_fill(&t->source, t->buf);
}

/* All is queued or sent. */
static void
end_transfer(struct lnt_session *s, struct lnt_http_conn *c)
{
    struct lnt_http_transfer *t = c->busy.transfer;
    /* A worker that drains has decided that later. */
    bool last = t->last || (c->flags & LNT_HTTP_F_CLOSE);
    c->busy.transfer = NULL;
    c->flags &= (uint16_t)~LNT_HTTP_F_TRANSFER;
    free_transfer(s, t, lnt_session_queued(s));
    if (last) {
        c->flags |= LNT_HTTP_F_DONE;
        lnt_session_finish(s);
    }
}

/* The length was promised: nothing but a cut tells the client. */
static void
give_up(struct lnt_session *s)
{
    lnt_log_warn("a file became unreadable while it was sent: %s",
                 strerror(errno));
    lnt_session_cut(s);
}

static void
continue_by_hand(struct lnt_session *s, struct lnt_http_conn *c)
{
    struct lnt_http_transfer *t = c->busy.transfer;
    if (!t->unsent && next_piece(t) < 0) {
        give_up(s);
        return;
    }
    t->unsent = false;
    lnt_session_write_buf(s, t->buf);
    if (t->source.left > 0)
        lnt_session_hold(s);
    else
        end_transfer(s, c);
}

void
lnt_http_transfer_continue(struct lnt_session *s, struct lnt_http_conn *c)
{
    if (!(c->flags & LNT_HTTP_F_TRANSFER))
        return;
    struct lnt_http_transfer *t = c->busy.transfer;
    struct lnt_http_source *f = &t->source;
    if (t->unsent || t->by_hand) {
        continue_by_hand(s, c);
        return;
    }
    drop_buf(t);
    ssize_t sent = lnt_session_send_file(s, f->fd, f->offset, f->left);
    if (sent < 0 && errno == EIO) {
        give_up(s);
        return;
    }
    if (sent < 0) {
        /* Some file systems cannot do that. */
        t->by_hand = true;
        continue_by_hand(s, c);
        return;
    }
    f->offset += (uint64_t)sent;
    f->left -= (uint64_t)sent;
    if (f->left == 0)
        end_transfer(s, c);
}

void
lnt_http_transfer_drop(struct lnt_session *s, struct lnt_http_conn *c)
{
    if (!(c->flags & LNT_HTTP_F_TRANSFER))
        return;
    free_transfer(s, c->busy.transfer, 0);
    c->busy.transfer = NULL;
    c->flags &= (uint16_t)~LNT_HTTP_F_TRANSFER;
}
