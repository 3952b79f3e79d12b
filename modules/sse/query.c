/*
 * Queries: pairs of the form that browsers write (application/x-www-form-
 * urlencoded), decoded name by name.
 */
#include "modules/sse/query.h"

#include "core/utf8.h"

/* ---- numbers ---- */

/* All of s as a number. */
static bool
read_number(struct lnt_str s, uint64_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return s.n > 0;
}

bool
lnt_sse_id_read(struct lnt_str text, uint64_t *epoch, uint64_t *seq)
{
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    size_t n = colon ? (size_t)(colon - text.p) : 0;

    return colon && read_number(lnt_str(text.p, n), epoch) &&
           read_number(lnt_str(colon + 1, text.n - n - 1), seq);
}

/* ---- pairs ---- */

/* Cuts off what stands before the next c, or all. */
static struct lnt_str
cut(struct lnt_str *rest, char c)
{
    const char *at = rest->n ? memchr(rest->p, c, rest->n) : NULL;
    size_t n = at ? (size_t)(at - rest->p) : rest->n;
    struct lnt_str s = lnt_str(rest->p, n);

    if (at)
        n++;
    *rest = lnt_str(rest->p ? rest->p + n : NULL, rest->n - n);
    return s;
}

/* Appends what s stands for; false when a % stands for nothing. */
static bool
decode(struct lnt_strbuf *out, struct lnt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < s.n ? lnt_hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? lnt_hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        lnt_strbuf_addc(out, c);
    }
    return true;
}

/* ---- what is known ---- */

static bool
is_new(const struct lnt_sse_query *q, size_t start)
{
    struct lnt_str name = lnt_str(q->text.p + start, q->text.n - start);
    size_t from = 0;

    for (size_t i = 0; i < q->listen.nrooms; i++) {
        if (lnt_str_eq(lnt_str(q->text.p + from, q->ends[i] - from), name))
            return false;
        from = q->ends[i];
    }
    return true;
}

static const char *
take_room(struct lnt_sse_query *q, struct lnt_str value)
{
    size_t start = q->text.n;

    if (!decode(&q->text, value))
        return "a % in the name of a room has no two hexadecimal digits "
               "behind it";
    if (q->text.n == start)
        return "room is empty; name one, as in ?room=lobby";
    if (q->text.n - start > LNT_SSE_NAME_MAX)
        return "the name of a room is too long";
    if (!lnt_utf8_valid(q->text.p + start, q->text.n - start))
        return "the name of a room is not UTF-8";
    if (!is_new(q, start)) {
        q->text.n = start;
        return NULL;
    }
    if (q->listen.nrooms == LNT_INTEREST_MAX)
        return "that are too many rooms for one connection";
    q->ends[q->listen.nrooms++] = q->text.n;
    return NULL;
}

static const char *
take_since(struct lnt_sse_query *q, struct lnt_str value)
{
    struct lnt_strbuf id = LNT_STRBUF_INIT;
    /* A client may have encoded the colon. */
    bool good =
        decode(&id, value) &&
        lnt_sse_id_read(lnt_strbuf_str(&id), &q->listen.epoch, &q->listen.seq);

    lnt_strbuf_release(&id);
    q->listen.resumes = good;
    return good ? NULL
                : "since must be EPOCH:SEQ, as in the id of an event that "
                  "came before";
}

static const char *
take(struct lnt_sse_query *q, struct lnt_str name, struct lnt_str value)
{
    if (lnt_str_eq(name, LNT_STR("room")))
        return take_room(q, value);
    if (lnt_str_eq(name, LNT_STR("since")))
        return take_since(q, value);
    if (lnt_str_eq(name, LNT_STR("limit")) &&
        !read_number(value, &q->listen.limit))
        return "limit must be a whole number, not negative";
    return NULL;
}

bool
lnt_sse_query_read(struct lnt_sse_query *q, struct lnt_str query,
                   const char **why)
{
    size_t from = 0;

    *why = NULL;
    q->listen = (struct lnt_interest){.rooms = q->names, .limit = UINT64_MAX};
    lnt_strbuf_clear(&q->text);
    while (query.n > 0 && !*why) {
        struct lnt_str value = cut(&query, '&');
        struct lnt_str name = cut(&value, '=');

        *why = take(q, name, value);
    }
    if (!*why && q->listen.nrooms == 0)
        *why = "a room is missing; name one, as in ?room=lobby";
    for (size_t i = 0; i < q->listen.nrooms; i++) {
        q->names[i] = lnt_str(q->text.p + from, q->ends[i] - from);
        from = q->ends[i];
    }
    return !*why;
}

void
lnt_sse_query_release(struct lnt_sse_query *q)
{
    lnt_strbuf_release(&q->text);
}
