/*
 * The access log.  Lines are collected and written once a loop turn, whole
 * lines only.  What cannot be written (disk full, a pipe that nobody reads) is
 * counted and said once a minute, and once more when it works again.
 */
#include "modules/http/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/outlet.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "event/flusher.h"
#include "event/loop.h"
#include "modules/http/access_line.h"
#include "modules/http/exchange.h"
#include "net/server_info.h"
#include "net/stats.h"
#include "os/clock.h"
#include "os/syslog.h"

enum {
    FLUSH_AT = 64 * 1024,  /* bytes collected in one turn */
    COMPLAINT = 60 * 1000, /* ms between two about the same thing */
};

struct lnt_http_access {
    struct lnt_loop *loop;
    const struct lnt_server_info *server;
    const struct lnt_http_access_format *format;
    struct lnt_stats *stats;
    struct lnt_timer flush; /* due at once: fires when this turn's work ends */
    struct lnt_strbuf text;
    struct lnt_strbuf draft; /* scratch */
    struct lnt_outlet out;
    struct lnt_flusher flusher;
    struct lnt_timer tell;     /* a report that came too soon after another */
    bool failing;              /* the last write lost lines */
    uint64_t complained, told; /* loop time, 0 never */
    uint64_t lost, reported;   /* lines */
    char held[LNT_OUTLET_ROOM];
};

/* A request whose answer is still on its way. */
struct lnt_http_line {
    uint64_t begun; /* ms of the session's clock */
    uint64_t base;  /* lnt_session_sent when the answer began; what was sent by
                       another worker is taken off, so it wraps */
    uint64_t head;  /* bytes */
    size_t n;
    char text[]; /* with holes */
};

/* ---- writing ---- */

/* errno says why. */
static void
lose(struct lnt_http_access *a, uint64_t lines)
{
    uint64_t now = lnt_loop_now(a->loop);
    a->failing = true;
    a->lost += lines;
    lnt_count_add(a->stats, LNT_C_ACCESS_LOST, lines);
    if (a->complained && now - a->complained < COMPLAINT)
        return;
    a->complained = now;
    lnt_log_error("access log: %s; %llu lines lost so far",
                  lnt_outlet_reason(errno), (unsigned long long)a->lost);
}

/* It takes lines again.  Said in the error log: those who read this one
   expect requests in it. */
static void
report(struct lnt_http_access *a)
{
    uint64_t now = lnt_loop_now(a->loop);
    a->failing = false;
    if (a->lost == a->reported || lnt_timer_active(&a->tell))
        return;
    if (a->told && now - a->told < COMPLAINT) {
        lnt_timer_at(a->loop, &a->tell, a->told + COMPLAINT);
        return;
    }
    a->told = now;
    lnt_log_error("access log: it can be written again; %llu lines were lost",
                  (unsigned long long)(a->lost - a->reported));
    a->reported = a->lost;
}

/* After a write that has lost so many lines. */
static void
settle(struct lnt_http_access *a, uint64_t lost)
{
    if (lost > 0)
        lose(a, lost);
    else if (!lnt_outlet_holds(&a->out))
        report(a);
    lnt_flusher_check(&a->flusher);
}

static uint64_t
put_syslog(struct lnt_http_access *a)
{
    uint64_t lost = 0;
    int why = 0;
    for (const char *p = a->text.p, *end = p + a->text.n; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop + 1 : end) - p);
        char head[LNT_SYSLOG_HEAD];
        lnt_strbuf_clear(&a->draft);
        lnt_strbuf_add(&a->draft, head,
                       lnt_syslog_head(head, LOG_LOCAL7 | LOG_INFO));
        lnt_strbuf_add(&a->draft, p, n);
        uint64_t now = lnt_outlet_put(&a->out, a->draft.p, a->draft.n);
        if (now > 0)
            why = errno;
        lost += now;
        p += n;
    }
    errno = why;
    return lost;
}

static void
write_out(struct lnt_http_access *a)
{
    const struct lnt_server_info *s = a->server;
    uint64_t lost = 0;
    if (s->access_fd >= 0 && a->text.n > 0)
        lost = s->access_syslog ? put_syslog(a)
                                : lnt_outlet_put(&a->out, a->text.p, a->text.n);
    lnt_strbuf_clear(&a->text);
    settle(a, lost);
}

static void
on_flush(struct lnt_timer *t)
{
    write_out(
        (struct lnt_http_access *)((char *)t -
                                   offsetof(struct lnt_http_access, flush)));
}

static void
on_writable(struct lnt_flusher *f)
{
    struct lnt_http_access *a =
        (struct lnt_http_access *)((char *)f -
                                   offsetof(struct lnt_http_access, flusher));
    uint64_t lost = lnt_outlet_flush(&a->out);
    settle(a, lost);
}

static void
on_tell(struct lnt_timer *t)
{
    struct lnt_http_access *a =
        (struct lnt_http_access *)((char *)t -
                                   offsetof(struct lnt_http_access, tell));
    if (!a->failing && !lnt_outlet_holds(&a->out))
        report(a);
}

struct lnt_http_access *
lnt_http_access_new(struct lnt_loop *loop, const struct lnt_server_info *server,
                    const struct lnt_http_access_format *format,
                    struct lnt_stats *stats)
{
    struct lnt_http_access *a = lnt_calloc(1, sizeof(*a));
    a->loop = loop;
    a->server = server;
    a->format = format;
    a->stats = stats;
    a->flush.fn = on_flush;
    a->tell.fn = on_tell;
    lnt_outlet_init(&a->out, a->held, sizeof(a->held));
    lnt_flusher_init(&a->flusher, loop, &a->out, on_writable);
    (void)lnt_outlet_use(&a->out, server->access_fd, server->access_syslog);
    return a;
}

void
lnt_http_access_reopen(struct lnt_http_access *a)
{
    if (!a)
        return;
    const struct lnt_server_info *s = a->server;
    errno = EAGAIN;
    uint64_t lost = lnt_outlet_use(&a->out, s->access_fd, s->access_syslog);
    settle(a, lost);
    write_out(a);
}

void
lnt_http_access_free(struct lnt_http_access *a)
{
    if (!a)
        return;
    lnt_timer_stop(a->loop, &a->flush);
    write_out(a);
    uint64_t lost = lnt_outlet_drop(&a->out);
    errno = EAGAIN;
    settle(a, lost);
    lnt_timer_stop(a->loop, &a->tell);
    lnt_flusher_stop(&a->flusher);
    lnt_strbuf_release(&a->text);
    lnt_strbuf_release(&a->draft);
    free(a);
}

static void
added(struct lnt_http_access *a)
{
    if (a->text.n >= FLUSH_AT)
        write_out(a);
    else if (!lnt_timer_active(&a->flush))
        lnt_timer_at(a->loop, &a->flush, lnt_loop_now(a->loop));
}

/* ---- lines ---- */

void
lnt_http_access_add(struct lnt_http_access *a,
                    const struct lnt_http_exchange *x, int status,
                    uint64_t bytes, uint64_t head)
{
    const struct lnt_session *s = x->r.session;
    struct lnt_http_access_end end = {
        .session = s,
        .worker = a->server->slot,
        .time_us = lnt_clock_wall_us(),
        .bytes = bytes,
        .body = bytes - head,
        .ms = lnt_session_now(s) - x->begun,
    };
    if (a->server->access_fd < 0)
        return;
    lnt_http_access_line(&a->text, a->format, x, status, &end);
    added(a);
}

static struct lnt_http_line *
new_line(struct lnt_str text)
{
    struct lnt_http_line *line = lnt_malloc(sizeof(*line) + text.n);
    line->n = text.n;
    memcpy(line->text, text.p, text.n);
    return line;
}

uint64_t
lnt_http_access_base(const struct lnt_session *s)
{
    return lnt_session_sent(s) + lnt_session_queued(s);
}

struct lnt_http_line *
lnt_http_access_begin(struct lnt_http_access *a,
                      const struct lnt_http_exchange *x, int status,
                      uint64_t base, uint64_t head)
{
    lnt_strbuf_clear(&a->draft);
    lnt_http_access_line(&a->draft, a->format, x, status, NULL);
    struct lnt_http_line *line = new_line(lnt_strbuf_str(&a->draft));
    line->begun = x->begun;
    line->base = base;
    line->head = head;
    return line;
}

/* Bytes that were queued before are no part of it, even if they are not out. */
static uint64_t
bytes_since(const struct lnt_http_line *line, const struct lnt_session *s,
            uint64_t more)
{
    uint64_t bytes = lnt_session_sent(s) + more - line->base;
    return (int64_t)bytes < 0 ? 0 : bytes;
}

void
lnt_http_access_end(struct lnt_http_access *a, const struct lnt_session *s,
                    struct lnt_http_line *line, uint64_t more)
{
    uint64_t bytes = bytes_since(line, s, more);
    if (a && a->server->access_fd >= 0) {
        struct lnt_http_access_end end = {
            .session = s,
            .worker = a->server->slot,
            .time_us = lnt_clock_wall_us(),
            .bytes = bytes,
            .body = bytes > line->head ? bytes - line->head : 0,
            .ms = lnt_session_now(s) - line->begun,
        };
        lnt_http_access_fill(&a->text, lnt_str(line->text, line->n), &end);
        added(a);
    }
    free(line);
}

void
lnt_http_access_drop(struct lnt_http_line *line)
{
    free(line);
}

/* ---- moving ---- */

/* A part of what the protocol writes, without a version of its own: fields are
   appended (core/pack.h), another line would be another part. */
void
lnt_http_access_pack(const struct lnt_http_line *line,
                     const struct lnt_session *s, struct lnt_strbuf *out)
{
    lnt_pack_u64(out, lnt_session_now(s) - line->begun);
    lnt_pack_u64(out, lnt_session_sent(s) - line->base);
    lnt_pack_u64(out, line->head);
    lnt_pack_str(out, lnt_str(line->text, line->n));
}

struct lnt_http_line *
lnt_http_access_unpack(struct lnt_str bytes, const struct lnt_session *s)
{
    uint64_t age, sent, head;
    struct lnt_str text;
    if (!lnt_unpack_u64(&bytes, &age) || !lnt_unpack_u64(&bytes, &sent) ||
        !lnt_unpack_u64(&bytes, &head) || !lnt_unpack_str(&bytes, &text) ||
        !lnt_http_access_is_line(text))
        return NULL;
    struct lnt_http_line *line = new_line(text);
    line->begun = lnt_session_now(s) - age;
    line->base = lnt_session_sent(s) - sent;
    line->head = head;
    return line;
}
