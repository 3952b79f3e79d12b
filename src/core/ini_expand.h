/*
 * Variables in configuration values; for ini.c.  What can be written is in
 * core/ini.h.
 */
#ifndef LNT_CORE_INI_EXPAND_H
#define LNT_CORE_INI_EXPAND_H

struct lnt_arena;
struct lnt_report;

/*
 * value with its variables replaced, in the arena; NULL when that was not
 * possible or the result is no text, with the reason in the report.  key is
 * for messages; relative paths start at the folder of file (NULL: here).
 */
const char *lnt_ini_expand(struct lnt_arena *a, struct lnt_report *report,
                           const char *file, unsigned line, const char *key,
                           const char *value);

/* path, or when it is relative, path in the folder of file; in the arena. */
const char *lnt_ini_beside(struct lnt_arena *a, const char *file,
                           const char *path);

#endif
