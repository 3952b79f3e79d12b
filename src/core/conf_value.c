/*
 * One value: text into the field of a struct, checked against its type, its
 * names and its bounds, and back into text that means the same.  Which entry
 * belongs to which field is conf.c's.
 */
#include "core/conf_value.h"

#include <inttypes.h>
#include <string.h>

#include "core/arena.h"
#include "core/regex.h"
#include "core/strbuf.h"
#include "core/units.h"

static int parse_number(const struct lnt_directive *d, const char *text,
                        int64_t *out, struct lnt_strbuf *error);
static int parse_address(struct lnt_arena *a, const char *prefix,
                         const char *text, struct lnt_addr *out,
                         struct lnt_strbuf *error);
static struct lnt_regex *parse_regex(struct lnt_arena *a, const char *text,
                                     struct lnt_strbuf *error);
static const char *make_path(struct lnt_arena *a, const struct lnt_directive *d,
                             const char *prefix, const char *text);
static int check_bounds(const struct lnt_directive *d, int64_t v,
                        struct lnt_strbuf *error);
static void unknown_name(const struct lnt_directive *d, const char *text,
                         struct lnt_strbuf *error);
static void add_names(const struct lnt_directive *d, struct lnt_strbuf *out);
static const char *name_of(const struct lnt_directive *d, int64_t v);
static void *grown(struct lnt_arena *a, void *v, size_t n, size_t size);

static inline void *
field(const struct lnt_directive *d, void *data)
{
    return (char *)data + d->offset;
}

static inline const void *
const_field(const struct lnt_directive *d, const void *data)
{
    return (const char *)data + d->offset;
}

bool
lnt_value_is_list(const struct lnt_directive *d)
{
    return d->type == LNT_TYPE_LIST || d->type == LNT_TYPE_PATHS ||
           d->type == LNT_TYPE_REGEXES || d->type == LNT_TYPE_ADDRESSES;
}

bool
lnt_value_may_be_empty(const struct lnt_directive *d)
{
    switch (d->type) {
    case LNT_TYPE_FLAG:
    case LNT_TYPE_INT:
    case LNT_TYPE_SIZE:
    case LNT_TYPE_DURATION:
    case LNT_TYPE_RATE:
    case LNT_TYPE_ENUM:
        return false;
    case LNT_TYPE_STRING:
    case LNT_TYPE_PATH:
    case LNT_TYPE_LIST:
    case LNT_TYPE_PATHS:
    case LNT_TYPE_REGEX:
    case LNT_TYPE_REGEXES:
    case LNT_TYPE_ADDRESS:
    case LNT_TYPE_ADDRESSES:
        return true;
    }
    return false;
}

size_t
lnt_value_size(const struct lnt_directive *d)
{
    switch (d->type) {
    case LNT_TYPE_FLAG:
        return sizeof(bool);
    case LNT_TYPE_INT:
    case LNT_TYPE_SIZE:
    case LNT_TYPE_DURATION:
    case LNT_TYPE_RATE:
    case LNT_TYPE_ENUM:
        return sizeof(int64_t);
    case LNT_TYPE_STRING:
    case LNT_TYPE_PATH:
        return sizeof(const char *);
    case LNT_TYPE_LIST:
    case LNT_TYPE_PATHS:
        return sizeof(struct lnt_strings);
    case LNT_TYPE_REGEX:
        return sizeof(struct lnt_regex *);
    case LNT_TYPE_REGEXES:
        return sizeof(struct lnt_regexes);
    case LNT_TYPE_ADDRESS:
        return sizeof(struct lnt_addr);
    case LNT_TYPE_ADDRESSES:
        return sizeof(struct lnt_addrs);
    }
    return 0;
}

/* An empty text that may be empty: the field as a zeroed struct has it, and
   nothing more in a list. */
static int
parse_empty(const struct lnt_directive *d, void *data)
{
    if (!lnt_value_is_list(d))
        memset(field(d, data), 0, lnt_value_size(d));
    return 0;
}

int
lnt_value_parse(struct lnt_arena *a, const struct lnt_directive *d,
                const char *prefix, const char *text, void *data,
                struct lnt_strbuf *error)
{
    void *to = field(d, data);
    const char *why;
    int flag;

    if (!*text && lnt_value_may_be_empty(d))
        return parse_empty(d, data);
    switch (d->type) {
    case LNT_TYPE_FLAG:
        if (lnt_parse_flag(lnt_str_c(text), &flag, &why) < 0) {
            lnt_strbuf_adds(error, why);
            return -1;
        }
        *(bool *)to = flag != 0;
        return 0;
    case LNT_TYPE_INT:
    case LNT_TYPE_SIZE:
    case LNT_TYPE_DURATION:
    case LNT_TYPE_RATE:
    case LNT_TYPE_ENUM: /* int64_t and uint64_t may share memory */
        return parse_number(d, text, to, error);
    case LNT_TYPE_STRING:
        *(const char **)to = lnt_arena_strdup(a, text);
        return 0;
    case LNT_TYPE_PATH:
        *(const char **)to = make_path(a, d, prefix, text);
        return 0;
    case LNT_TYPE_LIST:
    case LNT_TYPE_PATHS: {
        struct lnt_strings *l = to;

        l->v = grown(a, l->v, l->n, sizeof(*l->v));
        l->v[l->n++] = d->type == LNT_TYPE_LIST ? lnt_arena_strdup(a, text)
                                                : make_path(a, d, prefix, text);
        return 0;
    }
    case LNT_TYPE_REGEX:
        *(struct lnt_regex **)to = parse_regex(a, text, error);
        return *(struct lnt_regex **)to ? 0 : -1;
    case LNT_TYPE_REGEXES: {
        struct lnt_regexes *l = to;
        struct lnt_regex *r = parse_regex(a, text, error);

        if (!r)
            return -1;
        l->v = grown(a, l->v, l->n, sizeof(*l->v));
        l->v[l->n++] = r;
        return 0;
    }
    case LNT_TYPE_ADDRESS:
        return parse_address(a, prefix, text, to, error);
    case LNT_TYPE_ADDRESSES: {
        struct lnt_addrs *l = to;
        struct lnt_addr addr;

        if (parse_address(a, prefix, text, &addr, error) < 0)
            return -1;
        l->v = grown(a, l->v, l->n, sizeof(*l->v));
        l->v[l->n++] = addr;
        return 0;
    }
    }
    return -1;
}

size_t
lnt_value_count(const struct lnt_directive *d, const void *data)
{
    const void *from = const_field(d, data);

    switch (d->type) {
    case LNT_TYPE_FLAG:
    case LNT_TYPE_INT:
    case LNT_TYPE_SIZE:
    case LNT_TYPE_DURATION:
    case LNT_TYPE_RATE:
        return 1;
    case LNT_TYPE_ENUM:
        return name_of(d, *(const int64_t *)from) ? 1 : 0;
    case LNT_TYPE_STRING:
    case LNT_TYPE_PATH:
        return *(const char *const *)from ? 1 : 0;
    case LNT_TYPE_LIST:
    case LNT_TYPE_PATHS:
        return ((const struct lnt_strings *)from)->n;
    case LNT_TYPE_REGEX:
        return *(struct lnt_regex *const *)from ? 1 : 0;
    case LNT_TYPE_REGEXES:
        return ((const struct lnt_regexes *)from)->n;
    case LNT_TYPE_ADDRESS:
        return ((const struct lnt_addr *)from)->len ? 1 : 0;
    case LNT_TYPE_ADDRESSES:
        return ((const struct lnt_addrs *)from)->n;
    }
    return 0;
}

static void
format_address(const struct lnt_addr *a, struct lnt_strbuf *out)
{
    char text[LNT_ADDR_TEXT];

    lnt_addr_format(a, text, sizeof(text));
    /* "8080" is what people write for it */
    lnt_strbuf_adds(out, text + (strncmp(text, "*:", 2) == 0 ? 2 : 0));
}

/* Appends a number in the unit of the key. */
static void
format_number(enum lnt_type type, int64_t v, struct lnt_strbuf *out)
{
    if (type == LNT_TYPE_SIZE && v >= 0)
        lnt_format_size(out, (uint64_t)v);
    else if (type == LNT_TYPE_DURATION && v >= 0)
        lnt_format_duration(out, (uint64_t)v);
    else if (type == LNT_TYPE_RATE && v >= 0)
        lnt_format_rate(out, (uint64_t)v);
    else
        lnt_strbuf_addf(out, "%" PRId64, v);
}

void
lnt_value_format(const struct lnt_directive *d, const void *data, size_t i,
                 struct lnt_strbuf *out)
{
    const void *from = const_field(d, data);
    const char *name;

    switch (d->type) {
    case LNT_TYPE_FLAG:
        lnt_strbuf_adds(out, *(const bool *)from ? "on" : "off");
        break;
    case LNT_TYPE_INT:
    case LNT_TYPE_SIZE:
    case LNT_TYPE_DURATION:
    case LNT_TYPE_RATE:
    case LNT_TYPE_ENUM:
        name = name_of(d, *(const int64_t *)from);
        if (name)
            lnt_strbuf_adds(out, name);
        else
            format_number(d->type, *(const int64_t *)from, out);
        break;
    case LNT_TYPE_STRING:
    case LNT_TYPE_PATH:
        lnt_strbuf_adds(out, *(const char *const *)from);
        break;
    case LNT_TYPE_LIST:
    case LNT_TYPE_PATHS:
        lnt_strbuf_adds(out, ((const struct lnt_strings *)from)->v[i]);
        break;
    case LNT_TYPE_REGEX:
        lnt_strbuf_adds(out,
                        lnt_regex_pattern(*(struct lnt_regex *const *)from));
        break;
    case LNT_TYPE_REGEXES:
        lnt_strbuf_adds(
            out, lnt_regex_pattern(((const struct lnt_regexes *)from)->v[i]));
        break;
    case LNT_TYPE_ADDRESS:
        format_address(from, out);
        break;
    case LNT_TYPE_ADDRESSES:
        format_address(&((const struct lnt_addrs *)from)->v[i], out);
        break;
    }
}

bool
lnt_value_format_bounds(const struct lnt_directive *d, struct lnt_strbuf *out)
{
    bool upper = d->max > d->min && d->max < INT64_MAX;

    if ((d->min == 0 && d->max == 0) || lnt_value_may_be_empty(d) ||
        d->type == LNT_TYPE_FLAG || d->type == LNT_TYPE_ENUM)
        return false;
    if (d->max == d->min) {
        format_number(d->type, d->min, out);
        return true;
    }
    if (!upper)
        lnt_strbuf_adds(out, "at least ");
    format_number(d->type, d->min, out);
    if (upper) {
        lnt_strbuf_adds(out, " to ");
        format_number(d->type, d->max, out);
    }
    return true;
}

static int
parse_number(const struct lnt_directive *d, const char *text, int64_t *out,
             struct lnt_strbuf *error)
{
    struct lnt_str s = lnt_str_c(text);
    const char *why = NULL;
    uint64_t v = 0;
    int64_t signed_v = 0;
    int rc;

    for (const struct lnt_enum_value *i = d->values; i && i->name; i++) {
        if (strcmp(i->name, text) == 0) {
            *out = i->value;
            return 0;
        }
    }
    if (d->type == LNT_TYPE_ENUM) {
        unknown_name(d, text, error);
        return -1;
    }
    if (d->type == LNT_TYPE_SIZE)
        rc = lnt_parse_size(s, &v, &why);
    else if (d->type == LNT_TYPE_DURATION)
        rc = lnt_parse_duration(s, &v, &why);
    else if (d->type == LNT_TYPE_RATE)
        rc = lnt_parse_rate(s, &v, &why);
    else
        rc = lnt_parse_int(s, &signed_v, &why);
    if (rc < 0) {
        lnt_strbuf_adds(error, why);
        if (d->values)
            lnt_strbuf_adds(error, ", or ");
        add_names(d, error);
        return -1;
    }
    if (d->type != LNT_TYPE_INT) /* the parsers stay below INT64_MAX */
        signed_v = (int64_t)v;
    if (check_bounds(d, signed_v, error) < 0)
        return -1;
    *out = signed_v;
    return 0;
}

static int
parse_address(struct lnt_arena *a, const char *prefix, const char *text,
              struct lnt_addr *out, struct lnt_strbuf *error)
{
    const char *why;

    if (prefix && strncmp(text, "unix:", 5) == 0 && text[5] && text[5] != '/')
        text = lnt_arena_printf(a, "unix:%s/%s", prefix, text + 5);
    if (lnt_addr_parse(out, text, &why) == 0)
        return 0;
    lnt_strbuf_adds(error, why);
    return -1;
}

static struct lnt_regex *
parse_regex(struct lnt_arena *a, const char *text, struct lnt_strbuf *error)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_regex *r = lnt_regex_compile(a, text, &why);

    if (!r)
        lnt_strbuf_addf(error, "expected a PCRE2 pattern: %s",
                        why.p ? why.p : "");
    lnt_strbuf_release(&why);
    return r;
}

static const char *
make_path(struct lnt_arena *a, const struct lnt_directive *d,
          const char *prefix, const char *text)
{
    for (const struct lnt_enum_value *i = d->values; i && i->name; i++) {
        size_t n = strlen(i->name);
        bool begins = n && i->name[n - 1] == ':';

        if (begins ? strncmp(i->name, text, n) == 0
                   : strcmp(i->name, text) == 0)
            return lnt_arena_strdup(a, text);
    }
    if (text[0] == '/' || !prefix || !*prefix)
        return lnt_arena_strdup(a, text);
    return lnt_arena_printf(a, "%s%s%s", prefix,
                            prefix[strlen(prefix) - 1] == '/' ? "" : "/", text);
}

static int
check_bounds(const struct lnt_directive *d, int64_t v, struct lnt_strbuf *error)
{
    bool none = d->min == 0 && d->max == 0;
    bool upper = !none && d->max >= d->min;

    if (v >= d->min && (!upper || v <= d->max))
        return 0;
    lnt_strbuf_adds(error, "must be ");
    if (none)
        lnt_strbuf_adds(error, "0 or more");
    else
        lnt_value_format_bounds(d, error);
    if (d->values)
        lnt_strbuf_adds(error, ", or ");
    add_names(d, error);
    return -1;
}

static void
unknown_name(const struct lnt_directive *d, const char *text,
             struct lnt_strbuf *error)
{
    enum { NAMES_MAX = 32 };
    const char *names[NAMES_MAX + 1];
    size_t n = 0;

    for (; d->values && d->values[n].name && n < NAMES_MAX; n++)
        names[n] = d->values[n].name;
    names[n] = NULL;
    lnt_strbuf_adds(error, n > 1 ? "expected one of " : "expected ");
    add_names(d, error);
    const char *near = lnt_str_nearest(text, names);
    if (near)
        lnt_strbuf_addf(error, "; did you mean \"%s\"?", near);
}

static void
add_names(const struct lnt_directive *d, struct lnt_strbuf *out)
{
    for (const struct lnt_enum_value *i = d->values; i && i->name; i++) {
        lnt_strbuf_adds(out, i->name);
        if (i[1].name)
            lnt_strbuf_adds(out, i[2].name ? ", " : " or ");
    }
}

static const char *
name_of(const struct lnt_directive *d, int64_t v)
{
    for (const struct lnt_enum_value *i = d->values; i && i->name; i++) {
        if (i->value == v)
            return i->name;
    }
    return NULL;
}

/* Room for one more than n: lists are short, and what they outgrow goes with
   the arena. */
static void *
grown(struct lnt_arena *a, void *v, size_t n, size_t size)
{
    if (n & (n - 1)) /* only full at 0, 1, 2, 4, 8 ... */
        return v;
    void *more = lnt_arena_alloc(a, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(more, v, n * size);
    return more;
}
