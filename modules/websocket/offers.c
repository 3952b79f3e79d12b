/*
 * The client's offers of permessage-deflate: their syntax (RFC 6455, section
 * 9.1), the values that parameters may have (RFC 7692, section 7.1), and which
 * is taken.
 *
 * A client may put the same extension several times, the one that it likes
 * best first; who offers what we cannot do, or breaks a rule, is not refused:
 * that offer is passed over, and in the end there is no compression.
 */
#include "modules/websocket/offers.h"

#include <stdio.h>

#include "core/log.h"

enum parameter {
    OUT_FRESH,
    IN_FRESH,
    OUT_BITS,
    IN_BITS,
    PARAMETERS,
    UNKNOWN = PARAMETERS,
};

static const struct lnt_str parameters[PARAMETERS] = {
    [OUT_FRESH] = {"server_no_context_takeover", 26},
    [IN_FRESH] = {"client_no_context_takeover", 26},
    [OUT_BITS] = {"server_max_window_bits", 22},
    [IN_BITS] = {"client_max_window_bits", 22},
};

struct offer {
    bool has[PARAMETERS];
    uint8_t bits[PARAMETERS]; /* 0: without a value */
};

/* A parameter's value, without quotes and escapes.  No value that we know is
   as long as there is room here. */
struct value {
    char p[8];
    size_t n;
    bool given;
};

struct cursor {
    const char *p, *end;
};

/* ---- syntax ---- */

static bool
is_token_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static void
skip_blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
        c->p++;
}

/* Takes the character, with the blanks in front of it. */
static bool
take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

static bool
take_token(struct cursor *c, struct lnt_str *token)
{
    skip_blanks(c);
    const char *start = c->p;
    while (c->p < c->end && is_token_char(*c->p))
        c->p++;
    *token = lnt_str(start, (size_t)(c->p - start));
    return token->n > 0;
}

static void
add_to_value(struct value *v, char c)
{
    if (v->n < sizeof(v->p))
        v->p[v->n++] = c;
}

/* Behind the opening quote.  What is in quotes must be a token, too. */
static bool
take_quoted(struct cursor *c, struct value *v)
{
    while (c->p < c->end && *c->p != '"') {
        if (*c->p == '\\' && ++c->p == c->end)
            return false;
        if (!is_token_char(*c->p))
            return false;
        add_to_value(v, *c->p++);
    }
    return take(c, '"') && v->n > 0;
}

static bool
take_value(struct cursor *c, struct value *v)
{
    struct lnt_str token;

    *v = (struct value){.given = true};
    if (take(c, '"'))
        return take_quoted(c, v);
    if (!take_token(c, &token))
        return false;
    for (size_t i = 0; i < token.n; i++)
        add_to_value(v, token.p[i]);
    return true;
}

/* To the comma behind an element, whatever is in it. */
static void
skip_element(struct cursor *c)
{
    bool quoted = false;

    for (; c->p < c->end && (quoted || *c->p != ','); c->p++) {
        if (*c->p == '"')
            quoted = !quoted;
        else if (quoted && *c->p == '\\' && c->p + 1 < c->end)
            c->p++;
    }
}

/* ---- one offer ---- */

static enum parameter
parameter_of(struct lnt_str name)
{
    for (unsigned i = 0; i < PARAMETERS; i++)
        if (lnt_str_eq(parameters[i], name))
            return (enum parameter)i;
    return UNKNOWN;
}

/* "8" to "15", without leading zeros; 0: another text. */
static uint8_t
bits_of(const struct value *v)
{
    if (v->n == 1 && (v->p[0] == '8' || v->p[0] == '9'))
        return (uint8_t)(v->p[0] - '0');
    if (v->n == 2 && v->p[0] == '1' && v->p[1] >= '0' && v->p[1] <= '5')
        return (uint8_t)(10 + v->p[1] - '0');
    return 0;
}

/* false: the offer is not to be taken. */
static bool
add_parameter(struct offer *o, enum parameter which, const struct value *v)
{
    if (which == UNKNOWN || o->has[which])
        return false;
    o->has[which] = true;
    switch (which) {
    case OUT_FRESH:
    case IN_FRESH:
        return !v->given;
    case IN_BITS:
        if (!v->given)
            return true;
        break;
    case OUT_BITS:
    case UNKNOWN:
        break;
    }
    o->bits[which] = bits_of(v);
    return o->bits[which] != 0;
}

/* One element of the list, to its end.  Whether it is an offer of ours, and
   one that can be taken. */
static bool
take_offer(struct cursor *c, struct offer *o)
{
    struct lnt_str name;
    bool good;

    *o = (struct offer){.has = {false}};
    if (!take_token(c, &name))
        return false;
    good = lnt_str_eq(name, LNT_STR("permessage-deflate"));
    while (take(c, ';')) {
        struct value v = {.given = false};
        if (!take_token(c, &name) || (take(c, '=') && !take_value(c, &v)))
            return false;
        good = good && add_parameter(o, parameter_of(name), &v);
    }
    skip_blanks(c);
    return good && (c->p == c->end || *c->p == ',');
}

/* ---- the answer ---- */

static uint8_t
smaller(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static bool
agree(struct lnt_ws_terms *terms, const struct offer *o,
      const struct lnt_ws_terms *wish)
{
    uint8_t out = o->has[OUT_BITS] ? o->bits[OUT_BITS] : LNT_WS_BITS_MAX;
    uint8_t in = o->bits[IN_BITS] ? o->bits[IN_BITS] : LNT_WS_BITS_MAX;

    if (out < LNT_WS_BITS_MIN)
        return false;
    terms->out_fresh = wish->out_fresh || o->has[OUT_FRESH];
    terms->out_bits = terms->out_fresh ? out : smaller(out, wish->out_bits);
    terms->in_fresh = wish->in_fresh || o->has[IN_FRESH];
    /* Only who offers to may be told to take a smaller window; of the others
       we keep nothing rather than too much. */
    if (!o->has[IN_BITS] && wish->in_bits < LNT_WS_BITS_MAX)
        terms->in_fresh = true;
    terms->in_bits =
        terms->in_fresh ? LNT_WS_BITS_MAX : smaller(in, wish->in_bits);
    return true;
}

static size_t
write_answer(char text[LNT_WS_TERMS_TEXT], const struct offer *o,
             const struct lnt_ws_terms *terms)
{
    char out_bits[40] = "", in_bits[40] = "";

    if (o->has[OUT_BITS])
        snprintf(out_bits, sizeof(out_bits), "; server_max_window_bits=%d",
                 terms->out_bits);
    if (terms->in_bits < LNT_WS_BITS_MAX)
        snprintf(in_bits, sizeof(in_bits), "; client_max_window_bits=%d",
                 terms->in_bits);
    int n = snprintf(text, LNT_WS_TERMS_TEXT, "permessage-deflate%s%s%s%s",
                     terms->out_fresh ? "; server_no_context_takeover" : "",
                     terms->in_fresh ? "; client_no_context_takeover" : "",
                     out_bits, in_bits);
    lnt_assert(n > 0 && n < LNT_WS_TERMS_TEXT);
    return (size_t)n;
}

size_t
lnt_ws_offers_choose(struct lnt_str value, const struct lnt_ws_terms *wish,
                     struct lnt_ws_terms *terms, char text[LNT_WS_TERMS_TEXT])
{
    struct cursor c = {value.p, value.p + value.n};
    struct offer o;

    while (c.p < c.end) {
        const char *start = c.p;
        if (take_offer(&c, &o) && agree(terms, &o, wish))
            return write_answer(text, &o, terms);
        c.p = start;
        skip_element(&c);
        (void)take(&c, ',');
    }
    return 0;
}
