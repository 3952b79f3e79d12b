/*
 * The ini reader under arbitrary files and -o options.  Input: a file, then
 * options, each behind a byte 0x1e.  Whatever comes: keys are keys, values and
 * errors are one line of UTF-8, lines are counted right, and no section stands
 * there twice.
 */
#include "core/ini.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS_MAX = 8 };

static void
check_text(const char *text, bool tabs)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 && !(tabs && *p == '\t'))
            abort();
    }
    if (!lnt_utf8_valid(text, strlen(text)))
        abort();
}

static void
check_section(const struct lnt_ini_section *s, size_t lines)
{
    unsigned last = s->line;

    check_text(s->kind, false);
    check_text(s->name, false);
    if (!*s->kind || strpbrk(s->kind, " \t[]") || strpbrk(s->name, " \t[]") ||
        s->line > lines)
        abort();
    for (const struct lnt_ini_section *o = s->next; o; o = o->next) {
        if (strcmp(o->kind, s->kind) == 0 && strcmp(o->name, s->name) == 0)
            abort();
    }
    for (const struct lnt_ini_entry *e = s->entries; e; e = e->next) {
        check_text(e->key, false);
        if (!*e->key || e->line > lines || (e->line && e->line <= last))
            abort();
        if (e->value)
            check_text(e->value, true);
        if (e->line)
            last = e->line;
    }
}

static void
run(const char *path, const char *const *options, size_t n, size_t lines)
{
    struct lnt_arena *a = lnt_arena_new();
    struct lnt_report report;
    unsigned errors = 0;

    lnt_report_init(&report, a);
    for (const struct lnt_ini_section *s =
             lnt_ini_load(a, path, options, n, &report);
         s; s = s->next)
        check_section(s, lines);
    for (const struct lnt_report_line *l = report.first; l; l = l->next) {
        check_text(l->text, false);
        errors++;
    }
    if (errors != report.errors)
        abort();
    lnt_arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0x1e, size) : NULL;
    size_t file = end ? (size_t)(end - data) : size, lines = 1, n = 0;
    const char *options[OPTIONS_MAX];
    char path[64];

    /* A pattern could walk through the whole machine, and another file has
       lines of its own. */
    if (memmem(data, size, "include", 7))
        return 0;
    for (size_t i = 0; i < file; i++)
        lines += data[i] == '\n';
    char *rest = calloc(1, size - file + 1);
    if (end)
        memcpy(rest, end + 1, size - file - 1);
    for (char *p = end ? rest : NULL; p && n < OPTIONS_MAX;) {
        options[n++] = p;
        p = strchr(p, 0x1e);
        if (p)
            *p++ = '\0';
    }
    setenv("LNT_FUZZ", "value ;of", 1);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, file) != (ssize_t)file)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    run(path, options, n, lines);
    close(fd);
    free(rest);
    return 0;
}
