/*
 * From a member back to the struct that it is embedded in: what a watch, a
 * timer or a channel belongs to.
 */
#ifndef LNT_CORE_OWNER_H
#define LNT_CORE_OWNER_H

#include <stddef.h>
#include <stdint.h>

/* part points to the member of a type.  Through an integer, as the struct may
   ask for more alignment than its member does. */
#define LNT_OWNER(part, type, member)                                          \
    ((type *)((uintptr_t)(part)-offsetof(type, member)))

/* The same as a function, with the member's offset; NULL stays NULL. */
static inline void *
lnt_owner_or_null(void *part, size_t offset)
{
    return part ? (char *)part - offset : NULL;
}

#endif
