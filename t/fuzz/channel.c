/*
 * Fuzz target: the decoder of frames between processes.
 */
#include "ipc/channel.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct lnt_frame f = {0};
    const char *why = NULL;
    int rc = lnt_frame_decode(p, n, 7, &f, &why);
    if (rc <= 0) {
        if (rc < 0 && !why)
            abort();
        return 0;
    }
    /* What it accepts must lie inside what it was given. */
    const uint8_t *payload = (const uint8_t *)f.payload.p;
    if (f.type <= 0 || f.type >= LNT_FRAME_TYPES || payload < p ||
        payload + f.payload.n != p + n)
        abort();
    return 0;
}
