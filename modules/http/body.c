/*
 * Request bodies, counted or chunked, as a machine that is fed any pieces.
 * Memory grows with what has come, never with what was announced.
 */
#include "modules/http/body.h"

#include <stdbool.h>
#include <string.h>

enum {
    EXTRA_MAX = 8 * 1024, /* extensions and trailers nobody asked for */
    DIGITS_MAX = 15,      /* a chunk size that cannot overflow */
};

void
lnt_http_body_init(struct lnt_http_body *b, const struct lnt_http_framing *f,
                   uint64_t max)
{
    memset(b, 0, sizeof(*b));
    b->phase = f->chunked  ? LNT_HTTP_BODY_SIZE
               : f->length ? LNT_HTTP_BODY_COUNTED
                           : LNT_HTTP_BODY_COMPLETE;
    b->left = f->chunked ? 0 : f->length;
    b->max = max;
}

void
lnt_http_body_release(struct lnt_http_body *b)
{
    lnt_strbuf_release(&b->data);
}

static enum lnt_http_parse
bad_chunk(struct lnt_http_fault *fault)
{
    return lnt_http_bad(fault, 400, "bad chunked coding");
}

static enum lnt_http_parse
read_size_digit(struct lnt_http_body *b, unsigned value,
                struct lnt_http_fault *fault)
{
    if (++b->digits > DIGITS_MAX)
        return lnt_http_bad(fault, 413, "the chunk is too big");
    b->left = b->left * 16 + value;
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
end_size(struct lnt_http_body *b, struct lnt_http_fault *fault)
{
    if (b->digits == 0)
        return bad_chunk(fault);
    if (b->left > b->max - b->data.n)
        return lnt_http_bad(fault, 413, "the body is too big");
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
read_size(struct lnt_http_body *b, char c, struct lnt_http_fault *fault)
{
    int digit = lnt_hex_digit(c);

    if (digit >= 0)
        return read_size_digit(b, (unsigned)digit, fault);
    /* Not even blanks: padding is what two readers disagree about. */
    if (c != '\r' && c != ';')
        return bad_chunk(fault);
    b->phase = c == '\r' ? LNT_HTTP_BODY_SIZE_LF : LNT_HTTP_BODY_EXTENSION;
    return end_size(b, fault);
}

/* Text up to a CR, counted: extensions and trailer values. */
static enum lnt_http_parse
read_extra(struct lnt_http_body *b, char c, enum lnt_http_body_phase next,
           struct lnt_http_fault *fault)
{
    if (c == '\r') {
        b->phase = next;
        return LNT_HTTP_DONE;
    }
    if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
        return bad_chunk(fault);
    if (++b->extra > EXTRA_MAX)
        return lnt_http_bad(fault, 431, "too much beside the chunks");
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
read_trailer_name(struct lnt_http_body *b, char c, struct lnt_http_fault *fault)
{
    bool first = b->phase == LNT_HTTP_BODY_TRAILER;
    if (first && c == '\r') {
        b->phase = LNT_HTTP_BODY_END_LF;
        return LNT_HTTP_DONE;
    }
    if (!first && c == ':') {
        b->phase = LNT_HTTP_BODY_TRAILER_VALUE;
        return LNT_HTTP_DONE;
    }
    if (!lnt_http_token_chars[(unsigned char)c])
        return lnt_http_bad(fault, 400, "bad trailer");
    b->phase = LNT_HTTP_BODY_TRAILER_NAME;
    if (++b->extra > EXTRA_MAX)
        return lnt_http_bad(fault, 431, "too much beside the chunks");
    return LNT_HTTP_DONE;
}

static enum lnt_http_parse
expect_char(struct lnt_http_body *b, char c, char expected,
            enum lnt_http_body_phase next, struct lnt_http_fault *fault)
{
    b->phase = next;
    return c == expected ? LNT_HTTP_DONE : bad_chunk(fault);
}

/* Behind the line of a chunk's size. */
static enum lnt_http_parse
begin_chunk(struct lnt_http_body *b, char c, struct lnt_http_fault *fault)
{
    b->digits = 0;
    return expect_char(b, c, '\n',
                       b->left > 0 ? LNT_HTTP_BODY_DATA : LNT_HTTP_BODY_TRAILER,
                       fault);
}

static enum lnt_http_parse
read_char(struct lnt_http_body *b, char c, struct lnt_http_fault *fault)
{
    switch (b->phase) {
    case LNT_HTTP_BODY_SIZE:
        return read_size(b, c, fault);
    case LNT_HTTP_BODY_EXTENSION:
        return read_extra(b, c, LNT_HTTP_BODY_SIZE_LF, fault);
    case LNT_HTTP_BODY_SIZE_LF:
        return begin_chunk(b, c, fault);
    case LNT_HTTP_BODY_DATA_CR:
        return expect_char(b, c, '\r', LNT_HTTP_BODY_DATA_LF, fault);
    case LNT_HTTP_BODY_DATA_LF:
        return expect_char(b, c, '\n', LNT_HTTP_BODY_SIZE, fault);
    case LNT_HTTP_BODY_TRAILER:
    case LNT_HTTP_BODY_TRAILER_NAME:
        return read_trailer_name(b, c, fault);
    case LNT_HTTP_BODY_TRAILER_VALUE:
        return read_extra(b, c, LNT_HTTP_BODY_TRAILER_LF, fault);
    case LNT_HTTP_BODY_TRAILER_LF:
        return expect_char(b, c, '\n', LNT_HTTP_BODY_TRAILER, fault);
    case LNT_HTTP_BODY_END_LF:
        return expect_char(b, c, '\n', LNT_HTTP_BODY_COMPLETE, fault);
    case LNT_HTTP_BODY_COUNTED:
    case LNT_HTTP_BODY_DATA:
    case LNT_HTTP_BODY_COMPLETE:
        break; /* not read by characters */
    }
    return bad_chunk(fault);
}

static size_t
take_bytes(struct lnt_http_body *b, const char *p, size_t n)
{
    if (n > b->left)
        n = (size_t)b->left;
    lnt_strbuf_add(&b->data, p, n);
    b->left -= n;
    if (b->left == 0)
        b->phase = b->phase == LNT_HTTP_BODY_COUNTED ? LNT_HTTP_BODY_COMPLETE
                                                     : LNT_HTTP_BODY_DATA_CR;
    return n;
}

enum lnt_http_parse
lnt_http_body_feed(struct lnt_http_body *b, const char *p, size_t n,
                   size_t *used, struct lnt_http_fault *fault)
{
    size_t i = 0;
    *used = 0;
    if (b->phase == LNT_HTTP_BODY_COUNTED && b->left > b->max - b->data.n)
        return lnt_http_bad(fault, 413, "the body is too big");
    while (i < n && b->phase != LNT_HTTP_BODY_COMPLETE) {
        if (b->phase == LNT_HTTP_BODY_DATA || b->phase == LNT_HTTP_BODY_COUNTED)
            i += take_bytes(b, p + i, n - i);
        else if (read_char(b, p[i++], fault) == LNT_HTTP_BAD)
            return LNT_HTTP_BAD;
    }
    *used = i;
    return b->phase == LNT_HTTP_BODY_COMPLETE ? LNT_HTTP_DONE : LNT_HTTP_MORE;
}
