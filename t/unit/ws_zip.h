/*
 * The client's side of compression, with a zlib of its own: what it sends and
 * how it reads.  Its window for reading is no larger than was agreed on, so
 * whoever goes beyond that is found out.
 */
#ifndef LNT_T_WS_ZIP_H
#define LNT_T_WS_ZIP_H

#include <zlib.h>

#include "t/unit/ws_harness.h"

enum { ZIP = 0x40 };

struct zip_client {
    struct lnt_ws_terms terms;
    z_stream out, in;
    struct lnt_strbuf payload; /* packed or unpacked last */
};

/* Compressed at level, into a window of as many bits as it may have. */
WS_UNUSED static struct zip_client *
zip_client_new(struct lnt_ws_terms terms, int level)
{
    struct zip_client *c = calloc(1, sizeof(*c));
    int bits = terms.in_bits < 9 ? 9 : terms.in_bits;
    if (!c || deflateInit2(&c->out, level, Z_DEFLATED, -bits, 8, 0) ||
        inflateInit2(&c->in, -terms.out_bits))
        abort();
    c->terms = terms;
    return c;
}

WS_UNUSED static void
zip_client_free(struct zip_client *c)
{
    deflateEnd(&c->out);
    inflateEnd(&c->in);
    lnt_strbuf_release(&c->payload);
    free(c);
}

/* Appends what flush makes of the text. */
WS_UNUSED static void
zip_add(struct zip_client *c, const void *p, size_t n, int flush)
{
    uint8_t room[4096];
    c->out.next_in = (Bytef *)(uintptr_t)p;
    c->out.avail_in = (uInt)n;
    do {
        c->out.next_out = room;
        c->out.avail_out = sizeof(room);
        deflate(&c->out, flush);
        lnt_strbuf_add(&c->payload, room, sizeof(room) - c->out.avail_out);
    } while (c->out.avail_out == 0);
}

/* The payload of a message. */
WS_UNUSED static struct lnt_str
zip_pack(struct zip_client *c, const void *p, size_t n)
{
    lnt_strbuf_clear(&c->payload);
    if (n == 0) {
        lnt_strbuf_addc(&c->payload, '\0');
        return lnt_strbuf_str(&c->payload);
    }
    zip_add(c, p, n, Z_SYNC_FLUSH);
    c->payload.n -= 4;
    if (c->terms.in_fresh)
        deflateReset(&c->out);
    return lnt_strbuf_str(&c->payload);
}

/* A whole message as one frame. */
WS_UNUSED static void
zip_put(struct zip_client *c, struct lnt_strbuf *b, unsigned first,
        const void *p, size_t n)
{
    struct lnt_str payload = zip_pack(c, p, n);
    ws_put(b, first | ZIP, payload.p, payload.n);
}

/* The text of a payload; false when it is none. */
WS_UNUSED static bool
zip_unpack(struct zip_client *c, struct lnt_str payload)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    uint8_t room[4096];
    lnt_strbuf_clear(&c->payload);
    for (unsigned part = 0; part < 2; part++) {
        c->in.next_in =
            part ? (Bytef *)(uintptr_t)tail : (Bytef *)(uintptr_t)payload.p;
        c->in.avail_in = part ? sizeof(tail) : (uInt)payload.n;
        do {
            c->in.next_out = room;
            c->in.avail_out = sizeof(room);
            int r = inflate(&c->in, Z_SYNC_FLUSH);
            if (r != Z_OK && r != Z_BUF_ERROR)
                return false;
            lnt_strbuf_add(&c->payload, room, sizeof(room) - c->in.avail_out);
        } while (c->in.avail_out == 0);
    }
    if (c->terms.out_fresh)
        inflateReset(&c->in);
    return true;
}

/* A frame of the server's, and takes it off the front. */
struct zip_frame {
    unsigned first;
    struct lnt_str payload;
};

WS_UNUSED static bool
zip_next(struct lnt_str *out, struct zip_frame *f)
{
    const uint8_t *p = (const uint8_t *)out->p;
    if (out->n < 2)
        return false;
    size_t head = p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10, n = 0;
    if (out->n < head)
        return false;
    if (head == 2)
        n = p[1];
    for (size_t i = 2; i < head; i++)
        n = n << 8 | p[i];
    if (out->n < head + n)
        return false;
    f->first = p[0];
    f->payload = lnt_str(p + head, n);
    *out = lnt_str(p + head + n, out->n - head - n);
    return true;
}

/* Takes a message off the front of what the server sent: its text is in
   c->payload.  false: there is none, or it cannot be read. */
WS_UNUSED static bool
zip_message(struct zip_client *c, struct lnt_str *out, unsigned *first)
{
    struct zip_frame f;
    if (!zip_next(out, &f))
        return false;
    *first = f.first;
    if (f.first & ZIP)
        return zip_unpack(c, f.payload);
    lnt_strbuf_clear(&c->payload);
    lnt_strbuf_add_str(&c->payload, f.payload);
    return true;
}

/* Messages as an application has them: much of each is as in those before. */
WS_UNUSED static size_t
zip_json(char *to, size_t room, unsigned i)
{
    static const char *const words[] = {"hello", "everybody", "server", "today",
                                        "the",   "is",        "later",  "maybe",
                                        "runs",  "fine",      "think",  "we"};
    uint32_t seed = i * 2654435761u + 1;
    char text[200];
    size_t n = 0, count = 3 + seed % 7;
    for (size_t k = 0; k < count; k++) {
        seed = seed * 1664525 + 1013904223;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ",
                              words[(seed >> 16) % 12]);
    }
    return (size_t)snprintf(
        to, room,
        "{\"type\":\"message\",\"room\":\"lobby\",\"seq\":%u,\"from\":"
        "\"user%u\",\"text\":\"%s\",\"time\":17900%05u.%03u}",
        i + 1000, (seed >> 20) % 50, text, i * 3, (seed >> 8) % 1000);
}

#endif
