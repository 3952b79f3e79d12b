/*
 * The ini reader: files into a flat list of entries with exact places.  Knows
 * nothing of what keys mean.  Text is split by inih; lines are read, checked
 * and counted here, because builds of inih differ in options and split long
 * lines silently.
 *
 * A line: [kind] or [kind name]; key = value; comment behind ; or # at the
 * start, or behind " ;".  Leading blanks mean nothing.
 *
 * In values: ${VAR} and ${VAR:-default} from the environment, ${file:/path}
 * the contents of a file without its last newline (relative paths start at
 * the folder of the file it stands in); "$${" is a literal "${", and
 * "${:-TEXT}" is TEXT as it stands, for " ;" and for blanks at the ends.
 */
#ifndef LNT_CORE_INI_H
#define LNT_CORE_INI_H

#include <stddef.h>

struct lnt_arena;

struct lnt_ini_section {
    const char *kind, *name; /* name is "" for [kind] */
    const char *file;
    unsigned line;
    struct lnt_ini_entry *entries; /* in order of the text */
    struct lnt_ini_section *next;
};

struct lnt_ini_entry {
    const char *key, *value; /* value expanded; NULL when that was not
                                possible, which the report says */
    const char *file;        /* "command line" for -o */
    unsigned line;           /* 0 for -o */
    struct lnt_ini_entry *next;
};

/* Every error and warning found, in order. */
struct lnt_report {
    struct lnt_arena *arena;
    struct lnt_report_line {
        const char *text; /* "file:line: message" */
        struct lnt_report_line *next;
    } * first, **last;
    unsigned errors;
};

void lnt_report_init(struct lnt_report *r, struct lnt_arena *a);
/* line 0 leaves ":line" out, file NULL both. */
void lnt_report_add(struct lnt_report *r, const char *file, unsigned line,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* What is no error, but probably not meant. */
void lnt_report_warn(struct lnt_report *r, const char *file, unsigned line,
                     const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Reads path and the files it includes (key "include" in [server], a glob,
 * relative to the including file; no match is an error unless the pattern has
 * a wildcard; depth 16; a file that includes itself is an error).  Includes do
 * not appear among the entries.  The same [kind name] twice is an error naming
 * both places; a [server] that only includes may stand in any included file.
 * overrides: n texts "section.key=value" or "section name.key=value" that
 * replace what the files say (every entry of that key).  Always returns the
 * list read so far; problems are in the report.  Everything lives in the
 * arena.
 */
struct lnt_ini_section *lnt_ini_load(struct lnt_arena *a, const char *path,
                                     const char *const *overrides, size_t n,
                                     struct lnt_report *report);

#endif
