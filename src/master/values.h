/*
 * The master's half of the dict: it orders changes and tells all workers.
 */
#ifndef LNT_MASTER_VALUES_H
#define LNT_MASTER_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_child;
struct lnt_master;
struct lnt_strbuf;

/*
 * Makes a change (value NULL: unset; of what is not set, that is an error) and
 * sends it to every worker.  true with its version, or false with why.
 */
bool lnt_values_change(struct lnt_master *m, struct lnt_str key,
                       const struct lnt_str *value, uint64_t *version,
                       struct lnt_strbuf *why);
/* All values for a new worker. */
void lnt_values_snapshot(struct lnt_master *m, struct lnt_child *c);
/* The value, as far as it is text; else false and why not. */
bool lnt_values_show(const struct lnt_master *m, struct lnt_str key,
                     struct lnt_strbuf *out);
/* Lines "key = value" of all; what is not a line of text by its size. */
void lnt_values_list(const struct lnt_master *m, struct lnt_strbuf *out);

#endif
