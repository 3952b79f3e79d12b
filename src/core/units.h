/*
 * Numbers as people write them in server.ini.  All return 0, or -1 with *why
 * set to a static text saying what was expected.
 */
#ifndef LNT_CORE_UNITS_H
#define LNT_CORE_UNITS_H

#include <stdint.h>

#include "core/str.h"
#include "core/strbuf.h"

int lnt_parse_int(struct lnt_str s, int64_t *out, const char **why);
/* Bytes: digits and an optional k, m or g (1024s). */
int lnt_parse_size(struct lnt_str s, uint64_t *out, const char **why);
/* Milliseconds: "500ms", "10s", "5m", "2h", "1d"; a bare 0 is 0, any other
   bare number is refused. */
int lnt_parse_duration(struct lnt_str s, uint64_t *ms, const char **why);
/* Events a second, scaled by 1000: "20/s", "30/m", "0" none. */
int lnt_parse_rate(struct lnt_str s, uint64_t *milli, const char **why);
/* on | off | yes | no | true | false */
int lnt_parse_flag(struct lnt_str s, int *out, const char **why);

/* The shortest text that parses back to the value. */
void lnt_format_size(struct lnt_strbuf *b, uint64_t bytes);
void lnt_format_duration(struct lnt_strbuf *b, uint64_t ms);
void lnt_format_rate(struct lnt_strbuf *b, uint64_t milli);

#endif
