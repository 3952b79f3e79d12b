/*
 * Places in the configuration, for messages about what it asks for.
 */
#ifndef LNT_CONFIG_PLACE_H
#define LNT_CONFIG_PLACE_H

#include "core/conf.h"

struct lnt_config;
struct lnt_strbuf;

/* Where a key of a section that has no name was written; the section's place,
   or server.ini as a whole, when it was not. */
struct lnt_origin lnt_place_of(const struct lnt_config *c, const char *kind,
                               const char *key);
/* "server.ini:7", "command line", or "default". */
void lnt_place_add_origin(const struct lnt_origin *o, struct lnt_strbuf *out);
/* lnt_place_of as the beginning of a message: "server.ini:7: [log] error: ". */
void lnt_place_add(const struct lnt_config *c, const char *kind,
                   const char *key, struct lnt_strbuf *out);

#endif
