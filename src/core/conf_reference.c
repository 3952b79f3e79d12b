/*
 * The reference manual in Markdown, from the same tables that parse.
 */
#include "core/conf_schema.h"
#include "core/conf_value.h"
#include "core/strbuf.h"

static void print_kind(const struct lnt_schema *s,
                       const struct lnt_section_kind *kind,
                       struct lnt_strbuf *out);
static void print_row(const struct lnt_directive_set *set,
                      const struct lnt_directive *d, struct lnt_strbuf *out);
static void print_values(const struct lnt_directive *d, struct lnt_strbuf *out);
static const char *type_name(enum lnt_type type);
static void add_cell(struct lnt_strbuf *out, const char *text);

void
lnt_schema_reference(const struct lnt_schema *s, struct lnt_strbuf *out)
{
    for (const struct lnt_schema_kind *k = s->kinds; k; k = k->next)
        print_kind(s, k->kind, out);
}

static void
print_kind(const struct lnt_schema *s, const struct lnt_section_kind *kind,
           struct lnt_strbuf *out)
{
    const struct lnt_directive_set *set;

    lnt_strbuf_addf(out, "%s## [%s%s]\n\n", out->n ? "\n" : "", kind->kind,
                    kind->named ? " NAME" : "");
    if (kind->help)
        lnt_strbuf_addf(out, "%s\n\n", kind->help);
    if (kind->named)
        lnt_strbuf_adds(out, "May stand any number of times, each with a "
                             "name of its own.\n\n");
    if (!lnt_schema_set(s, kind->kind, 0))
        return;
    lnt_strbuf_adds(out, "| key | type | default | values | meaning | from |\n"
                         "|---|---|---|---|---|---|\n");
    for (size_t i = 0; (set = lnt_schema_set(s, kind->kind, i)); i++) {
        for (const struct lnt_directive *d = set->directives; d->name; d++)
            print_row(set, d, out);
    }
}

static void
print_row(const struct lnt_directive_set *set, const struct lnt_directive *d,
          struct lnt_strbuf *out)
{
    lnt_strbuf_addf(out, "| `%s` | %s%s | ", d->name, type_name(d->type),
                    lnt_value_is_list(d) ? ", may be repeated" : "");
    if (d->required) {
        lnt_strbuf_adds(out, "required");
    } else if (d->def && *d->def) {
        lnt_strbuf_addc(out, '`');
        add_cell(out, d->def);
        lnt_strbuf_addc(out, '`');
    }
    lnt_strbuf_adds(out, " | ");
    print_values(d, out);
    lnt_strbuf_adds(out, " | ");
    add_cell(out, d->help ? d->help : "");
    lnt_strbuf_adds(out, " | ");
    add_cell(out, set->owner ? set->owner : "core");
    lnt_strbuf_adds(out, " |\n");
}

static void
print_values(const struct lnt_directive *d, struct lnt_strbuf *out)
{
    bool more = lnt_value_format_bounds(d, out);

    if (d->type == LNT_TYPE_FLAG)
        lnt_strbuf_adds(out, "`on`, `off`");
    for (const struct lnt_enum_value *v = d->values; v && v->name; v++) {
        lnt_strbuf_addf(out, "%s`", more ? ", " : "");
        add_cell(out, v->name);
        lnt_strbuf_addc(out, '`');
        more = true;
    }
}

static const char *
type_name(enum lnt_type type)
{
    switch (type) {
    case LNT_TYPE_FLAG:
        return "flag";
    case LNT_TYPE_INT:
        return "number";
    case LNT_TYPE_SIZE:
        return "size";
    case LNT_TYPE_DURATION:
        return "duration";
    case LNT_TYPE_RATE:
        return "rate";
    case LNT_TYPE_ENUM:
        return "one of";
    case LNT_TYPE_STRING:
    case LNT_TYPE_LIST:
        return "text";
    case LNT_TYPE_PATH:
    case LNT_TYPE_PATHS:
        return "path";
    case LNT_TYPE_REGEX:
    case LNT_TYPE_REGEXES:
        return "pattern";
    case LNT_TYPE_ADDRESS:
    case LNT_TYPE_ADDRESSES:
        return "address";
    }
    return "";
}

/* "|" would end the cell, a line break the table. */
static void
add_cell(struct lnt_strbuf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            lnt_strbuf_addc(out, '\\');
        lnt_strbuf_addc(out, *text == '\n' ? ' ' : *text);
    }
}
