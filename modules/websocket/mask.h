/*
 * Unmasking (RFC 6455, section 5.3).
 */
#ifndef LNT_WEBSOCKET_MASK_H
#define LNT_WEBSOCKET_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes the n bytes at src, unmasked, to dst.  The two may overlap when dst
 * is not above src.  key is the masking key as it lies in the frame, read as
 * a native number.  Returns whether any byte is not ASCII.
 */
bool lnt_ws_unmask(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key);

/* The key for the bytes that follow after n have been unmasked with it. */
static inline uint32_t
lnt_ws_key_after(uint32_t key, size_t n)
{
    unsigned bits = (unsigned)(n & 3) * 8;
    if (bits == 0)
        return key;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return key >> bits | key << (32 - bits);
#else
    return key << bits | key >> (32 - bits);
#endif
}

#endif
