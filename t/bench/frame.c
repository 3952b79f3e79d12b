/*
 * WebSocket frames: out with a mask, in without one.
 */
#include "t/bench/frame.h"

#include <string.h>
#include <zlib.h>

enum { INFLATED_MAX = 2 * 1024 * 1024 };

uint32_t
frame_random(void)
{
    static uint64_t state = 0x2545f4914f6cdd1du;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

size_t
frame_write(uint8_t *to, unsigned opcode, const void *p, size_t n)
{
    const uint8_t *from = p;
    uint8_t key[4];
    uint8_t *at = to;
    uint32_t random = frame_random();
    memcpy(key, &random, sizeof(key));
    *at++ = (uint8_t)(0x80 | opcode);
    if (n < 126) {
        *at++ = (uint8_t)(0x80 | n);
    } else if (n < 65536) {
        *at++ = 0x80 | 126;
        *at++ = (uint8_t)(n >> 8);
        *at++ = (uint8_t)n;
    } else {
        *at++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *at++ = (uint8_t)((uint64_t)n >> shift);
    }
    memcpy(at, key, sizeof(key));
    at += sizeof(key);
    for (size_t i = 0; i < n; i++)
        *at++ = from[i] ^ key[i % 4];
    return (size_t)(at - to);
}

/* How many bytes of length follow the first two. */
static size_t
long_length(uint8_t second)
{
    return second == 126 ? 2 : second == 127 ? 8 : 0;
}

static int
is_known(unsigned opcode)
{
    return opcode == FRAME_TEXT || opcode == FRAME_BINARY ||
           (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
}

int
frame_read(struct frame *f, const uint8_t *p, size_t n, bool deflate)
{
    if (n < 2)
        return 0;
    f->opcode = p[0] & 15;
    f->compressed = (p[0] & 0x40) != 0;
    /* Whole messages, no mask: that is all that these servers send. */
    if ((p[0] & 0xb0) != 0x80 || (p[1] & 0x80) || !is_known(f->opcode))
        return -1;
    if (f->compressed && (!deflate || f->opcode >= FRAME_CLOSE))
        return -1;
    f->head = 2 + long_length(p[1]);
    if (f->head == 2) {
        f->n = p[1];
        return 1;
    }
    if (f->opcode >= FRAME_CLOSE)
        return -1;
    if (n < f->head)
        return 0;
    uint64_t length = 0;
    for (size_t i = 2; i < f->head; i++)
        length = length << 8 | p[i];
    if (length < (f->head == 4 ? 126 : 65536) || length > SIZE_MAX / 2)
        return -1;
    f->n = (size_t)length;
    return 1;
}

const uint8_t *
frame_inflate(const uint8_t *p, size_t n, size_t *size)
{
    static uint8_t text[INFLATED_MAX];
    static const uint8_t tail[4] = {0, 0, 255, 255};
    static z_stream z;
    static bool ready;
    if (!ready && inflateInit2(&z, -15) != Z_OK)
        return NULL;
    ready = true;
    if (inflateReset(&z) != Z_OK)
        return NULL;
    z.next_out = text;
    z.avail_out = sizeof(text);
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    int got = inflate(&z, Z_NO_FLUSH);
    if (got == Z_OK || got == Z_BUF_ERROR) {
        z.next_in = (Bytef *)(uintptr_t)tail;
        z.avail_in = sizeof(tail);
        got = inflate(&z, Z_SYNC_FLUSH);
    }
    if ((got != Z_OK && got != Z_BUF_ERROR) || z.avail_in || !z.avail_out)
        return NULL;
    *size = sizeof(text) - z.avail_out;
    return text;
}
