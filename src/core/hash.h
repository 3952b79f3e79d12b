/*
 * A keyed 64-bit hash for tables whose keys strangers choose.
 */
#ifndef LNT_CORE_HASH_H
#define LNT_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t lnt_hash(uint64_t key, const void *p, size_t n);

/* Random bytes from the kernel; aborts if there are none to be had. */
void lnt_random(void *p, size_t n);

#endif
