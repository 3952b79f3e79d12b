/*
 * The request that nearly all are, read at once: a message in a flat object
 * whose strings have no escapes.  The words are then slices of what came;
 * jansson, which copies each of them into memory of its own, takes twenty times
 * as long.  Whatever is anything else is left to it, wrong or right.
 */
#include "core/utf8.h"
#include "modules/chat/chat.h"

enum { DIGITS_MAX = 15 }; /* more may be too many for a JSON integer */

struct reader {
    const char *p, *end;
    unsigned char high; /* all bytes of the strings, or'ed */
};

static void
skip_blanks(struct reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool
take(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool
take_string(struct reader *r, struct lnt_str *out)
{
    if (!take(r, '"'))
        return false;
    for (const char *from = r->p; r->p < r->end; r->p++) {
        unsigned char c = (unsigned char)*r->p;

        if (c == '"') {
            *out = lnt_str(from, (size_t)(r->p++ - from));
            return true;
        }
        if (c < 0x20 || c == '\\')
            return false;
        r->high |= c;
    }
    return false;
}

/* A whole number that is written in the only way it can be. */
static bool
take_number(struct reader *r, struct lnt_str *out)
{
    const char *from = r->p, *digits;

    if (*r->p == '-')
        r->p++;
    digits = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    *out = lnt_str(from, (size_t)(r->p - from));
    if (r->p == digits || r->p - digits > DIGITS_MAX)
        return false;
    return *digits != '0' || out->n == 1; /* no 01, no -0 */
}

/* A string with its quotes, or a number: what an id may be. */
static bool
take_id(struct reader *r, struct lnt_str *out)
{
    struct lnt_str text;

    skip_blanks(r);
    if (r->p == r->end || *r->p != '"')
        return r->p < r->end && take_number(r, out);
    if (!take_string(r, &text))
        return false;
    *out = lnt_str(text.p - 1, text.n + 2);
    return true;
}

static bool
take_field(struct reader *r, struct chat_words *w, struct lnt_str *type)
{
    struct lnt_str key, *value;

    if (!take_string(r, &key) || !take(r, ':'))
        return false;
    if (lnt_str_eq(key, LNT_STR("id")))
        return !w->id.p && take_id(r, &w->id);
    if (lnt_str_eq(key, LNT_STR("type")))
        value = type;
    else if (lnt_str_eq(key, LNT_STR("room")))
        value = &w->room;
    else if (lnt_str_eq(key, LNT_STR("text")))
        value = &w->text;
    else
        return false;
    return !value->p && take_string(r, value);
}

bool
chat_words_read(struct chat_words *w, struct lnt_str request)
{
    struct reader r = {.p = request.p, .end = request.p + request.n};
    struct lnt_str type = {0};

    *w = (struct chat_words){0};
    if (request.n == 0 || !take(&r, '{'))
        return false;
    do {
        if (!take_field(&r, w, &type))
            return false;
    } while (take(&r, ','));
    if (!take(&r, '}'))
        return false;
    skip_blanks(&r);
    return r.p == r.end && w->room.p && w->text.p &&
           lnt_str_eq(type, LNT_STR("message")) &&
           (r.high < 0x80 || lnt_utf8_valid(request.p, request.n));
}
