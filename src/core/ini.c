/*
 * The ini reader: files into a list of sections and entries.  Reads, counts
 * and checks the lines itself and lets inih split them, so that nothing
 * depends on how a distribution has built inih.  Variables are ini_expand.c's;
 * what keys mean is left to conf.c.
 */
#include "core/ini.h"

#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/arena.h"
#include "core/ini_expand.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "os/file.h"

enum {
    TEXT_MAX = 4 << 20, /* bytes of one file */
    HEADER_MAX = 48,    /* bytes between the brackets; inih keeps 49 */
    DEPTH_MAX = 16,
};

/* A section with the end of its list. */
struct section {
    struct lnt_ini_section s;
    struct lnt_ini_entry **last;
};

struct load {
    struct lnt_arena *arena;
    struct lnt_report *report;
    struct lnt_ini_section *first, **last;
};

/* One file being read. */
struct source {
    struct load *load;
    struct source *up; /* the file that includes this one */
    const char *file;
    dev_t dev;
    ino_t ino;
    const char *p, *end; /* text not yet read */
    unsigned line;
    struct section *section; /* NULL before the first and in a bad one */
    bool began;              /* a header was seen, good or bad */
    bool pending;  /* section is a [server] that has only included so far */
    bool included; /* and it has */
};

static void load_file(struct load *l, const char *path, struct source *up);
static char *next_line(char *out, int size, void *arg);
static bool check_line(struct source *s, struct lnt_str line, size_t room);
static struct lnt_str without_comment(struct lnt_str line);
static bool check_entry(struct source *s, struct lnt_str line, size_t room);
static void begin_section(struct source *s, struct lnt_str line);
static bool split_header(struct lnt_str text, struct lnt_str *kind,
                         struct lnt_str *name);
static void link_section(struct source *s);
static void end_section(struct source *s);
static int on_entry(void *arg, const char *section, const char *key,
                    const char *value);
static void include(struct source *s, const char *pattern);
static struct section *new_section(struct load *l, struct lnt_str kind,
                                   struct lnt_str name, const char *file,
                                   unsigned line);
static struct section *find_section(struct load *l, const char *kind,
                                    const char *name);
static void add_entry(struct load *l, struct section *section,
                      struct lnt_str key, const char *value, const char *file,
                      unsigned line);
static void apply_override(struct load *l, const char *text);

static const char command_line[] = "command line";

struct lnt_ini_section *
lnt_ini_load(struct lnt_arena *a, const char *path,
             const char *const *overrides, size_t n, struct lnt_report *report)
{
    struct load l = {.arena = a, .report = report};

    l.last = &l.first;
    load_file(&l, path, NULL);
    for (size_t i = 0; i < n; i++)
        apply_override(&l, overrides[i]);
    return l.first;
}

static void
load_file(struct load *l, const char *path, struct source *up)
{
    struct source s = {.load = l, .up = up};
    struct stat st;
    size_t n = 0, depth = 0;
    const char *from = up ? up->file : NULL;
    unsigned line = up ? up->line : 0;

    s.file = lnt_arena_strdup(l->arena, path);
    char *text = lnt_file_read(path, TEXT_MAX, &n);
    if (!text || stat(path, &st) < 0) {
        const char *why = errno == EFBIG    ? "it has more than 4m"
                          : errno == EINVAL ? "it is not a regular file"
                                            : strerror(errno);

        if (up)
            lnt_report_add(l->report, from, line, "cannot include %s: %s", path,
                           why);
        else
            lnt_report_add(l->report, path, 0, "cannot read it: %s", why);
        free(text);
        return;
    }
    s.dev = st.st_dev;
    s.ino = st.st_ino;
    for (struct source *i = up; i; i = i->up, depth++) {
        if (i->dev != s.dev || i->ino != s.ino)
            continue;
        lnt_report_add(l->report, from, line,
                       "%s would include itself; remove one of the includes",
                       path);
        free(text);
        return;
    }
    if (depth > DEPTH_MAX) {
        lnt_report_add(l->report, from, line,
                       "cannot include %s: files include each other more "
                       "than %d deep",
                       path, DEPTH_MAX);
        free(text);
        return;
    }
    s.p = text;
    s.end = text + n;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        s.p += 3; /* a byte order mark */
    int rc = ini_parse_stream(next_line, &s, on_entry, &s);
    end_section(&s);
    if (rc != 0) /* lines are checked before, so this is memory */
        lnt_report_add(l->report, s.file, rc > 0 ? (unsigned)rc : 0,
                       "inih cannot read this");
    free(text);
}

/*
 * For inih, like fgets: one line, always whole and ended by "\n".  A line that
 * is not for inih, or is refused here, reads as an empty one.
 */
static char *
next_line(char *out, int size, void *arg)
{
    struct source *s = arg;
    size_t room = size > 2 ? (size_t)size - 2 : 0; /* "\n" and NUL */

    if (s->p == s->end)
        return NULL;
    s->line++;
    size_t left = (size_t)(s->end - s->p);
    const char *nl = memchr(s->p, '\n', left);
    struct lnt_str line = lnt_str(s->p, nl ? (size_t)(nl - s->p) : left);
    s->p = nl ? nl + 1 : s->end;

    if (memchr(line.p, '\0', line.n)) {
        lnt_report_add(s->load->report, s->file, s->line,
                       "a NUL byte: this is not a text file in UTF-8; the "
                       "rest of it is not read");
        s->p = s->end;
        return NULL;
    }
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    line = without_comment(lnt_str_trim(line));
    if (!check_line(s, line, room))
        line.n = 0;
    memcpy(out, line.p, line.n);
    out[line.n] = '\n';
    out[line.n + 1] = '\0';
    return out;
}

/* Whether the line is one that inih should see. */
static bool
check_line(struct source *s, struct lnt_str line, size_t room)
{
    if (line.n == 0)
        return false;
    if (line.p[0] == '[') {
        begin_section(s, line);
        return false;
    }
    if (!s->began) {
        lnt_report_add(s->load->report, s->file, s->line,
                       "an entry before the first section; begin with "
                       "[server] or another one");
        return false;
    }
    return check_entry(s, line, room);
}

static inline bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool
is_key(struct lnt_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_word(s.p[i]) && s.p[i] != '.')
            return false;
    }
    return s.n > 0;
}

/* Behind ";" or "#" at the start, behind " ;" elsewhere. */
static struct lnt_str
without_comment(struct lnt_str line)
{
    if (line.n && line.p[0] == '#')
        return lnt_str(line.p, 0);
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == ';' &&
            (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
            return lnt_str_trim(lnt_str(line.p, i));
    }
    return line;
}

static bool
check_entry(struct source *s, struct lnt_str line, size_t room)
{
    struct lnt_report *report = s->load->report;
    size_t i = 0;

    /* ":" would do for inih, too: "a:b = c" must not become "a". */
    while (i < line.n && line.p[i] != '=' && line.p[i] != ':')
        i++;
    if (i == line.n || line.p[i] != '=') {
        lnt_report_add(report, s->file, s->line, "expected name = value");
        return false;
    }
    struct lnt_str key = lnt_str_trim(lnt_str(line.p, i));
    if (!is_key(key)) {
        lnt_report_add(report, s->file, s->line,
                       "expected name = value, where a name has letters, "
                       "digits, \"_\", \"-\" and \".\" only");
        return false;
    }
    if (line.n <= room)
        return true;
    lnt_report_add(report, s->file, s->line,
                   "the line has %zu bytes, at most %zu fit; put the value "
                   "into a file: ${file:/path}",
                   line.n, room);
    /* the key was written, so nobody needs to hear that it is missing */
    if (s->section && !lnt_str_eq(key, LNT_STR("include"))) {
        link_section(s);
        if (s->section)
            add_entry(s->load, s->section, key, NULL, s->file, s->line);
    }
    return false;
}

static void
begin_section(struct source *s, struct lnt_str line)
{
    struct lnt_report *report = s->load->report;
    const char *close = memchr(line.p, ']', line.n);
    struct lnt_str inner, rest, kind, name;

    end_section(s);
    s->began = true;
    if (!close) {
        lnt_report_add(report, s->file, s->line,
                       "\"[\" without \"]\"; expected [kind] or [kind name]");
        return;
    }
    inner = lnt_str(line.p + 1, (size_t)(close - line.p - 1));
    rest =
        lnt_str_trim(lnt_str(close + 1, line.n - (size_t)(close + 1 - line.p)));
    if (inner.n > HEADER_MAX) {
        lnt_report_add(report, s->file, s->line,
                       "the section's name has %zu bytes, at most %d fit",
                       inner.n, HEADER_MAX);
        return;
    }
    if (!split_header(inner, &kind, &name)) {
        lnt_report_add(report, s->file, s->line,
                       "[%.*s]: expected [kind] or [kind name], where a kind "
                       "has letters, digits, \"_\" and \"-\", and a name no "
                       "blanks",
                       LNT_STR_ARG(inner));
        return;
    }
    if (rest.n && rest.p[0] != ';') {
        lnt_report_add(report, s->file, s->line,
                       "expected nothing behind [%.*s] on its line",
                       LNT_STR_ARG(inner));
        return;
    }
    s->section = new_section(s->load, kind, name, s->file, s->line);
    s->pending = true;
    s->included = false;
    /* A [server] of an included file may be there only to include more. */
    if (!s->up || !lnt_str_eq(kind, LNT_STR("server")) || name.n)
        link_section(s);
}

/* "kind" or "kind name" */
static bool
split_header(struct lnt_str text, struct lnt_str *kind, struct lnt_str *name)
{
    size_t n = 0;

    text = lnt_str_trim(text);
    while (n < text.n && text.p[n] != ' ' && text.p[n] != '\t')
        n++;
    *kind = lnt_str(text.p, n);
    *name = lnt_str_trim(lnt_str(text.p + n, text.n - n));
    for (size_t i = 0; i < kind->n; i++) {
        if (!is_word(kind->p[i]))
            return false;
    }
    for (size_t i = 0; i < name->n; i++) {
        unsigned char c = (unsigned char)name->p[i];

        if (c <= 0x20 || c == 0x7f || c == ';' || c == '[' || c == ']')
            return false;
    }
    return kind->n > 0 && lnt_utf8_valid(name->p, name->n);
}

/* Puts the current section into the list, unless there is one like it. */
static void
link_section(struct source *s)
{
    struct load *l = s->load;
    struct lnt_ini_section *now = &s->section->s;
    struct section *same;

    if (!s->pending)
        return;
    s->pending = false;
    same = find_section(l, now->kind, now->name);
    if (same) {
        lnt_report_add(l->report, now->file, now->line,
                       "[%s%s%s] stands here again; the first one is at %s:%u",
                       now->kind, *now->name ? " " : "", now->name,
                       same->s.file, same->s.line);
        s->section = NULL; /* skips what is in it */
        return;
    }
    *l->last = now;
    l->last = &now->next;
}

static void
end_section(struct source *s)
{
    if (s->section && !s->included)
        link_section(s);
    s->section = NULL;
    s->pending = false;
}

/* From inih: an entry of the line just read. */
static int
on_entry(void *arg, const char *section, const char *key, const char *value)
{
    struct source *s = arg;
    struct load *l = s->load;

    (void)section; /* inih has not been shown any */
    if (!s->section)
        return 1;
    const char *expanded =
        lnt_ini_expand(l->arena, l->report, s->file, s->line, key, value);
    if (strcmp(s->section->s.kind, "server") == 0 &&
        strcmp(key, "include") == 0) {
        s->included = true;
        if (expanded && *expanded)
            include(s, expanded);
        return 1;
    }
    link_section(s);
    if (s->section)
        add_entry(l, s->section, lnt_str_c(key), expanded, s->file, s->line);
    return 1;
}

static void
include(struct source *s, const char *pattern)
{
    struct load *l = s->load;
    struct lnt_strbuf escaped = LNT_STRBUF_INIT;
    glob_t found = {0};

    if (!strpbrk(pattern, "*?[")) {
        load_file(l, lnt_ini_beside(l->arena, s->file, pattern), s);
        return;
    }
    /* The folder of this file is no pattern, whatever its name is. */
    const char *slash = strrchr(s->file, '/');
    if (pattern[0] != '/' && slash) {
        for (const char *p = s->file; p <= slash; p++) {
            if (strchr("*?[\\", *p))
                lnt_strbuf_addc(&escaped, '\\');
            lnt_strbuf_addc(&escaped, *p);
        }
    }
    lnt_strbuf_adds(&escaped, pattern);
    int rc = glob(escaped.p, 0, NULL, &found);
    if (rc == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            load_file(l, found.gl_pathv[i], s);
    } else if (rc != GLOB_NOMATCH) {
        lnt_report_add(
            l->report, s->file, s->line, "cannot look for %s: %s", pattern,
            rc == GLOB_NOSPACE ? "out of memory" : "a folder cannot be read");
    }
    globfree(&found);
    lnt_strbuf_release(&escaped);
}

static struct section *
new_section(struct load *l, struct lnt_str kind, struct lnt_str name,
            const char *file, unsigned line)
{
    struct section *s = lnt_arena_alloc(l->arena, sizeof(*s));

    s->s.kind = lnt_arena_strndup(l->arena, kind.p, kind.n);
    s->s.name = lnt_arena_strndup(l->arena, name.n ? name.p : "", name.n);
    s->s.file = file;
    s->s.line = line;
    s->last = &s->s.entries;
    return s;
}

static struct section *
find_section(struct load *l, const char *kind, const char *name)
{
    for (struct lnt_ini_section *i = l->first; i; i = i->next) {
        if (strcmp(i->kind, kind) == 0 && strcmp(i->name, name) == 0)
            return (struct section *)i; /* its first member */
    }
    return NULL;
}

static void
add_entry(struct load *l, struct section *section, struct lnt_str key,
          const char *value, const char *file, unsigned line)
{
    struct lnt_ini_entry *e = lnt_arena_alloc(l->arena, sizeof(*e));

    e->key = lnt_arena_strndup(l->arena, key.p, key.n);
    e->value = value;
    e->file = file;
    e->line = line;
    *section->last = e;
    section->last = &e->next;
}

/* "section.key=value": the last dot before "=" divides, because names may
   have dots. */
static void
apply_override(struct load *l, const char *text)
{
    const char *equals = strchr(text, '=');
    const char *dot =
        equals ? memrchr(text, '.', (size_t)(equals - text)) : NULL;
    struct lnt_str head, key, kind, name;

    if (dot) {
        head = lnt_str_trim(lnt_str(text, (size_t)(dot - text)));
        key = lnt_str_trim(lnt_str(dot + 1, (size_t)(equals - dot - 1)));
    }
    if (!dot || !is_key(key) || head.n > HEADER_MAX ||
        !split_header(head, &kind, &name)) {
        lnt_report_add(l->report, command_line, 0,
                       "-o \"%s\": expected section.key=value or \"section "
                       "name.key=value\"",
                       text);
        return;
    }
    if (lnt_str_eq(kind, LNT_STR("server")) &&
        lnt_str_eq(key, LNT_STR("include"))) {
        lnt_report_add(l->report, command_line, 0,
                       "-o \"%s\": \"include\" works in files only", text);
        return;
    }
    char *c_key = lnt_strndup(key.p, key.n);
    struct lnt_str value = lnt_str_trim(lnt_str_c(equals + 1));
    char *c_value = lnt_strndup(value.p, value.n);
    const char *expanded =
        lnt_ini_expand(l->arena, l->report, command_line, 0, c_key, c_value);
    free(c_value);

    struct section *wanted = new_section(l, kind, name, command_line, 0);
    struct section *s = find_section(l, wanted->s.kind, wanted->s.name);
    if (!s) {
        s = wanted;
        *l->last = &s->s;
        l->last = &s->s.next;
    }
    /* What files say goes; what -o said before stays, so that -o can give
       several values to a list. */
    s->last = &s->s.entries;
    while (*s->last) {
        struct lnt_ini_entry *e = *s->last;

        if (e->file != command_line && strcmp(e->key, c_key) == 0)
            *s->last = e->next;
        else
            s->last = &e->next;
    }
    free(c_key);
    add_entry(l, s, key, expanded, command_line, 0);
}
