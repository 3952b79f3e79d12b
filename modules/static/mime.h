/*
 * Media types by file name.
 */
#ifndef LNT_STATIC_MIME_H
#define LNT_STATIC_MIME_H

#include <stdbool.h>

/* The type for the name's extension, case folded; application/octet-stream
   when it is not known. */
const char *lnt_static_mime(const char *name);

/* Whether such contents become smaller by compression. */
bool lnt_static_mime_is_text(const char *type);

#endif
