/*
 * The access log.  Lines are collected and written once a loop turn, whole
 * lines only.  What cannot be written (disk full, a system log that does not
 * follow) is counted and said once a minute.
 */
#include "modules/http/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
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
    uint64_t complained;     /* loop time, 0 never */
    uint64_t lost;           /* lines */
    int torn_fd;             /* where the last line was cut off; -1: nowhere */
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

static uint64_t
count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void
complain(struct lnt_http_access *a, uint64_t lines)
{
    uint64_t now = lnt_loop_now(a->loop);
    a->lost += lines;
    lnt_count_add(a->stats, LNT_C_ACCESS_LOST, lines);
    if (a->complained && now - a->complained < COMPLAINT)
        return;
    a->complained = now;
    lnt_log_error("access log: %s; %llu lines lost so far", strerror(errno),
                  (unsigned long long)a->lost);
}

static void
write_file(struct lnt_http_access *a, int fd)
{
    const char *p = a->text.p;
    size_t n = a->text.n, done = 0;
    /* Half a line is there already: the next begins on a new one. */
    if (a->torn_fd == fd && write(fd, "\n", 1) != 1) {
        complain(a, count_lines(p, n));
        return;
    }
    a->torn_fd = -1;
    while (done < n) {
        ssize_t got = write(fd, p + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (done > 0 && p[done - 1] != '\n')
                a->torn_fd = fd;
            complain(a, count_lines(p + done, n - done));
            return;
        }
        done += (size_t)got;
    }
}

static void
write_syslog(struct lnt_http_access *a, int fd)
{
    uint64_t lost = 0;
    int why = 0;
    for (const char *p = a->text.p, *end = p + a->text.n; p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        if (lnt_syslog_send(fd, p, (size_t)(stop - p)) < 0) {
            lost++;
            why = errno;
        }
        p = stop + 1;
    }
    errno = why;
    if (lost > 0)
        complain(a, lost);
}

static void
write_out(struct lnt_http_access *a)
{
    int fd = a->server->access_fd;
    if (fd >= 0 && a->text.n > 0) {
        if (a->server->access_syslog)
            write_syslog(a, fd);
        else
            write_file(a, fd);
    }
    lnt_strbuf_clear(&a->text);
}

static void
on_flush(struct lnt_timer *t)
{
    write_out(
        (struct lnt_http_access *)((char *)t -
                                   offsetof(struct lnt_http_access, flush)));
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
    a->torn_fd = -1;
    return a;
}

void
lnt_http_access_free(struct lnt_http_access *a)
{
    if (!a)
        return;
    lnt_timer_stop(a->loop, &a->flush);
    write_out(a);
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
        bytes.n > 0 || !lnt_http_access_is_line(text))
        return NULL;
    struct lnt_http_line *line = new_line(text);
    line->begun = lnt_session_now(s) - age;
    line->base = lnt_session_sent(s) - sent;
    line->head = head;
    return line;
}
