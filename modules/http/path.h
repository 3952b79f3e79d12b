/*
 * The target of a request: its form, and the path in it, decoded and
 * normalised.  RFC 9112 section 3.2, RFC 3986 sections 2.1 and 5.2.4.
 */
#ifndef LNT_HTTP_PATH_H
#define LNT_HTTP_PATH_H

#include <stddef.h>

#include "core/str.h"
#include "modules/http/parse.h"

struct lnt_strbuf;

/*
 * Splits r->target (origin, absolute or asterisk form) and sets path, query
 * and, in absolute form, host.  r->path points into the target where nothing
 * had to be changed, else into room, which must hold target.n + 1 bytes.  For
 * "*" the path is "*".
 *
 * Paths are percent-decoded, then runs of slashes become one and dot segments
 * are resolved; a path that would leave the root is refused.  So are an
 * encoded slash (%2F: whether it separates is undecided in the world, so
 * nothing is to hang on it), encoded control characters, NUL above all, and
 * what is not UTF-8 after decoding.  0, or -1 with *fault.
 */
int lnt_http_read_target(struct lnt_http_request *r, char *room,
                         struct lnt_http_fault *fault);

/* Decodes and normalises one path; out holds in.n + 1 bytes.  Returns the
   length, or -1 with *why. */
long lnt_http_path_normalise(struct lnt_str in, char *out, const char **why);

/* Percent-encodes what a URI path cannot hold as it is. */
void lnt_http_path_encode(struct lnt_strbuf *out, struct lnt_str path);

#endif
