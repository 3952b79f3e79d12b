/*
 * Variables in configuration values: the environment and small files.  What
 * comes out is checked to be one line of UTF-8, so that everything behind can
 * print it.
 */
#include "core/ini_expand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/ini.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "os/file.h"

enum { FILE_MAX = 65536 };

/* A value being expanded, and what messages about it need. */
struct expansion {
    struct lnt_arena *arena;
    struct lnt_report *report;
    const char *file;
    unsigned line;
    const char *key;
    struct lnt_strbuf out;
};

static const char *expand_one(struct expansion *x, const char *p);
static bool expand_variable(struct expansion *x, struct lnt_str inner);
static bool expand_file(struct expansion *x, struct lnt_str path);
static bool is_text(struct expansion *x);
static bool is_variable_name(struct lnt_str s);

const char *
lnt_ini_expand(struct lnt_arena *a, struct lnt_report *report, const char *file,
               unsigned line, const char *key, const char *value)
{
    struct expansion x = {
        .arena = a,
        .report = report,
        .file = file,
        .line = line,
        .key = key,
    };
    const char *result = NULL;

    while (value && *value) {
        const char *dollar = strchr(value, '$');

        if (!dollar)
            dollar = value + strlen(value);
        lnt_strbuf_add(&x.out, value, (size_t)(dollar - value));
        value = *dollar ? expand_one(&x, dollar) : dollar;
    }
    if (value && is_text(&x))
        result = lnt_arena_strndup(a, x.out.p ? x.out.p : "", x.out.n);
    lnt_strbuf_release(&x.out);
    return result;
}

const char *
lnt_ini_beside(struct lnt_arena *a, const char *file, const char *path)
{
    const char *slash = file ? strrchr(file, '/') : NULL;

    if (path[0] == '/' || !slash)
        return lnt_arena_strdup(a, path);
    return lnt_arena_printf(a, "%.*s%s", (int)(slash + 1 - file), file, path);
}

/* p is at a "$".  Returns where the text goes on; NULL when it cannot. */
static const char *
expand_one(struct expansion *x, const char *p)
{
    if (strncmp(p, "$${", 3) == 0) {
        lnt_strbuf_adds(&x->out, "${");
        return p + 3;
    }
    if (p[1] != '{') {
        lnt_strbuf_addc(&x->out, '$');
        return p + 1;
    }
    const char *end = strchr(p, '}');
    if (!end) {
        lnt_report_add(x->report, x->file, x->line,
                       "\"%s\": \"${\" without \"}\"; write \"$${\" for a "
                       "\"${\" that is meant as it stands",
                       x->key);
        return NULL;
    }
    struct lnt_str inner = lnt_str(p + 2, (size_t)(end - p - 2));
    bool done = inner.n > 5 && memcmp(inner.p, "file:", 5) == 0
                    ? expand_file(x, lnt_str(inner.p + 5, inner.n - 5))
                    : expand_variable(x, inner);
    return done ? end + 1 : NULL;
}

static bool
expand_variable(struct expansion *x, struct lnt_str inner)
{
    const char *minus = memmem(inner.p, inner.n, ":-", 2);
    struct lnt_str name =
        lnt_str(inner.p, minus ? (size_t)(minus - inner.p) : inner.n);

    if (!is_variable_name(name) && !(minus && name.n == 0)) {
        lnt_report_add(x->report, x->file, x->line,
                       "\"%s\": ${%.*s}: expected ${NAME}, ${NAME:-default} "
                       "or ${file:/path}; write \"$${\" for a \"${\" that is "
                       "meant as it stands",
                       x->key, LNT_STR_ARG(inner));
        return false;
    }
    char *c_name = lnt_strndup(name.p, name.n);
    const char *value = name.n ? getenv(c_name) : NULL;
    free(c_name);
    if (value && (*value || !minus)) {
        lnt_strbuf_adds(&x->out, value);
    } else if (minus) {
        lnt_strbuf_add(&x->out, minus + 2,
                       inner.n - (size_t)(minus + 2 - inner.p));
    } else {
        lnt_report_add(x->report, x->file, x->line,
                       "\"%s\": the environment has no %.*s; set it, or write "
                       "${%.*s:-default}",
                       x->key, LNT_STR_ARG(name), LNT_STR_ARG(name));
        return false;
    }
    return true;
}

static bool
expand_file(struct expansion *x, struct lnt_str path)
{
    char *c_path = lnt_strndup(path.p, path.n);
    const char *full = lnt_ini_beside(x->arena, x->file, c_path);
    size_t n;
    char *text = lnt_file_read(full, FILE_MAX, &n);

    free(c_path);
    if (!text) {
        lnt_report_add(
            x->report, x->file, x->line, "\"%s\": cannot read %s: %s", x->key,
            full, errno == EFBIG ? "it has more than 64k" : strerror(errno));
        return false;
    }
    if (n && text[n - 1] == '\n')
        n--;
    if (n && text[n - 1] == '\r')
        n--;
    lnt_strbuf_add(&x->out, text, n);
    free(text);
    return true;
}

static bool
is_text(struct expansion *x)
{
    struct lnt_str s = lnt_strbuf_str(&x->out);

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            continue;
        lnt_report_add(x->report, x->file, x->line,
                       "\"%s\": the value has a control character (0x%02x); "
                       "it must be one line of text",
                       x->key, c);
        return false;
    }
    if (!lnt_utf8_valid(s.p, s.n)) {
        lnt_report_add(x->report, x->file, x->line,
                       "\"%s\": the value is not UTF-8", x->key);
        return false;
    }
    return true;
}

static bool
is_variable_name(struct lnt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return s.n > 0;
}
