/*
 * Entries into a frame, and connections out of frames.
 */
#include "worker/arrival.h"

#include <unistd.h>

#include "core/pack.h"

void
lnt_entry_pack(struct lnt_strbuf *frame, uint32_t number, size_t total,
               struct lnt_str piece)
{
    lnt_pack_u32(frame, number);
    lnt_pack_u32(frame, (uint32_t)total);
    lnt_pack_str(frame, piece);
}

void
lnt_arrival_init(struct lnt_arrival *a, size_t max,
                 enum lnt_verdict_on_move (*take)(void *arg, int fd,
                                                  struct lnt_str bytes),
                 void *arg)
{
    *a = (struct lnt_arrival){.take = take, .arg = arg, .max = max, .fd = -1};
}

void
lnt_arrival_release(struct lnt_arrival *a)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    lnt_strbuf_release(&a->bytes);
}

struct entry {
    uint32_t number, total;
    struct lnt_str piece;
};

static bool
unpack(const struct lnt_arrival *a, struct lnt_str *rest, struct entry *e)
{
    return lnt_unpack_u32(rest, &e->number) &&
           lnt_unpack_u32(rest, &e->total) && lnt_unpack_str(rest, &e->piece) &&
           e->piece.n > 0 && e->total <= a->max &&
           a->bytes.n + e->piece.n <= e->total &&
           (a->bytes.n == 0 || a->number == e->number);
}

bool
lnt_arrival_frame(struct lnt_arrival *a, struct lnt_str payload, int *fds,
                  size_t nfds, struct lnt_strbuf *reply)
{
    struct entry e;
    size_t next = 0;
    while (payload.n) {
        if (!unpack(a, &payload, &e))
            return false;
        if (a->bytes.n == 0) {
            if (next == nfds)
                return false;
            a->fd = fds[next];
            fds[next++] = -1;
            a->number = e.number;
        }
        if (e.piece.n < e.total) {
            lnt_strbuf_add_str(&a->bytes, e.piece);
            if (a->bytes.n < e.total)
                continue;
            e.piece = lnt_strbuf_str(&a->bytes);
        }
        int fd = a->fd;
        a->fd = -1;
        enum lnt_verdict_on_move v = a->take(a->arg, fd, e.piece);
        lnt_strbuf_clear(&a->bytes);
        lnt_pack_u32(reply, e.number);
        lnt_pack_u32(reply, v);
    }
    return next == nfds;
}
