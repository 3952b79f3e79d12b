/*
 * -T: a configuration as text, with effective values and where each of them
 * came from.  It reads back as the same configuration, but for secrets, which
 * are not shown.
 */
#include <string.h>

#include "core/conf.h"
#include "core/conf_value.h"
#include "core/strbuf.h"

enum {
    COMMENT_COLUMN = 32,
    LINE_MAX_BYTES = 198, /* what inih takes as distributions build it */
};

static void print_directive(const struct lnt_block *b, size_t i,
                            struct lnt_strbuf *out);
static void print_line(const char *key, struct lnt_str value,
                       const struct lnt_origin *origin, struct lnt_strbuf *out);
static void quote(struct lnt_str value, struct lnt_strbuf *out);

void
lnt_conf_print(const struct lnt_section *s, struct lnt_strbuf *out)
{
    for (; s; s = s->next) {
        lnt_strbuf_addf(out, "%s[%s%s%s]\n", out->n ? "\n" : "", s->kind->kind,
                        *s->name ? " " : "", s->name);
        for (const struct lnt_block *b = s->blocks; b; b = b->next) {
            for (size_t i = 0; b->set->directives[i].name; i++)
                print_directive(b, i, out);
        }
    }
}

static void
print_directive(const struct lnt_block *b, size_t i, struct lnt_strbuf *out)
{
    const struct lnt_directive *d = &b->set->directives[i];
    size_t n = lnt_value_count(d, b->data);

    if (b->varies >> i & 1) {
        lnt_strbuf_addf(out, "; %s: as each of its listeners has it\n",
                        d->name);
        return;
    }
    /* A number that is neither given nor has a default is not 0, which might
       be out of bounds. */
    if (!b->origins[i].file && !d->def)
        n = 0;
    if (n == 0)
        print_line(d->name, LNT_STR(""), &b->origins[i], out);
    for (size_t k = 0; k < n; k++) {
        struct lnt_strbuf value = LNT_STRBUF_INIT;

        lnt_value_format(d, b->data, k, &value);
        if (d->secret)
            print_line("; secret", lnt_str_c(d->name), &b->origins[i], out);
        else
            print_line(d->name, lnt_strbuf_str(&value), &b->origins[i], out);
        lnt_strbuf_release(&value);
    }
}

static void
print_line(const char *key, struct lnt_str value,
           const struct lnt_origin *origin, struct lnt_strbuf *out)
{
    struct lnt_strbuf quoted = LNT_STRBUF_INIT;
    size_t start, n;

    quote(value, &quoted);
    n = strlen(key) + strlen(" = ") + quoted.n;
    if (n > LINE_MAX_BYTES)
        lnt_strbuf_addf(out,
                        "; %zu bytes: more than fit on a line, so this comes "
                        "from a variable or a file\n",
                        n);
    start = out->n;
    lnt_strbuf_addf(out, "%s = %s", key, quoted.p ? quoted.p : "");
    lnt_strbuf_release(&quoted);
    do
        lnt_strbuf_addc(out, ' ');
    while (out->n - start < COMMENT_COLUMN);
    if (!origin->file)
        lnt_strbuf_adds(out, "; default\n");
    else if (origin->line)
        lnt_strbuf_addf(out, "; %s:%u\n", origin->file, origin->line);
    else
        lnt_strbuf_addf(out, "; %s\n", origin->file);
}

/* So that what the ini reader would take for a comment, a blank or a variable
   is read as it stands. */
static void
quote(struct lnt_str v, struct lnt_strbuf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        bool blank = v.p[i] == ' ' || v.p[i] == '\t';
        bool after_blank = i == 0 || v.p[i - 1] == ' ' || v.p[i - 1] == '\t';

        if ((blank && (i == 0 || i == v.n - 1)) ||
            (v.p[i] == ';' && after_blank))
            lnt_strbuf_addf(out, "${:-%c}", v.p[i]);
        else if (v.p[i] == '$' && i + 1 < v.n && v.p[i + 1] == '{')
            lnt_strbuf_adds(out, "$$");
        else
            lnt_strbuf_addc(out, v.p[i]);
    }
}
