/*
 * Reasons.
 */
#include "ipc/reasons.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "core/utf8.h"

void
lnt_reason_log(const char *head, const char *text)
{
    size_t n;
    for (const char *line = text; *line; line += n + (line[n] == '\n')) {
        n = strcspn(line, "\n");
        if (n)
            lnt_log_error("%s: %.*s", head, (int)n, line);
    }
}

/* The end of the last whole line within the bytes, or of the last whole
   character when there is but one. */
static size_t
cut(const char *p, size_t n)
{
    size_t at = n;
    while (at && p[at] != '\n')
        at--;
    if (at)
        return at;
    at = n;
    while (at && ((unsigned char)p[at] & 0xc0) == 0x80)
        at--;
    return at;
}

void
lnt_reason_add(struct lnt_strbuf *out, struct lnt_str text)
{
    while (text.n && strchr("\n\r ", text.p[text.n - 1]))
        text.n--;
    size_t n = text.n > LNT_REASON_MAX ? cut(text.p, LNT_REASON_MAX) : text.n;
    size_t from = out->n;
    lnt_strbuf_add(out, text.p, n);
    bool utf8 = lnt_utf8_valid(text.p, n);
    for (size_t i = from; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
            (c >= 0x80 && !utf8))
            out->p[i] = '?';
    }
    if (n < text.n)
        lnt_strbuf_addf(out, "\n(and %zu bytes more)", text.n - n);
}

const char *
lnt_reason_of_send(int error)
{
    if (lnt_reason_is_gone(error))
        return "the worker has ended";
    if (error == EAGAIN)
        return "too many requests are under way";
    if (error == EMSGSIZE)
        return "it is too long";
    if (error == ENOBUFS)
        return "the worker does not take requests at the moment";
    return strerror(error);
}

bool
lnt_reason_is_gone(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}
