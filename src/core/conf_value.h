/*
 * One value: from text into a field and back; for the conf_*.c files.
 */
#ifndef LNT_CORE_CONF_VALUE_H
#define LNT_CORE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/conf.h"

struct lnt_arena;
struct lnt_strbuf;

/* Whether the key may be repeated. */
bool lnt_value_is_list(const struct lnt_directive *d);
/* Whether an empty text is a value (of strings, lists and the like). */
bool lnt_value_may_be_empty(const struct lnt_directive *d);
/* Bytes of the field. */
size_t lnt_value_size(const struct lnt_directive *d);

/*
 * Stores text in the directive's field of the struct data; appends to a list.
 * 0, or -1 with what is wrong in error ("expected ...", "must be ...").
 */
int lnt_value_parse(struct lnt_arena *a, const struct lnt_directive *d,
                    const char *prefix, const char *text, void *data,
                    struct lnt_strbuf *error);

/* How many texts the field needs: 0 empty, 1, more for lists. */
size_t lnt_value_count(const struct lnt_directive *d, const void *data);
/* Appends the i-th as a user would write it, but for quoting. */
void lnt_value_format(const struct lnt_directive *d, const void *data, size_t i,
                      struct lnt_strbuf *out);

/* Appends the bounds: "1k to 64m", "at least 1"; false when there are none
   but that numbers are not negative. */
bool lnt_value_format_bounds(const struct lnt_directive *d,
                             struct lnt_strbuf *out);

#endif
