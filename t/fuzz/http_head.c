/*
 * Requests: heads, bodies and what follows them, once whole and once in pieces
 * whose sizes the input's first byte decides.  Both must be answered alike.
 *
 * Where a request is refused for its form the status may differ (a line that
 * is too long and ends in a bad character is one or the other, as it comes),
 * and what comes in pieces may still wait for the end of a line.
 */
#include "modules/http/pending.h"
#include "t/unit/http_harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct lnt_strbuf answers; /* without dates and bodies of refusals */
    struct lnt_strbuf other;
    unsigned faults;
    bool waits, finished, upgraded;
};

static size_t
find(const struct lnt_strbuf *b, size_t from, const char *what)
{
    size_t n = strlen(what);
    const char *p = memmem(b->p + from, b->n - from, what, n);
    return p ? (size_t)(p - b->p) : b->n;
}

/* One answer at *at into the run. */
static void
add_answer(struct run *run, const struct lnt_strbuf *out, size_t *at)
{
    size_t end = find(out, *at, "\r\n\r\n") + 4;
    if (end > out->n || memcmp(out->p + *at, "HTTP/1.1 ", 9) != 0)
        abort();
    int status = atoi(out->p + *at + 9);
    size_t length = find(out, *at, "Content-Length: ");
    size_t n = length < end ? (size_t)atol(out->p + length + 16) : 0;
    bool closes = find(out, *at, "Connection: close") < end;
    if (status == 100) {
        *at = end;
        return;
    }
    if (closes && status >= 400) {
        run->faults++;
        lnt_strbuf_adds(&run->answers, "refused|");
    } else {
        lnt_strbuf_addf(&run->answers, "%d %zu|", status, n);
    }
    /* Of a HEAD there is the length only: the next answer shows it. */
    bool there = end + n <= out->n &&
                 (end + n == out->n ||
                  memcmp(out->p + end + n, "HTTP/1.1 ",
                         out->n - end - n < 9 ? out->n - end - n : 9) == 0);
    *at = there ? end + n : end;
}

static void
run_once(struct run *run, const char *p, size_t n, size_t step)
{
    struct lnt_session *s = http_open();
    http_feed(s, p, n, step, true);
    run->finished = s->finished;
    run->upgraded = !s->conn;
    run->waits = s->conn && !(s->conn->flags & LNT_HTTP_F_TRANSFER) &&
                 s->conn->busy.pending;
    if (s->fault || s->cut || s->held)
        abort();
    /* What has come of an unfinished head is bounded, and so is a body. */
    if (s->rest.n > 2048 + 4)
        abort();
    if (run->waits && s->conn->busy.pending->body.data.n > 1000)
        abort();
    for (size_t at = 0; at < s->out.n;)
        add_answer(run, &s->out, &at);
    lnt_strbuf_add_str(&run->other, lnt_strbuf_str(&s->other));
    http_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole = {0}, pieces = {0};
    if (size < 1)
        return 0;
    const char *p = (const char *)data + 1;
    run_once(&whole, p, size - 1, size);
    run_once(&pieces, p, size - 1, data[0] % 64 + 1u);
    bool same = lnt_str_eq(lnt_strbuf_str(&whole.answers),
                           lnt_strbuf_str(&pieces.answers)) &&
                whole.finished == pieces.finished;
    bool late = whole.faults > pieces.faults && pieces.waits;
    if (!same && !late)
        abort();
    if (whole.upgraded != pieces.upgraded ||
        !lnt_str_eq(lnt_strbuf_str(&whole.other),
                    lnt_strbuf_str(&pieces.other)))
        abort();
    lnt_strbuf_release(&whole.answers);
    lnt_strbuf_release(&pieces.answers);
    lnt_strbuf_release(&whole.other);
    lnt_strbuf_release(&pieces.other);
    return 0;
}
