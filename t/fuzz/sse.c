/*
 * The query of a client that wants to listen, an id that it comes back with,
 * and messages as events: the input is all three.  What comes out must be what
 * its reader can rely on.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/utf8.h"
#include "modules/sse/event.h"
#include "modules/sse/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_query(struct lnt_str text)
{
    struct lnt_sse_query q = {0};
    const char *why;

    for (int i = 0; i < 2; i++) {
        bool good = lnt_sse_query_read(&q, text, &why);
        const struct lnt_interest *l = &q.listen;

        if (good != !why || (good && l->nrooms == 0) ||
            l->nrooms > LNT_INTEREST_MAX)
            abort();
        for (size_t k = 0; good && k < l->nrooms; k++) {
            if (l->rooms[k].n == 0 || l->rooms[k].n > LNT_SSE_NAME_MAX ||
                !lnt_utf8_valid(l->rooms[k].p, l->rooms[k].n))
                abort();
            for (size_t m = 0; m < k; m++)
                if (lnt_str_eq(l->rooms[k], l->rooms[m]))
                    abort();
        }
    }
    lnt_sse_query_release(&q);
}

/* Takes a line off the front of text; aborts when there is none. */
static struct lnt_str
take_line(struct lnt_str *text)
{
    const char *lf = text->n ? memchr(text->p, '\n', text->n) : NULL;
    struct lnt_str line;

    if (!lf)
        abort();
    line = lnt_str(text->p, (size_t)(lf - text->p));
    *text = lnt_str(lf + 1, text->n - line.n - 1);
    return line;
}

/* The data lines together must be the message, with every end of a line as a
   line feed; nothing of it may look like another field. */
static void
check_event(struct lnt_str message)
{
    struct lnt_buf *b = lnt_sse_event_add(lnt_buf_new(1), 9, message);
    struct lnt_str text = lnt_str(b->data, b->len), line;
    size_t at = 0, lines = 0;

    line = take_line(&text);
    if (line.n > 4 && memcmp(line.p, "id: ", 4) == 0) {
        uint64_t epoch, seq;

        if (!lnt_sse_id_read(lnt_str(line.p + 4, line.n - 4), &epoch, &seq) ||
            epoch != 9)
            abort();
        line = take_line(&text);
    }
    if (line.n > 7 && memcmp(line.p, "event: ", 7) == 0) {
        if (line.n > 7 + LNT_SSE_TYPE_MAX)
            abort();
        line = take_line(&text);
    }
    for (; line.n > 0; line = take_line(&text), lines++) {
        if (line.n < 6 || memcmp(line.p, "data: ", 6) != 0 ||
            memchr(line.p, '\r', line.n))
            abort();
        if (lines > 0)
            at += at + 1 < message.n && message.p[at] == '\r' &&
                          message.p[at + 1] == '\n'
                      ? 2
                      : 1;
        if (line.n - 6 > message.n - at ||
            memcmp(line.p + 6, message.p + at, line.n - 6) != 0)
            abort();
        at += line.n - 6;
    }
    if (lines == 0 || at != message.n || text.n > 0)
        abort();
    lnt_buf_unref(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lnt_str text = lnt_str(size ? (const char *)data : "", size);
    uint64_t epoch, seq;

    check_query(text);
    (void)lnt_sse_id_read(text, &epoch, &seq);
    check_event(text);
    return 0;
}
