/*
 * line: a protocol for people with nc or telnet.  A message is a line of
 * UTF-8, ended by LF or CRLF; what goes out is lines ended by LF.
 *
 * Nothing reaches an application, and nothing reaches a terminal, that could
 * steer the terminal: commands of the telnet protocol (RFC 854) and control
 * characters are left out both ways.  Unfinished lines are kept by the core;
 * this file only remembers how far it has looked, so that a line that comes
 * byte by byte costs no more than one that comes whole.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "net/limits.h"
#include "net/module.h"
#include "net/stats.h"

struct line_session {
    size_t searched; /* bytes of the unfinished line known to have no LF */
};

/* The telnet protocol, RFC 854. */
enum {
    TEL_SE = 240,
    TEL_SB = 250,
    TEL_WILL = 251,
    TEL_DONT = 254,
    TEL_IAC = 255,
};

/* The bytes of a telnet command that starts at p; n > 0 are left. */
static size_t
telnet_length(const uint8_t *p, size_t n)
{
    if (n < 2)
        return n;
    if (p[1] >= TEL_WILL && p[1] <= TEL_DONT)
        return n < 3 ? n : 3;
    if (p[1] != TEL_SB)
        return 2;
    for (size_t i = 2; i + 1 < n; i++) {
        if (p[i] == TEL_IAC && p[i + 1] == TEL_SE)
            return i + 2;
    }
    return n;
}

/* Length of the control character at p, 0 when there is none: C0 but the tab,
   DEL, and C1 as UTF-8 writes it. */
static size_t
control_length(const uint8_t *p, size_t n)
{
    if ((p[0] < 0x20 && p[0] != '\t') || p[0] == 0x7f)
        return 1;
    if (p[0] == 0xc2 && n > 1 && p[1] >= 0x80 && p[1] <= 0x9f)
        return 2;
    return 0;
}

/* Both take out, in place, and return how many bytes are left. */
static size_t
drop_telnet(uint8_t *p, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n;) {
        if (p[i] == TEL_IAC)
            i += telnet_length(p + i, n - i);
        else
            p[kept++] = p[i++];
    }
    return kept;
}

static size_t
drop_controls(uint8_t *p, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n;) {
        size_t skip = control_length(p + i, n - i);
        if (skip == 0)
            p[kept++] = p[i++];
        else
            i += skip;
    }
    return kept;
}

/*
 * Writes data as a line to to, which has room for data.n + 1 bytes; returns
 * its length.  LF stays: one message may be several lines.  Where data is no
 * UTF-8, everything but ASCII becomes "?".
 */
static size_t
put_line(uint8_t *to, enum lnt_message_type type, struct lnt_str data)
{
    const uint8_t *p = (const uint8_t *)data.p;
    bool text = type == LNT_TEXT || lnt_utf8_valid(p, data.n);
    size_t n = 0;

    for (size_t i = 0; i < data.n;) {
        size_t skip = p[i] == '\n' ? 0 : control_length(p + i, data.n - i);
        if (skip > 0) {
            i += skip;
            continue;
        }
        to[n++] = text || p[i] < 0x80 ? p[i] : '?';
        i++;
    }
    to[n++] = '\n';
    return n;
}

/* ---- in ---- */

static void
say(struct lnt_session *s, const char *text)
{
    lnt_session_write(s, text, strlen(text));
}

static lnt_verdict
take_line(struct lnt_session *s, uint8_t *p, size_t n)
{
    if (n > 0 && p[n - 1] == '\r')
        n--;
    if (n > lnt_session_limits(s)->message_size) {
        lnt_count(lnt_session_stats(s), LNT_C_TOO_BIG);
        return LNT_CLOSE_TOO_BIG;
    }
    /* In this order: taking a control character out of bad UTF-8 could leave
       another one behind. */
    n = drop_telnet(p, n);
    if (!lnt_utf8_valid(p, n)) {
        lnt_count(lnt_session_stats(s), LNT_C_PROTOCOL_ERRORS);
        say(s, "! that line is not UTF-8 and was left out; "
               "set your terminal to UTF-8\n");
        return LNT_GO_ON;
    }
    n = drop_controls(p, n);
    return lnt_session_message(s, LNT_TEXT, p, n);
}

static lnt_verdict
line_data(struct lnt_session *s, struct lnt_input *in)
{
    struct line_session *line = lnt_session_state(s);
    uint8_t *p = in->p, *end = in->p + in->n;
    uint8_t *from = p + line->searched, *lf;
    lnt_verdict verdict = LNT_GO_ON;

    while (from < end && (lf = memchr(from, '\n', (size_t)(end - from)))) {
        verdict = take_line(s, p, (size_t)(lf - p));
        p = from = lf + 1;
        if (verdict != LNT_GO_ON || lnt_session_closing(s)) {
            line->searched = 0;
            in->used = in->n;
            return verdict;
        }
    }
    size_t rest = (size_t)(end - p);
    /* One more may be the CR of its end. */
    if (rest > lnt_session_limits(s)->message_size + 1) {
        lnt_count(lnt_session_stats(s), LNT_C_TOO_BIG);
        in->used = in->n;
        return LNT_CLOSE_TOO_BIG;
    }
    if (!in->eof) {
        line->searched = rest;
        in->used = in->n - rest;
        return LNT_GO_ON;
    }
    line->searched = 0;
    in->used = in->n;
    if (rest > 0)
        verdict = take_line(s, p, rest);
    if (verdict == LNT_GO_ON)
        lnt_session_finish(s);
    return verdict;
}

/* ---- out ---- */

static void
line_send(struct lnt_session *s, enum lnt_message_type type, const void *p,
          size_t n)
{
    struct lnt_strbuf *line = lnt_session_protocol(s)->data;

    lnt_strbuf_clear(line);
    uint8_t *to = (uint8_t *)lnt_strbuf_reserve(line, n + 1);
    lnt_session_write(s, to, put_line(to, type, lnt_str(p, n)));
}

static struct lnt_buf *
line_append(struct lnt_module_ctx *m, unsigned variant, struct lnt_buf *b,
            enum lnt_message_type type, struct lnt_str data)
{
    (void)m;
    (void)variant;
    b = lnt_buf_grow(b, data.n + 1);
    b->len += (uint32_t)put_line(b->data + b->len, type, data);
    return b;
}

static struct lnt_buf *
line_encode(struct lnt_module_ctx *m, unsigned variant,
            enum lnt_message_type type, struct lnt_str data)
{
    return line_append(m, variant, lnt_buf_new(data.n + 1), type, data);
}

static bool
line_goodbye(struct lnt_session *s, int code, const char *reason)
{
    struct lnt_strbuf *line = lnt_session_protocol(s)->data;

    lnt_strbuf_clear(line);
    if (reason && reason[0])
        lnt_strbuf_addf(line, "* %s\n", reason);
    else if (code == LNT_CLOSE_AWAY)
        lnt_strbuf_adds(line, "* server is going away\n");
    else if (code == LNT_CLOSE_TOO_BIG)
        lnt_strbuf_addf(
            line, "! that line is longer than %llu bytes; goodbye\n",
            (unsigned long long)lnt_session_limits(s)->message_size);
    else if (code == LNT_CLOSE_POLICY)
        lnt_strbuf_adds(line, "! that is not allowed here; goodbye\n");
    else
        lnt_strbuf_adds(line, "* goodbye\n");
    lnt_session_write(s, line->p, line->n);
    return false;
}

/* ---- the module ---- */

static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    (void)why;
    m->data = lnt_calloc(1, sizeof(struct lnt_strbuf));
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    if (!m->data)
        return;
    lnt_strbuf_release(m->data);
    free(m->data);
    m->data = NULL;
}

static const struct lnt_protocol line_protocol = {
    .state_size = sizeof(struct line_session),
    .human = true,
    .open = lnt_session_ready,
    .data = line_data,
    .send = line_send,
    .encode = line_encode,
    .append = line_append,
    .goodbye = line_goodbye,
    .freeze = lnt_session_freeze_nothing,
    .thaw = lnt_session_thaw_nothing,
};

const struct lnt_module lnt_module_line = {
    LNT_MODULE_HEAD,
    .name = "line",
    .help = "lines of UTF-8 that people type and read, with nc or telnet",
    .protocol = &line_protocol,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
};
