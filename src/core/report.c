/*
 * The report: every problem found in a configuration, each with its place.
 * Who prints it, and what happens then, is left to callers.
 */
#include <stdarg.h>

#include "core/arena.h"
#include "core/ini.h"
#include "core/strbuf.h"
#include "core/utf8.h"

static void add_line(struct lnt_report *r, const char *file, unsigned line,
                     const char *kind, const char *fmt, va_list ap)
    __attribute__((format(printf, 5, 0)));
static void make_printable(struct lnt_strbuf *text);

void
lnt_report_init(struct lnt_report *r, struct lnt_arena *a)
{
    *r = (struct lnt_report){.arena = a};
    r->last = &r->first;
}

void
lnt_report_add(struct lnt_report *r, const char *file, unsigned line,
               const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_line(r, file, line, "", fmt, ap);
    va_end(ap);
    r->errors++;
}

void
lnt_report_warn(struct lnt_report *r, const char *file, unsigned line,
                const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_line(r, file, line, "warning: ", fmt, ap);
    va_end(ap);
}

static void
add_line(struct lnt_report *r, const char *file, unsigned line,
         const char *kind, const char *fmt, va_list ap)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    struct lnt_report_line *l = lnt_arena_alloc(r->arena, sizeof(*l));

    if (file && line)
        lnt_strbuf_addf(&text, "%s:%u: ", file, line);
    else if (file)
        lnt_strbuf_addf(&text, "%s: ", file);
    lnt_strbuf_adds(&text, kind);
    lnt_strbuf_vaddf(&text, fmt, ap);
    make_printable(&text);
    l->text = lnt_arena_strndup(r->arena, text.p, text.n);
    lnt_strbuf_release(&text);
    *r->last = l;
    r->last = &l->next;
}

/* It goes to terminals and into JSON, and it quotes what somebody wrote. */
static void
make_printable(struct lnt_strbuf *text)
{
    bool utf8 = lnt_utf8_valid(text->p, text->n);

    for (size_t i = 0; i < text->n; i++) {
        unsigned char c = (unsigned char)text->p[i];

        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            text->p[i] = '?';
    }
}
