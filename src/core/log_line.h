/*
 * How a log line looks, in each format.  For log.c; writes nothing anywhere.
 */
#ifndef LNT_CORE_LOG_LINE_H
#define LNT_CORE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/log.h"

enum { LNT_LOG_LINE = 4096 }; /* bytes a line has at most, '\n' included */

struct lnt_log_fields {
    enum lnt_level level;
    uint64_t time_us; /* since the epoch */
    pid_t pid;
    int slot;      /* -1: master */
    uint64_t conn; /* 0: none */
    const char *text;
    size_t n;
    bool more; /* text was cut already */
};

/*
 * Each fills line (LNT_LOG_LINE bytes, no NUL) and returns its length.
 * Control characters and what is not UTF-8 are escaped, so that a line is one
 * line and cannot play with a terminal; a text that does not fit ends in
 * "...".  The one for syslog has no '\n'.
 */
size_t lnt_log_line_text(char *line, const struct lnt_log_fields *f);
size_t lnt_log_line_json(char *line, const struct lnt_log_fields *f);
size_t lnt_log_line_syslog(char *line, const struct lnt_log_fields *f);
/* For a person at a terminal: "linnet: [error] text". */
size_t lnt_log_line_short(char *line, const struct lnt_log_fields *f);

#endif
