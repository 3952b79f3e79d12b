/*
 * For tests of the zone, and for the builds of t/lib/Test/Linnet/Builds.pm.
 */
#ifndef LNT_T_ZONE_CHECK_H
#define LNT_T_ZONE_CHECK_H

#include <stdbool.h>

struct lnt_strbuf;
struct lnt_zone;

/* Checks every invariant under the lock; false with a text in why. */
bool lnt_zone_check(struct lnt_zone *z, struct lnt_strbuf *why);

#endif
