/*
 * JSON text (RFC 8259) as it stands: whether it is well-formed, where a value
 * ends, what a string says.  Builds nothing; numbers stay as they are written.
 */
#ifndef LNT_CORE_JSON_H
#define LNT_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "core/str.h"

struct lnt_strbuf;

enum { LNT_JSON_DEPTH = 128 }; /* arrays and objects in each other */

/*
 * Takes one value, and the blanks around it, off the front of rest; value (may
 * be NULL) is the text without these blanks.  false: there is none, it is not
 * well-formed, not UTF-8, or deeper than LNT_JSON_DEPTH; rest stays as it was.
 */
bool lnt_json_take(struct lnt_str *rest, struct lnt_str *value);
/* Whether text is one value and nothing else. */
bool lnt_json_valid(struct lnt_str text);
/*
 * Appends what a string value says; text is with its quotes and has been taken
 * with the above.  Half of a surrogate pair becomes U+FFFD.  false: it is no
 * string.
 */
bool lnt_json_string(struct lnt_str text, struct lnt_strbuf *out);
/*
 * The elements of an array that is known to be well-formed, one a call: begin
 * with *rest = the array's text; false: there are no more.
 */
bool lnt_json_element(struct lnt_str *rest, struct lnt_str *value);

#endif
